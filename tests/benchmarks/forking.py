"""A server with a child process, as a program: ``python -m tests.benchmarks.forking``.

The child ignores SIGTERM, takes its time and its memory, and lives on. Another one took its time,
too, and has ended. On stderr is the child's number.
"""

import os
import signal
import sys
import time
from collections.abc import Callable

from benchmarks.servers import launch

BUSY_SECONDS = 0.3
CHILD_BYTES = 64 * 1024 * 1024


def work() -> None:
    while time.process_time() < BUSY_SECONDS:
        pass


def in_child(task: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    task()
    os._exit(0)


def live(ready: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    held = bytearray(os.urandom(1024)) * (CHILD_BYTES // 1024)
    work()
    os.write(ready, b"x")
    while held:
        time.sleep(3600)


if __name__ == "__main__":
    options = launch.parse()
    os.waitpid(in_child(work), 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The next one is gone as soon as it ends.
    is_ready, ready = os.pipe()
    child = in_child(lambda: live(ready))
    print(child, file=sys.stderr, flush=True)
    os.read(is_ready, 1)
    with launch.bound(options) as listening:
        launch.announce(listening.getsockname()[1])
        signal.pause()
