"""The access logger: what its format language writes, and what the log record carries."""

import logging
import os
import time
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from multidict import CIMultiDict

from lowlevel import access_log
from lowlevel.access_log import AbstractAccessLogger, AccessLogger


class Version(NamedTuple):
    major: int
    minor: int


def make_request(**changes: Any) -> Any:
    values = {
        "remote": "127.0.0.7",
        "method": "GET",
        "path_qs": "/a%20b?c=1",
        "version": Version(1, 1),
        "headers": CIMultiDict({"User-Agent": "probe/1.0"}),
    }
    return SimpleNamespace(**values | changes)


def make_response(**changes: Any) -> Any:
    values = {"status": 200, "body_length": 123, "headers": CIMultiDict({"ETag": "abc"})}
    return SimpleNamespace(**values | changes)


class Lines(logging.Handler):
    """Collects the records of a logger of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.logger = logging.Logger("test", logging.INFO)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def write(
    log_format: str, request: Any = None, response: Any = None, seconds: float = 0.25
) -> logging.LogRecord:
    """The one record that logging a request in this format makes."""
    lines = Lines()
    AccessLogger(lines.logger, log_format).log(request, response or make_response(), seconds)
    (record,) = lines.records
    return record


@pytest.mark.parametrize(
    ("atom", "key", "value"),
    [
        ("%a", "remote_address", "127.0.0.7"),
        pytest.param("%P", "process_id", f"<{os.getpid()}>", id="%P"),
        ("%r", "first_request_line", "GET /a%20b?c=1 HTTP/1.1"),
        ("%s", "response_status", 200),
        ("%b", "response_size", 123),
        ("%T", "request_time", "3"),
        ("%Tf", "request_time_frac", "3.141593"),
        ("%D", "request_time_micro", "3141593"),
        ("%{User-Agent}i", "request_header", {"User-Agent": "probe/1.0"}),
        ("%{user-agent}i", "request_header", {"user-agent": "probe/1.0"}),
        ("%{Referer}i", "request_header", {"Referer": "-"}),
        ("%{etag}o", "response_header", {"etag": "abc"}),
        ("%{X.Y}o", "response_header", {"X.Y": "-"}),
    ],
)
def test_atom(atom: str, key: str, value: Any) -> None:
    record = write(f"<{atom}>", make_request(), seconds=3.1415926)
    (text,) = value.values() if isinstance(value, dict) else (value,)
    assert record.getMessage() == f"<{text}>"
    assert getattr(record, key) == value
    assert record.levelno == logging.INFO


def test_environment_atom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWLEVEL_TEST", "blue")
    monkeypatch.delenv("LOWLEVEL_NOT", raising=False)
    record = write("%{LOWLEVEL_TEST}e %{LOWLEVEL_NOT}e")
    assert record.getMessage() == "blue -"
    assert vars(record)["environment"] == {"LOWLEVEL_TEST": "blue", "LOWLEVEL_NOT": "-"}


@pytest.mark.parametrize(
    ("log_format", "line"),
    [
        ("%%", "%"),
        ("%%s %%%s", "%s %200"),
        ("100% done %", "100% done %"),
        ("%X {X} %{X} %{}i %O", "%X {X} %{X} %{}i %O"),
        ("%s%s", "200200"),
        ("", ""),
    ],
)
def test_text_around_atoms(log_format: str, line: str) -> None:
    assert write(log_format).getMessage() == line


def test_names_of_one_kind_share_a_dict() -> None:
    headers = CIMultiDict({"A": "1", "B": "2"})
    record = write("%{A}i %{B}i %{A}i %{C}o", make_request(headers=headers))
    assert record.getMessage() == "1 2 1 -"
    assert vars(record)["request_header"] == {"A": "1", "B": "2"}
    assert vars(record)["response_header"] == {"C": "-"}


def test_default_format() -> None:
    lines = Lines()
    AccessLogger(lines.logger).log(make_request(), make_response(), 0.0)
    head, _, tail = lines.records[0].getMessage().partition(" [")
    assert head == "127.0.0.7"
    assert tail.partition("] ")[2] == '"GET /a%20b?c=1 HTTP/1.1" 200 123 "-" "probe/1.0"'


def test_without_a_request() -> None:
    record = write("%a %r %{Host}i %s", None)
    assert record.getMessage() == "- - (no headers) 200"
    assert vars(record)["request_header"] == {"Host": "(no headers)"}


@pytest.mark.parametrize(("remote", "written"), [(None, "-"), ("", "-"), ("/run/x", "/run/x")])
def test_remote(remote: str | None, written: str) -> None:
    assert write("|%a|", make_request(remote=remote)).getMessage() == f"|{written}|"


@pytest.mark.parametrize(
    ("zone", "written"),
    [
        ("UTC0", "[01/Mar/2024:12:30:59 +0000]"),
        ("EST5", "[01/Mar/2024:07:30:59 -0500]"),
        ("XXX-5:45", "[01/Mar/2024:18:15:59 +0545]"),
        ("XXX3:30", "[01/Mar/2024:09:00:59 -0330]"),
    ],
)
@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the system cannot change its time zone")
def test_start_time(monkeypatch: pytest.MonkeyPatch, zone: str, written: str) -> None:
    """It is the time of the request's beginning, not that of its end."""
    end = 1709296261.5  # 12:31:01.5 UTC
    monkeypatch.setenv("TZ", zone)
    monkeypatch.setattr(access_log, "wall_clock", lambda: end)
    access_log._common_log_time.cache_clear()
    time.tzset()
    try:
        record = write("%t", make_request(), seconds=2.4)
    finally:
        monkeypatch.undo()
        time.tzset()
        access_log._common_log_time.cache_clear()
    assert record.getMessage() == written
    assert vars(record)["request_start_time"] == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("grün 世", "grün 世"),
        ("a\r\nb\tc\x00\x1b[2K\x7f", r"a\r\nb\tc\x00\x1b[2K\x7f"),
        ("next\x85line\x9bcsi\u2028", r"next\x85line\x9bcsi\u2028"),
        ("\udcff", r"\udcff"),
        ('" 200 0 "', r"\" 200 0 \""),
        ("back\\slash", r"back\\slash"),
    ],
)
def test_peers_cannot_forge_a_line_or_a_field(value: str, written: str) -> None:
    record = write('"%{X}i" "%{X}o" %a', make_request(headers={"X": value}, remote=value))
    assert record.getMessage() == f'"{written}" "-" {written}'
    record.getMessage().encode()
    assert vars(record)["request_header"] == {"X": value}
    assert write("%{X}o", response=make_response(headers={"X": value})).getMessage() == written


def test_enabled_follows_the_logger() -> None:
    logger = logging.getLogger("tests.access_log")
    logger.setLevel(logging.WARNING)
    access_logger = AccessLogger(logger)
    assert not access_logger.enabled
    logger.setLevel(logging.INFO)
    assert access_logger.enabled
    logger.disabled = True
    assert not access_logger.enabled
    logger.disabled = False


def test_an_error_inside_is_logged_not_raised() -> None:
    record = write("%D", seconds="soon")  # type: ignore[arg-type]
    assert record.getMessage() == "Error in logging"
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None and record.exc_info[0] is TypeError


def test_format_must_be_text() -> None:
    with pytest.raises(TypeError, match="access_log_format"):
        AccessLogger(logging.Logger("test"), b"%a")  # type: ignore[arg-type]


def test_a_class_of_ones_own() -> None:
    class Own(AbstractAccessLogger):
        def log(self, request: Any, response: Any, time: float) -> None:
            self.logger.info(self.log_format.format(status=response.status))

    lines = Lines()
    own = Own(lines.logger, "status {status}")
    assert own.enabled
    own.log(None, make_response(), 0.0)
    assert lines.records[0].getMessage() == "status 200"


def test_log_is_for_the_subclass_to_write() -> None:
    with pytest.raises(TypeError, match="abstract"):
        AbstractAccessLogger(logging.Logger("test"), "")  # type: ignore[abstract]
