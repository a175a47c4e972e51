"""Files as responses: found, opened and judged in one go, then sent by the system where it can.

That go is made on the event loop as long as everything is in memory, or else in a thread.

``open()`` finds out what the answer is - all of the file, a part of it, "not modified", an error - and turns this
response into that answer. A file that is small is read on the same trip, so that its head and its bytes leave
together. Of a large one, the system sends all but the last bytes straight from its cache; before those go out it is
seen whether the file is still the one that was announced. If not, the connection is cut, which is the only way left to
say so.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from multidict import CIMultiDictProxy

from .cached_files import open_cached, read_cached
from .options import check_count, check_flag
from .payload import UNKNOWN_TYPE, guess_type
from .protocol.conditional import Outcome, RangeNotSatisfiable, evaluate, select_range
from .protocol.content_encoder import Encoder
from .protocol.headers import ETag, content_disposition, format_http_date, parse_qvalues
from .protocol.serializer import default_reason
from .response import StreamResponse
from .response_fields import Headers
from .threads import in_thread
from .writer import Data, ResponseWriter

if TYPE_CHECKING:
    from .request import BaseRequest

__all__ = ("FileResponse", "Found", "Opened", "Question", "open_best", "open_cached_regular")

# Files up to this many bytes are read when they are opened; of others, so many are sent last.
_SMALL: Final = 262144
_TAIL: Final = 65536

# How often a small file that is being changed is looked at again.
_LOOKS: Final = 4

# Which file beside the one asked for has it in which coding, in order of preference.
_SIBLINGS: Final = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}

# Errors that mean: there can be no such file.
_MISSING: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP))
_FORBIDDEN: Final = frozenset((errno.EACCES, errno.EPERM, errno.EISDIR))

# A FIFO without a writer would be waited for, and a terminal would become ours.
_OPEN_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

# Not to open it, but to see what it is.
_LOOK_FLAGS: Final = getattr(os, "O_PATH", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)

# What tells of the file, and nothing of the error that is sent instead.
_FIELDS_OF_THE_FILE: Final = (
    "Accept-Ranges",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Expires",
    "Last-Modified",
)


# A descriptor, what it is of, and its coding. What opens gets a path, and whether to follow a link at its end.
Opened = tuple[int, os.stat_result, str | None]
Opener = Callable[[str, bool], tuple[int, os.stat_result]]


@dataclass(frozen=True, slots=True)
class Question:
    """What of a request decides about the answer."""

    method: str
    headers: CIMultiDictProxy[str]
    etag: ETag | None
    """The tag that the handler gave."""
    last_modified: datetime | None
    """The time that the handler gave."""
    whole: bool
    """Whether conditions and ranges do not count."""
    encoded: bool
    """Whether the file is compressed on its way: parts of that do not exist."""


class _FileChanged(OSError):
    """What is in the file is not what was announced."""


@dataclass(slots=True)
class Found:
    """What the answer is, and where its body comes from."""

    status: int
    size: int = 0
    etag: ETag = ETag("")
    last_modified: int = 0
    coding: str | None = None
    start: int = 0
    stop: int = 0
    data: bytes | None = b""
    """The body, None if it is still in the file."""
    fd: int = -1
    identity: tuple[int, int] = (0, 0)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def check(self, status: os.stat_result) -> None:
        """See that the file is still what it was."""
        if (status.st_mtime_ns, status.st_size) != self.identity:
            raise _FileChanged("the file was changed while it was sent")

    def read(self, position: int, size: int) -> bytes:
        """Read some bytes. Runs in a thread."""
        data = _pread(self.fd, min(size, self.stop - position), position)
        if position + len(data) >= self.stop or not data:
            self.check(os.fstat(self.fd))
        if not data:
            raise _FileChanged("the file was cut while it was sent")
        return data


class FileResponse(StreamResponse):
    """A file, or the part of it that a request asks for (RFC 9110 §14), if the request's conditions hold (§13).

    What the answer is turns out when it is prepared, without an exception; ``status`` tells then: 200; 206 for a part;
    304 and 412 by the conditions; 416 for a range that does not exist; 404 for a file that is missing; 403 for one that
    may not be read, and for a directory or anything else that is no file. With another ``status`` than 200 there are
    neither conditions nor ranges.

    A file beside it named like it with ``.br``, ``.zst`` or ``.gz`` appended is sent instead, with Content-Encoding, to
    a client that accepts that coding; links are not followed to one. Where strangers choose the names of files, turn
    that off: whoever puts ``report.pdf.gz`` there replaces ``report.pdf``.

    Content-Type is guessed from the name unless it is set. ETag and Last-Modified come from the file, unless set.

    Args:
        path: The file.
        chunk_size: Most bytes read at once where the system does not send the file by itself (TLS, compression).
        status: The status code.
        reason: The reason phrase; the usual one by default.
        headers: Header fields, a mapping or pairs; copied.
        filename: A name to save it under: sent as ``Content-Disposition: attachment``, and it decides about the type.
        precompressed: Whether to look for compressed files beside it.

    Raises:
        TypeError, ValueError: An argument of a wrong type or value.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        chunk_size: int = 262144,
        status: int = 200,
        reason: str | None = None,
        headers: Headers | None = None,
        *,
        filename: str | None = None,
        precompressed: bool = True,
    ) -> None:
        super().__init__(status=status, reason=reason, headers=headers)
        self._precompressed = check_flag("precompressed", precompressed)
        self._path = os.fspath(path)
        if not isinstance(self._path, str):
            raise TypeError(f"path must be a str or a path of str, not {path!r}")
        self._chunk_size = check_count("chunk_size", chunk_size, 1)
        self._filename = filename
        if filename is not None:
            if not isinstance(filename, str):
                raise TypeError(f"filename must be a str, not {type(filename).__name__}")
            self.headers.setdefault("Content-Disposition", content_disposition(filename))
        self._found: Found | None = None

    # Before the head.

    async def prepare(self, request: BaseRequest) -> ResponseWriter | None:
        """Open the file, and send all of the answer to ``request``: nobody needs the file any more then.

        Returns None, as for every response that has ended. Besides what it names, it raises what
        ``StreamResponse.prepare()`` raises. Cancelled, it closes the file; if the head is out, the answer can never be
        complete, and the connection is cut.

        Raises:
            OSError: For what is no fault of the path (too many open files, a failing disk), and when the file was
                changed or cut while it was sent: the connection has to be cut.
        """
        if not self.prepared:
            await self.open(request)
            await super().prepare(request)
            await self.write_eof()
        return await super().prepare(request)

    async def open(self, request: BaseRequest) -> None:
        """Open the file as ``prepare()`` would, and become the answer to ``request``: see ``status`` and header fields.

        Cancelled, it leaves no file open, and may be called again.

        Raises:
            OSError: What is no fault of the path: too many open files, a failing disk.
        """
        if self._found is not None:
            return
        question = Question(
            request.method,
            request.headers,
            self.etag,
            self.last_modified,
            self._status != 200,
            self._will_encode(request),
        )
        try:
            found = self._look(question, at_once=True)
        except BlockingIOError:
            found = await in_thread(partial(self._look_again, question), Found.close)
        self._found = found
        if found.status in (200, 206, 304):
            self._describe(found, question.encoded and found.coding is None)
        else:
            self._become_error(found)

    def _will_encode(self, request: BaseRequest) -> bool:
        """Whether the file is to be compressed on its way, if it is not compressed already."""
        return self._wanted_coding(request) is not None and "Content-Encoding" not in self.headers

    def _may_be_coded(self, request: BaseRequest) -> bool:
        found = self._found
        # Neither an error nor an empty file is worth it.
        worth_it = found is not None and found.size > 0 and found.status == 200
        return worth_it and super()._may_be_coded(request)

    async def _start_coding(self, request: BaseRequest) -> Encoder | None:
        encoder = await super()._start_coding(request)
        if encoder is not None:
            self.headers.popall("Accept-Ranges", None)
        return encoder

    def _describe(self, found: Found, encoded: bool) -> None:
        headers = self.headers
        if found.status != 200:
            self._status = found.status
            self._reason = None
        if "ETag" not in headers or found.coding is not None:
            weak = "W/" if encoded or found.etag.is_weak else ""
            headers["ETag"] = f'{weak}"{found.etag.value}"'
        if "Last-Modified" not in headers:
            # Not later than now (RFC 9110 §8.8.2.1), rounded up as well: a client gets 304 for the date that it got.
            headers["Last-Modified"] = _http_date(min(found.last_modified, math.ceil(time.time())))
        if found.coding is not None or encoded:
            self._vary_by("Accept-Encoding")
        if found.status == 304:
            return
        if found.coding is not None:
            headers["Content-Encoding"] = found.coding
        headers.setdefault("Accept-Ranges", "bytes")
        headers["Content-Length"] = str(found.stop - found.start)
        if found.status == 206:
            headers["Content-Range"] = f"bytes {found.start}-{found.stop - 1}/{found.size}"
        if "Content-Type" not in headers:
            headers["Content-Type"] = self._guess_type()

    def _guess_type(self) -> str:
        guessed = UNKNOWN_TYPE
        if self._filename is not None:
            guessed = guess_type(self._filename)
        return guess_type(self._path) if guessed == UNKNOWN_TYPE else guessed

    def _become_error(self, found: Found) -> None:
        self._status = found.status
        self._reason = None
        headers = self.headers
        for name in _FIELDS_OF_THE_FILE:
            headers.popall(name, None)
        found.data = f"{found.status}: {default_reason(found.status)}".encode()
        headers["Content-Type"] = "text/plain; charset=utf-8"
        headers["Content-Length"] = str(len(found.data))
        if found.status == 416:
            headers["Content-Range"] = f"bytes */{found.size}"

    # In a thread, or at once.

    def _resolve(self) -> str:
        """Return the path of the file. Runs in a thread; may raise OSError, for a file that is missing, say."""
        return self._path

    def _open_at_once(self, accepted: str) -> Opened:
        """Open the file without waiting; may raise BlockingIOError, or OSError as _resolve() may."""
        return open_best(self._path, accepted, open_cached_regular)

    def _look_again(self, question: Question) -> Found:
        """Look in a thread; and again, some times, if the file is changed meanwhile."""
        for _ in range(_LOOKS):
            with contextlib.suppress(_FileChanged):
                return self._look(question)
        return self._look(question)

    def _look(self, question: Question, *, at_once: bool = False) -> Found:
        """Find out what the answer is.

        Raises:
            BlockingIOError: ``at_once``, and it would have to wait.
            OSError: What is no fault of the path.
        """
        try:
            accepted = ""
            if self._precompressed:
                accepted = ", ".join(question.headers.getall("Accept-Encoding", ()))
            if at_once:
                fd, status, coding = self._open_at_once(accepted)
            else:
                fd, status, coding = open_best(self._resolve(), accepted, _open_regular)
        except UnicodeEncodeError:  # the file system has no such letter
            return Found(404)
        except OSError as exc:
            if exc.errno in _MISSING:
                return Found(404)
            if exc.errno in _FORBIDDEN:
                return Found(403)
            raise
        found = Found(
            200,
            size=status.st_size,
            etag=_tag_of(question.etag, status, coding),
            last_modified=_time_of(question.last_modified, status),
            coding=coding,
            stop=status.st_size,
            fd=fd,
            identity=(status.st_mtime_ns, status.st_size),
        )
        try:
            if not question.whole:
                self._judge(question, found)
            if found.status not in (200, 206) or question.method == "HEAD":
                found.close()
            elif found.stop - found.start <= _SMALL:
                found.data = _read_cached(found) if at_once else _read_small(found)
                found.close()
            else:
                found.data = None
        except BaseException:
            found.close()
            raise
        return found

    @staticmethod
    def _judge(question: Question, found: Found) -> None:
        """Apply conditions and range."""
        method, headers = question.method, question.headers
        etag = found.etag
        outcome = evaluate(method, headers, etag, found.last_modified)
        if outcome is not Outcome.PROCEED:
            found.status = outcome.value
            return
        if question.encoded and found.coding is None:
            return
        try:
            dated = found.last_modified if found.coding is None else None
            part = select_range(method, headers, found.size, etag, dated)
        except RangeNotSatisfiable:
            found.status = 416
            return
        if part is not None:
            found.status = 206
            found.start, found.stop = part

    # The body.

    async def write_eof(self, data: Data = b"") -> None:
        """Do nothing, since ``prepare()`` sent all; so there is nothing to cancel either.

        Raises:
            AssertionError: Before ``prepare()``, or there is data beside the file.
            RuntimeError: ``prepare()`` was cancelled, or failed: the connection has to be cut.
        """
        if self._ended:
            return
        if data:
            raise AssertionError(f"data arg is not supported, got {data!r}")
        found, writer = self._found, self._writer
        if writer is None or found is None:
            raise AssertionError("Response has not been started")
        if found.data is not None:
            await super().write_eof(found.data)
            return
        if found.fd < 0:
            raise RuntimeError("the file was not sent to its end, and cannot be any more")
        try:
            if not writer.full:
                await self._send(writer, found)
        finally:
            found.close()
        await super().write_eof()

    async def _send(self, writer: ResponseWriter, found: Found) -> None:
        position = found.start
        position += await writer.send_file(found.fd, position, found.stop - position - _TAIL)
        while position < found.stop:
            data = await in_thread(partial(found.read, position, self._chunk_size))
            position += len(data)
            await self.write(data)

    async def _release(self) -> None:
        if self._found is not None:
            self._found.close()

    def __del__(self) -> None:
        # It may have been opened for an answer that was then another one.
        found = getattr(self, "_found", None)
        if found is not None:
            found.close()


def _tag_of(given: ETag | None, status: os.stat_result, coding: str | None) -> ETag:
    """Return the entity tag of a file; one that was given is for the plain file, and a coded one needs another."""
    if given is None:
        return ETag(f"{status.st_mtime_ns:x}-{status.st_size:x}")
    return given if coding is None else ETag(f"{given.value}-{coding}", given.is_weak)


def _time_of(given: datetime | None, status: os.stat_result) -> int:
    return math.ceil(status.st_mtime_ns / 1e9 if given is None else given.timestamp())


def _pread(fd: int, size: int, position: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, size, position)
    os.lseek(fd, position, os.SEEK_SET)  # Windows
    return os.read(fd, size)


_http_date: Final = lru_cache(maxsize=256)(format_http_date)


def _read_small(found: Found) -> bytes:
    """Read all that is asked for; see that it was not changed meanwhile."""
    data = b""
    size = found.stop - found.start
    while len(data) < size:
        data += found.read(found.start + len(data), size)
    return data


def _read_cached(found: Found) -> bytes:
    """Do the same without waiting, or raise BlockingIOError."""
    size = found.stop - found.start
    data = read_cached(found.fd, found.start, size)
    status = os.fstat(found.fd)
    if len(data) < size or (status.st_mtime_ns, status.st_size) != found.identity:
        raise BlockingIOError(errno.EAGAIN, "the file is being changed")
    return data


def open_best(path: str, accepted: str, opener: Opener) -> Opened:
    """Open a file, or the one beside it in the coding that the client likes best.

    Args:
        path: The file.
        accepted: What the client says in Accept-Encoding.
        opener: Opens what is a file, and nothing else.
    """
    for coding in _accepted_codings(accepted):
        try:
            return (*opener(path + _SIBLINGS[coding], False), coding)
        except OSError as exc:
            if exc.errno not in _MISSING and exc.errno not in _FORBIDDEN:
                raise
    return (*opener(path, True), None)


def _accepted_codings(accepted: str) -> list[str]:
    """Return the codings that a client likes at least as much as none at all (RFC 9110 §12.5.3)."""
    if not accepted:
        return []
    weights = dict(parse_qvalues(accepted))
    others = weights.get("*", 0.0)
    least = weights.get("identity", 0.0)
    known = {coding: weights.get(coding, others) for coding in _SIBLINGS}
    liked = [coding for coding, weight in known.items() if weight > 0 and weight >= least]
    return sorted(liked, key=lambda coding: -known[coding])


def _open_regular(path: str, follow_symlinks: bool) -> tuple[int, os.stat_result]:
    """Open what is a file, and only that: opening a device may have consequences.

    Raises:
        OSError: There is none, or it may not be read.
    """
    _check_path(path)
    _check_regular(os.stat(path, follow_symlinks=follow_symlinks))
    return _checked(os.open(path, _OPEN_FLAGS | (0 if follow_symlinks else _NOFOLLOW)))


def open_cached_regular(
    path: str, follow_symlinks: bool, *, beneath: int | None = None
) -> tuple[int, os.stat_result]:
    """Do the same without waiting, or raise BlockingIOError. For ``beneath`` see open_cached()."""
    _check_path(path)
    nofollow = 0 if follow_symlinks else _NOFOLLOW
    fd = open_cached(path, _LOOK_FLAGS | nofollow, beneath)
    try:
        _check_regular(os.fstat(fd))
    finally:
        os.close(fd)
    return _checked(open_cached(path, _OPEN_FLAGS | nofollow, beneath))


def _checked(fd: int) -> tuple[int, os.stat_result]:
    try:
        status = os.fstat(fd)
        _check_regular(status)
    except BaseException:
        os.close(fd)
        raise
    return fd, status


def _check_path(path: str) -> None:
    if "\0" in path:
        raise FileNotFoundError(errno.ENOENT, "no file has a NUL in its name")


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PermissionError(errno.EACCES, "this is no file")
