"""RFC 6455 (WebSocket), section by section, over real sockets. Compression is in test_rfc7692.py."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import lowlevel as web
from tests.conformance.exchange import (
    BYE,
    GOODBYE,
    LAST,
    Delivery,
    Witness,
    answer,
    bytewise,
    drip,
    each_delivery,
    echoing,
    exchange,
    glued,
    read_frames,
    refuses,
    said,
    whole,
)
from tests.support import Answer, Peer, serving
from tests.wsframes import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    WSPeer,
    close,
    frame,
    handshake,
    text,
)

# Coverage is what the tests of each module reach. These are for the rules, and very many.
pytestmark = pytest.mark.usefixtures("untraced")

VERSION = "Sec-WebSocket-Version"
PROTOCOL = "Sec-WebSocket-Protocol"
ORIGIN = "Origin: http://b.test"


async def shakes_hands(peer: Peer, data: bytes) -> Answer:
    """Send a handshake that has to be accepted, and prove that it was."""
    await peer.send(data)
    agreed = Answer(await peer.read_head(), b"")
    assert agreed.status == 101, agreed.head
    ws = WSPeer(peer.reader, peer.writer)
    await ws.send(text("hello") + BYE)
    assert [said(one) for one in await read_frames(ws)] == [(TEXT, b"hello"), GOODBYE]
    return agreed


async def accepted(data: bytes, **options: Any) -> Answer:
    async with serving(echoing(**options)) as site, Peer.connect(site.port) as peer:
        return await shakes_hands(peer, data)


async def declined(data: bytes, **options: Any) -> Answer:
    """Send a handshake that has to be refused; the same connection then takes a good one."""
    async with serving(echoing(**options)) as site, Peer.connect(site.port) as peer:
        refusal = await peer.ask(data)
        assert 400 <= refusal.status < 500
        assert refusal.header("sec-websocket-accept") is None
        await shakes_hands(peer, handshake())
    return refusal


# --- 1.3, 4.2.2 Opening Handshake: the answer ---------------------------------------------


async def test_the_answer_to_a_handshake() -> None:
    """§4.2.2 (5): status 101, Upgrade, Connection, and the key hashed with the GUID."""
    agreed = await accepted(handshake())
    assert (agreed.version, agreed.status) == ("HTTP/1.1", 101)
    assert agreed.headers["upgrade"] == ["websocket"]
    assert [value.lower() for value in agreed.headers["connection"]] == ["upgrade"]
    assert agreed.headers["sec-websocket-accept"] == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]


async def test_the_answer_has_nothing_that_was_not_asked_for() -> None:
    """§4.2.2 (5): no subprotocol, no extension. RFC 9110 §8.6, RFC 9112 §6.1: 101 has no framing."""
    agreed = await accepted(handshake(), protocols=["chat"])
    for name in (PROTOCOL, "Sec-WebSocket-Extensions", "Content-Length", "Transfer-Encoding"):
        assert agreed.header(name) is None


@pytest.mark.parametrize(
    "key", ["AAAAAAAAAAAAAAAAAAAAAA==", "/////////////////////w==", "x3JJHMbDL1EzLkh9GBhXDw=="]
)
async def test_the_key_is_hashed_as_it_was_written(key: str) -> None:
    """§4.2.2 (5.4)."""
    # connect() checks Sec-WebSocket-Accept.
    async with serving(echoing()) as site, WSPeer.connect(site.port, key=key) as peer:
        await peer.send(BYE)
        assert await peer.read_close() == (1000, "")


# --- 4.2.1 Reading the Client's Opening Handshake -----------------------------------------


@pytest.mark.parametrize(
    "upgrade",
    [
        "websocket",
        "WebSocket",
        "WEBSOCKET",
        "h2c, websocket",
        "WebSocket, h2c",
        "h2c,websocket,foo/1",
        ", websocket ,",
        "  websocket\t",
    ],
)
async def test_spellings_of_upgrade(upgrade: str) -> None:
    """§4.2.1 (3): "websocket" among the values, in any case. RFC 9110 §5.6.1: empty elements."""
    await accepted(handshake(upgrade=upgrade))


@pytest.mark.parametrize(
    "connection",
    [
        "Upgrade",
        "upgrade",
        "UPGRADE",
        "keep-alive, Upgrade",
        "Upgrade, keep-alive",
        "keep-alive,upgrade,foo",
        ",Upgrade",
        "\tUpgrade ",
    ],
)
async def test_spellings_of_connection(connection: str) -> None:
    """§4.2.1 (4): the token "upgrade" among the values, in any case."""
    await accepted(handshake(connection=connection))


LINES = (
    "Host: a.test",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
)


def written(*lines: str) -> bytes:
    return "\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode()


@pytest.mark.parametrize("lines", list(itertools.permutations(LINES)), ids=str)
async def test_fields_may_come_in_any_order(lines: tuple[str, ...]) -> None:
    """§4.1: as long as the request is valid HTTP, the order of its fields does not matter."""
    await accepted(written(*lines))


@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
async def test_names_of_fields_in_any_case(spelling: Any) -> None:
    """RFC 9110 §5.1."""
    named = [line.partition(":") for line in LINES]
    await accepted(written(*(spelling(name) + colon + value for name, colon, value in named)))


@pytest.mark.parametrize(
    "more",
    [
        ["Upgrade: h2c"],
        ["Connection: keep-alive"],
        ["Upgrade: foo/2", "Connection: foo, keep-alive", "Upgrade: bar"],
    ],
)
@pytest.mark.parametrize("place", [0, 3, 5])
async def test_upgrade_and_connection_on_several_lines(more: list[str], place: int) -> None:
    """RFC 9110 §5.3: lines of one name are one list."""
    await accepted(written(*LINES[:place], *more, *LINES[place:]))


@pytest.mark.parametrize(
    "fields",
    [
        [ORIGIN],
        ["Origin: null"],
        ["Content-Length: 0"],
        ["Cookie: a=b", "User-Agent: x", "Cache-Control: no-cache", "Pragma: no-cache"],
        ["Sec-WebSocket-Extensions: x-unknown; a=1, foo"],
        ["Sec-WebSocket-Extensions: foo", "Sec-WebSocket-Extensions: bar; baz"],
        ["Sec-WebSocket-Foo: bar"],
    ],
)
async def test_fields_beside(fields: list[str]) -> None:
    """§4.2.1 (7-10): Origin, cookies, authentication, unknown extensions and fields are optional."""
    agreed = await accepted(handshake("/", *fields))
    assert agreed.header("sec-websocket-extensions") is None


async def test_the_resource_name_and_the_fields_reach_the_handler() -> None:
    """§4.2.2 (4)."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str(f"{request.path_qs} {request.headers['Origin']}")
        return ws

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(handshake("/chat/a%20b?c=d", ORIGIN) + BYE)
        await peer.read_head()
        assert await WSPeer(peer.reader, peer.writer).read_text() == "/chat/a%20b?c=d http://b.test"


async def test_the_absolute_form() -> None:
    """§3, §4.2.1 (1): the target may be a whole URI."""
    await accepted(handshake("http://a.test/chat?x=y"))


@pytest.mark.parametrize("method", "POST PUT DELETE PATCH OPTIONS".split())
async def test_other_methods_are_refused(method: str) -> None:
    """§4.2.1 (1): the method has to be GET."""
    refusal = await declined(handshake(method=method))
    assert refusal.status == 405
    assert refusal.headers["allow"] == ["GET"]


async def test_head_is_refused() -> None:
    """§4.2.1 (1)."""
    refusal = await declined(handshake(method="HEAD"))
    assert (refusal.status, refusal.headers["allow"]) == (405, ["GET"])


async def test_http_1_0_is_refused() -> None:
    """§4.2.1 (1): HTTP/1.1 or higher."""
    async with serving(echoing()) as site, Peer.connect(site.port) as peer:
        refusal = await peer.ask(handshake(http="1.0"))
        assert refusal.status == 400
        assert await peer.read_eof() == b""


async def test_a_handshake_without_host_is_refused() -> None:
    """§4.2.1 (2)."""
    async with serving(echoing()) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(written(*LINES[1:]))).status == 400


@pytest.mark.parametrize(
    "upgrade", [None, "", "h2c", "websockets", "web socket", "xwebsocket", "websocket;", "TLS/1.0"]
)
async def test_no_usable_upgrade(upgrade: str | None) -> None:
    """§4.2.1 (3)."""
    refusal = await declined(handshake(upgrade=upgrade))
    assert refusal.status == 400
    assert "websocket" in refusal.body.decode().lower()


@pytest.mark.parametrize(
    "connection", [None, "", "keep-alive", "upgraded", "no-upgrade", "keep-alive, upgrade-insecure"]
)
async def test_no_usable_connection(connection: str | None) -> None:
    """§4.2.1 (4): a whole token."""
    refusal = await declined(handshake(connection=connection))
    assert refusal.status == 400
    assert "upgrade" in refusal.body.decode().lower()


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "AAAAAAAAAAAAAAAAAAAA",  # 15 bytes
        "AAAAAAAAAAAAAAAAAAAAAAA=",  # 17 bytes
        "AAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAA===",
        "AAAAAAAAAAAAAAAAAAAAAA==AA",
        "AAAAAAAAAA-AAAAAAAAA_A==",
        "AAAAAAAAAA!AAAAAAAAAAAA==",  # 16 bytes to those who skip what they do not know
        "AAAAAAAAAA AAAAAAAAAAAA==",
        "AAAAAAAAAA\xe9AAAAAAAAAAAA==",
        "AAAAAAAAAAAAAAAAAAAAAA==, AAAAAAAAAAAAAAAAAAAAAA==",
        "the sample nonce",
        "A" * 1000,
    ],
)
async def test_bad_keys_are_refused(key: str | None) -> None:
    """§4.2.1 (5): base64 of 16 bytes."""
    refusal = await declined(handshake(key=key))
    assert refusal.status == 400
    assert "key" in refusal.body.decode().lower()


@pytest.mark.parametrize("second", [KEY, "x3JJHMbDL1EzLkh9GBhXDw==", ""])
async def test_two_keys_are_refused(second: str) -> None:
    """§11.3.1: Sec-WebSocket-Key must not come twice."""
    assert (await declined(handshake("/", f"Sec-WebSocket-Key: {second}"))).status == 400


@pytest.mark.parametrize("version", ["12", "14", "0", "7", "8", "255", "013", "13.0", "1 3", "x"])
async def test_other_versions_are_told_which_is_spoken(version: str) -> None:
    """§4.2.2 (4), §4.4: 426 and Sec-WebSocket-Version. RFC 9110 §15.5.22, §7.8: Upgrade, and it in Connection."""
    refusal = await declined(handshake(version=version))
    assert refusal.status == 426
    assert refusal.headers["sec-websocket-version"] == ["13"]
    assert refusal.headers["upgrade"] == ["websocket"]
    assert "upgrade" in (refusal.header("connection") or "").lower()


async def test_no_version_is_refused() -> None:
    """§4.2.1 (6)."""
    assert (await declined(handshake(version=None))).status == 400


@pytest.mark.parametrize("second", ["13", "8"])
async def test_two_versions_are_refused(second: str) -> None:
    """§11.3.5: Sec-WebSocket-Version must not come twice in a request."""
    refusal = await declined(handshake("/", f"Sec-WebSocket-Version: {second}"))
    assert refusal.status in (400, 426)


@pytest.mark.parametrize(
    "body",
    [("Content-Length: 5", b"hello"), ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")],
    ids=["length", "chunked"],
)
async def test_a_handshake_with_a_body_is_refused(body: tuple[str, bytes]) -> None:
    """§4.1: what follows the handshake are frames, so there is no place for a body."""
    field, data = body
    assert (await declined(handshake("/", field) + data)).status == 400


async def test_refusals_may_follow_each_other() -> None:
    """§4.4: a client may try again on the same connection."""
    async with serving(echoing()) as site, Peer.connect(site.port) as peer:
        for data in (handshake(version="12"), handshake(key="x"), handshake(upgrade="h2c")):
            assert (await peer.ask(data)).status in (400, 426)
        await peer.send(handshake(version="25") + handshake())
        assert (await peer.answer()).status == 426
        await shakes_hands(peer, b"")


# --- 4.2.2 (5.5) Subprotocols -------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "spoken", "chosen"),
    [
        (["chat"], ["chat"], "chat"),
        (["chat, superchat"], ["superchat", "chat"], "chat"),
        (["superchat,chat"], ["chat", "superchat"], "superchat"),
        (["a, b", "chat"], ["chat"], "chat"),
        (["a", "b, c", "chat"], ["chat", "c"], "c"),
        ([" chat , a"], ["chat"], "chat"),
        ([",, chat ,"], ["chat"], "chat"),
        (["chat.example.test/v1, !#$%&'*+-.^_`|~"], ["!#$%&'*+-.^_`|~"], "!#$%&'*+-.^_`|~"),
        (["chat"], [], None),
        (["chat"], ["superchat"], None),
        (["superchat"], ["chat"], None),
        (["Chat"], ["chat"], None),
        ([""], ["chat"], None),
        ([], ["chat"], None),
    ],
)
async def test_subprotocols(fields: list[str], spoken: list[str], chosen: str | None) -> None:
    """The first of the client's that the server speaks, else none. §11.3.4: the field may come several times."""
    data = handshake("/", *(f"{PROTOCOL}: {field}" for field in fields))
    agreed = await accepted(data, protocols=spoken)
    assert agreed.headers.get("sec-websocket-protocol") == (chosen and [chosen])


# --- 4.1, 5.1 Frames right behind the handshake -------------------------------------------


async def test_the_handshake_byte_by_byte() -> None:
    data = handshake() + text("hello") + BYE
    async with serving(echoing()) as site, Peer.connect(site.port) as peer:
        ws = WSPeer(peer.reader, peer.writer)
        await drip(ws, data, head=len(data))
        assert (await peer.answer()).status == 101
        assert [said(one) for one in await read_frames(ws)] == [(TEXT, b"hello"), GOODBYE]


@pytest.mark.parametrize("cut", range(-4, 13))
async def test_handshake_and_frames_in_two_segments(cut: int) -> None:
    head, frames = handshake(), text("hello") + BYE
    data = head + frames
    async with serving(echoing()) as site, Peer.connect(site.port) as peer:
        ws = WSPeer(peer.reader, peer.writer)
        await ws.send(data[: len(head) + cut])
        if cut >= 0:
            assert (await peer.answer()).status == 101
        await ws.send(data[len(head) + cut :])
        if cut < 0:
            assert (await peer.answer()).status == 101
        assert [said(one) for one in await read_frames(ws)] == [(TEXT, b"hello"), GOODBYE]


async def test_much_behind_the_handshake() -> None:
    """More than a handler that is slow to prepare has asked for."""
    many = [f"message {number}" for number in range(2000)]
    data = b"".join(text(one) for one in many) + BYE

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        for _ in range(10):
            await asyncio.sleep(0)
        return await echoing()(request)

    heard = await exchange(data, deliver=glued, handler=slow)
    assert heard == [*((TEXT, one.encode()) for one in many), GOODBYE]


# --- 5.1 Masking --------------------------------------------------------------------------


@each_delivery
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("payload", [b"", b"\x03\xe8hello"], ids=["empty", "seven"])
async def test_frames_that_are_not_masked_are_refused(
    opcode: int, payload: bytes, deliver: Delivery
) -> None:
    """A server MUST close the connection upon a frame that is not masked: 1002."""
    await refuses(frame(opcode, payload, mask=None), 1002, deliver=deliver)


@pytest.mark.parametrize("size", [5, 126, 65536])
async def test_they_are_refused_at_their_header(size: int) -> None:
    await refuses(frame(BINARY, mask=None, length=size), 1002)


@each_delivery
async def test_a_continuation_that_is_not_masked_is_refused(deliver: Delivery) -> None:
    data = text("a", fin=False) + frame(CONTINUATION, b"b", mask=None)
    await refuses(data, 1002, deliver=deliver)


@each_delivery
@pytest.mark.parametrize(
    "mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x01", b"\x80\0\0\0", b"\x12\x34\x56\x78"]
)
async def test_masks(mask: bytes, deliver: Delivery) -> None:
    """§5.3: byte i of the payload goes with byte i mod 4 of the key, whatever the length."""
    payloads = [bytes(range(200, 200 + size)) for size in (*range(12), 40)]
    payloads += [bytes(range(256)) * 3, bytes(range(256)) * 300 + b"end"]
    data = b"".join(frame(BINARY, payload, mask=mask) for payload in payloads)
    heard = await exchange(data + BYE, deliver=deliver)
    assert heard == [*((BINARY, payload) for payload in payloads), GOODBYE]


@each_delivery
async def test_each_frame_has_a_mask_of_its_own(deliver: Delivery) -> None:
    """§5.3: also the frames of one message, and those of odd lengths."""
    data = frame(TEXT, b"one", mask=b"abcd") + frame(TEXT, b"second", mask=b"efgh")
    data += frame(TEXT, b"th", fin=False, mask=b"\x80\x81\x82\x83")
    data += frame(PING, b"ping!", mask=b"\x01\0\0\0")
    data += frame(CONTINUATION, b"i", fin=False, mask=b"\0\0\0\xff")
    data += frame(CONTINUATION, b"rd", mask=b"wxyz") + close(mask=b"1234")
    heard = await exchange(data, deliver=deliver)
    heard.remove((PONG, b"ping!"))
    assert heard == [(TEXT, b"one"), (TEXT, b"second"), (TEXT, b"third"), GOODBYE]


# --- 5.2 Base Framing Protocol ------------------------------------------------------------


@each_delivery
@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
async def test_reserved_bits_are_refused(opcode: int, rsv: int, deliver: Delivery) -> None:
    """RSV1, RSV2, RSV3 MUST be 0 unless an extension gives them a meaning."""
    await refuses(frame(opcode, b"\x03\xe8", rsv=rsv), 1002, deliver=deliver)


@each_delivery
@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("fin", [False, True])
async def test_reserved_bits_in_fragments_are_refused(
    rsv: int, fin: bool, deliver: Delivery
) -> None:
    data = text("a", fin=False) + frame(CONTINUATION, b"b", rsv=rsv, fin=fin)
    await refuses(data, 1002, deliver=deliver)
    await refuses(text("a", fin=False, rsv=rsv), 1002, deliver=deliver)


@each_delivery
@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("opcode", [*range(0x3, 0x8), *range(0xB, 0x10)])
async def test_unknown_opcodes_are_refused(opcode: int, fin: bool, deliver: Delivery) -> None:
    """3-7 and B-F are reserved: an endpoint that gets one MUST fail the connection."""
    await refuses(frame(opcode, fin=fin), 1002, deliver=deliver)
    await refuses(frame(opcode, b"hello", fin=fin), 1002, deliver=deliver)


@pytest.mark.parametrize("opcode", [0x3, 0xB])
@pytest.mark.parametrize("size", [1, 125, 126, 65536])
async def test_unknown_opcodes_are_refused_at_their_header(opcode: int, size: int) -> None:
    await refuses(frame(opcode, length=size), 1002)


@pytest.mark.parametrize("opcode", [0x3, 0xB, 0xF])
async def test_unknown_opcodes_inside_a_fragmented_message_are_refused(opcode: int) -> None:
    await refuses(text("a", fin=False) + frame(opcode, b"x"), 1002)


LENGTHS = [0, 1, 2, 124, 125, 126, 127, 128, 65535, 65536, 65537, 131072]


@each_delivery
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", LENGTHS)
async def test_lengths(size: int, opcode: int, deliver: Delivery) -> None:
    """7, 7+16 and 7+64 bits; WSPeer checks that the server uses the least."""
    payload = (b"0123456789abcdefghijklmnopqrstuvw" * (size // 33 + 1))[:size]
    heard = await exchange(frame(opcode, payload) + BYE, deliver=deliver)
    assert heard == [(opcode, payload), GOODBYE]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_all_lengths_in_one_conversation(opcode: int) -> None:
    payloads = [b"x" * size for size in (*range(140), 300, 65534, 65535, 65536, 2, 70000, 0, 1)]
    data = b"".join(frame(opcode, payload) for payload in payloads) + BYE
    assert await exchange(data) == [*((opcode, payload) for payload in payloads), GOODBYE]


@each_delivery
@pytest.mark.parametrize(
    ("size", "length_bytes"), [(0, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)]
)
async def test_lengths_in_more_bytes_than_needed_are_refused(
    size: int, length_bytes: int, deliver: Delivery
) -> None:
    """The minimal number of bytes MUST be used. Refused at the header."""
    await refuses(
        frame(BINARY, length=size, length_bytes=length_bytes), 1002, deliver=deliver, max_msg_size=0
    )


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_control_frames_with_more_bytes_of_length_than_needed_are_refused(
    opcode: int,
) -> None:
    for length_bytes in (2, 8):
        await refuses(frame(opcode, b"\x03\xe8", length_bytes=length_bytes), 1002)


@each_delivery
@pytest.mark.parametrize("length", [2**63, 2**63 + 5, 2**64 - 1])
async def test_the_top_bit_of_a_length_is_refused(length: int, deliver: Delivery) -> None:
    """The most significant bit of a 64-bit length MUST be 0."""
    await refuses(frame(BINARY, length=length), 1002, deliver=deliver)
    await refuses(frame(TEXT, length=length), 1002, deliver=deliver, max_msg_size=0)


@pytest.mark.parametrize("length", [2**32, 2**62, 2**63 - 1])
async def test_monstrous_lengths_are_too_big(length: int) -> None:
    """§10.4."""
    await refuses(frame(BINARY, length=length), 1009)


# --- 5.4 Fragmentation --------------------------------------------------------------------


def fragments(opcode: int, *parts: bytes, between: bytes = b"") -> bytes:
    """A message in several frames, with other frames between them."""
    last = len(parts) - 1
    return between.join(
        frame(CONTINUATION if number else opcode, part, fin=number == last)
        for number, part in enumerate(parts)
    )


def every_split(data: bytes, parts: int) -> list[list[bytes]]:
    """All ways to cut bytes into so many parts, empty ones too."""
    places = itertools.combinations_with_replacement(range(len(data) + 1), parts - 1)
    return [
        [data[one:two] for one, two in itertools.pairwise((0, *cuts, len(data)))] for cuts in places
    ]


@each_delivery
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("parts", [2, 3])
async def test_every_split(parts: int, opcode: int, deliver: Delivery) -> None:
    """A message is the payloads of its frames one behind the other, and of the type of the first."""
    ways = every_split(b"Hello", parts)
    data = b"".join(fragments(opcode, *way) for way in ways) + BYE
    assert await exchange(data, deliver=deliver) == [(opcode, b"Hello")] * len(ways) + [GOODBYE]


@each_delivery
async def test_fragmented_and_whole_messages_in_turn(deliver: Delivery) -> None:
    data = fragments(TEXT, b"one ", b"two") + text("three") + fragments(BINARY, b"", b"", b"")
    data += frame(BINARY, b"four") + fragments(BINARY, *(b"%d" % n for n in range(50))) + BYE
    assert await exchange(data, deliver=deliver) == [
        (TEXT, b"one two"),
        (TEXT, b"three"),
        (BINARY, b""),
        (BINARY, b"four"),
        (BINARY, b"".join(b"%d" % n for n in range(50))),
        GOODBYE,
    ]


@each_delivery
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_control_frames_between_fragments(opcode: int, deliver: Delivery) -> None:
    """§5.4, §5.5: they MAY come in the middle of a fragmented message."""
    between = frame(PING, b"1") + frame(PONG, b"x") + frame(PING, b"") + frame(PING, b"3" * 125)
    data = fragments(opcode, b"a", b"", b"bc", b"d", between=between) + BYE
    heard = await exchange(data, deliver=deliver)
    pongs = [payload for kind, payload in heard if kind == PONG]
    assert pongs == [b"1", b"", b"3" * 125] * 3
    assert [one for one in heard if one[0] != PONG] == [(opcode, b"abcd"), GOODBYE]


async def test_a_ping_between_fragments_is_answered_at_once() -> None:
    """§5.5.2: as soon as is practical, not when the message is complete."""
    async with serving(echoing()) as site, WSPeer.connect(site.port) as peer:
        await peer.send(text("a", fin=False))
        for number in range(3):
            await peer.send(frame(PING, b"%d" % number))
            assert said(await peer.read_frame()) == (PONG, b"%d" % number)
            await peer.send(frame(CONTINUATION, b"b", fin=False))
        await peer.send(frame(CONTINUATION) + BYE)
        assert [said(one) for one in await read_frames(peer)] == [(TEXT, b"abbb"), GOODBYE]


@each_delivery
@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("payload", [b"", b"a"])
@pytest.mark.parametrize(
    "before", [b"", text("x"), fragments(TEXT, b"x", b"y")], ids=["first", "whole", "fragmented"]
)
async def test_a_continuation_of_nothing_is_refused(
    before: bytes, payload: bytes, fin: bool, deliver: Delivery
) -> None:
    bad = frame(CONTINUATION, payload, fin=fin)
    if not before:
        await refuses(bad, 1002, deliver=deliver)
    else:
        heard = await exchange(before + bad, deliver=deliver)
        assert [kind for kind, _ in heard] == [TEXT, CLOSE]
        assert heard[-1] == (CLOSE, 1002)


@each_delivery
@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("first", [TEXT, BINARY])
@pytest.mark.parametrize("second", [TEXT, BINARY])
async def test_a_message_inside_a_fragmented_one_is_refused(
    first: int, second: int, fin: bool, deliver: Delivery
) -> None:
    """Fragments of two messages MUST NOT be interleaved."""
    bad = frame(second, b"b", fin=fin)
    await refuses(frame(first, b"a", fin=False) + bad, 1002, deliver=deliver)
    started = frame(first, b"", fin=False) + frame(CONTINUATION, b"a", fin=False)
    await refuses(started + bad, 1002, deliver=deliver)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_sixty_five_thousand_fragments(opcode: int) -> None:
    """A message of 4 MiB in frames of 64 bytes: each costs the same."""
    count = 65000
    part = bytes(range(32, 96))
    middle = frame(CONTINUATION, part, fin=False)
    data = frame(opcode, part, fin=False) + middle * (count - 2) + frame(CONTINUATION, part) + BYE
    assert await exchange(data) == [(opcode, part * count), GOODBYE]


async def test_many_empty_fragments() -> None:
    middle = frame(CONTINUATION, fin=False)
    data = text("a", fin=False) + middle * 20000 + frame(CONTINUATION, b"b") + BYE
    assert await exchange(data) == [(TEXT, b"ab"), GOODBYE]


# --- 5.5 Control Frames -------------------------------------------------------------------


@each_delivery
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
async def test_fragmented_control_frames_are_refused(opcode: int, deliver: Delivery) -> None:
    """They MUST NOT be fragmented."""
    await refuses(frame(opcode, b"\x03\xe8", fin=False), 1002, deliver=deliver)
    await refuses(frame(opcode, fin=False), 1002, deliver=deliver)
    await refuses(text("a", fin=False) + frame(opcode, fin=False), 1002, deliver=deliver)


@each_delivery
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [126, 127, 65535, 65536, 2**40])
async def test_long_control_frames_are_refused(opcode: int, size: int, deliver: Delivery) -> None:
    """At most 125 bytes. Refused at the header."""
    await refuses(frame(opcode, length=size), 1002, deliver=deliver)


async def test_a_long_control_frame_that_is_complete_is_refused() -> None:
    for opcode in (CLOSE, PING, PONG):
        await refuses(frame(opcode, b"\x03\xe8" * 63), 1002)


# --- 5.5.2 Ping, 5.5.3 Pong ---------------------------------------------------------------


@each_delivery
@pytest.mark.parametrize(
    "payload",
    [b"", b"a", b"hello", b"\x00\xff\xfe\x80", b"x" * 124, bytes(range(125))],
    ids=len,
)
async def test_a_ping_is_answered_with_its_payload(payload: bytes, deliver: Delivery) -> None:
    heard = await exchange(frame(PING, payload) + BYE, deliver=deliver)
    assert heard == [(PONG, payload), GOODBYE]


async def test_pings_that_are_read_are_all_answered_in_order() -> None:
    async with serving(echoing()) as site, WSPeer.connect(site.port) as peer:
        for number in range(20):
            await peer.send(frame(PING, b"%d" % number))
            assert said(await peer.read_frame()) == (PONG, b"%d" % number)


@each_delivery
async def test_several_pings_at_once(deliver: Delivery) -> None:
    """§5.5.3: the newest alone may be answered; for a few there is no reason to."""
    pings = b"".join(frame(PING, b"%d" % number) for number in range(10))
    heard = await exchange(pings + BYE, deliver=deliver)
    assert heard == [*((PONG, b"%d" % number) for number in range(10)), GOODBYE]


@each_delivery
@pytest.mark.parametrize("payload", [b"", b"hello", b"\xff" * 125], ids=len)
async def test_a_pong_that_nobody_asked_for_is_ignored(payload: bytes, deliver: Delivery) -> None:
    """§5.5.3: it may serve as a heartbeat; no answer is expected."""
    pong = frame(PONG, payload)
    data = pong + text("a") + pong + pong + fragments(TEXT, b"b", b"c", between=pong) + pong + BYE
    assert await exchange(data, deliver=deliver) == [(TEXT, b"a"), (TEXT, b"bc"), GOODBYE]


async def test_a_ping_is_answered_while_the_handler_is_busy() -> None:
    """§5.5.2."""
    go_on = asyncio.Event()

    async def busy(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await go_on.wait()
        async for msg in ws:
            await answer(ws, msg)
        return ws

    async with serving(busy) as site, WSPeer.connect(site.port) as peer:
        await peer.send(text("a") + frame(PING, b"1") + text("b") + frame(PING, b"2"))
        assert said(await peer.read_frame()) == (PONG, b"1")
        assert said(await peer.read_frame()) == (PONG, b"2")
        go_on.set()
        await peer.send(BYE)
        heard = [said(one) for one in await read_frames(peer)]
        assert heard == [(TEXT, b"a"), (TEXT, b"b"), GOODBYE]


# --- 5.5.1 Close, 7 Closing the Connection ------------------------------------------------

LEGAL = [*range(1000, 1004), *range(1007, 1015), 3000, 3001, 3999, 4000, 4001, 4998, 4999]
ILLEGAL = [0, 1, 125, 999, *range(1004, 1007), *range(1015, 1020), 1099, 1100, 1999, 2000, 2998]
ILLEGAL += [2999, 5000, 5001, 9999, 32767, 32768, 65535]


@each_delivery
@pytest.mark.parametrize("code", LEGAL)
async def test_legal_codes_are_answered_alike(code: int, deliver: Delivery) -> None:
    """§5.5.1: a CLOSE is answered with a CLOSE, typically with the code that came. §7.4: the codes."""
    witness = Witness()
    heard = await exchange(close(code), deliver=deliver, handler=witness.handle)
    assert heard == [(CLOSE, code)]
    seen = await witness.last()
    assert (seen.type, seen.data, seen.extra) == (web.WSMsgType.CLOSE, code, "")
    assert witness.ws.close_code == code


@each_delivery
@pytest.mark.parametrize("code", ILLEGAL)
async def test_illegal_codes_are_refused(code: int, deliver: Delivery) -> None:
    """§7.4.1: some MUST NOT be sent by an endpoint. §7.4.2: others are nobody's (yet), or out of range."""
    await refuses(close(code), 1002, deliver=deliver)
    await refuses(close(code, "why"), 1002, deliver=deliver)


@each_delivery
async def test_an_empty_close(deliver: Delivery) -> None:
    """§5.5.1: the body MAY be missing. §7.1.5: which is 1005, and 1005 is never sent."""
    witness = Witness()
    heard = await exchange(close(None), deliver=deliver, handler=witness.handle)
    assert heard in ([(CLOSE, 1000)], [(CLOSE, None)])
    seen = await witness.last()
    assert (seen.type, seen.data, seen.extra) == (web.WSMsgType.CLOSE, 0, "")
    assert witness.ws.close_code == 1005


@each_delivery
@pytest.mark.parametrize("byte", [b"\x00", b"\x03", b"\xe8"])
async def test_a_close_of_one_byte_is_refused(byte: bytes, deliver: Delivery) -> None:
    """§5.5.1: if there is a body, its first two bytes are the code."""
    await refuses(frame(CLOSE, byte), 1002, deliver=deliver)


@each_delivery
@pytest.mark.parametrize(
    "reason",
    ["x", "going home", "κόσμε \U0001f600", "x" * 123, "é" * 61 + "x", "\0", "\U0001f600" * 30],
    ids=len,
)
async def test_reasons(reason: str, deliver: Delivery) -> None:
    """§5.5.1, §7.1.6: UTF-8, up to 123 bytes."""
    witness = Witness()
    heard = await exchange(close(1001, reason), deliver=deliver, handler=witness.handle)
    assert heard == [(CLOSE, 1001)]
    seen = await witness.last()
    assert (seen.type, seen.data, seen.extra) == (web.WSMsgType.CLOSE, 1001, reason)


@each_delivery
@pytest.mark.parametrize(
    "reason",
    [b"\xff", b"ok \xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"cut off \xe2\x82", b"\xf0"],
)
async def test_a_reason_that_is_not_utf_8_is_refused(reason: bytes, deliver: Delivery) -> None:
    """§8.1."""
    await refuses(close(1000, reason), 1007, deliver=deliver)


@each_delivery
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("part", [b"", b"a", b"\xe2\x82"])
async def test_a_close_inside_a_fragmented_message(
    part: bytes, opcode: int, deliver: Delivery
) -> None:
    """§5.4, §5.5.1: a control frame like others; the message is dropped."""
    witness = Witness()
    data = text("a") + frame(opcode, part, fin=False) + frame(CONTINUATION, fin=False) + BYE
    heard = await exchange(data, deliver=deliver, handler=witness.handle)
    assert heard == [(TEXT, b"a"), GOODBYE]
    await witness.last()
    assert [msg.data for msg in witness.messages] == ["a", 1000]
    assert witness.ws.close_code == 1000


@pytest.mark.parametrize("deliver", [glued, whole])
@pytest.mark.parametrize(
    "late",
    [
        text("late"),
        frame(PING, b"late"),
        close(1001),
        close(1006),
        b"\xff" * 1000,
        frame(BINARY, b"x" * 100_000),
        text("late", mask=None),
        b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ],
    ids=["text", "ping", "close", "illegal close", "junk", "long", "unmasked", "HTTP"],
)
async def test_data_behind_a_close_is_ignored(late: bytes, deliver: Delivery) -> None:
    """§5.5.1: nothing is sent behind CLOSE; §7.1.1: what comes all the same may be discarded."""
    witness = Witness()
    heard = await exchange(text("a") + BYE + late, deliver=deliver, handler=witness.handle)
    assert heard == [(TEXT, b"a"), GOODBYE]
    await witness.last()
    assert [msg.type for msg in witness.messages] == [web.WSMsgType.TEXT, web.WSMsgType.CLOSE]
    assert witness.ws.close_code == 1000


async def test_the_server_ends_tcp_first() -> None:
    """§7.1.1: so that the client does not have to keep TIME_WAIT. ``read_frames`` waits for FIN."""
    async with serving(echoing()) as site, WSPeer.connect(site.port) as peer:
        await peer.send(BYE)
        assert [said(one) for one in await read_frames(peer)] == [GOODBYE]
        assert not peer.writer.is_closing()
        peer.writer.close()
        await site.idle()


@asynccontextmanager
async def hanging_up(**options: Any) -> AsyncIterator[tuple[WSPeer, web.WebSocketResponse]]:
    """A client, and the end of a server that calls close(**options)."""
    end: asyncio.Future[web.WebSocketResponse] = asyncio.get_running_loop().create_future()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        end.set_result(ws)
        assert await ws.close(**options)
        with pytest.raises(ConnectionResetError):
            await ws.send_str("behind CLOSE")
        return ws

    async with serving(handler) as site:
        async with WSPeer.connect(site.port) as peer:
            yield peer, await end
            await peer.eof()
        await site.idle()


@pytest.mark.parametrize("code", LEGAL)
async def test_the_server_may_close(code: int) -> None:
    """§7.1.2: it sends CLOSE, waits for that of the client, and ends TCP."""
    async with hanging_up(code=code, message=b"enough") as (peer, ws):
        assert await peer.read_close() == (code, "enough")
        await peer.send(close(code))
    assert ws.close_code == code


async def test_what_the_client_sends_until_its_close_is_discarded() -> None:
    """§7.1.2, §5.5.1: no second CLOSE, and nothing else behind the first."""
    async with hanging_up() as (peer, ws):
        assert await peer.read_close() == (1000, "")
        await peer.send(text("a") + fragments(BINARY, b"b", b"c") + text("d", fin=False))
        await peer.send(frame(CONTINUATION, b"e" * 200_000) + close(1001))
    assert ws.close_code == 1001


async def test_both_close_at_once() -> None:
    """§7.1.3: if both send CLOSE at the same time, the handshake is complete."""
    closing = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await closing.wait()
        await ws.close(code=4001)
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        await peer.send(close(4000))
        closing.set()
        code, _ = await peer.read_close()
        assert code in (4000, 4001)
        await peer.eof()
        await site.idle()


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("é" * 62, "é" * 61),
        ("x" + "é" * 62, "x" + "é" * 61),
        ("\U0001f600" * 100, "\U0001f600" * 30),
    ],
    ids=["123", "124", "2 bytes", "odd", "4 bytes"],
)
@pytest.mark.parametrize("kind", [str, bytes])
async def test_reasons_of_the_server_fit(reason: str, sent: str, kind: type) -> None:
    """§5.5, §5.5.1: 123 bytes at most, and still UTF-8."""
    message = reason if kind is str else reason.encode()
    async with hanging_up(code=4000, message=message) as (peer, _):
        assert await peer.read_close() == (4000, sent)
        await peer.send(BYE)


@pytest.mark.parametrize("rest", [b"", text("hal")[:4], text("a", fin=False)])
async def test_an_end_without_close_is_1006(rest: bytes) -> None:
    """§7.1.5: what is reported when no CLOSE came; it is never sent."""
    witness = Witness()
    async with serving(witness.handle) as site, WSPeer.connect(site.port) as peer:
        await peer.send(text("a") + rest)
        assert await peer.read_text() == "a"
        peer.finish()
        await witness.last()
        assert witness.ws.close_code == 1006
        data = await peer.ended()
        assert data == b"" or b"\x03\xee" not in data
        await site.idle()


# --- 5.6 Data Frames, 8.1 UTF-8 -----------------------------------------------------------

# What may follow which first byte: Unicode 15, table 3-7.
TAIL = range(0x80, 0xC0)
FOLLOWERS: list[tuple[range, list[range]]] = [
    (range(0x80), []),
    (range(0xC2, 0xE0), [TAIL]),
    (range(0xE0, 0xE1), [range(0xA0, 0xC0), TAIL]),
    (range(0xE1, 0xED), [TAIL, TAIL]),
    (range(0xED, 0xEE), [range(0x80, 0xA0), TAIL]),
    (range(0xEE, 0xF0), [TAIL, TAIL]),
    (range(0xF0, 0xF1), [range(0x90, 0xC0), TAIL, TAIL]),
    (range(0xF1, 0xF4), [TAIL, TAIL, TAIL]),
    (range(0xF4, 0xF5), [range(0x80, 0x90), TAIL, TAIL]),
]


def up_to_the_fault(data: bytes) -> bytes | None:
    """The bytes up to the first that cannot be, with it; None if there is none."""
    waiting: list[range] = []
    for at, byte in enumerate(data):
        if waiting:
            if byte not in waiting.pop(0):
                return data[: at + 1]
            continue
        for first, followers in FOLLOWERS:
            if byte in first:
                waiting = list(followers)
                break
        else:
            return data[: at + 1]
    return None


VALID = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\x00",
    "\x7f\x80\u07ff\u0800\ud7ff\ue000\ufffd",
    "\U00010000\U0010ffff",
    "\ufffe\uffff\U0001fffe\U0010ffff\ufdd0",
    "\ufeffbyte order mark",
    "日本語 한국어 עברית \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "e\u0301",
    "x" * 64 + "é" * 64,
]

INVALID = [
    bytes.fromhex(digits)
    for digits in (
        # Continuations of nothing.
        "80", "bf", "8080", "80bf80bf80bf80", "61a0",
        # Longer than need be.
        "c080", "c0af", "c1bf", "e08080", "e080af", "e09fbf", "f0808080", "f08080af", "f08fbfbf",
        # Halves of surrogate pairs, and pairs.
        "eda080", "edadbf", "edae80", "edafbf", "edb080", "edbfbf", "eda080edb080", "edafbfedbfbf",
        # Above U+10FFFF, and the longer forms of old.
        "f4908080", "f5808080", "f7bfbfbf", "f888808080", "fbbfbfbfbf", "fc8480808080",
        "fdbfbfbfbfbf",
        # Never in UTF-8.
        "fe", "ff", "fefeffff", "c0", "c1", "f5",
        # Cut short by something else.
        "c341", "c3c3a9", "e241", "e28241", "e282e282ac", "f041", "f09f41", "f09f9841",
        "f09f98f09f9880", "e2c3a9", "c3ff",
    )
]  # fmt: skip

CUT_OFF = [bytes.fromhex(digits) for digits in ("c3", "e2", "e282", "ed9f", "f0", "f09f", "f09f98")]


def test_the_table_agrees_with_the_codec() -> None:
    for data in (*INVALID, *CUT_OFF):
        assert (up_to_the_fault(data) is None) == (data in CUT_OFF)
        with pytest.raises(UnicodeDecodeError):
            data.decode()
    for valid in VALID:
        assert up_to_the_fault(valid.encode()) is None


@each_delivery
@pytest.mark.parametrize("data", VALID, ids=ascii)
async def test_valid_utf_8(data: str, deliver: Delivery) -> None:
    assert await exchange(text(data) + BYE, deliver=deliver) == [(TEXT, data.encode()), GOODBYE]


@pytest.mark.parametrize("deliver", [whole, bytewise])
@pytest.mark.parametrize("data", VALID, ids=ascii)
async def test_valid_utf_8_cut_anywhere_into_fragments(data: str, deliver: Delivery) -> None:
    """§5.6: a fragment need not be whole characters; the message has to be."""
    raw = data.encode()
    ways = [*every_split(raw, 2), [raw[at : at + 1] for at in range(len(raw))]]
    ways.append([part for byte in ways[-1] for part in (byte, b"")])
    stream = b"".join(fragments(TEXT, *way) for way in ways) + BYE
    assert await exchange(stream, deliver=deliver) == [(TEXT, raw)] * len(ways) + [GOODBYE]


@pytest.mark.parametrize("data", VALID, ids=ascii)
async def test_valid_utf_8_cut_anywhere_into_segments(data: str) -> None:
    """Of TCP, within one frame."""
    one = text(data)
    async with serving(echoing()) as site, WSPeer.connect(site.port) as peer:
        for cut in range(1, len(one)):
            await peer.send(one[:cut])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await peer.send(one[cut:])
            assert await peer.read_text() == data


BEFORE = [b"", "κόσμε ".encode(), b"x" * 5000]
BEFORE_BYTEWISE = [*BEFORE[:2], b"x" * 50]


@each_delivery
@pytest.mark.parametrize("bad", INVALID, ids=bytes.hex)
async def test_invalid_utf_8_is_refused(bad: bytes, deliver: Delivery) -> None:
    """§8.1: 1007 for a message that is complete..."""
    for before in BEFORE_BYTEWISE if deliver is bytewise else BEFORE:
        heard = await exchange(text("a") + frame(TEXT, before + bad + b"xyz"), deliver=deliver)
        assert heard == [(TEXT, b"a"), (CLOSE, 1007)]


@each_delivery
@pytest.mark.parametrize("bad", INVALID, ids=bytes.hex)
async def test_invalid_utf_8_is_refused_at_its_first_byte(bad: bytes, deliver: Delivery) -> None:
    """...and also when neither the message nor the frame is."""
    for before in BEFORE_BYTEWISE if deliver is bytewise else BEFORE:
        fault = up_to_the_fault(before + bad)
        assert fault is not None
        fragment = frame(TEXT, fault, fin=False)
        started = frame(TEXT, fault, length=len(fault) + 500)
        for data in (fragment, started):
            heard = await exchange(text("a") + data, deliver=deliver)
            assert heard == [(TEXT, b"a"), (CLOSE, 1007)]


@pytest.mark.parametrize("bad", [bad for bad in INVALID if len(bad) > 1], ids=bytes.hex)
async def test_and_not_before_it(bad: bytes) -> None:
    """What may still become a character is waited for."""
    fault = up_to_the_fault(bad)
    assert fault is not None
    async with serving(echoing()) as site, WSPeer.connect(site.port) as peer:
        await peer.send(frame(TEXT, fault[:-1], fin=False) + frame(PING))
        assert said(await peer.read_frame()) == (PONG, b"")
        await peer.send(frame(CONTINUATION, fin=False) + frame(PING))
        assert said(await peer.read_frame()) == (PONG, b"")
        await peer.send(frame(CONTINUATION, fault[-1:], fin=False))
        assert [said(one) for one in await read_frames(peer)] == [(CLOSE, 1007)]


@each_delivery
@pytest.mark.parametrize("bad", CUT_OFF, ids=bytes.hex)
async def test_utf_8_that_ends_within_a_character_is_refused(bad: bytes, deliver: Delivery) -> None:
    before = "é".encode()
    for data in (
        frame(TEXT, before + bad),
        fragments(TEXT, before, bad),
        fragments(TEXT, before + bad, b""),
        fragments(TEXT, *(bytes([byte]) for byte in before + bad)),
    ):
        heard = await exchange(text("a") + data, deliver=deliver)
        assert heard == [(TEXT, b"a"), (CLOSE, 1007)]


@each_delivery
async def test_a_character_does_not_go_on_in_the_next_message(deliver: Delivery) -> None:
    data = frame(TEXT, b"\xe2\x82") + frame(TEXT, b"\xac")
    if deliver is bytewise:
        data = frame(TEXT, b"\xe2\x82")
    assert await exchange(data, deliver=deliver) == [(CLOSE, 1007)]


@each_delivery
async def test_binary_messages_are_any_bytes(deliver: Delivery) -> None:
    """§5.6; likewise pings and pongs."""
    bad = b"".join(INVALID)
    data = frame(BINARY, bad) + fragments(BINARY, bad, bad[:1], b"\xe2\x82")
    data += frame(PING, INVALID[9]) + frame(PONG, b"\xff") + frame(BINARY, b"\xe2\x82") + BYE
    heard = await exchange(data, deliver=deliver)
    heard.remove((PONG, INVALID[9]))
    assert heard == [
        (BINARY, bad),
        (BINARY, bad + bad[:1] + b"\xe2\x82"),
        (BINARY, b"\xe2\x82"),
        GOODBYE,
    ]


# --- 7.1.7 Fail the WebSocket Connection --------------------------------------------------

BAD = {
    "unmasked": (text("x", mask=None), 1002),
    "reserved bit": (text("x", rsv=2), 1002),
    "opcode": (frame(0x3), 1002),
    "continuation": (frame(CONTINUATION), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "close code": (close(1005), 1002),
    "UTF-8": (frame(TEXT, b"\xff"), 1007),
    "too big": (frame(BINARY, b"x" * 5001), 1009),
}
each_fault = pytest.mark.parametrize(("bad", "code"), BAD.values(), ids=BAD)


@each_fault
async def test_what_the_handler_sees_of_a_fault(bad: bytes, code: int) -> None:
    witness = Witness(max_msg_size=5000)
    heard = await exchange(text("a") + bad, handler=witness.handle)
    assert heard == [(TEXT, b"a"), (CLOSE, code)]
    seen = await witness.last()
    assert [msg.type for msg in witness.messages] == [web.WSMsgType.TEXT, web.WSMsgType.ERROR]
    assert isinstance(seen.data, web.WebSocketError)
    assert seen.data.code == code
    assert witness.ws.exception() is seen.data
    assert witness.ws.close_code == code
    assert witness.ws.closed


@each_delivery
@each_fault
async def test_messages_before_a_fault_are_answered_by_a_slow_handler(
    bad: bytes, code: int, deliver: Delivery
) -> None:
    """The fault waits for its turn, however long the answers take."""

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(max_msg_size=5000)
        await ws.prepare(request)
        while (msg := await ws.receive()).type not in LAST:
            for _ in range(10):
                await asyncio.sleep(0)
            await answer(ws, msg)
        return ws

    many = b"".join(text(f"{number}") for number in range(20))
    if deliver is bytewise and code == 1009:
        bad = frame(BINARY, length=5001)  # behind its head the connection ends
    heard = await exchange(many + bad, deliver=deliver, handler=slow)
    assert heard == [*((TEXT, b"%d" % number) for number in range(20)), (CLOSE, code)]


@each_fault
async def test_a_fault_in_a_later_segment(bad: bytes, code: int) -> None:
    async with serving(echoing(max_msg_size=5000)) as site, WSPeer.connect(site.port) as peer:
        await peer.send(text("a") + text("b", fin=False))
        assert await peer.read_text() == "a"
        await peer.send(frame(CONTINUATION, b"c"))
        assert await peer.read_text() == "bc"
        await peer.send(bad)
        assert [said(one) for one in await read_frames(peer)] == [(CLOSE, code)]


@each_fault
async def test_a_fault_while_the_server_closes_does_no_harm(bad: bytes, code: int) -> None:
    """The server has sent its CLOSE; it sends no other."""
    async with hanging_up() as (peer, _):
        assert await peer.read_close() == (1000, "")
        await peer.send(bad + BYE)


# --- 10.4 Limits --------------------------------------------------------------------------

LIMIT = 1000


@each_delivery
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_of_exactly_the_limit(opcode: int, deliver: Delivery) -> None:
    most = b"x" * LIMIT
    data = frame(opcode, most) + fragments(opcode, most[:400], b"", most[400:999], most[999:])
    data += fragments(opcode, most, b"", between=frame(PONG, b"p" * 125)) + BYE
    heard = await exchange(data, deliver=deliver, max_msg_size=LIMIT)
    assert heard == [(opcode, most)] * 3 + [GOODBYE]


@each_delivery
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [LIMIT + 1, 5000, 65535, 65536, 2**40])
async def test_a_frame_above_the_limit_is_refused_at_its_header(
    size: int, opcode: int, deliver: Delivery
) -> None:
    """§7.4.1: 1009."""
    await refuses(frame(opcode, length=size), 1009, deliver=deliver, max_msg_size=LIMIT)


@each_delivery
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [LIMIT + 1, 5000, 65536])
async def test_a_complete_frame_above_the_limit_is_refused(
    size: int, opcode: int, deliver: Delivery
) -> None:
    data = frame(opcode, b"x" * size)
    if deliver is bytewise:
        data = frame(opcode, length=size)
    await refuses(data, 1009, deliver=deliver, max_msg_size=LIMIT)


@each_delivery
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("sizes", [(999, 2), (LIMIT, 1), (400, 400, 201), (0, 1, 0, LIMIT)])
async def test_fragments_above_the_limit_are_refused_at_the_header_of_the_last(
    sizes: tuple[int, ...], opcode: int, deliver: Delivery
) -> None:
    """§5.4: nobody knows how many are still to come, so the sum counts as it grows."""
    for fin in (False, True):
        *first, last = sizes
        data = b"".join(
            frame(CONTINUATION if number else opcode, b"x" * size, fin=False)
            for number, size in enumerate(first)
        )
        data += frame(CONTINUATION, fin=fin, length=last)
        await refuses(data, 1009, deliver=deliver, max_msg_size=LIMIT)


async def test_the_limit_of_text_is_in_bytes() -> None:
    heard = await exchange(text("é" * 500) + text("é" * 501), max_msg_size=LIMIT)
    assert heard == [(TEXT, "é".encode() * 500), (CLOSE, 1009)]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_each_message_has_the_whole_limit(opcode: int) -> None:
    parts = fragments(opcode, b"x" * 600, b"y" * 400) + frame(opcode, b"z" * LIMIT)
    heard = await exchange(parts * 10 + BYE, max_msg_size=LIMIT)
    assert heard == [(opcode, b"x" * 600 + b"y" * 400), (opcode, b"z" * LIMIT)] * 10 + [GOODBYE]


@each_delivery
async def test_control_frames_do_not_count(deliver: Delivery) -> None:
    data = fragments(BINARY, b"ab", b"cde", between=frame(PING, b"p" * 125)) + BYE
    heard = await exchange(data, deliver=deliver, max_msg_size=5)
    heard.remove((PONG, b"p" * 125))
    assert heard == [(BINARY, b"abcde"), GOODBYE]


async def test_no_limit() -> None:
    big = b"0123456789abcdef" * 2**19  # 8 MiB
    heard = await exchange(frame(BINARY, big) + fragments(TEXT, big, big) + BYE, max_msg_size=0)
    assert heard == [(BINARY, big), (TEXT, big + big), GOODBYE]


async def test_the_limit_unless_told_otherwise() -> None:
    """4 MiB."""
    most = b"x" * 4 * 2**20
    assert await exchange(frame(BINARY, most) + BYE) == [(BINARY, most), GOODBYE]
    assert await exchange(frame(BINARY, length=len(most) + 1)) == [(CLOSE, 1009)]


# --- All of it ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 64, 127, 1000])
async def test_a_long_conversation_in_segments_of_one_size(size: int) -> None:
    data = b""
    expected: list[Any] = []
    pings = []
    for number in range(12):
        payload = (f"{number} κόσμε " * (number * 3)).encode()
        data += frame(TEXT, payload) + frame(PING, b"%d" % number)
        data += fragments(BINARY, payload[:7], b"", payload[7:], between=frame(PONG))
        expected += [(TEXT, payload), (BINARY, payload)]
        pings.append((PONG, b"%d" % number))
    data += close(4321, "enough")
    async with serving(echoing()) as site, WSPeer.connect(site.port) as peer:
        for at in range(0, len(data), size):
            await peer.send(data[at : at + size])
            await asyncio.sleep(0)
        heard = [said(one) for one in await read_frames(peer)]
    assert [one for one in heard if one[0] == PONG] == pings
    assert [one for one in heard if one[0] != PONG] == [*expected, (CLOSE, 4321)]
