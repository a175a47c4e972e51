"""request.multipart(): parts as they come, over real sockets; nothing is read ahead of who reads."""

import asyncio
import os
import string
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDictProxy

import lowlevel as web
from lowlevel import multipart as multipart_module
from lowlevel.multipart import WholeBody
from tests.formdata import (
    BOUNDARY,
    FORM_DATA,
    MIXED,
    AllThere,
    Fed,
    answered,
    bytewise,
    disposition,
    every_split,
    field,
    multipart,
    others_turns,
    part,
    sending,
    sending_chunks,
)
from tests.support import Answer, Peer, request, serving, until, within

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

Look = Callable[[web.MultipartReader], Awaitable[Any]]


async def read(data: bytes, look: Look, **options: Any) -> Any:
    """Send a request; return what ``look(reader)`` gave."""
    found: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        found.append(await look(await request.multipart()))
        return web.Response()

    answer = await answered(handler, data, **options)
    assert answer.status == 200, (answer.head, answer.body)
    return found[0]


async def read_part(part: bytes, look: Callable[[web.BodyPartReader], Awaitable[Any]]) -> Any:
    """The same for a body of one part, which must be the only one."""

    async def look_at_it(reader: web.MultipartReader) -> Any:
        found = await look(await body_part(reader))
        assert await reader.next() is None
        return found

    return await read(sending(multipart(part), MIXED), look_at_it)


async def body_part(reader: web.MultipartReader) -> web.BodyPartReader:
    """The next part, which must be a plain one."""
    part = await reader.next()
    assert isinstance(part, web.BodyPartReader)
    return part


# --- The reader ---------------------------------------------------------------------------


async def test_parts_in_order() -> None:
    async def look(reader: web.MultipartReader) -> None:
        assert isinstance(reader, web.MultipartReader)
        assert reader.headers["content-type"] == FORM_DATA
        assert not reader.at_eof()
        first = await body_part(reader)
        assert isinstance(first.headers, CIMultiDictProxy)
        assert first.headers["content-disposition"] == disposition("a").partition(": ")[2]
        assert (first.name, first.filename) == ("a", None)
        assert await first.read() == b"1"
        second = await body_part(reader)
        assert (second.name, second.filename) == ("f", "../a \u20ac.txt")
        assert second.headers.getall("X") == ["1", "2"]
        assert await second.read() == b"\r\n"
        third = await body_part(reader)
        assert (third.name, third.filename) == (None, None)
        assert not third.headers
        assert await third.read() == b""
        assert not reader.at_eof()
        assert await reader.next() is None
        assert reader.at_eof()
        assert await reader.next() is None

    body = multipart(
        field("a", b"1"), field("f", b"\r\n", "X: 1", "x: 2", filename="../a \u20ac.txt"), part(b"")
    )
    await read(sending(body), look)
    await read(sending_chunks(body[:50], body[50:51], body[51:]), look)


async def test_iteration() -> None:
    async def look(reader: web.MultipartReader) -> list[bytes]:
        return [await part.read() async for part in reader]  # type: ignore[union-attr]

    body = multipart(part(b"1"), part(b"2"), part(b"3"))
    assert await read(sending(body, MIXED), look) == [b"1", b"2", b"3"]


async def test_what_is_left_of_a_part_is_dropped() -> None:
    async def look(reader: web.MultipartReader) -> None:
        first = await body_part(reader)
        assert await first.read_chunk(10) == b"x" * 10
        second = await body_part(reader)
        assert first.at_eof()
        assert await first.read() == b""
        assert await second.read_chunk(1) == b"y"
        assert await reader.next() is None
        assert await second.readline() == b""

    await read(sending(multipart(part(b"x" * 300_000), part(b"yz")), MIXED), look)


async def test_release() -> None:
    async def look(reader: web.MultipartReader) -> None:
        await reader.next()
        await reader.release()
        assert reader.at_eof()
        assert await reader.next() is None

    body = multipart(part(b"x" * 300_000), part(b"yz"), epilogue=b"e" * 100_000)
    await read(sending(body, MIXED), look)


async def test_the_connection_goes_on() -> None:
    """Whatever was read of the body."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        reader = await request.multipart()
        if request.path == "/half":
            await body_part(reader)
        elif request.path == "/whole":
            await reader.release()
            assert not request.can_read_body
        return web.Response(text=request.path)

    body = multipart(part(b"x" * 1000), part(b"y"), epilogue=b"epilogue")
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for path in ("/whole", "/half", "/none", "/whole"):
            answer = await peer.ask(request("POST", path, f"Content-Type: {MIXED}", body=body))
            assert answer.body.decode() == path


@pytest.mark.parametrize("subtype", ["mixed", "form-data", "related", "byteranges", "x-own"])
async def test_every_multipart(subtype: str) -> None:
    async def look(reader: web.MultipartReader) -> bytes:
        return await (await body_part(reader)).read()

    data = sending(multipart(part(b"1")), f"Multipart/{subtype}; boundary={BOUNDARY}")
    assert await read(data, look) == b"1"


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/mixed", "multipart", None],
)
async def test_what_is_not_multipart(kind: str | None) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        with pytest.raises(web.RequestDecodeError):
            await request.multipart()
        await request.multipart()
        return web.Response()

    assert (await answered(handler, sending(multipart(part(b"1")), kind))).status == 400


async def test_multipart_after_read() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        reader = await request.multipart()
        return web.Response(body=await (await body_part(reader)).read())

    answer = await answered(handler, sending(multipart(part(b"1")), MIXED))
    assert (answer.status, answer.body) == (200, b"1")


async def test_multipart_after_streaming_is_a_mistake() -> None:
    """As with read() and post(): the handler's, and not the client's."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/post":
            await request.post()
        else:
            await request.content.readexactly(3)
        with pytest.raises(RuntimeError, match="stream"):
            await request.multipart()
        return web.Response(text="told")

    for path in ("/post", "/content"):
        head = f"Content-Type: {FORM_DATA}"
        data = request("POST", path, head, body=multipart(field("a", b"1")))
        assert (await answered(handler, data)).body == b"told"


# --- A part -------------------------------------------------------------------------------


async def test_read() -> None:
    async def look(part: web.BodyPartReader) -> None:
        assert not part.at_eof()
        assert await part.read() == b"content"
        assert part.at_eof()
        assert await part.read() == b""
        assert await part.next() is None
        assert await part.read_chunk() == b""

    await read_part(part(b"content"), look)


async def test_read_chunk() -> None:
    content = os.urandom(100_000)

    async def look(part: web.BodyPartReader) -> bytes:
        pieces = []
        while piece := await part.read_chunk():
            assert len(piece) <= 8192
            pieces.append(piece)
        assert part.at_eof()
        return b"".join(pieces)

    assert await read_part(part(content), look) == content

    async def look_closer(part: web.BodyPartReader) -> bytes:
        pieces = [await part.read_chunk(3) for _ in range(10)]
        assert {len(piece) for piece in pieces} == {3}
        assert await part.read_chunk(size=1) == content[30:31]
        assert await part.readany() != b""
        return b"".join(pieces)

    assert await read_part(part(content), look_closer) == content[:30]


async def test_iterating_over_a_part() -> None:
    content = os.urandom(300_000)

    async def look(part: web.BodyPartReader) -> bytes:
        return b"".join([piece async for piece in part])

    assert await read_part(part(content), look) == content


@pytest.mark.parametrize(
    "lines",
    [
        [b"one\r\n", b"two\n", b"\r\n", b"\n", b"last"],
        [b"one\r\n", b"\r\n"],
        [b"--AaB03\r\n", b"--AaB03"],
        [b"\r\r\n", b"-"],
        [],
        [b"x" * 100_000 + b"\n", b"y" * 100_000],
    ],
)
async def test_readline(lines: list[bytes]) -> None:
    async def look(part: web.BodyPartReader) -> list[bytes]:
        found = []
        while line := await part.readline():
            found.append(line)
        assert part.at_eof()
        return found

    assert await read_part(part(b"".join(lines)), look) == lines


@pytest.mark.parametrize(
    ("body", "kind", "encoding", "text"),
    [
        (b"h\xc3\xa9", "text/plain", None, "h\xe9"),
        (b"h\xe9", "text/plain; charset=latin-1", None, "h\xe9"),
        (b"h\xe9", "text/plain; charset=utf-8", "latin-1", "h\xe9"),
        (b"h\xc3\xa9", "image/png", None, "h\xe9"),
        (b"", "text/plain", None, ""),
    ],
)
async def test_text(body: bytes, kind: str, encoding: str | None, text: str) -> None:
    async def look(part: web.BodyPartReader) -> str:
        return await part.text(encoding=encoding)

    assert await read_part(part(body, f"Content-Type: {kind}"), look) == text


async def test_json() -> None:
    async def look(part: web.BodyPartReader) -> Any:
        return await part.json()

    async def look_latin(part: web.BodyPartReader) -> Any:
        return await part.json(encoding="latin-1")

    assert await read_part(part(b'{"a": [1]}'), look) == {"a": [1]}
    assert await read_part(part(b'"\xe9"'), look_latin) == "\xe9"
    assert await read_part(part(b""), look) is None


async def test_form() -> None:
    async def look(part: web.BodyPartReader) -> Any:
        return await part.form()

    async def look_latin(part: web.BodyPartReader) -> Any:
        return await part.form(encoding="latin-1")

    assert await read_part(part(b"a=1&b=&a=%C3%A9+%3d"), look) == [
        ("a", "1"),
        ("b", ""),
        ("a", "\xe9 ="),
    ]
    assert await read_part(part(b""), look) == []
    assert await read_part(part(b"a=%e9&b=\xe9"), look_latin) == [("a", "\xe9"), ("b", "\xe9")]
    latin = part(b"a=%e9", "Content-Type: text/plain; charset=latin-1")
    assert await read_part(latin, look) == [("a", "\xe9")]


@pytest.mark.parametrize(
    ("call", "body", "kind"),
    [
        ("text", b"\xff", "text/plain"),
        ("text", b"x", "text/plain; charset=unheard-of"),
        ("text", b"x", "text/plain; charset=base64"),
        ("json", b"{", "application/json"),
        ("json", b"\xff", "application/json"),
        ("json", b"[" * 100_000, "application/json"),
        ("form", b"a=\xff", "x/y"),
    ],
)
async def test_a_part_that_is_not_what_it_says(call: str, body: bytes, kind: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        part = await body_part(await request.multipart())
        with pytest.raises(ValueError):
            await getattr(part, call)()
        raise web.HTTPConflict()

    async def plain(request: web.BaseRequest) -> web.StreamResponse:
        await getattr(await body_part(await request.multipart()), call)()
        return web.Response()

    data = sending(multipart(part(body, f"Content-Type: {kind}")), MIXED)
    assert (await answered(handler, data)).status == 409
    assert (await answered(plain, data)).status == 400


async def test_decode() -> None:
    encoded = "Content-Transfer-Encoding: base64"

    async def look(part: web.BodyPartReader) -> None:
        raw = await part.read()
        assert raw == b"4o\r\nKs"
        assert part.decode(raw) == "\u20ac".encode()
        assert [piece async for piece in part.decode_iter(raw)] == ["\u20ac".encode()]

    async def decoding(part: web.BodyPartReader) -> Any:
        return await part.read(decode=True)

    async def text(part: web.BodyPartReader) -> Any:
        return await part.text()

    await read_part(part(b"4o\r\nKs", encoded), look)
    assert await read_part(part(b"4o\r\nKs", encoded), decoding) == "\u20ac".encode()
    assert await read_part(part(b"4o\r\nKs", encoded), text) == "\u20ac"
    assert await read_part(part(b"4oKs"), decoding) == b"4oKs"
    quoted = "Content-Transfer-Encoding: Quoted-Printable"
    assert await read_part(part(b"=E2=82=\r\n=AC", quoted), text) == "\u20ac"


async def test_charset_and_type() -> None:
    async def look(part: web.BodyPartReader) -> str:
        return part.get_charset("none")

    assert await read_part(part(b""), look) == "none"
    latin = part(b"", 'Content-Type: text/plain; x=y; Charset="latin-1"')
    assert await read_part(latin, look) == "latin-1"


async def test_a_part_over_client_max_size() -> None:
    """What is streamed has no limit; what is collected has."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async for one in await request.multipart():
            assert isinstance(one, web.BodyPartReader)
            if request.path == "/stream":
                assert sum([len(piece) async for piece in one]) == int(one.name or "")
            else:
                assert len(await getattr(one, request.path[1:])()) == int(one.name or "")
        return web.Response()

    ok = multipart(*[field("100", b"x" * 100)] * 5)
    over = multipart(field("100", b"x" * 100), field("101", b"x" * 101))
    async with serving(handler, client_max_size=100) as site:
        for body, collected in ((ok, 200), (over, 413)):
            for path, status in (
                ("/stream", 200),
                ("/read", collected),
                ("/text", collected),
                ("/next", collected),
            ):
                async with Peer.connect(site.port) as peer:
                    head = f"Content-Type: {FORM_DATA}"
                    answer = await peer.ask(request("POST", path, head, body=body))
                    assert answer.status == status, (path, answer.body)
                    if status == 413:
                        assert answer.body.startswith(b"Maximum request body size 100 exceeded")


async def form_of_a_part(data: bytes, limit: int) -> Answer:
    """Send a request whose first part, or the first of that, is a form of up to ``limit`` fields."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        found: Any = await (await request.clone(client_max_fields=limit).multipart()).next()
        if isinstance(found, web.MultipartReader):
            found = await found.next()
        return web.Response(text=str(len(await found.form())))

    return await answered(handler, data)


@pytest.mark.parametrize(
    ("form", "limit", "count"),
    [
        (b"a=1&b=2&c=3", 3, 3),
        (b"a=1&b=2&c=3", 2, None),
        (b"&&", 3, 0),
        (b"&&", 2, None),
        (b"&" * 100_000, 1000, None),
        (b"a&" * 2000, 0, 2000),
    ],
)
async def test_a_form_in_a_part_with_too_many_fields(
    form: bytes, limit: int, count: int | None
) -> None:
    """It may have as many as a form of its own; empty ones are work, too."""
    inner = multipart(part(form), boundary="inner")
    nested = multipart(part(inner, "Content-Type: multipart/mixed; boundary=inner"))
    for body in (multipart(part(form)), nested):
        answer = await form_of_a_part(sending(body, MIXED), limit)
        if count is None:
            assert answer.status == 413
            assert answer.body == b"Maximum number of form fields %d exceeded." % limit
        else:
            assert (answer.status, answer.body) == (200, b"%d" % count)


@pytest.mark.parametrize("size", [0, -1, -8192])
async def test_a_chunk_of_no_size(size: int) -> None:
    """It would look like the end of the part."""

    async def look(part: web.BodyPartReader) -> None:
        assert await part.read_chunk(3) == b"con"
        with pytest.raises(ValueError, match="size"):
            await part.read_chunk(size)
        assert await part.read() == b"tent"

    await read_part(part(b"content"), look)


@pytest.mark.parametrize("cut", [1, 10, 30])
async def test_an_error_stays(cut: int) -> None:
    """What was cut must not look like an end to who asks again."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        reader = await request.multipart()
        one = await body_part(reader)
        for _ in range(3):
            with pytest.raises(web.RequestDecodeError):
                await one.read()
            with pytest.raises(web.RequestDecodeError):
                await reader.next()
        assert not one.at_eof()
        assert not reader.at_eof()
        return web.Response(text="told")

    body = multipart(part(b"content" * 10), epilogue=b"")[:-cut]
    assert (await answered(handler, sending(body, MIXED))).body == b"told"


# --- Nested -------------------------------------------------------------------------------


def nested(*parts: bytes, epilogue: bytes = b"\r\n") -> bytes:
    """A body with another one between two parts."""
    inner = multipart(*parts, boundary="Inner", preamble=b"preamble\r\n", epilogue=epilogue)
    kind = "Content-Type: multipart/mixed; boundary=Inner"
    return multipart(part(b"before"), part(inner, kind, "X: y"), part(b"after"))


async def test_nested() -> None:
    contents = [b"i1", b"i2\r\n--Inne", b""]

    async def look(reader: web.MultipartReader) -> None:
        assert await (await body_part(reader)).read() == b"before"
        inner = await reader.next()
        assert isinstance(inner, web.MultipartReader)
        assert inner.headers["x"] == "y"
        assert [await (await body_part(inner)).read() for _ in contents] == contents
        assert await inner.next() is None
        assert inner.at_eof()
        assert not reader.at_eof()
        assert await (await body_part(reader)).read() == b"after"
        assert await reader.next() is None
        assert reader.at_eof()

    body = nested(*map(part, contents))
    await read(sending(body, MIXED), look)
    await read(sending(nested(*map(part, contents), epilogue=b""), MIXED), look)
    await read(sending(nested(*map(part, contents), epilogue=b"\r\nmore"), MIXED), look)


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_what_is_left_of_a_nested_body_is_dropped(taken: int) -> None:
    async def look(reader: web.MultipartReader) -> None:
        await reader.next()
        inner = await reader.next()
        assert isinstance(inner, web.MultipartReader)
        for _ in range(taken):
            assert await (await body_part(inner)).read_chunk(1) == b"i"
        assert await (await body_part(reader)).read() == b"after"
        assert await reader.next() is None

    await read(sending(nested(part(b"i" * 100_000), part(b"i2")), MIXED), look)


async def test_a_nested_body_that_is_cut() -> None:
    """The one around it is whole, and stays readable."""
    inner = multipart(part(b"i1"), boundary="Inner")[:-6]
    kind = "Content-Type: multipart/mixed; boundary=Inner"
    body = multipart(part(inner, kind), part(b"after"))

    async def look(reader: web.MultipartReader) -> None:
        cut = await reader.next()
        assert isinstance(cut, web.MultipartReader)
        with pytest.raises(web.RequestDecodeError):
            await cut.release()
        assert await (await body_part(reader)).read() == b"after"
        assert await reader.next() is None

    await read(sending(body, MIXED), look)


@pytest.mark.parametrize("kind", ["multipart/mixed", "multipart/mixed; boundary="])
async def test_a_nested_body_without_a_boundary(kind: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        reader = await request.multipart()
        with pytest.raises(web.RequestDecodeError):
            await reader.next()
        return web.Response(text="told")

    body = multipart(part(b"x", f"Content-Type: {kind}"))
    assert (await answered(handler, sending(body, MIXED))).body == b"told"


def in_one_another(depth: int) -> bytes:
    """A request with so many multipart bodies in one another, and text in the innermost."""
    body = b"x"
    for level in range(depth):
        head = [] if not level else [f"Content-Type: multipart/mixed; boundary=b{level}"]
        body = multipart(part(body, *head), boundary=f"b{level + 1}")
    return sending(body, f"multipart/mixed; boundary=b{depth}")


@pytest.mark.parametrize("depth", [1, 2, 16])
async def test_nested_deep(depth: int) -> None:
    async def look(reader: web.MultipartReader) -> Any:
        level = 1
        found: Any = await reader.next()
        while isinstance(found, web.MultipartReader):
            level += 1
            found = await found.next()
        assert level == depth
        content = await found.read()
        await reader.release()
        return content

    assert await read(in_one_another(depth), look) == b"x"


@pytest.mark.parametrize("depth", [17, 400])
async def test_nested_too_deep(depth: int) -> None:
    """Each byte goes through all levels: a client must not choose how many there are."""
    errors: list[BaseException] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        found: Any = await request.multipart()
        try:
            for _ in range(15):
                found = await found.next()
                assert isinstance(found, web.MultipartReader)
            await found.next()
        except BaseException as exc:
            errors.append(exc)
            raise
        return web.Response()

    answer = await answered(handler, in_one_another(depth))
    assert answer.status == 400
    assert answer.body == b"Multipart bodies are nested deeper than 16"
    assert [type(error) for error in errors] == [web.RequestDecodeError]


# --- Whatever comes, others have their turn -----------------------------------------------


@pytest.mark.parametrize("call", ["post", "multipart", "data"])
async def test_a_large_body_that_was_read_before(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is handed out in portions: to cut the whole for each of them would take minutes for a large one."""
    handed: list[int] = []
    readany = WholeBody.readany

    async def recorded(body: WholeBody) -> bytes:
        data = await readany(body)
        handed.append(len(data))
        return data

    monkeypatch.setattr(multipart_module.WholeBody, "readany", recorded)
    size = 4 * 2**20
    taken: list[int] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        async with others_turns() as count:
            if call == "multipart":
                await (await request.multipart()).release()
            else:
                await getattr(request, call)()
            taken.append(count[0])
        return web.Response()

    body = multipart(field("f", b"x" * size, filename="f"))
    assert (await answered(handler, sending(body), client_max_size=0)).status == 200
    assert sum(handed) == len(body)
    assert max(handed) <= 65536
    assert taken[0] >= size // 65536


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize(
    "unit",
    [
        b"--AaB03x\r\n\r\n\r\n",
        b"--AaB03x\r\n\r\nx\r\n",
        b"--AaB03x\r\n" + b"a:\r\n" * 120 + b"\r\n\r\n",
        b"--AaB03x\r\n" + b"header:0123456789\r\n" * 120 + b"\r\n\r\n",
    ],
    ids=["no content", "a byte of content", "tiny fields", "small fields"],
)
async def test_tiny_things_in_a_body_that_is_all_there(unit: bytes) -> None:
    """Nobody waits for anything, but there is much to do: not all of it in one turn of the loop."""
    count = 2**19 // len(unit)
    body = unit * count + b"--AaB03x--\r\n"
    reader = web.MultipartReader({"Content-Type": MIXED}, AllThere(body))
    async with others_turns() as turns:
        found = 0
        async for one in reader:
            assert isinstance(one, web.BodyPartReader)
            found += 1
    assert found == count
    assert turns[0] >= len(body) // 8192


# --- Streaming ----------------------------------------------------------------------------


async def test_a_part_is_handed_out_before_the_next_was_sent() -> None:
    """And its bytes before the part has ended."""
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        reader = await request.multipart()
        async for one in reader:
            assert isinstance(one, web.BodyPartReader)
            await got.put(b"<" + (one.name or "").encode())
            async for piece in one:
                await got.put(piece)
            await got.put(b">")
        return web.Response(text="done")

    body = multipart(field("a", b"one" + b"." * 40), field("b", b"two"))
    first, second = body.index(b"one") + 3, body.index(b'"b"')
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        head = [f"Content-Type: {FORM_DATA}", f"Content-Length: {len(body)}"]
        await peer.send(request("POST", "/", *head) + body[:first])
        assert await within(got.get()) == b"<a"
        assert await within(got.get()) == b"one"
        await peer.send(body[first:second])
        assert await within(got.get()) == b"." * 40
        assert await within(got.get()) == b">"
        await peer.send(body[second:])
        assert await within(got.get()) == b"<b"
        assert (await peer.answer()).body == b"done"


async def test_a_handler_that_does_not_read_stops_the_client() -> None:
    """64 MiB for a handler that took one byte: the server holds little of it."""
    look_now = asyncio.Event()
    held: list[int] = []
    size = 64 * 2**20

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        part = await body_part(await request.multipart())
        assert await part.read_chunk(1) == b"x"
        await look_now.wait()
        held.append(request.content.total_bytes)
        total = 1
        while piece := await part.read_chunk(65536):
            total += len(piece)
        return web.Response(text=str(total))

    body = multipart(field("f", b"", filename="a"))
    cut = body.index(b"\r\n\r\n") + 4
    async with serving(handler, read_bufsize=2**16) as site, Peer.connect(site.port) as peer:
        length = f"Content-Length: {len(body) + size}"
        await peer.send(request("POST", "/", f"Content-Type: {FORM_DATA}", length) + body[:cut])

        async def upload() -> None:
            for _ in range(64):
                peer.writer.write(b"x" * 2**20)
                await peer.writer.drain()
            peer.writer.write(body[cut:])

        uploading = asyncio.ensure_future(upload())
        connections = site.server.connections
        await until(lambda: connections and connections[0]._pauses, "the client to be stopped")
        look_now.set()
        await within(uploading)
        assert (await peer.answer()).body == str(size).encode()
    assert held[0] < 2 * 2**16 + 2**20


@pytest.mark.parametrize(
    ("call", "rest"),
    [
        ("read", b"two\nthree"),
        ("next", b"two\nthree"),
        ("text", b"two\nthree"),
        ("readline", b"two\nthree"),
        ("release", b""),
    ],
)
async def test_a_cancelled_read_loses_nothing(call: str, rest: bytes) -> None:
    body = multipart(field("a", b"one\ntwo\nthree"), field("b", b"2"))
    cut = body.index(b"two") + 2
    cancelled = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        reader = await request.multipart()
        one = await body_part(reader)
        assert await one.readline() == b"one\n"
        task = asyncio.ensure_future(getattr(one, call)())
        # What has come is taken; then it waits.
        while not request.content._waiter:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled.set()
        found = await one.read()
        assert (found if rest else b"") == rest
        return web.Response(body=await (await body_part(reader)).read())

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        head = [f"Content-Type: {FORM_DATA}", f"Content-Length: {len(body)}"]
        await peer.send(request("POST", "/", *head) + body[:cut])
        await within(cancelled.wait())
        await peer.send(body[cut:])
        assert (await peer.answer()).body == b"2"


async def test_a_client_that_leaves() -> None:
    ended: asyncio.Queue[type[BaseException]] = asyncio.Queue()
    begun = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        try:
            part = await body_part(await request.multipart())
            begun.set()
            await part.read()
        except BaseException as exc:
            ended.put_nowait(type(exc))
            raise
        return web.Response()

    body = multipart(field("a", b"content"))
    async with serving(handler) as site:
        for reset in (False, True):
            begun.clear()
            async with Peer.connect(site.port) as peer:
                head = [f"Content-Type: {FORM_DATA}", f"Content-Length: {len(body)}"]
                await peer.send(request("POST", "/", *head) + body[:-20])
                await within(begun.wait())
                if reset:
                    peer.reset()
                else:
                    peer.finish()
                assert issubclass(await within(ended.get()), ConnectionResetError)
        await site.idle()


async def test_the_head_of_a_part_asks_for_the_body() -> None:
    """Expect: 100-continue is answered when multipart() begins to read."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        reader = await request.multipart()
        return web.Response(body=await (await body_part(reader)).read())

    body = multipart(part(b"1"))
    head = [f"Content-Type: {MIXED}", f"Content-Length: {len(body)}", "Expect: 100-continue"]
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", *head))
        assert (await peer.answer()).status == 100
        await peer.send(body)
        assert (await peer.answer()).body == b"1"


async def test_aiohttp_s_writer() -> None:
    """What aiohttp writes, this reads: parts of all kinds, nested."""
    with aiohttp.MultipartWriter("mixed") as writer:
        writer.append("text \u20ac")
        writer.append_json({"a": 1})
        writer.append_form([("a", "1"), ("b", "\xe9")])
        with aiohttp.MultipartWriter("related") as inner:
            inner.append(b"\0\xff\r\n")
            writer.append(inner)
        writer.append(b"encode me \xff" * 1000, {"Content-Transfer-Encoding": "base64"})  # type: ignore[arg-type]

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        reader = await request.multipart()
        assert await (await body_part(reader)).text() == "text \u20ac"
        assert await (await body_part(reader)).json() == {"a": 1}
        assert await (await body_part(reader)).form() == [("a", "1"), ("b", "\xe9")]
        inner = await reader.next()
        assert isinstance(inner, web.MultipartReader)
        assert await (await body_part(inner)).read() == b"\0\xff\r\n"
        assert await inner.next() is None
        assert await (await body_part(reader)).read(decode=True) == b"encode me \xff" * 1000
        assert await reader.next() is None
        return web.Response(text="read")

    async with serving(handler) as site, aiohttp.ClientSession() as session:
        response = await session.post(site.url(), data=writer)
        assert (response.status, await response.text()) == (200, "read")


# --- Every part, however it comes ---------------------------------------------------------

octets = st.one_of(
    st.binary(max_size=200),
    # What looks like a boundary, or a part of one.
    st.lists(
        st.sampled_from(
            [
                b"\r",
                b"\n",
                b"\r\n",
                b"-",
                b"--",
                b"--AaB03",
                b"\r\n--AaB03",
                b"AaB03x",
                b"x",
                b"\r\n--",
            ]
        ),
        max_size=12,
    ).map(b"".join),
).filter(lambda data: b"\r\n--AaB03x" not in b"\r\n" + data)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=20)
kinds = st.sampled_from(["text/plain", "image/png", "application/json", None])


class Sent:
    """A part as it was sent."""

    def __init__(self, name: str, filename: str | None, kind: str | None, body: bytes) -> None:
        self.name, self.filename, self.kind, self.body = name, filename, kind, body

    def __repr__(self) -> str:
        return f"Sent({self.name!r}, {self.filename!r}, {self.kind!r}, {self.body!r})"

    def encoded(self) -> bytes:
        fields = [] if self.kind is None else [f"Content-Type: {self.kind}"]
        return field(self.name, self.body, *fields, filename=self.filename)

    def told(self) -> tuple[str, str | None, bytes]:
        return self.name, self.filename, self.body


parts_sent = st.lists(st.builds(Sent, names, st.none() | names, kinds, octets), max_size=5)
cuts = st.lists(st.floats(0, 1), max_size=8)


def cut_at(data: bytes, places: list[float]) -> list[bytes]:
    """Cut bytes at these fractions of their length."""
    ends = sorted({int(place * len(data)) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]


async def parts_of(kind: str, pieces: list[bytes]) -> list[tuple[str | None, str | None, bytes]]:
    async with Fed(kind, pieces) as request:
        reader = await request.multipart()
        found = []
        async for part in reader:
            assert isinstance(part, web.BodyPartReader)
            found.append((part.name, part.filename, await part.read()))
    assert reader.at_eof()
    return found


@given(parts_sent, cuts)
def test_parts_come_back(sent: list[Sent], places: list[float]) -> None:
    body = multipart(*[one.encoded() for one in sent])
    found = asyncio.run(parts_of(FORM_DATA, cut_at(body, places)))
    assert found == [one.told() for one in sent]


@given(st.lists(octets, min_size=1, max_size=3), cuts)
def test_lines_and_chunks_come_back(bodies: list[bytes], places: list[float]) -> None:
    """Every way of reading a part gives the same bytes."""

    async def collect() -> None:
        for how in ("readline", "read_chunk", "readany"):
            async with Fed(MIXED, cut_at(multipart(*map(part, bodies)), places)) as request:
                async for one in await request.multipart():
                    assert isinstance(one, web.BodyPartReader)
                    pieces = []
                    while piece := await getattr(one, how)():
                        pieces.append(piece)
                        if how == "readline":
                            assert b"\n" not in piece[:-1]
                    found.append(b"".join(pieces))

    found: list[bytes] = []
    asyncio.run(collect())
    assert found == bodies * 3


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [
                    b"--AaB03x",
                    b"--",
                    b"\r\n",
                    b"\r",
                    b"\n",
                    b" ",
                    b":",
                    b"a",
                    b"Content-Type: a",
                    b"\0\xff",
                ]
            ),
            max_size=30,
        ).map(b"".join),
    ),
    cuts,
)
@settings(max_examples=200)
def test_garbage_is_a_decode_error_or_a_body(data: bytes, places: list[float]) -> None:
    async def outcome(pieces: list[bytes]) -> Any:
        try:
            return await parts_of(MIXED, pieces)
        except web.RequestDecodeError:
            return "refused"

    whole = asyncio.run(outcome([data] if data else []))
    assert asyncio.run(outcome(cut_at(data, places))) == whole


# Whatever a browser's user calls a file: printable, with everything that needs an escape.
tricky = st.text(string.ascii_letters + "\"\\;=%' \t\xe4\u20ac/", max_size=12)


@given(tricky, tricky)
def test_tricky_names(name: str, filename: str) -> None:
    body = multipart(field(name, b"x", filename=filename))
    assert asyncio.run(parts_of(FORM_DATA, [body])) == [(name, filename, b"x")]


def test_split_at_every_byte() -> None:
    body = multipart(
        field("a", b"1\r\n--AaB03\r\n"), field("f", b"\r\n", "X: y", filename="\xe4"), part(b""),
        preamble=b"pre\r\n--AaB03\r\n", epilogue=b"\r\n--AaB03x\r\n",
    )  # fmt: skip

    async def collect() -> None:
        whole = await parts_of(FORM_DATA, [body])
        assert whole == [
            ("a", None, b"1\r\n--AaB03\r\n"),
            ("f", "\xe4", b"\r\n"),
            (None, None, b""),
        ]
        assert await parts_of(FORM_DATA, bytewise(body)) == whole
        for halves in every_split(body):
            assert await parts_of(FORM_DATA, list(halves)) == whole

    asyncio.run(collect())
