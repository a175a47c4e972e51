"""Files that are in memory, opened and read on the event loop: nothing here ever waits for a disk.

A trip to a thread costs several times what a small file costs by itself. Linux can be asked
to do only what needs no waiting: ``openat2`` with RESOLVE_CACHED (since 5.12) opens a file if the whole way to it is in
memory, ``preadv2`` with RWF_NOWAIT reads what is. Whatever may have to wait, and every other system, is a
BlockingIOError; who gets one goes to a thread.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from typing import Final

__all__ = ("open_cached", "read_cached")

# The same on every architecture that is in use (linux/syscalls.h).
_OPENAT2: Final = 437
_AT_FDCWD: Final = -100

# linux/openat2.h
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_BENEATH: Final = 0x08
_RESOLVE_CACHED: Final = 0x20

# The system does not know how, or is not allowed to; or it is a link that leads out of the folder, or only seems to:
# whoever can wait may look closer.
_LOOK_CLOSER: Final = frozenset((errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG, errno.EXDEV))


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_HOW_SIZE: Final = ctypes.sizeof(_OpenHow)
_system: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def open_cached(path: str, flags: int, beneath: int | None = None) -> int:
    """Open a file for reading if that needs no waiting; return its descriptor.

    Args:
        path: The file.
        flags: As for ``os.open()``.
        beneath: The descriptor of a folder: ``path`` counts from there, and nothing in it may lead out of it.

    Raises:
        BlockingIOError: It may have to wait, or this system cannot tell.
        OSError: As ``os.open()`` does.
    """
    if _system is None:
        raise BlockingIOError(errno.EAGAIN, "this system cannot tell whether it would wait")
    resolve, folder = _RESOLVE_CACHED, _AT_FDCWD
    if beneath is not None:
        resolve |= _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS
        folder = beneath
    how = _OpenHow(flags, 0, resolve)
    fd: int = _system.syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(folder),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(_HOW_SIZE),
    )
    if fd < 0:
        code = ctypes.get_errno()
        if code in _LOOK_CLOSER:
            code = errno.EAGAIN
        raise OSError(code, os.strerror(code), path)
    return fd


def read_cached(fd: int, position: int, size: int) -> bytes:
    """Read bytes of a file if that needs no waiting; fewer only where the file ends.

    Raises:
        BlockingIOError: Some of them may not be in memory, or this system cannot tell.
    """
    buffer = bytearray(size)
    view = memoryview(buffer)
    done = 0
    while done < size:
        try:
            count = os.preadv(fd, [view[done:]], position + done, os.RWF_NOWAIT)
        except (AttributeError, OSError):
            raise BlockingIOError(errno.EAGAIN, "not all of it is in memory") from None
        if not count:
            break
        done += count
    return bytes(view[:done])
