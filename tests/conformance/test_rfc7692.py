"""RFC 7692 (permessage-deflate), section by section, over real sockets. Frames without it are in test_rfc6455.py."""

import asyncio
import random
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import lowlevel as web
from tests.conformance.exchange import (
    BYE,
    GOODBYE,
    Delivery,
    Handler,
    Said,
    Witness,
    bytewise,
    each_delivery,
    echoing,
    exchange,
    glued,
    read_frames,
    said,
    whole,
)
from tests.support import Answer, Peer, serving
from tests.wsframes import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    WSPeer,
    close,
    frame,
    handshake,
    text,
)

# Coverage is what the tests of each module reach. These are for the rules, and very many.
pytestmark = pytest.mark.usefixtures("untraced")

RSV1 = 4
TAIL = b"\x00\x00\xff\xff"
DEFLATE = "permessage-deflate"
EXTENSIONS = "Sec-WebSocket-Extensions"

HELLO = bytes.fromhex("f248cdc9c90700")
"""Hello, compressed (§7.2.3.1)."""


class Deflating:
    """The compressor of a client."""

    def __init__(self, bits: int = 15, *, keeps_context: bool = True, **options: int) -> None:
        self._options = {"wbits": -bits, **options}
        self._keeps_context = keeps_context
        self._zlib = zlib.compressobj(**self._options)

    def __call__(self, data: bytes) -> bytes:
        """The payload of a compressed message."""
        if not self._keeps_context:
            self._zlib = zlib.compressobj(**self._options)
        deflated = self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
        if not deflated:
            return b"\x00"  # §7.2.3.6
        assert deflated.endswith(TAIL)
        return deflated[: -len(TAIL)]

    def message(self, opcode: int, data: bytes) -> bytes:
        """One frame with a compressed message."""
        return frame(opcode, self(data), rsv=RSV1)


class Inflating:
    """The decompressor of a client, which remembers no more than was agreed on."""

    def __init__(self, bits: int = 15, *, keeps_context: bool = True) -> None:
        self._bits = bits
        self._keeps_context = keeps_context
        self._zlib = zlib.decompressobj(-bits)

    def __call__(self, deflated: bytes) -> bytes:
        """The message in a payload."""
        if not self._keeps_context:
            self._zlib = zlib.decompressobj(-self._bits)
        # zlib follows a reference beyond the window as long as it is within the output at hand: so, little of it.
        data = bytearray()
        deflated += TAIL
        for at in range(0, len(deflated), 1000):
            rest = deflated[at : at + 1000]
            while piece := self._zlib.decompress(rest, 64):
                rest = self._zlib.unconsumed_tail
                data += piece
        return bytes(data)


def test_the_decompressor_is_strict() -> None:
    block = random.Random(1).randbytes(600)
    with pytest.raises(zlib.error):
        Inflating(9)(Deflating(15)(block * 2))
    assert Inflating(10)(Deflating(15)(block * 2)) == block * 2
    deflate = Deflating()
    alone = Inflating(keeps_context=False)
    assert alone(deflate(block)) == block
    with pytest.raises(zlib.error):
        alone(deflate(block))


def plain(one: Frame, inflate: Inflating) -> Said:
    """A frame in short, inflated if need be."""
    if one.opcode in (TEXT, BINARY) and one.rsv == RSV1:
        return said(one._replace(rsv=0, payload=inflate(one.payload)))
    return said(one)


async def talk(
    data: bytes,
    *,
    offer: str = DEFLATE,
    deliver: Delivery = whole,
    inflate: Inflating | None = None,
    handler: Handler | None = None,
    **options: Any,
) -> list[Said]:
    """Like ``exchange``, with compression."""
    inflate = inflate or Inflating()
    async with serving(handler or echoing(**options)) as site:
        async with deliver(site.port, data, f"{EXTENSIONS}: {offer}") as peer:
            assert peer.handshake.header(EXTENSIONS)
            frames = await read_frames(peer)
        await site.idle()
    return [plain(one, inflate) for one in frames]


async def refuses(bad: bytes, code: int, *, deliver: Delivery = whole, **options: Any) -> None:
    """As in exchange.py, behind compressed messages too."""
    assert await talk(bad, deliver=deliver, **options) == [(CLOSE, code)]
    deflate = Deflating()
    good = text("a") + deflate.message(BINARY, b"b") + deflate.message(TEXT, b"c")
    behind = (b"",) if deliver is bytewise else (b"", frame(TEXT, HELLO, rsv=RSV1) + BYE)
    for rest in behind:
        heard = await talk(good + bad + rest, deliver=deliver, **options)
        assert heard == [(TEXT, b"a"), (BINARY, b"b"), (TEXT, b"c"), (CLOSE, code)]


# --- 5, 7.1 Negotiation -------------------------------------------------------------------


async def agree(*offers: str, **options: Any) -> list[str] | None:
    """Offer extensions, one field each; return the parts of the answer, None if there is none.

    What was agreed on has to work, too.
    """
    async with serving(echoing(**options)) as site, Peer.connect(site.port) as peer:
        await peer.send(handshake("/", *(f"{EXTENSIONS}: {offer}" for offer in offers)))
        answer = Answer(await peer.read_head(), b"")
        assert answer.status == 101
        agreed = answer.headers.get(EXTENSIONS.lower())
        ws = WSPeer(peer.reader, peer.writer)
        if agreed is None:
            await ws.send(text("hello") + BYE)
            assert [said(one) for one in await read_frames(ws)] == [(TEXT, b"hello"), GOODBYE]
            return None
        assert len(agreed) == 1
        parts = [part.strip() for part in agreed[0].split(";")]
        assert parts[0] == DEFLATE
        parameters = dict((part + "=").split("=")[:2] for part in parts[1:])
        assert len(parameters) == len(parts) - 1

        server_bits = int(parameters.get("server_max_window_bits", 15))
        client_bits = int(parameters.get("client_max_window_bits", 15))
        inflate = Inflating(
            server_bits, keeps_context="server_no_context_takeover" not in parameters
        )
        deflate = Deflating(
            client_bits, keeps_context="client_no_context_takeover" not in parameters
        )
        message = random.Random(0).randbytes(40000) * 2
        data = deflate.message(BINARY, message) * 1
        data += deflate.message(TEXT, b"hello" * 100) + deflate.message(TEXT, b"hello" * 100)
        await ws.send(data + BYE)
        heard = [plain(one, inflate) for one in await read_frames(ws)]
        assert heard == [(BINARY, message), *[(TEXT, b"hello" * 100)] * 2, GOODBYE]
        return sorted(parts[1:])


async def test_compression_is_not_used_unasked() -> None:
    """RFC 6455 §9.1."""
    assert await agree() is None
    heard = await exchange(text("x" * 10000) + BYE)  # looks at RSV1
    assert heard == [(TEXT, b"x" * 10000), GOODBYE]


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("", []),
        # §7.1.2.2: what the client may be told, if we have anything to say, which we have not.
        ("; client_max_window_bits", []),
        *((f"; client_max_window_bits={bits}", []) for bits in range(8, 16)),
        ('; client_max_window_bits="12"', []),
        # §7.1.2.1: what we have to keep to, and say so.
        *((f"; server_max_window_bits={bits}", [f"={bits}"]) for bits in range(9, 15)),
        ('; server_max_window_bits="10"', ["=10"]),
        ("; server_max_window_bits=15", ["=15"]),
        # §7.1.1.1, §7.1.1.2.
        ("; server_no_context_takeover", ["server_no_context_takeover"]),
        ("; client_no_context_takeover", ["client_no_context_takeover"]),
        (
            "; client_no_context_takeover; server_no_context_takeover",
            ["client_no_context_takeover", "server_no_context_takeover"],
        ),
        (
            "; server_no_context_takeover; client_max_window_bits; server_max_window_bits=11",
            ["=11", "server_no_context_takeover"],
        ),
        (
            "; client_max_window_bits=10; server_max_window_bits=10; client_no_context_takeover"
            "; server_no_context_takeover",
            ["=10", "client_no_context_takeover", "server_no_context_takeover"],
        ),
        # RFC 6455 §9.1, RFC 9110 §5.6.3: white space.
        (";client_max_window_bits;server_max_window_bits=10", ["=10"]),
        (" ; server_max_window_bits=10\t;\tclient_max_window_bits ", ["=10"]),
    ],
)
async def test_offers_that_are_accepted(offer: str, answer: list[str]) -> None:
    expected = sorted(
        f"server_max_window_bits{part}" if part.startswith("=") else part for part in answer
    )
    assert await agree(DEFLATE + offer) == expected


BAD_OFFERS = [
    # zlib has no window of 8 bits for raw deflate.
    "server_max_window_bits=8",
    # §7.1.2.1: a decimal integer without leading zeroes, 8 to 15.
    "server_max_window_bits",
    *(f"server_max_window_bits={value}" for value in ("0", "7", "16", "100", "10" * 50)),
    *(
        f"server_max_window_bits={value}"
        for value in ("010", "09", "+9", "-9", "9.0", "0xa", "abc")
    ),
    'server_max_window_bits=""',
    'server_max_window_bits="010"',
    'server_max_window_bits="abc"',
    # §7.1.2.2: the same, or no value.
    *(
        f"client_max_window_bits={value}"
        for value in ("0", "7", "16", "100", "010", "08", "x", "-9")
    ),
    'client_max_window_bits="16"',
    'client_max_window_bits=""',
    # §7.1.1: no value.
    "server_no_context_takeover=1",
    "server_no_context_takeover=true",
    'server_no_context_takeover=""',
    "client_no_context_takeover=1",
    "client_no_context_takeover=10",
    # §7.1: each at most once.
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_no_context_takeover",
    "client_max_window_bits; client_max_window_bits",
    "client_max_window_bits; client_max_window_bits=10",
    "server_max_window_bits=10; server_max_window_bits=10",
    "server_max_window_bits=10; client_max_window_bits; server_max_window_bits=12",
    # §7.1: none but these four.
    "unknown",
    "unknown=1",
    "server_max_window_bits=10; unknown",
    "server-no-context-takeover",
    "max_window_bits=10",
]


@pytest.mark.parametrize("parameters", BAD_OFFERS)
async def test_offers_that_are_declined(parameters: str) -> None:
    """§7.1: a server MUST decline an offer with such parameters; the connection goes without."""
    assert await agree(f"{DEFLATE}; {parameters}") is None


@pytest.mark.parametrize("parameters", BAD_OFFERS)
async def test_the_next_offer_is_tried(parameters: str) -> None:
    """§5: a client may offer several, in its order of preference, as fallbacks."""
    bad = f"{DEFLATE}; {parameters}"
    assert await agree(f"{bad}, {DEFLATE}") == []
    assert await agree(bad, f"{DEFLATE}; client_no_context_takeover") == [
        "client_no_context_takeover"
    ]


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ([f"{DEFLATE}, {DEFLATE}; server_max_window_bits=10"], []),
        ([f"{DEFLATE}; server_max_window_bits=10, {DEFLATE}"], ["server_max_window_bits=10"]),
        ([f"{DEFLATE}; server_max_window_bits=10", DEFLATE], ["server_max_window_bits=10"]),
        ([DEFLATE, f"{DEFLATE}; server_max_window_bits=10"], []),
        ([f"{DEFLATE}; foo, {DEFLATE}; server_no_context_takeover=1, x, {DEFLATE}"], []),
        (["foo, bar; baz=1", f"x-webkit-deflate-frame, {DEFLATE}"], []),
        ([f"{DEFLATE}; client_no_context_takeover, foo; bar"], ["client_no_context_takeover"]),
        ([f'foo; bar="baz", {DEFLATE}'], []),
        ([f",, {DEFLATE} ,"], []),
        (["permessage-bzip2, permessage-deflate-2, x-permessage-deflate"], None),
        (["foo; permessage-deflate"], None),
    ],
)
async def test_several_offers(offers: list[str], answer: list[str] | None) -> None:
    """RFC 6455 §9.1: in one field or several; unknown extensions are passed over."""
    assert await agree(*offers) == answer


@pytest.mark.parametrize(
    "offer",
    [
        f"{DEFLATE};",
        f"{DEFLATE};;",
        f"{DEFLATE}; =",
        f"{DEFLATE}; =10",
        f"{DEFLATE} server_max_window_bits=10",
        f"{DEFLATE}; server_max_window_bits=",
        f"{DEFLATE}; server_max_window_bits=1 0",
        f'{DEFLATE}; server_max_window_bits="10',
        f'{DEFLATE}; server_max_window_bits=10"',
        f"{DEFLATE}; server_max_window_bits==10",
        f"{DEFLATE}=1",
        f'"{DEFLATE}"',
        f"{DEFLATE}; \xe9",
    ],
)
async def test_malformed_offers_agree_on_nothing(offer: str) -> None:
    """RFC 6455 §9.1: the connection may be refused as well."""
    async with serving(echoing()) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(handshake("/", f"{EXTENSIONS}: {offer}"))
        assert answer.status in (101, 400)
        assert answer.header(EXTENSIONS) is None


@pytest.mark.parametrize(
    ("compress", "offer", "answer"),
    [
        (False, "", None),
        (0, "; client_max_window_bits", None),
        (True, "", []),
        (15, "; client_max_window_bits", []),
        (10, "", ["server_max_window_bits=10"]),
        (10, "; server_max_window_bits=12", ["server_max_window_bits=10"]),
        (12, "; server_max_window_bits=10", ["server_max_window_bits=10"]),
        (9, "; server_max_window_bits=15", ["server_max_window_bits=9"]),
        (
            10,
            "; client_max_window_bits",
            ["client_max_window_bits=10", "server_max_window_bits=10"],
        ),
        (
            12,
            "; client_max_window_bits=10",
            ["client_max_window_bits=10", "server_max_window_bits=12"],
        ),
        (
            9,
            "; client_max_window_bits=15; server_no_context_takeover",
            ["client_max_window_bits=9", "server_max_window_bits=9", "server_no_context_takeover"],
        ),
    ],
)
async def test_what_the_server_wants(
    compress: int | bool, offer: str, answer: list[str] | None
) -> None:
    """§7.1.2: a server may use less than it was offered and say so; the client only if it offered that."""
    assert await agree(DEFLATE + offer, compress=compress) == answer


@pytest.mark.parametrize(
    ("compress", "offer", "seen"),
    [
        (True, DEFLATE, 15),
        (True, f"{DEFLATE}; server_max_window_bits=11", 11),
        (10, DEFLATE, 10),
        (True, "foo", 0),
        (True, f"{DEFLATE}; server_max_window_bits=8", 0),
        (False, DEFLATE, 0),
    ],
)
async def test_the_handler_can_tell(compress: int | bool, offer: str, seen: int) -> None:
    witness = Witness(compress=compress)
    await exchange(BYE, f"{EXTENSIONS}: {offer}", handler=witness.handle)
    await witness.last()
    assert witness.ws.compress == seen


# --- 6, 7.2 Messages of the client --------------------------------------------------------

EXAMPLES = {
    "7.2.3.1 fixed Huffman codes": (HELLO.hex(), b"Hello"),
    "7.2.3.3 stored": ("000500faff48656c6c6f00", b"Hello"),
    "7.2.3.4 final block": ("f348cdc9c9070000", b"Hello"),
    "final block without more": ("f348cdc9c90700", b"Hello"),
    "final stored block": ("010500faff48656c6c6f", b"Hello"),
    "final stored block and another": ("010500faff48656c6c6f00", b"Hello"),
    "7.2.3.5 two blocks": ("f248050000 00ffffcac9c90700", b"Hello"),
    "7.2.3.6 empty": ("00", b""),
    "empty with fixed Huffman codes": ("0200", b""),
    "empty final block": ("0300", b""),
    "many empty blocks": ("000000ffff" * 50 + "00", b""),
    "empty blocks and Hello": ("000000ffff" * 5 + HELLO.hex(), b"Hello"),
    "stored, several": ("000100feff48000000ffff000400fbff656c6c6f00", b"Hello"),
}
each_example = pytest.mark.parametrize(
    ("deflated", "message"),
    [(bytes.fromhex(digits), message) for digits, message in EXAMPLES.values()],
    ids=list(EXAMPLES),
)


@each_delivery
@each_example
async def test_examples(deflated: bytes, message: bytes, deliver: Delivery) -> None:
    """§7.2.3."""
    data = frame(TEXT, deflated, rsv=RSV1) + BYE
    assert await talk(data, deliver=deliver) == [(TEXT, message), GOODBYE]


@each_example
async def test_examples_follow_each_other(deflated: bytes, message: bytes) -> None:
    """Each kind of end leaves a state in which the next message can be read."""
    data = frame(TEXT, HELLO, rsv=RSV1) + frame(BINARY, deflated, rsv=RSV1) * 3
    data += frame(TEXT, HELLO, rsv=RSV1) + frame(BINARY, deflated, rsv=RSV1) + BYE
    hello, other = (TEXT, b"Hello"), (BINARY, message)
    assert await talk(data) == [hello, other, other, other, hello, other, GOODBYE]


@each_delivery
async def test_the_window_reaches_into_earlier_messages(deliver: Delivery) -> None:
    """§7.2.3.2."""
    again = bytes.fromhex("f200110000")
    data = frame(TEXT, HELLO, rsv=RSV1) + text("plain") + frame(TEXT, again, rsv=RSV1) + BYE
    heard = await talk(data, deliver=deliver)
    assert heard == [(TEXT, b"Hello"), (TEXT, b"plain"), (TEXT, b"Hello"), GOODBYE]


async def test_not_if_the_client_said_that_it_does_not() -> None:
    """§7.1.1.2: then the server need not keep the window, and does not."""
    again = bytes.fromhex("f200110000")
    data = frame(TEXT, HELLO, rsv=RSV1) + frame(TEXT, again, rsv=RSV1)
    heard = await talk(data, offer=f"{DEFLATE}; client_no_context_takeover")
    assert heard == [(TEXT, b"Hello"), (CLOSE, 1007)]


LETTERS = random.Random(2).randbytes(150).hex().encode()
SIZES = [0, 1, 2, 125, 126, 1000, 65535, 65536, 65537, 300_000]


@each_delivery
@pytest.mark.parametrize("keeps_context", [True, False])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", SIZES)
async def test_messages_of_every_size(
    size: int, opcode: int, keeps_context: bool, deliver: Delivery
) -> None:
    deflate = Deflating(keeps_context=keeps_context)
    message = (LETTERS * (size // len(LETTERS) + 1))[:size]
    data = deflate.message(opcode, message) + deflate.message(opcode, message) + BYE
    assert await talk(data, deliver=deliver) == [(opcode, message)] * 2 + [GOODBYE]


@pytest.mark.parametrize(
    "options",
    [
        {"level": 0},
        {"level": 1},
        {"level": 9},
        {"strategy": zlib.Z_FIXED},
        {"strategy": zlib.Z_HUFFMAN_ONLY},
        {"strategy": zlib.Z_RLE},
        {"memLevel": 1},
        {"bits": 9},
        {"bits": 12},
    ],
    ids=str,
)
async def test_whatever_the_client_deflates_with(options: dict[str, int]) -> None:
    deflate = Deflating(**options)
    noise = random.Random(3).randbytes(70_000)
    messages = [b"a" * 70_000, noise, LETTERS * 100, noise[:5], noise, b"", LETTERS, b"a" * 1000]
    data = b"".join(deflate.message(BINARY, message) for message in messages) + BYE
    assert await talk(data) == [*((BINARY, message) for message in messages), GOODBYE]


def fragments(opcode: int, *parts: bytes, between: bytes = b"") -> bytes:
    """A compressed message in several frames: RSV1 is set on the first (§6.1)."""
    last = len(parts) - 1
    return between.join(
        frame(CONTINUATION, part, fin=number == last)
        if number
        else frame(opcode, part, fin=number == last, rsv=RSV1)
        for number, part in enumerate(parts)
    )


@each_delivery
@each_example
async def test_every_split(deflated: bytes, message: bytes, deliver: Delivery) -> None:
    """§6.2, §7.2.3.1: the payloads of all fragments together are one stream."""
    size = min(len(deflated), 40)
    ways = [[deflated[:cut], deflated[cut:]] for cut in range(size + 1)]
    ways.append([deflated[at : at + 1] for at in range(len(deflated))])
    ways.append([b"", *ways[-1], b""])
    data = b"".join(fragments(BINARY, *way) for way in ways) + BYE
    assert await talk(data, deliver=deliver) == [(BINARY, message)] * len(ways) + [GOODBYE]


@each_delivery
async def test_control_frames_between_fragments(deliver: Delivery) -> None:
    """§6.1: control frames are not compressed, and may come between."""
    deflate = Deflating()
    between = frame(PING, b"p") + frame(PONG, b"q")
    data = b""
    for _ in range(3):
        deflated = deflate(LETTERS)
        data += fragments(TEXT, deflated[:20], b"", deflated[20:], between=between)
    heard = await talk(data + BYE, deliver=deliver)
    assert heard.count((PONG, b"p")) == 6
    assert [one for one in heard if one[0] != PONG] == [(TEXT, LETTERS)] * 3 + [GOODBYE]


@each_delivery
async def test_messages_that_are_not_compressed_between(deliver: Delivery) -> None:
    """§6.1: a sender chooses for each message; the others do not enter the window."""
    deflate = Deflating()
    data = b""
    expected: list[Said] = []
    for number in range(8):
        message = b"%d " % number + LETTERS
        data += deflate.message(TEXT, message) + text("plain")
        data += frame(BINARY, b"frag", fin=False) + frame(CONTINUATION, b"ments")
        data += fragments(BINARY, *(lambda d: (d[:3], d[3:]))(deflate(message)))
        expected += [(TEXT, message), (TEXT, b"plain"), (BINARY, b"fragments"), (BINARY, message)]
    assert await talk(data + BYE, deliver=deliver) == [*expected, GOODBYE]


@each_delivery
async def test_uncompressed_data_that_looks_compressed(deliver: Delivery) -> None:
    data = frame(BINARY, HELLO) + frame(BINARY, TAIL) + frame(BINARY, HELLO, rsv=RSV1) + BYE
    heard = await talk(data, deliver=deliver)
    assert heard == [(BINARY, HELLO), (BINARY, TAIL), (BINARY, b"Hello"), GOODBYE]


# --- 6, 8 RSV1 where it must not be -------------------------------------------------------


@each_delivery
@pytest.mark.parametrize("offer", [None, "foo", f"{DEFLATE}; server_max_window_bits=8"])
@pytest.mark.parametrize("fin", [False, True])
async def test_rsv1_without_agreement_is_refused(
    offer: str | None, fin: bool, deliver: Delivery
) -> None:
    """RFC 6455 §5.2."""
    fields = [] if offer is None else [f"{EXTENSIONS}: {offer}"]
    data = text("a") + frame(TEXT, HELLO, rsv=RSV1, fin=fin)
    assert await exchange(data, *fields, deliver=deliver) == [(TEXT, b"a"), (CLOSE, 1002)]
    heard = await exchange(data, f"{EXTENSIONS}: {DEFLATE}", deliver=deliver, compress=False)
    assert heard == [(TEXT, b"a"), (CLOSE, 1002)]


@each_delivery
@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("first", [0, RSV1])
async def test_rsv1_on_continuations_is_refused(first: int, fin: bool, deliver: Delivery) -> None:
    """§6.1: it MUST NOT be set but on the first fragment."""
    data = frame(TEXT, HELLO[:3] if first else b"a", rsv=first, fin=False)
    data += frame(CONTINUATION, HELLO[3:], rsv=RSV1, fin=fin)
    await refuses(data, 1002, deliver=deliver)


@each_delivery
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
async def test_rsv1_on_control_frames_is_refused(opcode: int, deliver: Delivery) -> None:
    """§6.1."""
    await refuses(frame(opcode, b"\x03\xe8", rsv=RSV1), 1002, deliver=deliver)
    await refuses(frame(opcode, rsv=RSV1), 1002, deliver=deliver)
    started = frame(TEXT, HELLO[:3], rsv=RSV1, fin=False)
    await refuses(started + frame(opcode, rsv=RSV1), 1002, deliver=deliver)


@each_delivery
@pytest.mark.parametrize("rsv", [1, 2, 3, 5, 6, 7])
async def test_the_other_reserved_bits_are_still_refused(rsv: int, deliver: Delivery) -> None:
    """RFC 6455 §5.2: no extension gives them a meaning."""
    await refuses(frame(TEXT, HELLO, rsv=rsv), 1002, deliver=deliver)
    await refuses(frame(BINARY, HELLO, rsv=rsv, fin=False), 1002, deliver=deliver)
    await refuses(frame(PING, rsv=rsv), 1002, deliver=deliver)


@each_delivery
async def test_rsv1_on_unknown_opcodes_is_refused(deliver: Delivery) -> None:
    for opcode in (0x3, 0x7, 0xB, 0xF):
        await refuses(frame(opcode, rsv=RSV1), 1002, deliver=deliver)


@each_delivery
@pytest.mark.parametrize("first", [0, RSV1])
@pytest.mark.parametrize("second", [0, RSV1])
async def test_a_message_inside_a_fragmented_one_is_refused(
    first: int, second: int, deliver: Delivery
) -> None:
    """RFC 6455 §5.4."""
    data = frame(TEXT, HELLO[:3] if first else b"a", rsv=first, fin=False)
    await refuses(data + frame(TEXT, HELLO, rsv=second), 1002, deliver=deliver)


async def test_rules_of_frames_hold_for_compressed_ones() -> None:
    """RFC 6455 §5.1, §5.2."""
    await refuses(frame(TEXT, HELLO, rsv=RSV1, mask=None), 1002)
    await refuses(frame(TEXT, HELLO, rsv=RSV1, length_bytes=2), 1002)
    await refuses(frame(TEXT, HELLO, rsv=RSV1, length_bytes=8), 1002)
    await refuses(frame(TEXT, rsv=RSV1, length=2**63), 1002)
    await refuses(frame(CONTINUATION, HELLO, rsv=RSV1), 1002)


# --- 7.2.2 Decompression: what is no deflate ----------------------------------------------

CORRUPT = {
    "block type 3": "07",
    "block type 3, behind Hello": "f248cdc9c907 0e",
    "stored length": "000500f0ff48656c6c6f00",
    "distance before the beginning": "f200110000",
    "too many codes": "fdff" + "ff" * 20,
    "noise": "ffffffffffffffff",
    "block type 3 behind a final block": "f348cdc9c90700 07",
}
each_corruption = pytest.mark.parametrize(
    "deflated", [bytes.fromhex(digits) for digits in CORRUPT.values()], ids=list(CORRUPT)
)


@each_delivery
@each_corruption
async def test_corrupt_data_is_refused(deflated: bytes, deliver: Delivery) -> None:
    bad = frame(BINARY, deflated, rsv=RSV1)
    assert await talk(bad, deliver=deliver) == [(CLOSE, 1007)]
    heard = await talk(text("a") + bad, deliver=deliver)
    assert heard == [(TEXT, b"a"), (CLOSE, 1007)]


@each_corruption
async def test_corrupt_data_in_fragments_is_refused(deflated: bytes) -> None:
    data = fragments(BINARY, *(bytes([byte]) for byte in deflated))
    assert await talk(text("a") + data) == [(TEXT, b"a"), (CLOSE, 1007)]


async def test_what_the_handler_sees_of_corrupt_data() -> None:
    witness = Witness()
    data = text("a") + frame(BINARY, b"\x07", rsv=RSV1)
    assert await talk(data, handler=witness.handle) == [(TEXT, b"a"), (CLOSE, 1007)]
    seen = await witness.last()
    assert seen.type is web.WSMsgType.ERROR
    assert isinstance(seen.data, web.WebSocketError)
    assert seen.data.code == 1007
    assert witness.ws.close_code == 1007


STORED = bytes.fromhex("006400 9bff") + b"Hel"
DYNAMIC = Deflating(level=9)(LETTERS)


@each_delivery
@pytest.mark.parametrize(
    "deflated",
    [HELLO[:1], HELLO[:3], HELLO[:5], HELLO[:6], STORED, DYNAMIC[:-1], DYNAMIC[:-9], DYNAMIC[:50]],
    ids=["1", "3", "5", "6", "stored", "dynamic-1", "dynamic-9", "dynamic50"],
)
async def test_data_that_ends_early_is_refused(deflated: bytes, deliver: Delivery) -> None:
    """Put in front of the four bytes that are missing, it is no whole number of blocks."""
    behind = b"" if deliver is bytewise else frame(TEXT, HELLO, rsv=RSV1) + BYE
    heard = await talk(text("a") + frame(BINARY, deflated, rsv=RSV1) + behind, deliver=deliver)
    assert heard == [(TEXT, b"a"), (CLOSE, 1007)]


async def test_data_that_ends_anywhere_is_refused() -> None:
    """Also within the tables of codes, where zeroes are as good as anything."""
    async with serving(echoing()) as site:
        for cut in range(1, len(DYNAMIC)):
            async with WSPeer.connect(site.port, f"{EXTENSIONS}: {DEFLATE}") as peer:
                await peer.send(frame(BINARY, DYNAMIC[:cut], rsv=RSV1) + BYE)
                heard = [said(one) for one in await read_frames(peer)]
            assert heard == [(CLOSE, 1007)], f"cut at {cut} of {len(DYNAMIC)}"


async def test_a_compressed_message_without_a_byte() -> None:
    """§7.2.3.6: even an empty one has a byte. It may be taken for empty, but not more."""
    heard = await talk(text("a") + frame(BINARY, rsv=RSV1) + BYE)
    assert heard in ([(TEXT, b"a"), (CLOSE, 1007)], [(TEXT, b"a"), (BINARY, b""), GOODBYE])


async def test_blocks_behind_a_final_one_in_the_same_message() -> None:
    """Not foreseen: read on or refused, and no endless wait."""
    data = frame(BINARY, bytes.fromhex("f348cdc9c90700") + HELLO, rsv=RSV1) + BYE
    assert await talk(data) in ([(CLOSE, 1007)], [(BINARY, b"HelloHello"), GOODBYE])


@each_delivery
@pytest.mark.parametrize(
    "bad",
    [b"\xff", b"\xed\xa0\x80", "é".encode()[:1], b"\xf4\x90\x80\x80", b"x" * 70_000 + b"\xc0"],
)
async def test_utf_8_is_checked_behind_the_decompressor(bad: bytes, deliver: Delivery) -> None:
    """RFC 6455 §8.1."""
    deflate = Deflating()
    data = deflate.message(TEXT, "é".encode()) + deflate.message(BINARY, bad)
    data += deflate.message(TEXT, b"ok " + bad)
    heard = await talk(data, deliver=deliver)
    assert heard == [(TEXT, "é".encode()), (BINARY, bad), (CLOSE, 1007)]


async def test_utf_8_may_be_cut_between_fragments() -> None:
    message = "κόσμε \U0001f600 日本語".encode()
    deflate = Deflating(level=0)
    ways = []
    for cut in range(30):
        deflated = deflate(message)
        ways.append(fragments(TEXT, deflated[:cut], deflated[cut:]))
    assert await talk(b"".join(ways) + BYE) == [(TEXT, message)] * 30 + [GOODBYE]


# --- max_msg_size -------------------------------------------------------------------------

LIMIT = 1000


@each_delivery
@pytest.mark.parametrize("level", [0, 9])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_of_exactly_the_limit(opcode: int, level: int, deliver: Delivery) -> None:
    """What counts is the message: stored blocks are longer than what they hold."""
    deflate = Deflating(level=level)
    most = (LETTERS * 4)[:LIMIT]
    data = deflate.message(opcode, most)
    for cut in (1, 6, 10):
        deflated = deflate(most)
        data += fragments(opcode, deflated[:cut], b"", deflated[cut:])
    heard = await talk(data + BYE, deliver=deliver, max_msg_size=LIMIT)
    assert heard == [(opcode, most)] * 4 + [GOODBYE]


@each_delivery
@pytest.mark.parametrize("level", [0, 9])
@pytest.mark.parametrize("size", [LIMIT + 1, 5000])
async def test_a_message_above_the_limit_is_refused(
    size: int, level: int, deliver: Delivery
) -> None:
    """RFC 6455 §7.4.1: 1009."""
    deflated = Deflating(level=level)((LETTERS * 20)[:size])
    for parts in ([deflated], [deflated[:9], deflated[9:]]):
        data = text("a") + fragments(BINARY, *parts)
        heard = await talk(data, deliver=deliver, max_msg_size=LIMIT)
        assert heard == [(TEXT, b"a"), (CLOSE, 1009)]


async def test_messages_up_to_the_limit_that_do_not_compress() -> None:
    """As large as it is unless told otherwise."""
    most = random.Random(4).randbytes(4 * 2**20)
    deflate = Deflating(level=1)
    data = deflate.message(BINARY, most) + deflate.message(BINARY, b"x" * len(most)) + BYE
    heard = await talk(data)
    assert heard == [(BINARY, most), (BINARY, b"x" * len(most)), GOODBYE]


@pytest.mark.parametrize("sizes", [(4 * 2**20 + 1,), (1, 4 * 2**20 + 1), (2**25,)], ids=str)
async def test_the_limit_unless_told_otherwise(sizes: tuple[int, ...]) -> None:
    deflate = Deflating()
    data = b"".join(deflate.message(BINARY, b"x" * size) for size in sizes)
    heard = await talk(data)
    assert heard == [*((BINARY, b"x" * size) for size in sizes[:-1]), (CLOSE, 1009)]


async def test_no_limit() -> None:
    big = LETTERS * 2**16  # 18.75 MiB
    data = Deflating(level=1).message(TEXT, big) + BYE
    assert await talk(data, max_msg_size=0) == [(TEXT, big), GOODBYE]


def bomb() -> bytes:
    """1 MiB that inflates to 1 GiB of zeroes."""
    deflator = zlib.compressobj(9, wbits=-15)
    parts = []
    for _ in range(3):
        parts.append(deflator.compress(bytes(2**20)) + deflator.flush(zlib.Z_SYNC_FLUSH))
    first, second, third = parts
    assert second == third  # which refers to 32 KiB of zeroes, wherever it comes
    return (first + second * 1023)[: -len(TAIL)]


async def refuse_bomb(data: bytes, **options: Any) -> int:
    """Send a bomb; return how many bytes of memory were in use at most, those of the client among them."""
    compression = f"{EXTENSIONS}: {DEFLATE}"
    async with serving(echoing(**options)) as site:
        async with WSPeer.connect(site.port, compression) as peer:
            await peer.send(text("a"))
            assert plain(await peer.read_frame(), Inflating()) == (TEXT, b"a")
            tracemalloc.start()
            try:
                peer.writer.write(data)
                code, _ = await peer.read_close()
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        await site.idle()
    assert code == 1009
    return peak


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("kind", ["one frame", "frames of 1 KiB", "frames of 64 KiB"])
async def test_a_bomb_costs_the_limit(kind: str, opcode: int) -> None:
    deflated = bomb()
    if kind == "one frame":
        data = fragments(opcode, deflated)
    else:
        size = 2**10 if kind == "frames of 1 KiB" else 2**16
        parts = [deflated[at : at + size] for at in range(0, len(deflated), size)]
        data = fragments(opcode, *parts)
    sent = len(data)
    for limit in (2**16, 4 * 2**20):
        peak = await refuse_bomb(data, max_msg_size=limit)
        # The bytes are in the client's buffer, and were read, unmasked and handed to zlib.
        assert peak < 2 * limit + 4 * sent + 2**20, f"{peak / 2**20:.1f} MiB"


@pytest.mark.parametrize(("size", "count"), [(60_000, 1000), (2**20, 60)])
async def test_many_messages_up_to_the_limit_cost_a_few_of_them(size: int, count: int) -> None:
    """What comes is inflated when there is room for it: 60 KiB would be 60 MiB."""
    sizes: list[int] = []

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(max_msg_size=size)
        await ws.prepare(request)
        async for msg in ws:
            for _ in range(5):
                await asyncio.sleep(0)
            sizes.append(len(msg.data))
        return ws

    deflate = Deflating(level=9)
    data = b"".join(deflate.message(BINARY, bytes(size)) for _ in range(count)) + BYE
    tracemalloc.start()
    try:
        assert await talk(data, handler=slow) == [GOODBYE]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sizes == [size] * count
    assert peak < 8 * 2**20, f"{peak / 2**20:.1f} MiB"


# --- 7.2.1 Messages of the server ---------------------------------------------------------

Send = Callable[[web.WebSocketResponse], Awaitable[None]]


async def hear(
    send: Send, offer: str | None = DEFLATE, inflate: Inflating | None = None, **options: Any
) -> tuple[list[Said], list[Frame]]:
    """What a handler sends, in short, and the frames in which it came."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(**options)
        await ws.prepare(request)
        await send(ws)
        return ws

    fields = [] if offer is None else [f"{EXTENSIONS}: {offer}"]
    async with serving(handler) as site, WSPeer.connect(site.port, *fields) as peer:
        frames: list[Frame] = []
        while not frames or frames[-1].opcode != CLOSE:
            frames.append(await peer.read_frame())
        await peer.send(BYE)
        await peer.eof()
    inflate = inflate or Inflating()
    heard = [plain(one, inflate) for one in frames]
    assert heard.pop() == GOODBYE
    return heard, frames[:-1]


def far(bits: int) -> bytes:
    """Noise that comes again further away than a window of so many bits reaches."""
    return random.Random(bits).randbytes(2**bits + 100) * 2 + LETTERS


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("how", ["offered", "wanted"])
async def test_the_window_that_was_agreed_on_is_kept(bits: int, how: str) -> None:
    """§7.1.2.1: no reference goes further back."""
    message = far(bits)

    async def send(ws: web.WebSocketResponse) -> None:
        for _ in range(3):
            await ws.send_bytes(message)
            await ws.send_str(LETTERS.decode() * 20)

    offer, options = f"{DEFLATE}; server_max_window_bits={bits}", {}
    if how == "wanted":
        offer, options = DEFLATE, {"compress": bits}
    heard, frames = await hear(send, offer, Inflating(bits), **options)
    assert heard == [(BINARY, message), (TEXT, LETTERS * 20)] * 3
    assert frames[-1].rsv == RSV1


@pytest.mark.parametrize("bits", [9, 15])
async def test_each_message_stands_alone_if_the_client_wants_that(bits: int) -> None:
    """§7.1.1.1: server_no_context_takeover."""

    async def send(ws: web.WebSocketResponse) -> None:
        for _ in range(3):
            await ws.send_str(LETTERS.decode())
            await ws.send_bytes(LETTERS * 300)
            await ws.send_bytes(LETTERS, 9)

    offer = f"{DEFLATE}; server_no_context_takeover; server_max_window_bits={bits}"
    heard, frames = await hear(send, offer, Inflating(bits, keeps_context=False))
    assert heard == [(TEXT, LETTERS), (BINARY, LETTERS * 300), (BINARY, LETTERS)] * 3
    assert all(one.rsv == RSV1 for one in frames)


async def test_otherwise_the_window_reaches_into_earlier_messages() -> None:
    """§7.1.1: which is what the window is kept for."""

    async def send(ws: web.WebSocketResponse) -> None:
        for _ in range(3):
            await ws.send_str(LETTERS.decode())

    heard, frames = await hear(send)
    assert heard == [(TEXT, LETTERS)] * 3
    assert all(one.rsv == RSV1 for one in frames)
    assert max(len(one.payload) for one in frames[1:]) < len(frames[0].payload) / 4


@pytest.mark.parametrize("size", SIZES)
async def test_messages_of_the_server_in_every_size(size: int) -> None:
    message = (LETTERS * (size // len(LETTERS) + 1))[:size]

    async def send(ws: web.WebSocketResponse) -> None:
        await ws.send_str(message.decode())
        await ws.send_bytes(message)
        await ws.send_bytes(bytearray(message))
        await ws.send_json([message.decode()])

    heard, frames = await hear(send)
    json = b'["' + message + b'"]'
    assert heard == [(TEXT, message), (BINARY, message), (BINARY, message), (TEXT, json)]
    if size >= 1000:
        assert all(one.rsv == RSV1 for one in frames)
        assert all(len(one.payload) < size for one in frames)


async def test_control_frames_are_not_compressed() -> None:
    """§6.1. ``plain`` refuses RSV1 on them."""

    async def send(ws: web.WebSocketResponse) -> None:
        await ws.send_str("a" * 100)
        await ws.ping(b"a" * 100)
        await ws.pong(b"a" * 100)
        await ws.send_frame(b"b" * 100, web.WSMsgType.PING)
        await ws.send_str("a" * 100)

    heard, _ = await hear(send)
    message = (TEXT, b"a" * 100)
    controls = [(PING, b"a" * 100), (PONG, b"a" * 100), (PING, b"b" * 100)]
    assert heard == [message, *controls, message]


@pytest.mark.parametrize("bits", [9, 10, 15])
async def test_compress_of_one_message(bits: int) -> None:
    """0 for none, or a window of its own; the messages around it are not disturbed."""
    message = far(bits)

    async def send(ws: web.WebSocketResponse) -> None:
        for compress in (None, 0, None, bits, None, 9, 9, None, bits, 0, bits, None):
            await ws.send_bytes(message, compress)
            await ws.send_str(LETTERS.decode(), compress)
            await ws.send_json(1, compress)
            await ws.send_frame(LETTERS * 2, web.WSMsgType.BINARY, compress)

    heard, frames = await hear(send, f"{DEFLATE}; server_max_window_bits={bits}", Inflating(bits))
    assert heard == [(BINARY, message), (TEXT, LETTERS), (TEXT, b"1"), (BINARY, LETTERS * 2)] * 12
    for start in (4, 36):
        assert {one.rsv for one in frames[start : start + 4]} == {0}
    assert frames[8].rsv == frames[12].rsv == RSV1


@pytest.mark.parametrize("bits", range(9, 16))
async def test_the_window_of_one_message(bits: int) -> None:
    """It refers to nothing further back than asked for, and to no earlier message."""

    async def send(ws: web.WebSocketResponse) -> None:
        await ws.send_bytes(far(bits))
        await ws.send_bytes(far(bits), bits)

    _, frames = await hear(send)
    assert frames[1].rsv == RSV1
    assert Inflating(bits)(frames[1].payload) == far(bits)


async def test_compress_without_agreement() -> None:
    """RFC 6455 §5.2: RSV1 is 0 then."""

    async def send(ws: web.WebSocketResponse) -> None:
        await ws.send_str("a" * 1000, 15)
        await ws.send_bytes(b"a" * 1000, compress=9)

    for offer in (None, "foo"):
        heard, frames = await hear(send, offer)
        assert heard == [(TEXT, b"a" * 1000), (BINARY, b"a" * 1000)]
        assert {one.rsv for one in frames} == {0}


async def test_compress_beyond_what_was_agreed_on() -> None:
    """§7.1.2.1: the client could not inflate it."""

    async def send(ws: web.WebSocketResponse) -> None:
        with pytest.raises(ValueError, match="compress"):
            await ws.send_bytes(far(9), 15)
        await ws.send_bytes(far(9), 9)

    heard, _ = await hear(send, f"{DEFLATE}; server_max_window_bits=9", Inflating(9))
    assert heard == [(BINARY, far(9))]


# --- Large messages, which are not inflated and deflated at once --------------------------

BIG = random.Random(5).randbytes(100).hex().encode() * 10_000  # 2 MB


@each_delivery
async def test_large_and_small_messages_keep_their_order(deliver: Delivery) -> None:
    deflate = Deflating()
    data = b""
    expected: list[Said] = []
    for number in range(4):
        data += deflate.message(TEXT, BIG) + deflate.message(TEXT, b"%d" % number)
        data += text("plain") + fragments(BINARY, *(lambda d: (d[:9], d[9:]))(deflate(BIG)))
        data += frame(BINARY, BIG[:100_000])
        expected += [(TEXT, BIG), (TEXT, b"%d" % number), (TEXT, b"plain"), (BINARY, BIG)]
        expected += [(BINARY, BIG[:100_000])]
    assert await talk(data + close(4000), deliver=deliver) == [*expected, (CLOSE, 4000)]


@each_delivery
async def test_pings_behind_large_messages(deliver: Delivery) -> None:
    deflate = Deflating()
    data = b"".join(deflate.message(BINARY, BIG) + frame(PING, b"%d" % n) for n in range(3))
    heard = await talk(data + BYE, deliver=deliver)
    assert [one for one in heard if one[0] == PONG] == [(PONG, b"%d" % n) for n in range(3)]
    assert [one for one in heard if one[0] != PONG] == [(BINARY, BIG)] * 3 + [GOODBYE]


@each_delivery
@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(0x3), 1002),
        (text("x", mask=None), 1002),
        (frame(TEXT, b"\x07", rsv=RSV1), 1007),
        (frame(TEXT, b"\xff"), 1007),
        (frame(BINARY, length=2**40), 1009),
        (close(1005), 1002),
    ],
    ids=["opcode", "unmasked", "corrupt", "UTF-8", "too big", "close code"],
)
async def test_faults_behind_large_messages(bad: bytes, code: int, deliver: Delivery) -> None:
    deflate = Deflating()
    data = deflate.message(BINARY, BIG) + deflate.message(TEXT, BIG) + bad
    assert await talk(data, deliver=deliver) == [(BINARY, BIG), (TEXT, BIG), (CLOSE, code)]


@pytest.mark.parametrize(
    ("message", "code"),
    [(BIG + b"\xff", 1007), (b"\xff" + BIG, 1007), (BIG * 3, 1009)],
    ids=["UTF-8 at the end", "UTF-8 at the beginning", "too big"],
)
async def test_faults_in_large_messages(message: bytes, code: int) -> None:
    data = text("a") + Deflating().message(TEXT, message) + text("late") + BYE
    assert await talk(data) == [(TEXT, b"a"), (CLOSE, code)]


async def test_corruption_deep_in_a_large_message() -> None:
    blocks = [
        b"\x00"
        + len(part).to_bytes(2, "little")
        + (len(part) ^ 0xFFFF).to_bytes(2, "little")
        + part
        for part in (BIG[at : at + 50_000] for at in range(0, len(BIG), 50_000))
    ]
    message = frame(BINARY, b"".join(blocks) + b"\x00", rsv=RSV1)
    assert await talk(message + BYE) == [(BINARY, BIG), GOODBYE]
    blocks[-5] = b"\x07" + blocks[-5][1:]
    data = text("a") + frame(BINARY, b"".join(blocks) + b"\x00", rsv=RSV1) + text("late")
    assert await talk(data) == [(TEXT, b"a"), (CLOSE, 1007)]


async def test_the_client_leaves_behind_a_large_message() -> None:
    """It came, so it is delivered."""
    witness = Witness()
    async with serving(witness.handle) as site:
        async with WSPeer.connect(site.port, f"{EXTENSIONS}: {DEFLATE}") as peer:
            deflate = Deflating()
            await peer.send(deflate.message(BINARY, BIG) + deflate.message(TEXT, b"b"))
            peer.finish()
            await witness.last()
        await site.idle()
    assert [msg.data for msg in witness.messages] == [BIG, "b", None]
    assert witness.ws.close_code == 1006


async def test_several_tasks_send() -> None:
    """Messages are compressed in the order in which they go out, large and small ones."""

    async def send(ws: web.WebSocketResponse) -> None:
        async def some(number: int) -> None:
            for turn in range(5):
                size = (10, 300_000, 2000)[(number + turn) % 3]
                await ws.send_bytes(b"%d %d " % (number, turn) + BIG[:size])

        await asyncio.gather(*(some(number) for number in range(4)))

    heard, _ = await hear(send)
    assert len(heard) == 20
    for number in range(4):
        of_one = [data for _, data in heard if isinstance(data, bytes) and data[0] == 48 + number]
        assert len(of_one) == 5
        for turn, data in enumerate(of_one):
            size = (10, 300_000, 2000)[(number + turn) % 3]
            assert data == b"%d %d " % (number, turn) + BIG[:size]


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
async def test_a_send_that_is_cancelled_spoils_nothing(turns: int) -> None:
    """Neither the frames nor the window."""

    async def send(ws: web.WebSocketResponse) -> None:
        for _ in range(3):
            await ws.send_str(LETTERS.decode())
            task = asyncio.create_task(ws.send_bytes(BIG))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await ws.send_str(LETTERS.decode())

    heard, _ = await hear(send)
    assert [one for one in heard if one[0] == TEXT] == [(TEXT, LETTERS)] * 6
    assert all(data == BIG for kind, data in heard if kind == BINARY)


# --- All of it ----------------------------------------------------------------------------


def random_conversation(seed: int) -> tuple[bytes, list[Said], list[Said]]:
    """The bytes of a legal client, what it expects to hear, and the pongs among that."""
    dice = random.Random(seed)
    deflate = Deflating(dice.choice([9, 12, 15]), keeps_context=dice.random() < 0.5)
    data = b""
    messages: list[Said] = []
    pongs: list[Said] = []

    def ping() -> bytes:
        if dice.random() < 0.7:
            return b""
        pongs.append((PONG, dice.randbytes(dice.randrange(126))))
        payload = pongs[-1][1]
        assert isinstance(payload, bytes)
        return frame(PING, payload, mask=dice.randbytes(4))

    for _ in range(dice.randrange(5, 30)):
        opcode = dice.choice([TEXT, BINARY])
        size = int(2 ** dice.uniform(0, 17))
        message = (LETTERS if dice.random() < 0.7 else dice.randbytes(20).hex().encode()) * 500
        message = message[:size]
        messages.append((opcode, message))
        compressed = dice.random() < 0.7
        payload = deflate(message) if compressed else message
        cuts = sorted(dice.randrange(len(payload) + 1) for _ in range(dice.choice([0, 0, 1, 2, 9])))
        edges = [0, *cuts, len(payload)]
        for number, (start, end) in enumerate(zip(edges, edges[1:], strict=False)):
            data += frame(
                CONTINUATION if number else opcode,
                payload[start:end],
                fin=number == len(cuts),
                rsv=RSV1 if compressed and not number else 0,
                mask=dice.randbytes(4),
            )
            data += ping()
    return data + BYE, [*messages, GOODBYE], pongs


@pytest.mark.parametrize("deliver", [glued, whole, bytewise])
@pytest.mark.parametrize("seed", range(20))
async def test_random_conversations(seed: int, deliver: Delivery) -> None:
    data, messages, pongs = random_conversation(seed)
    heard = await talk(data, deliver=deliver)
    assert [one for one in heard if one[0] != PONG] == messages
    assert [one for one in heard if one[0] == PONG] == pongs


@pytest.mark.parametrize("seed", range(20, 30))
async def test_random_conversations_in_random_segments(seed: int) -> None:
    data, messages, pongs = random_conversation(seed)
    dice = random.Random(seed)
    compression = f"{EXTENSIONS}: {DEFLATE}"
    async with serving(echoing()) as site, WSPeer.connect(site.port, compression) as peer:
        reading = asyncio.ensure_future(read_frames(peer))
        at = 0
        while at < len(data):
            size = int(2 ** dice.uniform(0, 16))
            await peer.send(data[at : at + size])
            await asyncio.sleep(0)
            at += size
        inflate = Inflating()
        heard = [plain(one, inflate) for one in await reading]
    assert [one for one in heard if one[0] != PONG] == messages
    assert [one for one in heard if one[0] == PONG] == pongs
