"""The opening handshake of a WebSocket, seen from the server (RFC 6455 §4.2).

wsproto negotiates compression and makes the accept key. It takes unknown parameters, the last of several offers, and
stumbles over malformed numbers; so it gets to see only the first offer that is well-formed, with our own limits put in.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from multidict import CIMultiDictProxy
from wsproto.extensions import PerMessageDeflate
from wsproto.handshake import server_extensions_handshake
from wsproto.utilities import generate_accept_token

from .deflate import Deflate
from .head import HttpVersion11, RequestHead
from .headers import contains_token, parse_extensions

__all__ = ("Handshake", "HandshakeError", "shake_hands")

_VERSION: Final = "13"
_WIDEST: Final = 15


class HandshakeError(Exception):
    """The request is no acceptable handshake.

    Attributes:
        status: 400; 405 for another method than GET; 426 for another version of the protocol.
        reason: What is wrong, with the rule.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Handshake:
    """What the answer to a handshake says.

    Attributes:
        accept: The value of Sec-WebSocket-Accept.
        offered: The subprotocols that the client would like, in its order.
        protocol: The first of these that is known here, None without one.
        extensions: The value of Sec-WebSocket-Extensions, None without one.
        deflate: What it says, None for no compression.
    """

    accept: str
    offered: tuple[str, ...]
    protocol: str | None
    extensions: str | None
    deflate: Deflate | None


def shake_hands(head: RequestHead, protocols: Collection[str], bits: int) -> Handshake:
    """Check a handshake and decide on the answer.

    Args:
        head: The request.
        protocols: The subprotocols that are known here.
        bits: The largest window for compression, 9 to 15; 0 for no compression.

    Raises:
        HandshakeError: The request is no handshake, or one that may not be accepted.
    """
    headers = head.read_headers()
    if head.method != "GET":
        raise HandshakeError(405, "A WebSocket handshake is a GET request (RFC 6455 §4.1)")
    if not head.offers_websocket:
        raise HandshakeError(400, _missing(head, headers))
    versions = headers.getall("Sec-WebSocket-Version", [])
    if len(versions) != 1:
        what = "More than one" if versions else "No"
        raise HandshakeError(400, f"{what} Sec-WebSocket-Version header field (RFC 6455 §4.2.1)")
    if versions[0] != _VERSION:
        raise HandshakeError(426, f"WebSocket version {_VERSION} is spoken here (RFC 6455 §4.2.2)")
    accept = generate_accept_token(_read_key(headers).encode()).decode()
    offered = _read_protocols(headers)
    protocol = next((name for name in offered if name in protocols), None)
    extensions, deflate = _negotiate(headers, bits) if bits else (None, None)
    return Handshake(accept, offered, protocol, extensions, deflate)


def _missing(head: RequestHead, headers: CIMultiDictProxy[str]) -> str:
    """Say why a request is no offer of a WebSocket, as far as HTTP is concerned."""
    if head.version != HttpVersion11:
        return "A WebSocket handshake wants HTTP/1.1 (RFC 6455 §4.1)"
    if not any(contains_token(value, "websocket") for value in headers.getall("Upgrade", ())):
        return "No Upgrade header field with websocket (RFC 6455 §4.2.1)"
    if head.has_body:
        return "A WebSocket handshake has no body (RFC 6455 §4.1)"
    return "No Connection header field with upgrade (RFC 6455 §4.2.1)"


def _read_key(headers: CIMultiDictProxy[str]) -> str:
    keys = headers.getall("Sec-WebSocket-Key", [])
    if len(keys) != 1:
        what = "More than one" if keys else "No"
        raise HandshakeError(400, f"{what} Sec-WebSocket-Key header field (RFC 6455 §4.2.1)")
    try:
        nonce = base64.b64decode(keys[0], validate=True)
    except (ValueError, binascii.Error):
        nonce = b""
    if len(nonce) != 16:
        raise HandshakeError(400, "Sec-WebSocket-Key is not 16 bytes in base64 (RFC 6455 §4.2.1)")
    return keys[0]


def _read_protocols(headers: CIMultiDictProxy[str]) -> tuple[str, ...]:
    value = ",".join(headers.getall("Sec-WebSocket-Protocol", ()))
    return tuple([name for item in value.split(",") if (name := item.strip(" \t"))])


def _negotiate(
    headers: CIMultiDictProxy[str], bits: int
) -> tuple[str, Deflate] | tuple[None, None]:
    """Answer the first offer of permessage-deflate that can be accepted."""
    for name, parameters in parse_extensions(
        ",".join(headers.getall("Sec-WebSocket-Extensions", ()))
    ):
        if name != PerMessageDeflate.name:
            continue
        offer = _limit_offer(parameters, bits)
        if offer is not None:
            extension = PerMessageDeflate()
            answer = server_extensions_handshake([offer], [extension])
            if answer is not None:
                return answer.decode(), Deflate(
                    extension.server_max_window_bits,
                    extension.client_max_window_bits,
                    not extension.server_no_context_takeover,
                    not extension.client_no_context_takeover,
                )
    return None, None


_FLAGS: Final = ("server_no_context_takeover", "client_no_context_takeover")


def _limit_offer(parameters: list[tuple[str, str | None]], bits: int) -> str | None:
    """Put our limit into an offer; None if it cannot be accepted (RFC 7692 §7.1)."""
    offered = dict(parameters)
    if len(offered) < len(parameters):
        return None
    offer = [PerMessageDeflate.name]
    offer += [flag for flag in _FLAGS if flag in offered]
    if any(offered.pop(flag, None) is not None for flag in _FLAGS):
        return None
    asks_us = "server_max_window_bits" in offered
    # zlib cannot deflate in a window of 8 bits.
    server_bits = _read_bits(offered.pop("server_max_window_bits", str(_WIDEST)), 9)
    offers_it = "client_max_window_bits" in offered
    client_bits = _read_bits(offered.pop("client_max_window_bits", None) or str(_WIDEST), 8)
    if offered or not server_bits or not client_bits:
        return None
    if asks_us or bits < _WIDEST:
        offer.append(f"server_max_window_bits={min(server_bits, bits)}")
    # A client that did not offer it may not be told (§7.1.2.2); one that uses 8 bits by itself need not be.
    if offers_it and bits < _WIDEST and client_bits > 8:
        offer.append(f"client_max_window_bits={min(client_bits, bits)}")
    return "; ".join(offer)


def _read_bits(value: str | None, least: int) -> int:
    """Read the size of a window, 0 if it is not one from ``least`` to 15."""
    if value is None or not value.isascii() or not value.isdigit() or value[0] == "0":
        return 0
    number = int(value) if len(value) < 3 else 0
    return number if least <= number <= _WIDEST else 0
