"""The access log: one line per request, in the format language of Apache's ``LogFormat``."""

from __future__ import annotations

import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from time import localtime
from time import time as wall_clock
from typing import TYPE_CHECKING, Any, NamedTuple

from multidict import istr

if TYPE_CHECKING:
    from .request import BaseRequest
    from .response import StreamResponse

__all__ = ("AbstractAccessLogger", "AccessLogger")


class AbstractAccessLogger(ABC):
    """What ``Server(access_log_class=...)`` takes: makes a log record of a finished request.

    The server builds one with ``access_log_class(access_log, access_log_format)``, asks
    ``enabled`` once per connection, and calls ``log()`` once per request, at its end.

    Args:
        logger: Where to log; kept as ``logger``.
        log_format: What to log; kept as ``log_format``.
    """

    __slots__ = ("log_format", "logger")

    def __init__(self, logger: logging.Logger, log_format: str) -> None:
        self.logger = logger
        self.log_format = log_format

    @property
    def enabled(self) -> bool:
        """Whether ``log()`` is to be called at all. False costs a connection nothing; true by default."""
        return True

    @abstractmethod
    def log(self, request: BaseRequest | None, response: StreamResponse, time: float) -> None:
        """Log one request. Runs in its context, so a ContextVar that the handler set is seen here.

        It must not block and must not raise.

        Args:
            request: The request; None when what came was not a request (a 400, say).
            response: The response, which has been sent, or as much of it as the client took.
            time: Seconds from the request's head to the end of its response.
        """


_Reader = Callable[["BaseRequest | None", "StreamResponse", float], str | int]


class _Atom(NamedTuple):
    key: str  # in the record's `extra`
    name: str | None  # of the header or variable: `extra[key]` is then a dict
    read: _Reader


class AccessLogger(AbstractAccessLogger):
    r"""Write one line per request with ``logger.info``.

    ==========  ==========================  ==================================================
    atom        key in the record's extra   meaning
    ==========  ==========================  ==================================================
    ``%%``                                  a percent sign
    ``%a``      ``remote_address``          address of the peer
    ``%t``      ``request_start_time``      when the request began, local time in brackets
    ``%P``      ``process_id``              ``<pid>``
    ``%r``      ``first_request_line``      method, path with query, version
    ``%s``      ``response_status``         status (int)
    ``%b``      ``response_size``           bytes sent, head included (int)
    ``%T``      ``request_time``            duration in seconds, rounded
    ``%Tf``     ``request_time_frac``       duration in seconds, six decimals
    ``%D``      ``request_time_micro``      duration in microseconds
    ``%{X}i``   ``request_header[X]``       header X of the request
    ``%{X}o``   ``response_header[X]``      header X of the response
    ``%{X}e``   ``environment[X]``          environment variable X
    ==========  ==========================  ==================================================

    What is absent reads ``-``; without a request, request headers read ``(no headers)``. Text that
    is no atom stays as it is. In the line, whatever is not printable, quotes and backslashes are
    written as escapes (``\x1b``, ``\"``, ``\\``), so a peer can forge neither a line nor a field;
    ``extra`` holds the values untouched, for formatters that do their own quoting.

    Args:
        logger: Where to log.
        log_format: Atoms of the table, and other text.

    Raises:
        TypeError: ``log_format`` is no str, or ``logger`` no logger.
    """

    LOG_FORMAT = '%a %t "%r" %s %b "%{Referer}i" "%{User-Agent}i"'

    __slots__ = ("_atoms", "_template")

    def __init__(self, logger: logging.Logger, log_format: str = LOG_FORMAT) -> None:
        if not hasattr(logger, "isEnabledFor"):
            raise TypeError(f"access_log must be a logging.Logger, not {type(logger).__name__}")
        if not isinstance(log_format, str):
            raise TypeError(f"access_log_format must be a str, not {type(log_format).__name__}")
        super().__init__(logger, log_format)
        self._template, self._atoms = _compile(log_format)

    @property
    def enabled(self) -> bool:
        """Whether the logger takes INFO records just now."""
        return self.logger.isEnabledFor(logging.INFO)

    def log(self, request: BaseRequest | None, response: StreamResponse, time: float) -> None:
        """Write the line. An error on the way is itself logged ("Error in logging"), not raised.

        Args:
            request: The request; None when what came was not a request.
            response: The response.
            time: Seconds that it took.
        """
        try:
            line: list[str | int] = []
            extra: dict[str, Any] = {}
            for key, name, read in self._atoms:
                value = read(request, response, time)
                line.append(_escape(value) if isinstance(value, str) else value)
                if name is None:
                    extra[key] = value
                else:
                    extra.setdefault(key, {})[name] = value
            self.logger.info(self._template % tuple(line), extra=extra)
        except Exception:
            # A broken format or handler object must cost a log line, never the connection.
            self.logger.exception("Error in logging")


# --- reading the format -------------------------------------------------------------------

_ATOM = re.compile(
    r"%(?:(?P<percent>%)|(?P<plain>[atPrsbD]|Tf?)|\{(?P<name>[^{}]+)\}(?P<of>[ioe]))"
)


def _compile(log_format: str) -> tuple[str, tuple[_Atom, ...]]:
    """Split a format into a template for ``%`` and the atoms that fill it, in order."""
    template: list[str] = []
    atoms: list[_Atom] = []
    end = 0
    for match in _ATOM.finditer(log_format):
        template.append(log_format[end : match.start()].replace("%", "%%"))
        end = match.end()
        if match["percent"]:
            template.append("%%")
            continue
        template.append("%s")
        if match["plain"]:
            key, read = _PLAIN[match["plain"]]
            atoms.append(_Atom(key, None, read))
        else:
            key, reader_of = _NAMED[match["of"]]
            atoms.append(_Atom(key, match["name"], reader_of(match["name"])))
    template.append(log_format[end:].replace("%", "%%"))
    return "".join(template), tuple(atoms)


def _escape(text: str) -> str:
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(
        "\\" + char if char in '"\\' else char if char.isprintable() else _escaped(char)
        for char in text
    )


def _escaped(char: str) -> str:
    # Lone surrogates (bytes that were not UTF-8) come out as \udcxx instead of failing in a handler.
    return char.encode("unicode_escape").decode("ascii")


# --- reading the values -------------------------------------------------------------------


def _remote(request: BaseRequest | None, response: StreamResponse, time: float) -> str:
    # The client of a Unix socket usually has an address without a name.
    return (None if request is None else request.remote) or "-"


def _start_time(request: BaseRequest | None, response: StreamResponse, time: float) -> str:
    return _common_log_time(int(wall_clock() - time))


_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@lru_cache(maxsize=32)  # a busy server asks for the same few seconds again and again
def _common_log_time(second: int) -> str:
    """``[21/Nov/2026:08:44:05 +0100]`` in local time; month names in English in every locale."""
    local = localtime(second)
    sign = "-" if local.tm_gmtoff < 0 else "+"
    hours, minutes = divmod(abs(local.tm_gmtoff) // 60, 60)
    return (
        f"[{local.tm_mday:02d}/{_MONTHS[local.tm_mon - 1]}/{local.tm_year:04d}"
        f":{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d} {sign}{hours:02d}{minutes:02d}]"
    )


def _process_id(request: BaseRequest | None, response: StreamResponse, time: float) -> str:
    return f"<{os.getpid()}>"


def _request_line(request: BaseRequest | None, response: StreamResponse, time: float) -> str:
    if request is None:
        return "-"
    version = request.version
    return f"{request.method} {request.path_qs} HTTP/{version.major}.{version.minor}"


def _status(request: BaseRequest | None, response: StreamResponse, time: float) -> int:
    return response.status


def _size(request: BaseRequest | None, response: StreamResponse, time: float) -> int:
    return response.body_length


def _seconds(request: BaseRequest | None, response: StreamResponse, time: float) -> str:
    return str(round(time))


def _seconds_and_fraction(
    request: BaseRequest | None, response: StreamResponse, time: float
) -> str:
    return f"{time:.6f}"


def _microseconds(request: BaseRequest | None, response: StreamResponse, time: float) -> str:
    return str(round(time * 1_000_000))


def _request_header(name: str) -> _Reader:
    header = istr(name)  # folds the case once, not once per request

    def read(request: BaseRequest | None, response: StreamResponse, time: float) -> str:
        return "(no headers)" if request is None else request.headers.get(header, "-")

    return read


def _response_header(name: str) -> _Reader:
    header = istr(name)

    def read(request: BaseRequest | None, response: StreamResponse, time: float) -> str:
        return response.headers.get(header, "-")

    return read


def _environment(name: str) -> _Reader:
    def read(request: BaseRequest | None, response: StreamResponse, time: float) -> str:
        return os.environ.get(name, "-")

    return read


_PLAIN: dict[str, tuple[str, _Reader]] = {
    "a": ("remote_address", _remote),
    "t": ("request_start_time", _start_time),
    "P": ("process_id", _process_id),
    "r": ("first_request_line", _request_line),
    "s": ("response_status", _status),
    "b": ("response_size", _size),
    "T": ("request_time", _seconds),
    "Tf": ("request_time_frac", _seconds_and_fraction),
    "D": ("request_time_micro", _microseconds),
}
_NAMED: dict[str, tuple[str, Callable[[str], _Reader]]] = {
    "i": ("request_header", _request_header),
    "o": ("response_header", _response_header),
    "e": ("environment", _environment),
}
