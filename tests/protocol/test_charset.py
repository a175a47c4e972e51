"""lowlevel.protocol.charset: which character sets a client may name, and what text in them is."""

from __future__ import annotations

import codecs
import contextlib
import encodings
import pkgutil
from encodings.aliases import aliases
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lowlevel as web
from lowlevel.protocol.charset import codec_name, decode_text
from tests.support import Peer, request, serving

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# --- Names --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        # Those of browsers and mail programs, as they write them.
        ("utf-8", "utf_8"),
        ("UTF-8", "utf_8"),
        ("utf8", "utf_8"),
        ("us-ascii", "ascii"),
        ("ANSI_X3.4-1968", "ascii"),
        ("iso-8859-1", "latin_1"),
        ("ISO_8859-1:1987", "latin_1"),
        ("latin1", "latin_1"),
        ("iso-8859-15", "iso8859_15"),
        ("windows-1252", "cp1252"),
        ("cp1252", "cp1252"),
        ("koi8-r", "koi8_r"),
        ("KOI8-U", "koi8_u"),
        ("shift_jis", "shift_jis"),
        ("EUC-JP", "euc_jp"),
        ("iso-2022-jp", "iso2022_jp"),
        ("gb2312", "gb2312"),
        ("GBK", "gbk"),
        ("gb18030", "gb18030"),
        ("big5", "big5"),
        ("euc-kr", "euc_kr"),
        ("utf-16", "utf_16"),
        ("UTF-16LE", "utf_16_le"),
        ("utf-32", "utf_32"),
        ("macintosh", "mac_roman"),
        ("utf-8-sig", "utf_8_sig"),
        # However they are spelled.
        ("Utf_8", "utf_8"),
        ("utf 8", "utf_8"),
        ("utf--8", "utf_8"),
        (" utf-8 ", "utf_8"),
    ],
)
def test_names(charset: str, name: str) -> None:
    assert codec_name(charset) == name
    assert codecs.lookup(name).name == codecs.lookup(charset.strip()).name


@pytest.mark.parametrize(
    "charset",
    [
        "",
        " ",
        "-",
        "x",
        "utf-9",
        "utf-8;x",
        "utf-8,utf-16",
        "\0",
        "\r\nutf-8: x",
        "../utf_8",
        "encodings.utf_8",
        "..utf_8",
        "aliases",
        "__init__",
        "\u20ac",
        "\udcff",
        "\uff55tf-8",  # a wide u
        "binary",
        "None",
    ],
)
def test_what_is_no_charset(charset: str) -> None:
    with pytest.raises(LookupError, match="unknown character set"):
        codec_name(charset)
    with pytest.raises(LookupError):
        decode_text(b"abc", charset)


@pytest.mark.parametrize(
    "charset",
    [
        "punycode",
        "Punycode",
        "idna",
        "unicode_escape",
        "unicode-escape",
        "raw-unicode-escape",
        "undefined",
        "utf-7",
        "UTF7",
        "charmap",
        "mbcs",
        "oem",
        "ansi",
        "dbcs",
        "base64",
        "base64_codec",
        "hex",
        "quopri",
        "uu",
        "zip",
        "zlib",
        "bz2",
        "rot13",
        "rot-13",
    ],
)
def test_codecs_that_are_no_charsets(charset: str) -> None:
    with pytest.raises(LookupError, match="unknown character set"):
        codec_name(charset)


def test_every_alias_of_python_is_a_charset_or_refused() -> None:
    """What it is known as, Python agrees with; and nothing that is not from bytes to text is let in."""
    known = 0
    for alias in {*aliases, *aliases.values()}:
        try:
            name = codec_name(alias)
        except LookupError:
            continue
        known += 1
        info = codecs.lookup(name)
        assert info.name == codecs.lookup(alias).name
        assert info._is_text_encoding  # type: ignore[attr-defined]
    assert known > 300


def test_codecs_that_a_python_adds_are_thought_of() -> None:
    """Neither a new charset nor a new codec that is none should go unnoticed."""
    refused = set()
    for module in pkgutil.iter_modules(encodings.__path__):
        try:
            codec_name(module.name)
        except LookupError:
            refused.add(module.name)
    rare = {"cp1006", "cp856", "cp875", "mac_arabic", "mac_farsi", "palmos"}
    transforms = {
        "base64_codec",
        "bz2_codec",
        "hex_codec",
        "quopri_codec",
        "uu_codec",
        "zlib_codec",
    }
    escapes = {"idna", "punycode", "raw_unicode_escape", "unicode_escape", "rot_13", "utf_7"}
    systems = {"mbcs", "oem", "win32_code_pages", "_win_cp_codecs"}
    assert refused - systems == rare | transforms | escapes | {"aliases", "charmap", "undefined"}


@pytest.mark.parametrize("size", [41, 1000, 100_000])
def test_long_names(size: int) -> None:
    """They are not looked at, and not repeated."""
    for charset in ("x" * size, "utf-8".ljust(size, "-"), "utf-8".rjust(size)):
        with pytest.raises(LookupError) as caught:
            codec_name(charset)
        assert len(str(caught.value)) < 100
    assert codec_name("utf-8".ljust(40)) == "utf_8"


def test_python_remembers_no_name_of_a_client() -> None:
    """It keeps each name that it looks up, for ever."""
    decode_text(b"", "utf-16")
    before = set(encodings._cache)  # type: ignore[attr-defined]
    for number in range(1000):
        for charset in (f"x{number}", f"utf-16-{number}", "utf" + "-" * (number % 30) + "16"):
            with contextlib.suppress(LookupError):
                decode_text(b"", charset)
    assert set(encodings._cache) == before  # type: ignore[attr-defined]


# --- Text ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"\xe2\x82\xac", "utf-8", "\u20ac"),
        (b"\xe2\x82\xac", "UTF8", "\u20ac"),
        (b"\xef\xbb\xbfa", "utf-8", "\ufeffa"),
        (b"\xef\xbb\xbfa", "utf-8-sig", "a"),
        (b"\xe4", "latin-1", "\xe4"),
        (b"\x80", "windows-1252", "\u20ac"),
        (b"\x83\x65", "shift_jis", "\u30c6"),
        (b"\xff\xfea\0", "utf-16", "a"),
        (b"", "utf-32", ""),
        (rb"\x41", "ascii", r"\x41"),
    ],
)
def test_text(data: bytes, charset: str, text: str, kind: Any) -> None:
    assert decode_text(kind(data), charset) == text


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        (b"\xff", "utf-8"),
        (b"\xff", "UTF8"),
        (b"\xed\xa0\x80", "utf-8"),
        (b"\xc0\x80", "utf-8"),
        (b"\x80", "us-ascii"),
        (b"\x81", "windows-1252"),
        (b"a", "utf-16"),
        (b"abc", "utf-32"),
        (b"\0\xd8", "utf-16-le"),
        (b"\x1b$Bx", "iso-2022-jp"),
        (b"\xff", "gb18030"),
    ],
)
def test_bytes_that_are_no_text(data: bytes, charset: str) -> None:
    with pytest.raises(ValueError, match="decode"):
        decode_text(data, charset)


NAMES = st.one_of(
    st.text(max_size=50),
    st.text(" -_.:0123456789abcdefilnostuxz", max_size=45),
    st.sampled_from(sorted({*aliases, *aliases.values()})),
)


@given(st.binary(max_size=100), NAMES)
@example(b"~{", "hz")
@example(b"\x1b$", "iso2022_jp_2004")
@example(b"+2AA-", "utf_7")
@example(b"", "utf-8\0")
def test_anything_is_text_or_one_of_two_errors(data: bytes, charset: str) -> None:
    try:
        text = decode_text(data, charset)
    except (LookupError, ValueError):
        return
    assert text == data.decode(codec_name(charset))
    text.encode()  # so there are no halves of characters, and an answer can be made of it


# --- Over a socket ------------------------------------------------------------------------


@pytest.mark.parametrize("charset", ["punycode", "unicode_escape", "idna", "x" * 4000])
async def test_a_text_in_what_is_no_charset(charset: str) -> None:
    """Refused at once: a body of this size in punycode would take minutes."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=await request.text())

    field = f"Content-Type: text/plain; charset={charset}"
    body = b"a" * 100_000 + b"-" + b"b" * 900_000
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("POST", "/", field, body=body))
        assert answer.status == 400
        assert (await peer.ask(request())).status == 200
