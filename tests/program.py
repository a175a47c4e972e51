"""A program that serves, run as a process of its own."""

import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support import DEADLINE

ROOT = Path(__file__).parent.parent
LOOP = os.environ.get("LOWLEVEL_LOOP") or "asyncio"


class Program:
    """The running program: its ``url`` with a slash at the end, its ``port``, what it says, and ``stop()``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.said_before: list[str] = []
        """The lines it printed before the one that tells where it serves."""
        while not (line := self.line()).startswith("==="):
            self.said_before.append(line)
            assert line, f"it did not start: {self.said_before}"
        match = re.fullmatch(r"=+ Serving on (https?://127\.0\.0\.1:(\d+)) =+", line)
        assert match is not None, f"it did not start: {line!r}"
        self.url = f"{match[1]}/"
        self.port = int(match[2])
        self._stopped = False

    def line(self) -> str:
        """Wait for the next line it prints, and return it; an empty one if there is no more."""
        return self._lines.get(timeout=DEADLINE)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line != "(Press CTRL+C to quit)\n":
                    self._lines.put(line.removesuffix("\n"))
        self._lines.put("")

    def stop(self, number: int = signal.SIGINT) -> None:
        if not self._stopped:  # a second signal means: at once
            self._process.send_signal(number)
        self._stopped = True


@contextmanager
def running(*command: str, cwd: Path = ROOT, log: str = "") -> Iterator[Program]:
    """Run Python with `command`; at the end SIGINT ends it, with status 0.

    It says nothing about any trouble, or exactly what matches the regular expression `log`.
    """
    with tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        try:
            yield (program := Program(process))
            program.stop()
            status = process.wait(DEADLINE)
            program.reader.join(DEADLINE)
            trouble = _content(stderr)
            assert status == 0, trouble
            assert re.fullmatch(log, trouble, re.DOTALL), trouble
        except BaseException as exc:
            process.kill()
            process.wait()
            exc.add_note(f"The program said: {_content(stderr)}")
            raise


def _content(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
