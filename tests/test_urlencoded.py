"""lowlevel.urlencoded: forms that are ``application/x-www-form-urlencoded``, without a request."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lowlevel as web
from lowlevel import urlencoded
from lowlevel.urlencoded import parse_urlencoded, read_urlencoded, too_many_fields
from tests.formdata import URLENCODED, answered, posted, sending, sending_chunks
from tests.support import Peer, request, serving

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

LONG = 20_000
"""More characters than are given to yarl."""


def entries(
    data: bytes | str, charset: str = "utf-8", max_fields: int = 0
) -> list[tuple[str, Any]]:
    data = data.encode() if isinstance(data, str) else data
    return list(read_urlencoded(data, charset, max_fields).items())


def both_ways(text: str) -> list[tuple[str, Any]]:
    """What a form is, read by yarl, without it, and in slices; these must be the same."""
    form = entries(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urlencoded, "_YARL_LIMIT", -1)
        assert entries(text) == form
        for size in (3, 4, 7):
            patch.setattr(urlencoded, "_SLICE", size)
            assert entries(text) == form
    return form


# --- As the standard library reads it -----------------------------------------------------

PIECE = st.sampled_from(
    [
        "&",
        "=",
        "+",
        "%",
        "%20",
        "%2B",
        "%26",
        "%3D",
        "%c3%a9",
        "%C3",
        "%ff",
        "%zz",
        "%4",
        "%00",
        "%%41",
        ";",
    ]
)
FORMS = st.lists(PIECE | st.text(max_size=5), max_size=20).map("".join)


@given(FORMS)
@example("")
@example("&")
@example("=")
@example("&&a&=b&c=&&")
@example("a=b=c")
@example("a=1;b=2")
@example("a#b=c?d#e")
@example("?a=b")
@example("//a=b@c:80/d")
@example("%u20ac=%")
@example("%ED%A0%80=%F4%90%80%80")
@example("%E2%82&%AC")
@example("%E2%82\u20ac")
@example("\u20ac%ff\xe9")
@example("a=\0\r\n\tb")
@example("\ufeffa=b")
def test_as_the_standard_library_reads_it(text: str) -> None:
    assert both_ways(text) == parse_qsl(text.rstrip(), keep_blank_values=True)


@given(FORMS, st.integers(0, 20))
def test_long_forms(text: str, place: int) -> None:
    long = f"{text}&{'x' * place}={'y' * LONG}&{text}"
    assert entries(long) == parse_qsl(long.rstrip(), keep_blank_values=True)


@given(st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10)), max_size=10))
def test_what_was_encoded_is_decoded(pairs: list[tuple[str, str]]) -> None:
    assert both_ways(urlencode(pairs)) == pairs


@pytest.mark.parametrize("size", [16383, 16384, 16385, 100_000])
def test_sizes(size: int) -> None:
    """No value is different for being on the other side of the limit of yarl."""
    value = "%C3%A9+"
    text = "a=" + value * (size // len(value)) + "b" * (size % len(value) - 2)
    assert len(text.rstrip("b")) <= size
    assert entries(text) == [("a", "\xe9 " * (size // len(value)) + "b" * (size % len(value) - 2))]


# --- Charsets -----------------------------------------------------------------------------


@pytest.mark.parametrize("long", ["", f"&x={'y' * LONG}"])
@pytest.mark.parametrize(
    ("data", "charset", "value"),
    [
        (b"a=%C3%A9", "utf-8", "\xe9"),
        (b"a=%C3%A9", "UTF8", "\xe9"),
        (b"a=\xc3\xa9", "utf-8", "\xe9"),
        (b"a=%E9", "latin-1", "\xe9"),
        (b"a=\xe9", "latin-1", "\xe9"),
        (b"a=%80+%E4", "windows-1252", "\u20ac \xe4"),
        (b"a=%83e", "shift_jis", "\u30c6"),
        (b"a=%EF%EE", "koi8-r", "\u041e\u041d"),
        (b"a=%E9", "us-ascii", "\ufffd"),
        (b"a=%E9", "utf-8", "\ufffd"),
    ],
)
def test_charsets(data: bytes, charset: str, value: str, long: str) -> None:
    assert entries(data + long.encode(), charset)[0] == ("a", value)


@given(
    st.text(max_size=20),
    st.sampled_from(["utf-8", "utf-16-le", "latin-1", "cp1252", "shift_jis", "gb18030"]),
)
def test_text_in_a_charset(text: str, charset: str) -> None:
    try:
        body = urlencode({"a": text}, encoding=charset, errors="strict")
    except UnicodeEncodeError:
        return
    # Some charsets have letters that become others: shift_jis makes a backslash of a yen sign.
    if body.encode() == body.encode(charset) and text.encode(charset).decode(charset) == text:
        assert entries(body.encode(), charset) == [("a", text)]


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        (b"a=\xff", "utf-8"),
        (b"a=\xe9", "us-ascii"),
        (b"a=1", "utf-16-le"),
        (b"a=1", "punycode"),
        (b"a=1", "unicode_escape"),
        (b"a=1", "base64"),
        (b"a=1", "x"),
        (b"a=1", ""),
        (b"", "x" * 8000),
    ],
)
def test_what_is_no_text(data: bytes, charset: str) -> None:
    with pytest.raises(web.RequestDecodeError) as caught:
        read_urlencoded(data, charset, 0)
    assert caught.value.status == 400
    assert len(caught.value.text or "") < 100
    assert isinstance(caught.value, ValueError)


# --- Limits -------------------------------------------------------------------------------


@pytest.mark.parametrize("long", ["", "y" * LONG])
@pytest.mark.parametrize("text", ["a=1&b=2&c=", "a&b&c", "&&", "a=1&&", "&&a=1", "a=1&b=2&c=3\r\n"])
def test_max_fields(text: str, long: str) -> None:
    """Empty ones count, too: they are work."""
    assert entries(long + text, max_fields=3) == entries(long + text)
    assert entries(long + text, max_fields=4) == entries(long + text)
    for limit in (1, 2):
        with pytest.raises(web.HTTPRequestEntityTooLarge) as caught:
            entries(long + text, max_fields=limit)
        assert caught.value.status == 413
        assert caught.value.text == f"Maximum number of form fields {limit} exceeded."


@pytest.mark.parametrize("max_fields", [0, 1])
def test_an_empty_form_has_no_field_too_many(max_fields: int) -> None:
    assert entries(b"", max_fields=max_fields) == []


def test_no_limit() -> None:
    assert len(entries("a=1&" * 50_000)) == 50_000


@pytest.mark.parametrize("data", [b"&" * 2000, b"a=1&" * 2000, b"&" * 100_000 + b"\xff"])
def test_a_flood_is_refused_before_anything_is_decoded(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*args: object, **options: object) -> None:
        raise AssertionError("this is work for nothing")

    for name in ("codec_name", "URL", "unquote_plus", "MultiDict"):
        monkeypatch.setattr(urlencoded, name, work)
    with pytest.raises(web.HTTPRequestEntityTooLarge):
        read_urlencoded(data, "utf-8", 1000)
    with pytest.raises(AssertionError):
        read_urlencoded(data, "utf-8", 0)


def test_the_error_of_forms_of_both_kinds() -> None:
    error = too_many_fields(7)
    assert isinstance(error, web.HTTPRequestEntityTooLarge)
    assert error.status == 413


# --- The end ------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\r\n", "\n", " ", "\t\r\n \n"])
@pytest.mark.parametrize("text", ["a=1", "a=1&b=", "a=" + "x" * LONG])
def test_white_space_at_the_end(text: str, end: str) -> None:
    """Some clients send a line end that is no part of the form; what is escaped, or elsewhere, is one."""
    assert entries(text + end) == entries(text)
    assert entries(f"{end}{text}")[0][0] == f"{end}a"
    assert entries(f"{text}%0D%0A")[-1][1].endswith("\r\n")
    assert entries(f"{text}+")[-1][1].endswith(" ")


def test_nothing_but_white_space() -> None:
    assert entries(b" \r\n") == []


# --- Large forms --------------------------------------------------------------------------


@pytest.fixture
def parsing_threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads in which forms are parsed, in order."""
    found: list[threading.Thread] = []
    real = read_urlencoded

    def recorded(data: bytes, charset: str, max_fields: int) -> Any:
        found.append(threading.current_thread())
        return real(data, charset, max_fields)

    monkeypatch.setattr(urlencoded, "read_urlencoded", recorded)
    return found


async def test_a_large_form_is_parsed_in_a_thread(parsing_threads: list[threading.Thread]) -> None:
    for size, here in ((1000, True), (32_768, True), (32_769, False), (1_000_000, False)):
        form = await parse_urlencoded(b"a=" + b"x" * (size - 2), "utf-8", 0)
        assert form == {"a": "x" * (size - 2)}
        assert (parsing_threads.pop() is threading.main_thread()) is here


async def test_a_large_form_of_a_request(parsing_threads: list[threading.Thread]) -> None:
    value = "%41" * 100_000
    assert await posted(sending(f"a={value}".encode(), URLENCODED)) == [("a", "A" * 100_000)]
    assert len(parsing_threads) == 1
    assert parsing_threads[0] is not threading.main_thread()


async def test_errors_come_back_from_the_thread() -> None:
    with pytest.raises(web.RequestDecodeError):
        await parse_urlencoded(b"\xff" * 100_000, "utf-8", 0)
    with pytest.raises(web.HTTPRequestEntityTooLarge):
        await parse_urlencoded(b"&" * 100_000, "utf-8", 1000)


MOST = 10 * 2**20


@pytest.mark.parametrize(
    ("max_size", "client_max_size"), [(0, 2**20), (None, 0), (None, 2 * MOST), (2 * MOST, 2**20)]
)
async def test_the_bound_of_all_forms(max_size: int | None, client_max_size: int) -> None:
    """A form of this kind is in memory: there is a limit where the body has none, or a larger one."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        form = await request.post(max_size=max_size)
        return web.Response(text=str(len(form["a"])))

    size = {"client_max_size": client_max_size}
    most = b"a=" + b"x" * (MOST - 2)
    answer = await answered(handler, sending(most, URLENCODED), **size)
    assert (answer.status, answer.body) == (200, b"%d" % (MOST - 2))
    async with serving(handler, **size) as site, Peer.connect(site.port) as peer:
        fields = f"Content-Type: {URLENCODED}", f"Content-Length: {MOST + 1}"
        await peer.send(request("POST", "/", *fields))
        answer = await peer.answer()
        assert answer.status == 413
        assert answer.body == b"Maximum request body size %d exceeded." % MOST
    chunks = sending_chunks(most, b"y", kind=URLENCODED)
    assert (await answered(handler, chunks, lingering_time=5, **size)).status == 413


@pytest.mark.parametrize("max_size", [0, None])
async def test_the_bound_of_forms_that_were_read_before(max_size: int | None) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        data = await request.read()
        with pytest.raises(web.HTTPRequestEntityTooLarge):
            await request.post(max_size=max_size)
        return web.Response(text=str(len(data)))

    data = sending(b"a=" + b"x" * MOST, URLENCODED)
    assert (await answered(handler, data, client_max_size=0)).body == b"%d" % (MOST + 2)
