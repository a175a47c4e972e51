"""Forms: request.post() and request.data(), over real sockets, from real clients and from raw bytes."""

import asyncio
import dataclasses
import io
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDictProxy, MultiDictProxy

import lowlevel as web
from tests.formdata import (
    BOUNDARY,
    FORM_DATA,
    URLENCODED,
    File,
    Forms,
    answered,
    content,
    field,
    multipart,
    open_under,
    part,
    posted,
    refused_form,
    sending,
    sending_chunks,
)
from tests.support import DEADLINE, Peer, request, serving, until, within

MIB = 2**20


async def looked_at(data: bytes, look: Callable[[web.BaseRequest], Awaitable[Any]]) -> Any:
    """Send a request; return what ``look(request)`` gave."""
    found: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        found.append(await look(request))
        return web.Response()

    answer = await answered(handler, data)
    assert answer.status == 200, (answer.head, answer.body)
    return found[0]


# --- Urlencoded ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "entries"),
    [
        (b"a=1&b=2", [("a", "1"), ("b", "2")]),
        (b"a=1&a=2&b=&a=3", [("a", "1"), ("a", "2"), ("b", ""), ("a", "3")]),
        (b"a+b=c+d%20e%2B", [("a b", "c d e+")]),
        (b"a&b=", [("a", ""), ("b", "")]),
        (b"=v", [("", "v")]),
        (b"a==b=", [("a", "=b=")]),
        (b"&&a=1&&b=2&", [("a", "1"), ("b", "2")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"a=%zz%4&b=%", [("a", "%zz%4"), ("b", "%")]),
        (b"n%C3%A4me=%e2%82%ac", [("n\xe4me", "\u20ac")]),
        (b"n\xc3\xa4me=\xe2\x82\xac", [("n\xe4me", "\u20ac")]),
        (b"a=%ff", [("a", "\ufffd")]),
        (b"a=%0d%0A%00", [("a", "\r\n\0")]),
        (b"a=1\r\nb=2", [("a", "1\r\nb=2")]),
    ],
)
@pytest.mark.parametrize("chunks", [False, True])
async def test_urlencoded(body: bytes, entries: list[tuple[str, str]], chunks: bool) -> None:
    pieces = body[:1], body[1:2], body[2:]
    whole = sending(body, URLENCODED)
    assert await posted(sending_chunks(*pieces, kind=URLENCODED) if chunks else whole) == entries


@pytest.mark.parametrize(
    "kind",
    [
        URLENCODED,
        URLENCODED.title(),
        f"{URLENCODED}; charset=UTF-8",
        f"{URLENCODED} ;x=y",
        None,
    ],
)
async def test_what_is_urlencoded(kind: str | None) -> None:
    assert await posted(sending(b"a=1", kind)) == [("a", "1")]


async def test_no_form() -> None:
    for kind in ("text/plain", "application/json", "application/octet-stream", "x/y", "image/png"):
        assert await posted(sending(b"a=1", kind)) == []


@pytest.mark.parametrize("kind", [URLENCODED, None, "text/plain"])
async def test_no_body_is_an_empty_form(kind: str | None) -> None:
    assert await posted(sending(b"", kind)) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_the_method_does_not_matter(method: str) -> None:
    assert await posted(sending(b"a=1", URLENCODED, method=method)) == [("a", "1")]
    body = multipart(field("a", b"1"))
    assert await posted(sending(body, method=method)) == [("a", "1")]


@pytest.mark.parametrize(
    ("charset", "body", "value"),
    [
        ("latin-1", b"a=%e9", "\xe9"),
        ("latin-1", b"a=\xe9", "\xe9"),
        ("ISO-8859-15", b"a=%A4", "\u20ac"),
        ('"utf-8"', b"a=%c3%a9", "\xe9"),
        ("shift_jis", b"a=%82%a0", "\u3042"),
    ],
)
async def test_charset_of_urlencoded(charset: str, body: bytes, value: str) -> None:
    assert await posted(sending(body, f"{URLENCODED}; charset={charset}")) == [("a", value)]


@pytest.mark.parametrize(
    "charset", ["unheard-of", "base64", "rot13", "a/b", '"a\\"b"', "undefined"]
)
async def test_a_charset_that_is_none(charset: str) -> None:
    await refused_form(sending(b"a=b", f"{URLENCODED}; charset={charset}"))
    part_of_it = field("a", b"b", f"Content-Type: text/plain; charset={charset}")
    await refused_form(sending(multipart(part_of_it)))


# --- What post() is -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [sending(b"a=1", URLENCODED), sending(multipart(field("a", b"1")))]
)
async def test_the_form_is_kept(data: bytes) -> None:
    async def look(request: web.BaseRequest) -> None:
        form = await request.post()
        assert type(form) is MultiDictProxy
        assert await request.post() is form
        assert await request.post(max_size=1) is form
        assert await request.data() is form
        assert not request.can_read_body

    await looked_at(data, look)


@pytest.mark.parametrize(
    "data", [sending(b"a=1", URLENCODED), sending(multipart(field("a", b"1")))]
)
async def test_post_after_read(data: bytes) -> None:
    async def look(request: web.BaseRequest) -> list[tuple[str, Any]]:
        raw = await request.read()
        form = await request.post()
        assert await request.read() == raw
        assert await request.text() == raw.decode()
        return list(form.items())

    assert await looked_at(data, look) == [("a", "1")]


async def test_post_after_read_has_files_too() -> None:
    async def look(request: web.BaseRequest) -> None:
        await request.read()
        form = await request.post()
        upload = form["a"]
        assert isinstance(upload, web.FileField)
        assert upload.file.read() == b"1"

    await looked_at(sending(multipart(field("a", b"1", filename="f"))), look)


@pytest.mark.parametrize("kind", [URLENCODED, FORM_DATA])
async def test_post_after_streaming_is_a_mistake(kind: str) -> None:
    async def look(request: web.BaseRequest) -> None:
        await request.content.readexactly(3)
        with pytest.raises(RuntimeError, match="stream"):
            await request.post()
        await request.release()

    await looked_at(sending(multipart(field("a", b"1")), kind), look)


async def test_post_of_a_clone() -> None:
    async def look(request: web.BaseRequest) -> Any:
        return list((await request.clone(method="PUT").post()).items())

    assert await looked_at(sending(multipart(field("a", b"1"))), look) == [("a", "1")]


# --- Fields of multipart/form-data --------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        FORM_DATA,
        f'Multipart/FORM-data;  Boundary="{BOUNDARY}"',
        f"multipart/form-data; charset=utf-8; boundary={BOUNDARY}",
        f"multipart/form-data ;boundary={BOUNDARY} ; x=y",
    ],
)
@pytest.mark.parametrize("chunks", [False, True])
async def test_text_fields(kind: str, chunks: bool) -> None:
    body = multipart(
        field("a", b"1"),
        field("a", b""),
        field("b c", b"two\r\nlines\r\n"),
        field("\xe4", "\u20ac".encode()),
        field("", b"no name is a name"),
        field("t", b"<b>", "Content-Type: text/html"),
    )
    data = sending_chunks(body[:7], body[7:90], body[90:], kind=kind)
    assert await posted(data if chunks else sending(body, kind)) == [
        ("a", "1"),
        ("a", ""),
        ("b c", "two\r\nlines\r\n"),
        ("\xe4", "\u20ac"),
        ("", "no name is a name"),
        ("t", "<b>"),
    ]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text/plain", "1"),
        ("TEXT/x", "1"),
        ("application/json", bytearray(b"1")),
        ("image/png", bytearray(b"1")),
        ("application/octet-stream", bytearray(b"1")),
    ],
)
@pytest.mark.parametrize("filename", [None, ""])
async def test_text_or_bytes(kind: str, value: Any, filename: str | None) -> None:
    body = multipart(field("a", b"1", f"Content-Type: {kind}", filename=filename))
    ((_, got),) = await posted(sending(body))
    assert got == value
    assert type(got) is type(value)


async def test_a_file_that_was_not_chosen() -> None:
    """What browsers send for it."""
    kind = "Content-Type: application/octet-stream"
    data = sending(multipart(field("f", b"", kind, filename="")))
    assert await posted(data) == [("f", bytearray())]


@pytest.mark.parametrize(
    ("fields", "body", "value"),
    [
        (["Content-Type: text/plain; charset=latin-1"], b"\xe9", "\xe9"),
        (['Content-Type: text/plain; charset="UTF-16LE"'], b"\xac\x20", "\u20ac"),
        (["Content-Transfer-Encoding: base64"], b"4oKs", "\u20ac"),
        (["content-transfer-encoding: BASE64"], b"4o\r\nKs\r\n", "\u20ac"),
        (["Content-Transfer-Encoding: quoted-printable"], b"=E2=82=\r\n=AC =3D", "\u20ac ="),
        (["Content-Transfer-Encoding: 8bit"], b"=3D", "=3D"),
        (["Content-Transfer-Encoding: binary"], b"=3D", "=3D"),
        (["Content-Transfer-Encoding: 7bit"], b"=3D", "=3D"),
    ],
)
async def test_encodings_of_a_text(fields: list[str], body: bytes, value: str) -> None:
    assert await posted(sending(multipart(field("a", body, *fields)))) == [("a", value)]


async def test_a_length_of_a_part_is_not_believed() -> None:
    """RFC 7578 §4.8: fields other than three are to be ignored."""
    for length in ("0", "3", "99", "-1", "x"):
        body = multipart(field("a", b"12", f"Content-Length: {length}"), field("b", b"3"))
        assert await posted(sending(body)) == [("a", "12"), ("b", "3")]


# --- Files --------------------------------------------------------------------------------


async def test_file() -> None:
    async def look(request: web.BaseRequest) -> None:
        form = await request.post()
        upload = form["f"]
        assert isinstance(upload, web.FileField)
        assert (upload.name, upload.filename) == ("f", "a b.png")
        assert upload.content_type == "image/png"
        assert isinstance(upload.headers, CIMultiDictProxy)
        assert upload.headers["x-y"] == "z"
        assert upload.headers["content-type"] == "image/png; q=1"
        assert upload.file.readable() and upload.file.seekable()
        assert upload.file.tell() == 0
        assert upload.file.read(1) == b"\x89"
        assert upload.file.seek(0, os.SEEK_END) == 6
        assert upload.file.seek(-2, os.SEEK_END) == 4
        assert upload.file.read() == b"\n\n"
        assert not upload.file.closed
        with pytest.raises(dataclasses.FrozenInstanceError):
            upload.name = "g"  # type: ignore[misc]

    fields = ["Content-Type: image/png; q=1", "X-Y: z"]
    body = multipart(field("f", b"\x89PNG\n\n", *fields, filename="a b.png"))
    await looked_at(sending(body), look)


async def test_type_of_a_file_that_says_none() -> None:
    data = sending(multipart(field("f", b"x", filename="a.txt")))
    assert await posted(data) == [("f", File("a.txt", "application/octet-stream", b"x"))]


async def test_an_empty_file() -> None:
    data = sending(multipart(field("f", b"", "Content-Type: text/plain", filename="a")))
    assert await posted(data) == [("f", File("a", "text/plain", b""))]


@pytest.mark.parametrize(
    ("sent", "filename"),
    [
        ('"a.txt"', "a.txt"),
        ("a.txt", "a.txt"),
        ('"na\xefve \u20ac.txt"', "na\xefve \u20ac.txt"),
        ('"say \\"hi\\".txt"', 'say "hi".txt'),
        ('"say %22hi%22.txt"', "say %22hi%22.txt"),
        ('"a;b=c, d.txt"', "a;b=c, d.txt"),
        ('"../../etc/passwd"', "passwd"),
        ('"/etc/passwd"', "passwd"),
        ('"C:\\dir\\file.txt"', "file.txt"),
        ('"C:\\\\dir\\\\file.txt"', "file.txt"),
        ('"\\\\\\\\host\\\\share\\\\x"', "x"),
        ('"..\\..\\x"', "x"),
        ('"dir/"', ""),
        ('"a\tb\x1fc\x7f"', "a_b_c_"),
        ('"."', ""),
        ('".."', ""),
        ('"a/.."', ""),
        ('"..."', "..."),
        ('".profile"', ".profile"),
        ("\"a\"; filename*=UTF-8''%e2%82%ac%2f..%2fb.txt", "b.txt"),
        ("\"a\"; filename*=UTF-8''%00", "_"),
    ],
)
async def test_file_names(sent: str, filename: str) -> None:
    """What is left may be joined to a folder: it leads nowhere else."""
    line = f'Content-Disposition: form-data; name="f"; filename={sent}'
    data = sending(multipart(part(b"x", line, "Content-Type: x/y")))
    assert await posted(data) == [("f", File(filename, "x/y", b"x"))]


@pytest.mark.parametrize("lines", [b"\r\n", b"\n", b""])
async def test_encodings_of_a_file(lines: bytes) -> None:
    """Also where the portions that come end within four characters."""
    import base64

    body = os.urandom(100_000)
    text = base64.b64encode(body)
    text = lines.join(text[at : at + 76] for at in range(0, len(text), 76))
    data = multipart(field("f", text, "Content-Transfer-Encoding: base64", filename="a"))
    pieces = [data[at : at + 1237] for at in range(0, len(data), 1237)]
    ((_, got),) = await posted(sending_chunks(*pieces))
    assert got == File("a", "application/octet-stream", body)


async def test_a_quoted_printable_file() -> None:
    import quopri

    body = bytes(range(256)) * 200 + b"trailing \t "
    text = quopri.encodestring(body).replace(b"\n", b"\r\n")
    data = multipart(field("f", text, "Content-Transfer-Encoding: quoted-printable", filename="a"))
    pieces = [data[at : at + 331] for at in range(0, len(data), 331)]
    ((_, got),) = await posted(sending_chunks(*pieces))
    assert isinstance(got, File)
    assert got.body == quopri.decodestring(text)


# --- Where files are ----------------------------------------------------------------------


@pytest.mark.parametrize(("size", "on_disk"), [(MIB, 0), (MIB + 1, 1), (3 * MIB, 1)])
async def test_large_files_are_on_disk(temporary: Path, size: int, on_disk: int) -> None:
    seen: list[int] = []
    expected = os.urandom(size)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        form = await request.post()
        seen.append(len(await asyncio.to_thread(open_under, temporary)))
        upload = form["f"]
        assert isinstance(upload, web.FileField)
        assert await content(upload) == expected
        return web.Response()

    data = sending(multipart(field("f", expected, filename="a")))
    assert (await answered(handler, data, client_max_size=0)).status == 200
    assert seen == [on_disk]
    await until(lambda: not open_under(temporary), "the file to be closed")
    assert list(temporary.iterdir()) == []


async def test_many_files_are_on_disk(temporary: Path) -> None:
    """Each is small enough for memory, but all of them together are not."""
    size = 900 * 1024
    expected = [bytes([number]) * size for number in range(20)] + [b"small", b"", b"x" * 1000]
    kept: list[int] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        files: list[Any] = (await request.post()).getall("f")
        assert [await content(file) for file in files] == expected
        on_disk = [file for file in files if not isinstance(file.file, io.BytesIO)]
        assert len(await asyncio.to_thread(open_under, temporary)) == len(on_disk)
        kept.extend(len(file.file.getbuffer()) for file in files if file not in on_disk)
        return web.Response()

    body = multipart(*[field("f", data, filename="a") for data in expected])
    assert (await answered(handler, sending(body), client_max_size=0)).status == 200
    # What is left of the room is for what fits in.
    assert kept == [size] * 9 + [5, 0, 1000]
    assert sum(kept) <= 8 * MIB
    await until(lambda: not open_under(temporary), "the files to be closed")


async def test_files_are_closed_when_the_response_has_been_sent() -> None:
    forms = Forms()
    body = multipart(*[field("f", b"x" * size, filename="a") for size in (1, 2 * MIB, 10)])
    async with serving(forms.handle, client_max_size=0) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(sending(body))).status == 200
        assert len(forms.files) == 3
        await until(lambda: all(file.closed for file in forms.files), "the files to be closed")
        # The connection goes on.
        assert (await peer.ask(sending(body))).status == 200


async def test_files_are_open_until_the_response_has_been_sent() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        form = await request.post()
        upload = form["f"]
        assert isinstance(upload, web.FileField)

        async def pieces() -> Any:
            while piece := upload.file.read(10_000):
                await asyncio.sleep(0)
                yield piece

        return web.Response(body=pieces())

    body = multipart(field("f", b"x" * 200_000, filename="a"))
    answer = await answered(handler, sending(body))
    assert answer.body == b"x" * 200_000


async def test_files_of_a_clone_are_closed_too() -> None:
    files: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        form = await request.clone().post()
        files.append(form["f"].file)  # type: ignore[union-attr]
        return web.Response()

    data = sending(multipart(field("f", b"x", filename="a")))
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(data)).status == 200
        await until(lambda: files[0].closed, "the file to be closed")


async def test_files_that_a_handler_closed() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        form = await request.post()
        upload = form["f"]
        assert isinstance(upload, web.FileField)
        upload.file.close()
        return web.Response()

    data = sending(multipart(field("f", b"x", filename="a")))
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(data)).status == 200
        assert (await peer.ask(data)).status == 200


# --- upload_to ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["str", "path", "coroutine"])
@pytest.mark.parametrize("size", [0, 5, 3 * MIB])
async def test_upload_to(tmp_path: Path, how: str, size: int) -> None:
    asked: list[str] = []
    expected = os.urandom(size)

    def choose(filename: str) -> Any:
        asked.append(filename)
        target = tmp_path / f"kept-{filename}"
        if how == "coroutine":
            return later(target)
        return str(target) if how == "str" else target

    async def later(target: Path) -> Path:
        await asyncio.sleep(0)
        return target

    files: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        form = await request.post(upload_to=choose)
        upload = form["f"]
        assert isinstance(upload, web.FileField)
        assert upload.filename == "a.txt"
        assert await content(upload) == expected
        # Complete for everybody who opens it.
        assert await asyncio.to_thread(os.path.getsize, tmp_path / "kept-a.txt") == size
        files.append(upload.file)
        return web.Response()

    data = sending(multipart(field("t", b"1"), field("f", expected, filename="../a.txt")))
    async with serving(handler, client_max_size=0) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(data)).status == 200
        await until(lambda: files[0].closed, "the file to be closed")
    assert asked == ["a.txt"]
    assert (tmp_path / "kept-a.txt").read_bytes() == expected


async def test_upload_to_is_asked_for_files_only() -> None:
    def choose(filename: str) -> None:
        pytest.fail(f"asked for {filename!r}")

    forms = Forms(upload_to=choose)
    body = multipart(
        field("a", b"1"),
        field("b", b"2", "Content-Type: x/y"),
        field("c", b"", "Content-Type: application/octet-stream", filename=""),
    )
    assert (await answered(forms.handle, sending(body))).status == 200
    assert forms.got == [[("a", "1"), ("b", bytearray(b"2")), ("c", bytearray())]]


async def test_upload_to_may_have_no_opinion() -> None:
    async def nowhere(filename: str) -> None:
        await asyncio.sleep(0)

    for choose in (lambda filename: None, nowhere):
        forms = Forms(upload_to=choose)
        data = sending(multipart(field("f", b"x", filename="a")))
        assert (await answered(forms.handle, data)).status == 200
        assert forms.got == [[("f", File("a", "application/octet-stream", b"x"))]]


async def test_upload_to_several(tmp_path: Path) -> None:
    forms = Forms(upload_to=lambda filename: tmp_path / filename)
    body = multipart(
        field("f", b"one", filename="1"), field("f", b"two", "Content-Type: x/y", filename="2")
    )
    assert (await answered(forms.handle, sending(body))).status == 200
    assert forms.got == [
        [
            ("f", File("1", "application/octet-stream", b"one")),
            ("f", File("2", "x/y", b"two")),
        ]
    ]
    assert (tmp_path / "1").read_bytes() == b"one"
    assert (tmp_path / "2").read_bytes() == b"two"


async def test_what_was_uploaded_stays_when_the_handler_fails(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await request.post(upload_to=lambda filename: tmp_path / filename)
        raise web.HTTPConflict()

    data = sending(multipart(field("f", b"x", filename="a")))
    assert (await answered(handler, data)).status == 409
    assert (tmp_path / "a").read_bytes() == b"x"


# --- data() -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "value"),
    [
        ("application/json", b'{"a": [1]}', {"a": [1]}),
        ("application/json; charset=utf-16", '"\u20ac"'.encode("utf-16"), "\u20ac"),
        ("application/problem+json", b"null", None),
        ("Application/JSON", b"1", 1),
        ("text/plain", b"h\xc3\xa9", "h\xe9"),
        ("text/html; charset=latin-1", b"h\xe9", "h\xe9"),
        ("text/csv", b"", ""),
        ("application/octet-stream", b"\0\xff", b"\0\xff"),
        ("image/png", b"{}", b"{}"),
        ("multipart/mixed; boundary=x", b"--x--", b"--x--"),
        (None, b"a=1", b"a=1"),
        (None, b"", b""),
    ],
)
@pytest.mark.parametrize("raise_errors", [False, True])
async def test_data(kind: str | None, body: bytes, value: Any, raise_errors: bool) -> None:
    async def look(request: web.BaseRequest) -> Any:
        data = await request.data(raise_errors=raise_errors)
        assert await request.data() == data
        return data

    got = await looked_at(sending(body, kind), look)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    "data", [sending(b"a=1", URLENCODED), sending(multipart(field("a", b"1")))]
)
async def test_data_of_a_form(data: bytes) -> None:
    async def look(request: web.BaseRequest) -> Any:
        form = await request.data()
        assert type(form) is MultiDictProxy
        return list(form.items())

    assert await looked_at(data, look) == [("a", "1")]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b""),
        ("application/json", b"\xff"),
        ("application/json; charset=unheard-of", b"{}"),
        ("text/plain", b"\xff"),
        ("text/plain; charset=unheard-of", b"x"),
        (FORM_DATA, b"no form"),
        (FORM_DATA, multipart(field("a", b"1"))[:-20]),
        ("multipart/form-data", multipart(field("a", b"1"))),
        (f"{URLENCODED}; charset=unheard-of", b"a=1"),
    ],
)
async def test_data_that_is_not_what_it_says(kind: str, body: bytes) -> None:
    async def look(request: web.BaseRequest) -> Any:
        data = await request.data()
        with pytest.raises(web.RequestDecodeError):
            await request.data(raise_errors=True)
        return data

    assert await looked_at(sending(body, kind), look) == body

    async def strict(request: web.BaseRequest) -> web.StreamResponse:
        await request.data(raise_errors=True)
        return web.Response()

    assert (await answered(strict, sending(body, kind))).status == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/json", URLENCODED, FORM_DATA, "x/y"])
async def test_too_much_data(kind: str) -> None:
    """That is no question of what it means."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=repr(await request.data()))

    body = multipart(field("a", b"1"))
    answer = await answered(handler, sending(body, kind), client_max_size=len(body) - 1)
    assert answer.status == 413


# --- Limits -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [URLENCODED, FORM_DATA])
@pytest.mark.parametrize("chunks", [False, True])
@pytest.mark.parametrize("after_read", [False, True])
async def test_client_max_size(kind: str, chunks: bool, after_read: bool) -> None:
    """Of the whole body: head lines and boundaries count."""
    body = multipart(field("a", b"1"), field("f", b"x" * 500, filename="f"))

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if after_read:
            await request.read()
        return web.Response(text=str(len(await request.post())))

    data = sending_chunks(body[:100], body[100:], kind=kind) if chunks else sending(body, kind)
    assert (await answered(handler, data, client_max_size=len(body))).status == 200
    assert (await answered(handler, data, client_max_size=0)).status == 200
    answer = await answered(handler, data, client_max_size=len(body) - 1)
    assert answer.status == 413
    assert answer.body.startswith(f"Maximum request body size {len(body) - 1} exceeded".encode())


@pytest.mark.parametrize("kind", [URLENCODED, FORM_DATA])
@pytest.mark.parametrize("chunks", [False, True])
async def test_max_size(kind: str, chunks: bool) -> None:
    """In place of client_max_size, in both directions."""
    body = multipart(field("a", b"1" * 100))
    data = sending_chunks(body, kind=kind) if chunks else sending(body, kind)
    for limit, status in ((len(body) - 1, 413), (len(body), 200), (0, 200)):
        forms = Forms(max_size=limit)
        assert (await answered(forms.handle, data, client_max_size=10)).status == status
        forms = Forms(max_size=limit)
        assert (await answered(forms.handle, data, client_max_size=0)).status == status


@pytest.mark.parametrize("kind", [URLENCODED, FORM_DATA])
async def test_what_is_too_large_is_known_before_it_is_read(kind: str) -> None:
    """No byte of the body is sent."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        with pytest.raises(web.HTTPRequestEntityTooLarge):
            await request.post(max_size=10)
        assert request.content.total_bytes == 0
        return web.Response(text="caught")

    head = request("POST", "/", f"Content-Type: {kind}", "Content-Length: 11")
    assert (await answered(handler, head)).body == b"caught"


@pytest.mark.parametrize(
    ("max_size", "error"), [(-1, ValueError), ("1", TypeError), (1.5, TypeError)]
)
async def test_a_max_size_that_is_none(max_size: Any, error: type[Exception]) -> None:
    async def look(request: web.BaseRequest) -> None:
        with pytest.raises(error, match="max_size"):
            await request.post(max_size=max_size)

    await looked_at(sending(b"a=1", URLENCODED), look)


@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize(
    "make",
    [
        lambda count: sending(b"&".join([b"a=1"] * count), URLENCODED),
        lambda count: sending(b"&" * (count - 1), URLENCODED),
        lambda count: sending(multipart(*[field("a", b"1")] * count)),
        lambda count: sending(multipart(*[field("a", b"1", filename="f")] * count)),
        lambda count: sending(
            multipart(field("a", b"1"), *[field("a", b"", filename="")] * (count - 1))
        ),
    ],
    ids=["urlencoded", "empty", "texts", "files", "mixed"],
)
async def test_client_max_fields(count: int, make: Callable[[int], bytes]) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        form = await request.clone(client_max_fields=3).post()
        assert len(form) in (0, 3)
        return web.Response()

    answer = await answered(handler, make(count))
    assert answer.status == (200 if count == 3 else 413)
    if count > 3:
        assert b"3" in answer.body


@pytest.mark.parametrize("limit", [0, 10_000])
@pytest.mark.parametrize("kind", [URLENCODED, FORM_DATA])
async def test_many_fields(limit: int, kind: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        form = await request.clone(client_max_fields=limit).post()
        return web.Response(text=str(len(form)))

    if kind == URLENCODED:
        data = sending(b"&".join([b"a=1"] * 5000), URLENCODED)
    else:
        data = sending(multipart(*[field("a", b"1")] * 5000))
    assert (await answered(handler, data)).body == b"5000"
    # A thousand by default.
    assert (await answered(Forms().handle, data)).status == 413


# --- Real clients -------------------------------------------------------------------------


@pytest.mark.parametrize("quote", [True, False])
async def test_aiohttp_s_client(tmp_path: Path, quote: bool) -> None:
    path = tmp_path / "on disk.bin"
    path.write_bytes(os.urandom(300_000))
    forms = Forms()
    names = ("na\xefve \u20ac.txt", 'qu"o\\te;.txt')
    data = aiohttp.FormData(quote_fields=quote, default_to_multipart=True)
    data.add_field("text", "h\xe9 \u20ac\r\n")
    data.add_field("number", "5")
    data.add_field("f", b"--\r\n", filename=names[0], content_type="text/plain; charset=latin-1")
    data.add_field("g", io.BytesIO(b"from a file"), filename=names[1])
    async with serving(forms.handle) as site, aiohttp.ClientSession() as session:
        with path.open("rb") as file:
            data.add_field("disk", file, filename="on disk.bin")
            response = await session.post(site.url(), data=data)
            assert response.status == 200, await response.text()
        response = await session.post(site.url(), data={"a": "1 &=\xe4", "b": ""})
        assert response.status == 200
    octets = "application/octet-stream"
    texts, number, first, second, disk = forms.got[0]
    assert texts == ("text", "h\xe9 \u20ac\r\n")
    assert number == ("number", "5")
    # Quoted is percent-encoded, which nobody undoes: browsers send a plain per cent sign as it is.
    quoted = ("na%C3%AFve%20%E2%82%AC.txt", "qu%22o%5Cte%3B.txt")
    expected = quoted if quote else (names[0], "te;.txt")
    assert first == ("f", File(expected[0], "text/plain", b"--\r\n"))
    assert second == ("g", File(expected[1], octets, b"from a file"))
    assert disk[1].body == path.read_bytes()  # type: ignore[union-attr]
    assert forms.got[1] == [("a", "1 &=\xe4"), ("b", "")]


async def run_curl(curl: str, *arguments: str, stdin: bytes = b"", fails: bool = False) -> bytes:
    process = await asyncio.create_subprocess_exec(
        curl,
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--max-time",
        str(DEADLINE),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await within(process.communicate(stdin))
    assert (process.returncode != 0) == fails, (out, err)
    return bytes(out)


async def test_curl_form(curl: str, tmp_path: Path) -> None:
    """curl -F: several files, a type, a name, a text from a file, an encoding, quotes."""
    one, two = tmp_path / "one \u20ac.txt", tmp_path / "two.png"
    one.write_bytes(b"first\r\n--\r\n")
    two.write_bytes(os.urandom(2 * MIB))
    forms = Forms()
    async with serving(forms.handle, client_max_size=0) as site:
        out = await run_curl(
            curl,
            site.url(),
            *("-F", 'text="h\xe9 &=;x"'),
            *("-F", f"f=@{one}"),
            *("-F", f"f=@{two};type=image/x;filename=renamed.png"),
            *("-F", "g=<-;type=text/plain;encoder=base64"),
            *("-F", f'q=@{one};filename="say \\"hi\\".txt"'),
            *("-F", "e=;filename=;type=application/octet-stream"),
            stdin=b"from stdin",
        )
    assert out == b"taken"
    assert forms.got == [
        [
            ("text", "h\xe9 &=;x"),
            ("f", File("one \u20ac.txt", "text/plain", one.read_bytes())),
            ("f", File("renamed.png", "image/x", two.read_bytes())),
            ("g", "from stdin"),
            ("q", File("say %22hi%22.txt", "text/plain", one.read_bytes())),
            ("e", bytearray()),
        ]
    ]


async def test_curl_form_escape(curl: str, tmp_path: Path) -> None:
    """As curl did before 7.81, and does with --form-escape: backslashes, not percent signs."""
    forms = Forms()
    async with serving(forms.handle) as site:
        await run_curl(curl, "--form-escape", "-F", 'a"b\\c=1', site.url())
    assert forms.got == [[('a"b\\c', "1")]]


async def test_curl_form_asks_before_it_sends(curl: str, tmp_path: Path) -> None:
    """curl asks with Expect: 100-continue (RFC 9110 §10.1.1); a form that is too large is not sent at all."""
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3 * MIB)
    forms = Forms()
    command = [
        "-H",
        "Expect: 100-continue",
        "--expect100-timeout",
        str(DEADLINE),
        "-F",
        f"f=@{path}",
    ]
    async with serving(forms.handle) as site:
        said = ["-o", os.devnull, "-w", "%{http_code} %{size_upload}"]
        out = await run_curl(curl, *command, *said, site.url(), fails=True)
        assert out == b"413 0"
    async with serving(forms.handle, client_max_size=4 * MIB) as site:
        assert await run_curl(curl, *command, site.url()) == b"taken"


async def test_curl_data(curl: str) -> None:
    forms = Forms()
    async with serving(forms.handle) as site:
        await run_curl(curl, "-d", "a=1&b=%20", "-d", "c=d e", site.url())
        await run_curl(
            curl, "--data-urlencode", "a=h\xe9 &=+\r\n", "--data-urlencode", "b", site.url()
        )
        await run_curl(curl, "-X", "PUT", "-d", "a=1", site.url())
    assert forms.got == [
        [("a", "1"), ("b", " "), ("c", "d e")],
        [("a", "h\xe9 &=+\r\n"), ("b", "")],
        [("a", "1")],
    ]


async def test_a_browser_s_form() -> None:
    """As Chromium and Firefox write it: quotes and line ends in names as percent codes, backslashes bare."""
    boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    body = (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="say %22hi%22%0D%0A"\r\n\r\n'
        "\u20ac\r\nline\r\n"
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="f"; filename="na\xefve %22q%22 100%.txt"\r\n'
        "Content-Type: text/plain\r\n\r\n"
        "content\n\r\n"
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="none"; filename=""\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
        "\r\n"
        f"--{boundary}--\r\n"
    ).encode()
    data = sending(body, f"multipart/form-data; boundary={boundary}")
    assert await posted(data) == [
        ("say %22hi%22%0D%0A", "\u20ac\r\nline"),
        ("f", File("na\xefve %22q%22 100%.txt", "text/plain", b"content\n")),
        ("none", bytearray()),
    ]
