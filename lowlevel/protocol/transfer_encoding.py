"""Content-Transfer-Encoding of a part (RFC 2045 §6): piece by piece. RFC 7578 §4.7 deprecates it."""

from __future__ import annotations

import binascii
from typing import Final, Protocol

__all__ = ("TransferDecoder", "transfer_decoder")

# They should have 76 characters (RFC 2045 §6.7); longer ones are not kept back.
_LONGEST_LINE: Final = 4096


class TransferDecoder(Protocol):
    """Undoes one encoding."""

    def decode(self, data: bytes, *, last: bool = False) -> bytes:
        """Take a piece; return what can be decoded, with ``last`` all that is left.

        Raises:
            ValueError: The data is not in this encoding.
        """


class _Identity:
    def decode(self, data: bytes, *, last: bool = False) -> bytes:
        return data


class _Base64:
    def __init__(self) -> None:
        self._rest = b""
        self._padded = False

    def decode(self, data: bytes, *, last: bool = False) -> bytes:
        data = self._rest + data.translate(None, b" \t\r\n")
        whole = len(data) // 4 * 4
        if (self._padded and data) or (last and whole < len(data)):
            raise ValueError("base64 ends with its padding, after a multiple of four characters")
        if 0 <= data.find(b"=", 0, whole) < whole - 2:
            raise ValueError("base64 goes on behind its padding")
        self._rest = data[whole:]
        self._padded = self._padded or data.endswith(b"=", 0, whole)
        return binascii.a2b_base64(data[:whole], strict_mode=True)


class _QuotedPrintable:
    def __init__(self) -> None:
        self._rest = b""

    def decode(self, data: bytes, *, last: bool = False) -> bytes:
        data = self._rest + data
        cut = len(data) if last else data.rfind(b"\n") + 1
        if len(data) - cut > _LONGEST_LINE:
            # Only an escape at its end needs the rest of a line.
            escape = data.rfind(b"=", len(data) - _LONGEST_LINE)
            cut = len(data) if escape < 0 else escape
        self._rest = data[cut:]
        return binascii.a2b_qp(data[:cut])


_DECODERS: Final[dict[str, type[TransferDecoder]]] = {
    "7bit": _Identity,
    "8bit": _Identity,
    "binary": _Identity,
    "base64": _Base64,
    "quoted-printable": _QuotedPrintable,
}


def transfer_decoder(encoding: str) -> TransferDecoder:
    """Return what undoes an encoding, given by the value of its field.

    Raises:
        ValueError: There is no such encoding.
    """
    decoder = _DECODERS.get(encoding.strip(" \t").lower())
    if decoder is None:
        raise ValueError(f"unknown Content-Transfer-Encoding {encoding!r}")
    return decoder()
