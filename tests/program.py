"""A program that serves, run as a process of its own."""

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import DEADLINE

ROOT = Path(__file__).parent.parent
LOOP = os.environ.get("LOWLEVEL_LOOP") or "asyncio"


class Program:
    """The running program: its ``url`` with a slash at the end, its ``port``, and ``stop()``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], DEADLINE)
        line = process.stdout.readline() if ready else ""
        match = re.fullmatch(r"=+ Serving on (http://127\.0\.0\.1:(\d+)) =+\n", line)
        assert match is not None, f"it did not start: {line!r}"
        self.url = f"{match[1]}/"
        self.port = int(match[2])
        self._stopped = False

    def stop(self) -> None:
        if not self._stopped:  # a second SIGINT means: at once
            self._process.send_signal(signal.SIGINT)
        self._stopped = True


@contextmanager
def running(*command: str, cwd: Path = ROOT) -> Iterator[Program]:
    """Run Python with `command`; at the end SIGINT ends it without a word about any trouble."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield (program := Program(process))
        program.stop()
        _, stderr = process.communicate(timeout=DEADLINE)
        assert (process.returncode, stderr) == (0, "")
    except BaseException as exc:
        process.kill()
        exc.add_note(f"The program said: {process.communicate()[1]}")
        raise
