"""lowlevel.protocol.handshake: a request in, an answer or a refusal out (RFC 6455 §4.2, RFC 7692 §7.1)."""

import base64
import re
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lowlevel.protocol.deflate import Deflate
from lowlevel.protocol.handshake import Handshake, HandshakeError, shake_hands
from lowlevel.protocol.head import RequestHead
from lowlevel.protocol.headers import parse_extensions
from lowlevel.protocol.http1 import ParserLimits, RequestParser
from tests.wsframes import KEY, accept, handshake

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

DEFLATE = "permessage-deflate"


def read_head(data: bytes) -> RequestHead:
    head = RequestParser(ParserLimits()).receive_data(data)[0]
    assert isinstance(head, RequestHead), head
    return head


def shake(data: bytes, protocols: Sequence[str] = (), bits: int = 15) -> Handshake:
    return shake_hands(read_head(data), protocols, bits)


def refusal(data: bytes) -> tuple[int, str]:
    with pytest.raises(HandshakeError) as info:
        shake(data)
    assert str(info.value) == info.value.reason
    return info.value.status, info.value.reason


# --- RFC 6455 §4.2.1: what the client has to send -----------------------------------------------------


def test_a_handshake() -> None:
    assert shake(handshake()) == Handshake(
        accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",  # the example of §1.3
        offered=(),
        protocol=None,
        extensions=None,
        deflate=None,
    )


@pytest.mark.parametrize(
    "data",
    [
        handshake(upgrade="WebSocket"),
        handshake(upgrade="h2c, websocket"),
        handshake(upgrade="websocket, h2c"),
        handshake("/", "Upgrade: websocket", upgrade="h2c"),
        handshake(connection="keep-alive, UPGRADE"),
        handshake("/", "Connection: upgrade", connection="keep-alive"),
        handshake("/", "Content-Length: 0"),
        handshake("/?query"),
        handshake(key="AAAAAAAAAAAAAAAAAAAAAA=="),
        handshake(key=f"  {KEY}  "),
        handshake(version=" 13 "),
    ],
)
def test_what_is_a_handshake_too(data: bytes) -> None:
    assert shake(data).protocol is None


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT"])
def test_other_methods_are_405(method: str) -> None:
    status, reason = refusal(handshake(method=method))
    assert (status, reason) == (405, "A WebSocket handshake is a GET request (RFC 6455 §4.1)")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (handshake(http="1.0"), "A WebSocket handshake wants HTTP/1.1 (RFC 6455 §4.1)"),
        (handshake(upgrade=None), "No Upgrade header field with websocket (RFC 6455 §4.2.1)"),
        (handshake(upgrade="h2c"), "No Upgrade header field with websocket (RFC 6455 §4.2.1)"),
        (
            handshake(upgrade="websockets"),
            "No Upgrade header field with websocket (RFC 6455 §4.2.1)",
        ),
        (handshake(connection=None), "No Connection header field with upgrade (RFC 6455 §4.2.1)"),
        (
            handshake(connection="keep-alive"),
            "No Connection header field with upgrade (RFC 6455 §4.2.1)",
        ),
        (
            handshake("/", "Content-Length: 1"),
            "A WebSocket handshake has no body (RFC 6455 §4.1)",
        ),
        (
            handshake("/", "Transfer-Encoding: chunked"),
            "A WebSocket handshake has no body (RFC 6455 §4.1)",
        ),
        (handshake(version=None), "No Sec-WebSocket-Version header field (RFC 6455 §4.2.1)"),
        (
            handshake("/", "Sec-WebSocket-Version: 13"),
            "More than one Sec-WebSocket-Version header field (RFC 6455 §4.2.1)",
        ),
        (handshake(key=None), "No Sec-WebSocket-Key header field (RFC 6455 §4.2.1)"),
        (
            handshake("/", f"Sec-WebSocket-Key: {KEY}"),
            "More than one Sec-WebSocket-Key header field (RFC 6455 §4.2.1)",
        ),
    ],
)
def test_what_is_missing_is_400(data: bytes, reason: str) -> None:
    assert refusal(data) == (400, reason)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a",
        "AAAA",
        "A" * 22,  # no padding
        "A" * 21 + "===",
        "A" * 20 + "====",
        "A" * 20 + "A===",
        "A" * 23 + "=",  # 17 bytes
        "A" * 24,  # 18 bytes
        "A" * 19 + "-_=",
        "AAAAAAAAAAA AAAAAAAAAAA==",
        f"{KEY}, {KEY}",
        f"{KEY};",
        "é" * 22 + "==",
        "\xff" * 16,
    ],
)
def test_keys_that_are_none(key: str) -> None:
    status, reason = refusal(handshake(key=key))
    assert status == 400
    assert reason == "Sec-WebSocket-Key is not 16 bytes in base64 (RFC 6455 §4.2.1)"


@pytest.mark.parametrize("version", ["", "0", "7", "8", "12", "14", "013", "13, 8", "13.0", "x"])
def test_other_versions_are_426(version: str) -> None:
    assert refusal(handshake(version=version)) == (
        426,
        "WebSocket version 13 is spoken here (RFC 6455 §4.2.2)",
    )


@given(st.binary(min_size=16, max_size=16))
def test_any_key_is_answered(nonce: bytes) -> None:
    key = base64.b64encode(nonce).decode()
    assert shake(handshake(key=key)).accept == accept(key)


# --- RFC 6455 §4.2.2: subprotocols --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "known", "offered", "protocol"),
    [
        ((), ("a",), (), None),
        (("a",), (), ("a",), None),
        (("a",), ("a",), ("a",), "a"),
        (("a, b",), ("b", "a"), ("a", "b"), "a"),  # the order of the client
        (("c, b, a",), ("a", "b"), ("c", "b", "a"), "b"),
        (("c", "b"), ("a", "b"), ("c", "b"), "b"),
        (("b,,\t, a ,",), ("a", "b"), ("b", "a"), "b"),
        ((" ",), ("a", ""), (), None),
        (("A",), ("a",), ("A",), None),
        (("chat.v2, chat.v1",), {"chat.v1"}, ("chat.v2", "chat.v1"), "chat.v1"),
    ],
)
def test_protocols(
    fields: Sequence[str], known: Sequence[str], offered: tuple[str, ...], protocol: str | None
) -> None:
    answer = shake(handshake("/", *[f"Sec-WebSocket-Protocol: {field}" for field in fields]), known)
    assert (answer.offered, answer.protocol) == (offered, protocol)


# --- RFC 7692 §7.1: compression -----------------------------------------------------------------------


def negotiate(offer: str | Sequence[str], bits: int = 15) -> tuple[str | None, Deflate | None]:
    offers = [offer] if isinstance(offer, str) else offer
    answer = shake(
        handshake("/", *[f"Sec-WebSocket-Extensions: {one}" for one in offers]), (), bits
    )
    return answer.extensions, answer.deflate


@pytest.mark.parametrize(
    ("offer", "bits", "answer", "deflate"),
    [
        ("", 15, "", Deflate(15, 15, True, True)),
        ("", 12, "; server_max_window_bits=12", Deflate(12, 15, True, True)),
        ("", 9, "; server_max_window_bits=9", Deflate(9, 15, True, True)),
        # §7.1.1: context
        (
            "; server_no_context_takeover",
            15,
            "; server_no_context_takeover",
            Deflate(15, 15, False, True),
        ),
        (
            "; client_no_context_takeover",
            15,
            "; client_no_context_takeover",
            Deflate(15, 15, True, False),
        ),
        (
            "; server_no_context_takeover; client_no_context_takeover",
            15,
            "; client_no_context_takeover; server_no_context_takeover",
            Deflate(15, 15, False, False),
        ),
        # §7.1.2.1: our window
        (
            "; server_max_window_bits=10",
            15,
            "; server_max_window_bits=10",
            Deflate(10, 15, True, True),
        ),
        (
            "; server_max_window_bits=10",
            9,
            "; server_max_window_bits=9",
            Deflate(9, 15, True, True),
        ),
        (
            '; server_max_window_bits="10"',
            12,
            "; server_max_window_bits=10",
            Deflate(10, 15, True, True),
        ),
        (
            "; server_max_window_bits=15",
            15,
            "; server_max_window_bits=15",
            Deflate(15, 15, True, True),
        ),
        # §7.1.2.2: the window of the client
        ("; client_max_window_bits", 15, "", Deflate(15, 15, True, True)),
        ("; client_max_window_bits=10", 15, "", Deflate(15, 15, True, True)),
        (
            "; client_max_window_bits",
            12,
            "; client_max_window_bits=12; server_max_window_bits=12",
            Deflate(12, 12, True, True),
        ),
        (
            "; client_max_window_bits=10",
            12,
            "; client_max_window_bits=10; server_max_window_bits=12",
            Deflate(12, 10, True, True),
        ),
        (
            "; client_max_window_bits=8",
            12,
            "; server_max_window_bits=12",
            Deflate(12, 15, True, True),
        ),
        ("; client_max_window_bits=8", 15, "", Deflate(15, 15, True, True)),
    ],
)
def test_compression(offer: str, bits: int, answer: str, deflate: Deflate) -> None:
    extensions, agreed = negotiate(DEFLATE + offer, bits)
    assert extensions is not None
    assert sorted(extensions.split("; ")) == sorted((DEFLATE + answer).split("; "))
    assert agreed == deflate


BAD_OFFERS = [
    "x-webkit-deflate-frame",
    "permessage-bzip2",
    "PERMESSAGE-DEFLATE",
    f"{DEFLATE}; unknown",
    f"{DEFLATE}; unknown=1",
    f"{DEFLATE}; server_no_context_takeover=1",
    f"{DEFLATE}; client_no_context_takeover=true",
    f"{DEFLATE}; server_no_context_takeover; server_no_context_takeover",
    f"{DEFLATE}; server_max_window_bits",
    f"{DEFLATE}; server_max_window_bits=8",  # legal, but zlib cannot
    f"{DEFLATE}; server_max_window_bits=7",
    f"{DEFLATE}; server_max_window_bits=16",
    f"{DEFLATE}; server_max_window_bits=010",
    f"{DEFLATE}; server_max_window_bits=+10",
    f"{DEFLATE}; server_max_window_bits=1x",
    f"{DEFLATE}; server_max_window_bits={'1' * 5000}",
    f"{DEFLATE}; server_max_window_bits=10; server_max_window_bits=10",
    f"{DEFLATE}; client_max_window_bits=7",
    f"{DEFLATE}; client_max_window_bits=16",
    f"{DEFLATE}; client_max_window_bits=0",
    f"{DEFLATE}; client_max_window_bits=",
    f"{DEFLATE}; client_max_window_bits=\u0661\u0662".encode().decode("latin-1"),
    f"{DEFLATE}; client_max_window_bits; client_max_window_bits=12",
    f"{DEFLATE};",
    f"{DEFLATE} x",
    f'{DEFLATE}; server_max_window_bits="10',
    f'"{DEFLATE}"',
    "",
    ",",
    ";",
]


@pytest.mark.parametrize("bad", BAD_OFFERS)
def test_offers_that_cannot_be_accepted_are_passed_over(bad: str) -> None:
    assert negotiate(bad) == (None, None)
    good = f"{DEFLATE}; server_max_window_bits=11"
    agreed = (good, Deflate(11, 15, True, True))
    if bad.count('"') != 1:  # else, what follows stands between quotes
        assert negotiate([bad, good]) == agreed
        assert negotiate(f"{bad}, {good}") == agreed
    assert negotiate(f"{good}, {DEFLATE}, {bad}") == agreed


def test_without_compression_nothing_is_read_of_it() -> None:
    assert negotiate(DEFLATE, 0) == (None, None)


# What may stand in an offer, more or less.
parameters = st.one_of(
    st.sampled_from(
        ["server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits"]
    ),
    st.builds(
        "{}={}".format,
        st.sampled_from(["server_max_window_bits", "client_max_window_bits"]),
        st.one_of(st.integers(8, 15), st.integers(-1, 20), st.just('"12"')),
    ),
    st.sampled_from(["", "x", "x=1", "=", '"', "server_max_window_bits", "é"]),
)
offers = st.builds(
    lambda name, rest: "; ".join([name, *rest]),
    st.sampled_from([DEFLATE, DEFLATE, DEFLATE, "x", ""]),
    st.lists(parameters, max_size=4),
)
bits_allowed = st.sampled_from([0, *range(9, 16)])


def is_legal(answer: str, offer: list[tuple[str, str | None]]) -> bool:
    """Whether an answer is one to this offer (RFC 7692 §7.1)."""
    ((name, parameters),) = parse_extensions(answer)
    offered, answered = dict(offer), dict(parameters)
    if name != DEFLATE or len(answered) < len(parameters):
        return False
    flags = ("server_no_context_takeover", "client_no_context_takeover")
    windows = ("server_max_window_bits", "client_max_window_bits")
    if not answered.keys() <= {*flags, *windows}:
        return False
    if any(answered.get(one) is not None for one in flags):
        return False
    sizes = {str(size) for size in range(8, 16)}
    for one in windows:
        value = answered.get(one, "8")
        if value is None or value not in sizes or int(value) > int(offered.get(one) or 15):
            return False
    if "client_max_window_bits" in answered and "client_max_window_bits" not in offered:
        return False
    # What the client asks of the server has to be granted.
    if "server_no_context_takeover" in offered and "server_no_context_takeover" not in answered:
        return False
    wanted = offered.get("server_max_window_bits") or "15"
    return int(wanted) >= int(answered.get("server_max_window_bits") or "15")


def says(answer: str) -> Deflate:
    """Read an answer the way a client does."""
    ((_, parameters),) = parse_extensions(answer)
    said = dict(parameters)
    return Deflate(
        int(said.get("server_max_window_bits") or 15),
        int(said.get("client_max_window_bits") or 15),
        "server_no_context_takeover" not in said,
        "client_no_context_takeover" not in said,
    )


@settings(max_examples=300)
@given(st.lists(offers, max_size=4), bits_allowed)
@example([f"{DEFLATE}; client_max_window_bits=8"], 9)
def test_answers_are_legal(offered: list[str], bits: int) -> None:
    extensions, deflate = negotiate(", ".join(offered), bits)
    readable = [one for name, one in parse_extensions(", ".join(offered)) if name == DEFLATE]
    if extensions is None:
        assert deflate is None
        # A plain offer would have been accepted.
        assert not bits or [] not in readable
        return
    assert bits
    assert any(is_legal(extensions, offer) for offer in readable)
    assert deflate == says(extensions)
    assert 9 <= deflate.server_bits <= bits
    assert 9 <= deflate.client_bits <= 15


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                "Upgrade Connection Content-Length Sec-WebSocket-Key Sec-WebSocket-Version "
                "Sec-WebSocket-Protocol Sec-WebSocket-Extensions".split()
            ),
            st.one_of(
                st.sampled_from(["websocket", "upgrade", "13", KEY, "0", DEFLATE, "a, b"]),
                st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
                offers,
            ),
        ),
        max_size=6,
    ),
    st.booleans(),
    bits_allowed,
)
def test_it_is_an_answer_or_a_refusal(
    fields: list[tuple[str, str]], complete: bool, bits: int
) -> None:
    lines = [f"{name}: {value}" for name, value in fields]
    if complete:
        data = handshake("/", *lines)
    else:
        data = handshake("/", *lines, upgrade=None, connection=None, key=None, version=None)
    data = data.decode("latin-1").encode()  # UTF-8 half of the time, as it happens
    head = RequestParser(ParserLimits()).receive_data(data)[:1]
    if not head or not isinstance(head[0], RequestHead):
        return
    try:
        answer = shake_hands(head[0], ("a", "b"), bits)
    except HandshakeError as exc:
        assert exc.status in (400, 426)
        assert re.search(r"\(RFC 6455 §4\.[12](\.[12])?\)$", exc.reason)
    else:
        assert answer.protocol in (None, "a", "b")
        assert (answer.extensions is None) == (answer.deflate is None)


def test_bytes_that_are_no_text_are_no_trouble() -> None:
    fields = (
        "Sec-WebSocket-Protocol: a\xff",
        f"Sec-WebSocket-Extensions: \xff, {DEFLATE}; x=\xff, {DEFLATE}",
    )
    answer = shake(handshake("/", *fields))
    assert answer.offered == ("a\udcff",)
    assert answer.extensions == DEFLATE
    assert refusal(handshake(key="\xff" * 24))[0] == 400
    assert refusal(handshake(version="\xff"))[0] == 426
