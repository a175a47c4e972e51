"""Text in the character set that a client names.

Only the character sets that come with Python are looked up. Python would remember any other name for ever, so that a
client could fill the memory with names. And codecs that are no character sets are not for a client to choose: punycode
takes time that grows with the square of the length (four seconds for 200 KiB), others give backslashes a meaning, and
UTF-7 brings halves of characters, which no answer can be made of.
"""

from __future__ import annotations

from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import Final

__all__ = ("codec_name", "decode_text")

# Of what has no alias, what is in use.
_NO_ALIAS: Final = "cp720 cp737 cp874 koi8_t koi8_u mac_croatian mac_romanian utf_8_sig".split()
_NO_CHARSETS: Final = frozenset(
    "base64_codec bz2_codec hex_codec idna mbcs oem punycode quopri_codec raw_unicode_escape rot_13 undefined "
    "unicode_escape utf_7 uu_codec zlib_codec".split()
)
_CHARSETS: Final = {
    **{name: name for name in (*aliases.values(), *_NO_ALIAS) if name not in _NO_CHARSETS},
    **{alias: name for alias, name in aliases.items() if name not in _NO_CHARSETS},
}


def codec_name(charset: str) -> str:
    """Return Python's name of a character set.

    Raises:
        LookupError: There is no such character set.
    """
    if charset == "utf-8":
        return "utf_8"
    known = len(charset) <= 40 and charset.isascii()
    name = _CHARSETS.get(normalize_encoding(charset).lower()) if known else None
    if name is None:
        raise LookupError(f"unknown character set {charset[:40]!r}")
    return name


def decode_text(data: bytes | bytearray, charset: str) -> str:
    """Return the text that ``data`` is in ``charset``.

    Raises:
        LookupError: There is no such character set.
        ValueError: The bytes are no text in it.
    """
    return data.decode(codec_name(charset))
