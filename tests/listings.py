"""The listings of a page that a reader copies into files and types into a shell, done as the page says.

``Listing`` is one of them, ``Shell`` a folder with the files in it and the programs that run there.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from tests.program import ROOT
from tests.support import DEADLINE

_LISTING = re.compile(
    r"^\.\. code-block:: (?P<language>[\w-]+)\n(?P<options>(?: +:.*\n)*)\n(?P<text>(?:(?: .*)?\n)+)",
    re.MULTILINE,
)
_HEADING = re.compile(r"^(.+)\n-+\n", re.MULTILINE)

# What changes the machine, or asks the network: readers do it, tests find it done.
LEFT_OUT = ("pip ", "python3 -m venv ", ". .venv/", "sudo ")

# What a reader leaves running in a terminal, and what it prints when it is there.
_SERVER = re.compile(r"python (?!-m pytest|.* --help)|systemd-socket-activate ")
_READY = re.compile(r"Serving on |Listening on ")


class Listing(NamedTuple):
    """A ``code-block``: the heading it is under, its language, its caption (the name of a file), its text."""

    heading: str
    language: str
    caption: str
    text: str


def listings(path: str) -> list[Listing]:
    """All of a page, in order."""
    text = (ROOT / path).read_text("utf-8")
    found = []
    for match in _LISTING.finditer(text):
        headings = [heading[1] for heading in _HEADING.finditer(text, 0, match.start())]
        caption = re.search(r":caption: (.+)", match["options"])
        found.append(
            Listing(
                headings[-1] if headings else "",
                match["language"],
                "" if caption is None else caption[1],
                textwrap.dedent(match["text"]).strip("\n") + "\n",
            )
        )
    assert len(found) == text.count(".. code-block::"), f"{path}: a listing was not understood"
    return found


class Shell:
    """A folder in which listings are followed: files are written, commands typed.

    ``replace`` says what stands there for what the page says: ports that are free, paths that may be written.
    """

    def __init__(self, folder: Path, replace: dict[str, str]) -> None:
        self.folder = folder
        self._replace = replace
        self._server: _Running | None = None
        self._server_command = ""
        self._pipes: list[_Running] = []
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",  # a file that grows twice in a second is read anew
            "CURL_HOME": str(folder),
        }
        (folder / ".curlrc").write_text(
            "no-progress-meter\n"
        )  # as in a terminal, for small answers
        self.environment.pop("LOWLEVEL_LOOP", None)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._stack:
            if exc_type is None:
                self.finish()

    def here(self, text: str) -> str:
        """What a text of the page is in this folder."""
        for old, new in self._replace.items():
            text = text.replace(old, new)
        return text

    def write(self, listing: Listing) -> Path:
        """Write a file, or what comes behind the end of one."""
        name, _, more = listing.caption.partition(", ")
        path = self.folder / name
        before = f"{path.read_text()}\n\n" if more else ""
        path.write_text(before + self.here(listing.text))
        return path

    def type(self, listing: Listing) -> None:
        """Run the commands of a listing; what they print is compared with what stands behind them."""
        for command, output in commands(listing.text):
            if not command.startswith(LEFT_OUT):
                self._type(self.here(command), self.here(output))

    def _type(self, command: str, output: str) -> None:
        if _SERVER.match(command):
            self.serve(command, output)
            return
        self.restart()
        if "curl -N" in command:  # goes on until it is interrupted
            self._pipes.append(self.start(command, output))
            self._pipes[-1].read_until(lambda said: bool(said), "the first piece")
            return
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert fits(output, done.stdout), f"$ {command}\n{done.stdout}\nThe page says:\n{output}"
        assert done.returncode == 0, f"$ {command}\nexit status {done.returncode}\n{done.stdout}"

    def serve(self, command: str, output: str = "") -> _Running:
        """Start a server in place of the last one."""
        self.finish()
        self._server_command = command
        if " -m lowlevel " in command and not re.search("--(port|path|certfile) ", command):
            command += f" --port {self.here('8080')}"
        self._server = self.start(command, output)
        self._server.read_until(lambda said: _READY.search(said) is not None, "the server")
        return self._server

    def restart(self) -> None:
        """Have the server run that the page started last, also under an earlier heading."""
        if self._server is None and self._server_command:
            self.serve(self._server_command)

    def remember(self, listing: Listing) -> None:
        """Note which server the page has started by now."""
        for command, _ in commands(listing.text):
            if _SERVER.match(command):
                self._server_command = self.here(command)

    def start(self, command: str, output: str = "", inherit: Iterable[int] = ()) -> _Running:
        """Start a command that runs until it is interrupted; it gets some of our file descriptors."""
        running = _Running(command, output, self.folder, self.environment, inherit)
        self._stack.callback(running.kill)
        return running

    def finish(self) -> None:
        """Interrupt what runs, once it has printed what the page says."""
        for pipe in self._pipes:
            pipe.read_until(pipe.as_expected, "what the page says")
            pipe.kill()
        self._pipes = []
        if self._server is not None:
            self._server.stop()
            self._server = None


class _Running:
    """A command that runs, and what it has said."""

    def __init__(
        self,
        command: str,
        output: str,
        folder: Path,
        environment: dict[str, str],
        inherit: Iterable[int],
    ) -> None:
        self._command = command
        self._output = output
        self._status = 0
        self._file: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - kill() closes it
        self.process = subprocess.Popen(
            shlex.split(command),
            cwd=folder,
            env=environment,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=tuple(inherit),
        )

    def expect_status(self, status: int) -> None:
        """Say what it ends with, if not with 0."""
        self._status = status

    @property
    def said(self) -> str:
        size = os.fstat(self._file.fileno()).st_size
        return os.pread(self._file.fileno(), size, 0).decode()

    def as_expected(self, said: str) -> bool:
        return fits(self._output, said)

    def read_until(self, condition: Callable[[str], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition(self.said):
            assert self.process.poll() is None, f"$ {self._command}\nended:\n{self.said}"
            if time.monotonic() > deadline:
                raise TimeoutError(f"$ {self._command}\n{what} did not come:\n{self.said}")
            time.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it with a signal, and look at its status and at what it said."""
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE)
        assert status == self._status, f"$ {self._command}\n{status}\n{self.said}"
        assert fits(self._output, self.said), (
            f"$ {self._command}\n{self.said}\nThe page says:\n{self._output}"
        )
        assert "Traceback" not in self.said or "Traceback" in self._output, self.said

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._file.close()


def fits(pattern: str, text: str) -> bool:
    """Whether a text is what the page says; there ``...`` is anything, and nothing at all is too."""
    if not pattern.strip():
        return True
    parts = map(re.escape, pattern.strip("\n").split("..."))
    return re.fullmatch(".*?".join(parts), text.strip("\n"), re.DOTALL) is not None


def commands(text: str) -> Iterable[tuple[str, str]]:
    """Each command of a ``console`` listing, with what it prints."""
    assert text.startswith("$ "), f"a listing without a command: {text!r}"
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        match = re.match(r"((?:.*\\\n)*.*)\n", part)
        assert match is not None
        yield match[1].replace("\\\n", " "), part[match.end() :]
