"""Forms from clients that mean no good, or leave: a clean answer, no noise, nothing left behind."""

import asyncio
import errno
import io
import logging
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowlevel as web
from lowlevel import forms as forms_module
from tests.formdata import (
    CHUNKED,
    FORM_DATA,
    MIXED,
    URLENCODED,
    Entries,
    Fed,
    File,
    Forms,
    answered,
    bytewise,
    every_split,
    field,
    in_chunks,
    multipart,
    open_under,
    part,
    posted,
    refused_form,
    sending,
    sending_chunks,
    shown,
)
from tests.support import Answer, Peer, Serving, request, serving, until, within

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

MIB = 2**20
OCTETS = "application/octet-stream"

FORM = multipart(
    field("a", b"1\r\n"),
    field("f", b"\r\n--AaB0", "Content-Type: x/y", filename="n"),
    field("b", b"4oKs", "Content-Transfer-Encoding: base64"),
)
ENTRIES: Entries = [("a", "1\r\n"), ("f", File("n", "x/y", b"\r\n--AaB0")), ("b", "\u20ac")]


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Any:
    """Check, after the test, that nobody logged anything worth a look."""
    caplog.set_level(logging.DEBUG)
    yield
    noise = [record for record in caplog.records if record.levelno > logging.INFO]
    assert noise == [], [record.getMessage() for record in noise]
    # What parsers say while they parse: one line for each byte is too much at any level.
    assert [record for record in caplog.records if "multipart" in record.name] == []


async def nothing_left(folder: Path) -> None:
    await until(lambda: not list(folder.iterdir()), "files to be removed")
    await until(lambda: not open_under(folder), "files to be closed")


def head_for(length: int, kind: str = FORM_DATA, path: str = "/") -> bytes:
    return request("POST", path, f"Content-Type: {kind}", f"Content-Length: {length}")


# --- Cut anywhere, split anywhere ---------------------------------------------------------


async def test_cut_at_every_byte(quiet: None) -> None:
    """A whole request with part of a form is a 400, and the connection goes on."""
    forms = Forms()
    complete = FORM.rindex(b"--") + 2
    async with serving(forms.handle) as site, Peer.connect(site.port) as peer:
        for end in range(1, len(FORM)):
            answer = await peer.ask(sending(FORM[:end]))
            assert answer.status == (400 if end < complete else 200), FORM[:end]
            assert answer.header("connection") is None
        assert (await peer.ask(sending(FORM))).status == 200
    assert forms.got == [ENTRIES] * (len(FORM) - complete + 1)
    assert {type(error) for error in forms.errors} == {web.RequestDecodeError}


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
async def test_a_client_that_leaves_anywhere(quiet: None, temporary: Path, reset: bool) -> None:
    forms = Forms(upload_to=lambda filename: temporary / "kept")
    async with serving(forms.handle) as site:
        for end in range(0, len(FORM), 5):
            async with Peer.connect(site.port) as peer:
                await peer.send(head_for(len(FORM)) + FORM[:end])
                await until(lambda: site.server.connections, "the connection")
                if reset:
                    peer.reset()
                else:
                    peer.finish()
                await site.idle()
        await nothing_left(temporary)
    assert forms.got == []
    assert forms.errors
    assert all(isinstance(error, ConnectionResetError) for error in forms.errors)


async def test_split_at_every_byte() -> None:
    async def form_of(pieces: Any) -> Entries:
        async with Fed(FORM_DATA, pieces) as request:
            return await shown(await request.post())

    assert await form_of([FORM]) == ENTRIES
    assert await form_of(bytewise(FORM)) == ENTRIES
    for halves in every_split(FORM):
        assert await form_of(halves) == ENTRIES
    assert await posted(sending_chunks(*bytewise(FORM))) == ENTRIES


async def test_byte_by_byte_over_a_socket() -> None:
    forms = Forms()
    async with serving(forms.handle) as site, Peer.connect(site.port) as peer:
        await peer.send(head_for(len(FORM)))
        for byte in bytewise(FORM):
            await peer.send(byte)
            await asyncio.sleep(0)
        assert (await peer.answer()).status == 200
    assert forms.got == [ENTRIES]


# --- Malformed ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0" * 1000,
        b"a=1&b=2",
        b"\r\n" * 1000,
        b"--" * 1000,
        b"--AaB03x=" * 100,
        b"--AaB03x\r\n" * 100,
        b"--AaB03x\r\n--AaB03x--\r\n",
        b"--AaB03x\r\n\r\n--AaB03x--\r\n",
        b"--AaB03x\r\nContent-Disposition: form-data; name=a\r\n--AaB03x--\r\n",
        b"--AaB03x\nContent-Disposition: form-data; name=a\n\n1\n--AaB03x--\n",
        b"--AaB03x\r\nContent-Disposition: form-data; name=a\n\n1\r\n--AaB03x--\r\n",
        b"--AaB03y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--AaB03y--\r\n",
        b"--AaB03x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--AaB03x-\r\n",
        b"--AaB03x\r\nContent-Disposition; form-data: name=a\r\n\r\n1\r\n--AaB03x--\r\n",
        multipart(field("a", b"1")).replace(b"\r\n", b"\n"),
        multipart(field("a", b"1")).replace(b"\r\n", b"\r"),
        multipart(field("a", b"1")).replace(b"\r\n", b"\n\r"),
        multipart(field("a", b"1")).replace(b"--A", b"-A"),
        multipart(field("a", b"1"))[:-4],
        multipart(field("a", b"1"), boundary="other"),
    ],
)
@pytest.mark.parametrize("chunks", [False, True])
async def test_malformed(quiet: None, body: bytes, chunks: bool) -> None:
    await refused_form(sending_chunks(body) if chunks else sending(body))


@pytest.mark.parametrize(
    "body", [b"4oK", b"4oKs=", b"====", b"4", b"4oKs!", b"\xff\xff\xff\xff", b"4=Ks", b"4oKs4o=s"]
)
@pytest.mark.parametrize("filename", [None, "f"])
async def test_base64_that_is_none(quiet: None, body: bytes, filename: str | None) -> None:
    encoding = "Content-Transfer-Encoding: base64"
    await refused_form(sending(multipart(field("a", body, encoding, filename=filename))))


@pytest.mark.parametrize("body", [b"QQ==QQ==", b"QQ==\r\nQQ=="])
@pytest.mark.parametrize("filename", [None, "f"])
async def test_base64_in_pieces_is_the_same(body: bytes, filename: str | None) -> None:
    """What it means must not depend on how the network cut it."""
    whole = multipart(field("a", body, "Content-Transfer-Encoding: base64", filename=filename))

    async def outcome(pieces: Any) -> Any:
        async with Fed(FORM_DATA, pieces) as request:
            try:
                return await shown(await request.post())
            except web.RequestDecodeError:
                return "refused"

    expected = await outcome([whole])
    for halves in every_split(whole):
        assert await outcome(halves) == expected, halves


async def test_quoted_printable_takes_everything(quiet: None) -> None:
    """RFC 2045 §6.7: what is no escape is left as it is."""
    encoding = "Content-Transfer-Encoding: quoted-printable"
    for body in (b"=", b"=G1", b"=4", b"\xff", b"a=\r\n", b"=" * 100):
        ((name, _),) = await posted(sending(multipart(field("a", body, encoding, filename="f"))))
        assert name == "a"


@pytest.mark.parametrize(
    "charset", ["punycode", "idna", "unicode_escape", "raw_unicode_escape", "hex"]
)
async def test_codecs_that_are_no_charsets(quiet: None, charset: str) -> None:
    """punycode takes minutes for a megabyte of this."""
    text = b"x-" + b"a" * 900_000
    kind = f"Content-Type: text/plain; charset={charset}"
    await refused_form(sending(multipart(field("a", text, kind))))
    await refused_form(sending(multipart(field("_charset_", charset.encode()), field("a", text))))
    await refused_form(sending(b"a=" + text, f"{URLENCODED}; charset={charset}"))


garbage = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.sampled_from(
            [
                b"--AaB03x",
                b"--AaB03x\r\n",
                b"--",
                b"\r\n",
                b"\r",
                b"\n",
                b"Content-Disposition: form-data; name=a",
                b"Content-Disposition: form-data; name=a; filename=b",
                b"Content-Transfer-Encoding: base64",
                b"Content-Type: text/plain; charset=x",
                b";",
                b'"',
                b"\\",
                b"=",
                b"\0\xff",
                b"x",
            ]
        ),
        max_size=30,
    ).map(b"".join),
)


@given(garbage, st.integers(0, 300), st.sampled_from([FORM_DATA, URLENCODED]))
@settings(max_examples=300)
def test_garbage_is_a_decode_error_or_a_form(data: bytes, place: int, kind: str) -> None:
    async def outcome(*pieces: bytes) -> Any:
        async with Fed(kind, [piece for piece in pieces if piece]) as request:
            try:
                return await shown(await request.post())
            except web.RequestDecodeError:
                return "refused"

    whole = asyncio.run(outcome(data))
    assert asyncio.run(outcome(data[:place], data[place:])) == whole


@given(st.text(max_size=60) | st.text("\"\\;=*%' \tabnmefilx", max_size=60))
def test_any_disposition(value: str) -> None:
    """A form, or none; never anything else."""
    line = "Content-Disposition: form-data; name=a;" + "".join(
        c for c in value if c not in "\0\r\n"
    )
    body = multipart(part(b"1", line.encode("utf-8", "replace").decode()))

    async def read() -> None:
        async with Fed(FORM_DATA, [body]) as request:
            try:
                ((name, got),) = await shown(await request.post())
            except web.RequestDecodeError:
                return
        assert isinstance(name, str)
        if isinstance(got, File):
            assert not set(got.filename) & set("/\\\0\r\n")
            assert got.filename not in (".", "..")

    asyncio.run(read())


# --- Too much -----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "status"), [(127, 200), (128, 400)])
async def test_header_fields_of_a_part(quiet: None, count: int, status: int) -> None:
    """128 with Content-Disposition, and no more."""
    fields = [f"X-{number}: y" for number in range(count)]
    data = sending(multipart(field("a", b"1", *fields)))
    assert (await answered(Forms().handle, data)).status == status


@pytest.mark.parametrize(("size", "status"), [(8190, 200), (8300, 400)])
@pytest.mark.parametrize("make", [lambda n: "X: " + "y" * (n - 1), lambda n: "X" * (n - 1) + ": y"])
async def test_the_size_of_a_header_field_of_a_part(
    quiet: None, size: int, status: int, make: Callable[[int], str]
) -> None:
    """8190 bytes of name and value."""
    data = sending(multipart(field("a", b"1", make(size))))
    assert (await answered(Forms().handle, data)).status == status


async def stopped_early(start: bytes, endless: bytes, limit: int, **options: Any) -> Answer:
    """Send something without end; return the answer, which must come before ``limit`` bytes were taken."""
    taken: list[int] = []
    forms = Forms(**options)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await forms.handle(request)
        finally:
            taken.append(request.content.total_bytes)

    server = serving(handler, lingering_time=0.1, read_bufsize=2**16)
    async with server as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", f"Content-Type: {FORM_DATA}", CHUNKED))
        await peer.send(in_chunks(start, end=b""))

        async def pour() -> None:
            portion = in_chunks(endless * (65536 // len(endless) + 1), end=b"")
            while True:
                peer.writer.write(portion)
                await peer.writer.drain()

        pouring = asyncio.ensure_future(pour())
        try:
            answer = await peer.answer()
        finally:
            pouring.cancel()
            await asyncio.gather(pouring, return_exceptions=True)
    assert taken[0] < limit
    return answer


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (b"--AaB03x\r\n", b"X"),
        (b"--AaB03x\r\nX:", b" "),
        (b"--AaB03x\r\nX: ", b"y"),
        (b"--AaB03x\r\nX: ", b"\t"),
        (b"--AaB03x\r\n", b"X: y\r\n"),
        (b"--AaB03x\r\n", b"X:\r\n"),
    ],
)
async def test_heads_without_end(quiet: None, start: bytes, endless: bytes) -> None:
    """CVE-2026-42561, CVE-2026-34516: python-multipart and aiohttp took any number of fields, of any size."""
    assert (await stopped_early(start, endless, MIB, max_size=0)).status == 400


async def test_fields_without_end(quiet: None) -> None:
    """CVE-2023-30798, CVE-2023-25577: starlette and werkzeug took any number of parts, each with its objects."""
    small = b"--AaB03x\r\n" + field("a", b"") + b"\r\n"
    assert (await stopped_early(b"", small, MIB, max_size=0)).status == 413
    file = b"--AaB03x\r\n" + field("a", b"", filename="f") + b"\r\n"
    assert (await stopped_early(b"", file, MIB, max_size=0)).status == 413


async def test_a_text_without_end(quiet: None) -> None:
    """CVE-2024-47874, CVE-2026-34517: starlette kept a field that is no file whole, aiohttp until it was whole."""
    start = b"--AaB03x\r\n" + field("a", b"")
    assert (await stopped_early(start, b"x" * 1000, 2 * MIB)).status == 413
    # What is no file is kept in memory, so it has a limit where the whole has none.
    assert (await stopped_early(start, b"x" * 1000, 20 * MIB, max_size=0)).status == 413


async def test_many_fields_within_the_limit_of_one(quiet: None) -> None:
    """CVE-2025-69228: aiohttp counted the bytes of each field anew, so all together had no limit."""
    one = b"--AaB03x\r\n" + field("a", b"x" * 100_000) + b"\r\n"
    assert (await stopped_early(b"", one, 2 * MIB)).status == 413


async def test_a_preamble_without_end(quiet: None) -> None:
    """CVE-2026-40347: python-multipart looked at each byte before the first boundary, and behind the last."""
    for endless in (b"\r\n", b"-", b"\r\n--AaB03", b"x"):
        assert (await stopped_early(b"", endless, 2 * MIB)).status == 413
        assert (await stopped_early(FORM, endless, 2 * MIB)).status == 413


async def test_the_head_of_a_form_is_enough(quiet: None) -> None:
    """A declared length over the limit: 413, and nothing of the body is waited for."""
    async with serving(Forms().handle) as site, Peer.connect(site.port) as peer:
        await peer.send(head_for(MIB + 1))
        assert (await peer.answer()).status == 413


# --- Other people's faults ----------------------------------------------------------------


async def test_cve_2024_30251(quiet: None) -> None:
    """aiohttp read on for ever when a body ended within a part."""
    body = multipart(field("a", b"1", "Content-Length: 1000", filename="f"))
    for end in (len(body) - 10, len(body) - 4, body.index(b"1\r\n") + 1):
        for kind in (FORM_DATA, MIXED):

            async def handler(request: web.BaseRequest) -> web.StreamResponse:
                async for one in await request.multipart():
                    assert isinstance(one, web.BodyPartReader)
                    await one.read()
                pytest.fail("a body that was cut came to its end")

            answer = await answered(handler, sending(body[:end], kind))
            assert answer.status == 400
            await refused_form(sending(body[:end]))


async def test_cve_2024_53981(quiet: None) -> None:
    """python-multipart wrote a line to the log for each byte around the boundaries."""
    noise = b"\r\n" * 100_000
    body = multipart(field("a", b"1"), preamble=noise, epilogue=noise)
    assert await posted(sending(body)) == [("a", "1")]
    await refused_form(sending(noise + b"x"))


async def test_cve_2024_24762(quiet: None) -> None:
    """python-multipart (and so starlette, FastAPI): a regular expression that took for ever for this Content-Type.

    CVE-2026-28356 was the same in the package multipart.
    """
    for odd in ("\\" * 8000, '"' + "\\" * 8000, '="' + '\\"' * 4000, " ;" * 4000, "=" * 8000):
        for start in (
            f'{URLENCODED}; !="',
            "multipart/form-data; boundary=",
            "multipart/form-data;",
        ):
            answer = await answered(Forms().handle, sending(b"a=1", (start + odd)[:8100]))
            assert answer.status in (200, 400)
            line = f"Content-Disposition: form-data; name=a; filename={odd}"[:8100]
            answer = await answered(Forms().handle, sending(multipart(part(b"1", line))))
            assert answer.status in (200, 400)


async def test_cve_2023_46136(quiet: None) -> None:
    """werkzeug searched all that had come again for each piece of a file that begins with a line end.

    Whatever comes is handed on at once, but for what could be the start of a boundary.
    """
    for start in (b"\r", b"\n", b"\r\n", b"\r\n--AaB03"):
        handed = asyncio.Queue[int]()

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            one = await (await request.multipart()).next()
            assert isinstance(one, web.BodyPartReader)
            total = 0
            async for piece in one:
                total += len(piece)
                handed.put_nowait(total)  # noqa: B023
            return web.Response(text=str(total))

        body = multipart(field("f", start + b"x" * 300_000, filename="f"))
        content = body.index(start + b"xx")
        async with serving(handler) as site, Peer.connect(site.port) as peer:
            await peer.send(head_for(len(body)) + body[:content])
            for place in range(content, content + 200_000, 20_000):
                await peer.send(body[place : place + 20_000])
                while await within(handed.get()) < place + 20_000 - content:
                    pass
            await peer.send(body[content + 200_000 :])
            assert (await peer.answer()).body == b"%d" % (300_000 + len(start))


async def test_cve_2026_24486(quiet: None, tmp_path: Path) -> None:
    """python-multipart wrote uploads to where their names led."""
    folder = tmp_path / "one" / "uploads"
    folder.mkdir(parents=True)
    forms = Forms(upload_to=lambda filename: folder / f"kept {filename}")
    plain = Forms(upload_to=lambda filename: folder / filename)
    names = ["../a", "/../b", "..\\c", "C:\\d", "a/../../e", "....//f", "~/g", "x/\\../h", "\x7f/i"]
    for name in names:
        data = sending(multipart(field("f", b"x", filename=name)))
        assert (await answered(forms.handle, data)).status == 200, name
        assert (await answered(plain.handle, data)).status == 200, name
    letters = [name[-1] for name in names]
    expected = sorted([*letters, *[f"kept {letter}" for letter in letters]])
    assert sorted(path.name for path in folder.iterdir()) == expected
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {folder}


async def test_cve_2025_54121(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """starlette moved a large file to disk in the event loop's thread, where everybody waited for it."""
    real, threads = tempfile.TemporaryFile, []

    def watched(*args: Any, **options: Any) -> Any:
        threads.append(threading.current_thread())
        return real(*args, **options)

    monkeypatch.setattr(tempfile, "TemporaryFile", watched)
    data = sending(multipart(field("f", b"x" * 3 * MIB, filename="f")))
    assert (await answered(Forms().handle, data, client_max_size=0)).status == 200
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


# --- Nothing is left behind ---------------------------------------------------------------


BIG = b"x" * (MIB + 500_000)


@asynccontextmanager
async def uploading(forms: Forms, body: bytes, upto: int) -> AsyncIterator[tuple[Serving, Peer]]:
    """A form of which some has been sent."""
    async with serving(forms.handle, client_max_size=0) as site, Peer.connect(site.port) as peer:
        await peer.send(head_for(len(body)) + body[:upto])
        yield site, peer


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("to", ["temporary", "upload_to"])
async def test_a_client_that_leaves_within_a_file(
    quiet: None, temporary: Path, reset: bool, to: str
) -> None:
    """There was a file, and then there is none."""
    chosen = temporary / "kept" if to == "upload_to" else None
    forms = Forms(upload_to=lambda filename: chosen)
    body = multipart(field("e", b"early", filename="e"), field("f", BIG, filename="f"))
    async with uploading(forms, body, len(body) - 1000) as (site, peer):
        await until(lambda: open_under(temporary), "the file")
        if reset:
            peer.reset()
        else:
            peer.finish()
        await site.idle()
        await nothing_left(temporary)
    assert len(forms.errors) == 1


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"\r\n--AaB03x\r\nX", 400),
        (b"\r\n--AaB03x\r\n\r\nno name\r\n--AaB03x--\r\n", 400),
        (b"\r\n--AaB03x\r\n" + field("a", b"\xff") + b"\r\n--AaB03x--\r\n", 400),
        (b"", 400),
        (b"\r\n--AaB03x\r\n" + field("a", b"x" * 11 * MIB) + b"\r\n--AaB03x--\r\n", 413),
    ],
    ids=["malformed", "no name", "no text", "cut", "too much"],
)
async def test_a_form_that_is_none_after_a_file(
    quiet: None, temporary: Path, rest: bytes, status: int
) -> None:
    """The whole files of it are removed as well."""
    names = iter("abcd")
    for choose in (None, lambda filename: temporary / next(names)):
        forms = Forms(upload_to=choose)
        body = b"--AaB03x\r\n" + field("e", b"", filename="e") + b"\r\n"
        body += b"--AaB03x\r\n" + field("f", BIG, filename="f") + rest
        async with (
            serving(forms.handle, client_max_size=0) as site,
            Peer.connect(site.port) as peer,
        ):
            await peer.send(sending(body))
            assert (await peer.answer()).status == status
            await nothing_left(temporary)
        assert len(forms.errors) == 1


@pytest.mark.parametrize("error", [web.HTTPConflict(), KeyError("k"), asyncio.CancelledError()])
async def test_a_handler_that_fails_with_files(
    temporary: Path, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    files: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        form = await request.post()
        files.extend(value.file for value in form.values() if isinstance(value, web.FileField))
        raise error

    body = multipart(field("f", BIG, filename="f"), field("g", b"x", filename="g"))
    async with serving(handler, client_max_size=0) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(sending(body))
            await peer.read_head() if not isinstance(error, asyncio.CancelledError) else None
            await until(lambda: len(files) == 2, "the form")
            await until(lambda: all(file.closed for file in files), "the files to be closed")
        await nothing_left(temporary)


async def test_a_handler_that_is_stopped_within_a_file(quiet: None, temporary: Path) -> None:
    """By a deadline of its own; then by the end of the server."""
    reading = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as limit:
                waiting = asyncio.ensure_future(stop(limit))
                await request.post(upload_to=lambda filename: temporary / "kept")
        await waiting
        reading.set()
        return web.Response(text="stopped")

    async def stop(limit: asyncio.Timeout) -> None:
        await until(lambda: open_under(temporary), "the file")
        limit.reschedule(0)

    body = multipart(field("f", BIG, filename="f"))
    async with serving(handler, client_max_size=0) as site, Peer.connect(site.port) as peer:
        await peer.send(head_for(len(body)) + body[:-100])
        assert (await peer.answer()).body == b"stopped"
        await nothing_left(temporary)

    forms = Forms(upload_to=lambda filename: temporary / "kept")
    async with uploading(forms, body, len(body) - 100) as (site, _):
        await until(lambda: open_under(temporary), "the file")
        await site.server.shutdown(0)
        await nothing_left(temporary)
        assert isinstance(forms.errors[0], asyncio.CancelledError)


# --- upload_to that fails -----------------------------------------------------------------


async def failing_upload(
    choose: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> tuple[int, BaseException]:
    """The status and the error of a form whose first file is fine, and whose second goes where ``choose`` says."""
    forms = Forms(upload_to=lambda filename: choose(filename) if filename == "f" else None)
    body = multipart(field("e", BIG, filename="e"), field("f", BIG, filename="f"))
    answer = await answered(forms.handle, sending(body), client_max_size=0)
    assert forms.got == []
    (error,) = forms.errors
    return answer.status, error


async def test_upload_to_raises(temporary: Path, caplog: pytest.LogCaptureFixture) -> None:
    def full(filename: str) -> Path:
        raise OSError(errno.ENOSPC, "full")

    async def later(filename: str) -> Path:
        raise KeyError(filename)

    def refuse(filename: str) -> Path:
        raise web.HTTPUnsupportedMediaType()

    status, error = await failing_upload(full, caplog)
    assert (status, type(error)) == (500, OSError)
    status, error = await failing_upload(later, caplog)
    assert (status, type(error)) == (500, KeyError)
    status, error = await failing_upload(refuse, caplog)
    assert (status, type(error)) == (415, web.HTTPUnsupportedMediaType)
    await nothing_left(temporary)


async def test_upload_to_places_that_are_none(
    temporary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The handler's fault, and in the log as such."""
    for place, kind in (
        (temporary / "missing" / "f", FileNotFoundError),
        (temporary, IsADirectoryError),
        ("a\0b", ValueError),
        (b"bytes", TypeError),
        (True, TypeError),
        (3.5, TypeError),
        (object(), TypeError),
    ):
        caplog.clear()
        status, error = await failing_upload(lambda filename: place, caplog)  # noqa: B023
        assert status == 500, place
        assert isinstance(error, kind), place
        assert not isinstance(error, web.RequestDecodeError)
        assert [record for record in caplog.records if record.levelno == logging.ERROR]
    assert temporary.exists()
    await nothing_left(temporary)


async def test_a_disk_that_is_full(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, files = tempfile.TemporaryFile, []

    class Full:
        def __init__(self) -> None:
            self.file = real()

        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def writelines(self, data: list[bytes]) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    def full(*args: Any, **options: Any) -> Any:
        files.append(Full())
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    forms = Forms()
    data = sending(multipart(field("f", BIG, filename="f")))
    async with serving(forms.handle, client_max_size=0) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(data)).status == 500
        await until(lambda: files[0].closed, "the file to be closed")
    assert isinstance(forms.errors[0], OSError)


@pytest.mark.skipif(not os.path.exists(os.devnull), reason="no null device")
async def test_only_files_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends uploads to /dev/null wants to keep it, whatever becomes of the form."""
    removed: list[Any] = []
    monkeypatch.setattr(os, "unlink", removed.append)
    monkeypatch.setattr(os, "remove", removed.append)
    forms = Forms(upload_to=lambda filename: os.devnull)
    body = multipart(field("f", b"x", filename="f"), part(b"no name"))
    assert (await answered(forms.handle, sending(body))).status == 400
    await asyncio.get_running_loop().shutdown_default_executor()
    assert removed == []


async def test_a_link_is_removed_and_not_its_target(temporary: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "target", temporary / "link"
    target.touch()
    link.symlink_to(target)
    forms = Forms(upload_to=lambda filename: link)
    body = multipart(field("f", b"x", filename="f"), part(b"no name"))
    assert (await answered(forms.handle, sending(body))).status == 400
    await nothing_left(temporary)
    assert target.exists()


async def test_another_file_that_took_the_name_stays(temporary: Path) -> None:
    """Whoever moved the upload elsewhere, and put something else in its place, wants to keep both."""
    chosen, moved = temporary / "chosen", temporary / "moved"

    def move() -> None:
        chosen.rename(moved)
        chosen.write_bytes(b"another")

    async def choose(filename: str) -> Path | None:
        if filename == "f":
            return chosen
        await asyncio.to_thread(move)
        return None

    forms = Forms(upload_to=choose)
    first, second = field("f", b"mine", filename="f"), field("g", b"", filename="g")
    data = sending(multipart(first, second, part(b"no name")))
    assert (await answered(forms.handle, data)).status == 400
    await until(lambda: not open_under(temporary), "files to be closed")
    await asyncio.get_running_loop().shutdown_default_executor()
    assert chosen.read_bytes() == b"another"
    assert moved.read_bytes() == b"mine"


# --- The end of a request -----------------------------------------------------------------


async def test_a_file_that_is_still_looked_at(quiet: None, temporary: Path) -> None:
    """Its memory cannot be freed as long as somebody has a view of it: the others are closed, and all goes on."""
    views: list[memoryview] = []
    files: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response(text="next")
        form = await request.post()
        found = [value.file for value in form.values() if isinstance(value, web.FileField)]
        views.append(found[0].getbuffer())
        files.extend(found)
        return web.Response(text="taken")

    body = multipart(
        field("a", b"kept", filename="a"),
        field("b", b"memory", filename="b"),
        field("c", BIG, filename="c"),
    )
    post = sending(body)
    async with serving(handler, client_max_size=0) as site:
        async with Peer.connect(site.port) as peer:
            for _ in range(2):
                assert (await peer.ask(post)).body == b"taken"
            assert (await peer.ask(request())).body == b"next"
            await peer.send(post + request() + post + request())
            for expected in (b"taken", b"next") * 2:
                assert (await peer.answer()).body == expected
            await peer.send(sending(body, FORM_DATA, "Connection: close"))
            assert (await peer.answer()).body == b"taken"
            assert await peer.read_eof() == b""
        await site.idle()
        assert len(views) == 5
        assert [bytes(view) for view in views] == [b"kept"] * 5
        others = [file for number, file in enumerate(files) if number % 3]
        await until(lambda: all(file.closed for file in others), "the other files to be closed")
        await nothing_left(temporary)
    for view in views:
        view.release()


# --- How much is kept ---------------------------------------------------------------------


@pytest.fixture
def temporary_files(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The temporary files that are made."""
    real, made = tempfile.TemporaryFile, list[Any]()

    def recorded(*args: Any, **options: Any) -> Any:
        made.append(real(*args, **options))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", recorded)
    return made


@pytest.mark.parametrize("count", [100, 101])
async def test_the_number_of_files_on_disk(quiet: None, temporary: Path, count: int) -> None:
    """Each of them is open until the answer has been sent, and the system has a limit for all."""
    names = iter(range(count))
    forms = Forms(upload_to=lambda filename: temporary / str(next(names)))
    data = sending(multipart(*[field("f", b"x", filename="f")] * count))
    answer = await answered(forms.handle, data)
    if count == 100:
        assert answer.status == 200
        assert len(list(temporary.iterdir())) == 100
        await until(lambda: not open_under(temporary), "files to be closed")
    else:
        assert answer.status == 413
        assert answer.body == b"A form may have 100 files that are not kept in memory"
        await nothing_left(temporary)


FULL = [field("m", b"m" * MIB, filename="m")] * 8
"""As much as stays in memory of one form."""


@pytest.mark.parametrize("count", [100, 101])
async def test_the_number_of_temporary_files(
    quiet: None, temporary: Path, temporary_files: list[Any], count: int
) -> None:
    forms = Forms()
    small = field("f", b"x" * 16_385, filename="f")
    data = sending(multipart(*FULL, *[small] * count))
    answer = await answered(forms.handle, data, client_max_size=0)
    assert answer.status == (200 if count == 100 else 413)
    assert len(temporary_files) == 100
    await nothing_left(temporary)
    assert all(file.closed for file in temporary_files + forms.files)


async def test_small_files_stay_in_memory(
    quiet: None, temporary: Path, temporary_files: list[Any]
) -> None:
    """Even behind what fills the memory a form gets: a file that is open costs more."""
    forms = Forms()
    small = [field("f", b"x" * size, filename="f") for size in (0, 1, 16_384)] * 60
    last = field("f", b"y" * 16_385, filename="f")
    data = sending(multipart(*FULL, *small, last))
    assert (await answered(forms.handle, data, client_max_size=0)).status == 200
    assert [type(file) for file in forms.files[:-1]] == [io.BytesIO] * 188
    assert forms.files[-1] in temporary_files
    assert len(temporary_files) == 1
    sizes = [len(value.body) for _, value in forms.got[0] if isinstance(value, File)]
    assert sizes == [MIB] * 8 + [0, 1, 16_384] * 60 + [16_385]
    await nothing_left(temporary)


@pytest.mark.parametrize(("count", "status"), [(10, 200), (11, 413)])
async def test_header_fields_of_files_are_kept(quiet: None, count: int, status: int) -> None:
    """And counted, as fields that are no files: a file without content may have a megabyte of them."""
    heavy = field("f", b"", *[f"X{number}: {'y' * 8000}" for number in range(125)], filename="f")
    data = sending(multipart(*[heavy] * count))
    forms = Forms(max_size=0)
    answer = await answered(forms.handle, data)
    assert answer.status == status
    if status == 413:
        assert b" 10485760 bytes together" in answer.body


@pytest.mark.parametrize("encoding", ["binary", "quoted-printable"])
async def test_a_file_that_comes_in_tiny_pieces(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """A piece costs much more than its bytes while it waits to be written: there are not many of them."""
    kept: list[int] = []
    real = forms_module._Upload.write_in_memory

    def recorded(upload: Any, pieces: list[bytes]) -> bool:
        kept.append(len(pieces))
        return real(upload, pieces)

    monkeypatch.setattr(forms_module._Upload, "write_in_memory", recorded)
    body = multipart(
        field("f", b"xy" * 3000, f"Content-Transfer-Encoding: {encoding}", filename="f")
    )
    async with Fed(FORM_DATA, [body[at : at + 2] for at in range(0, len(body), 2)]) as request:
        ((_, file),) = await shown(await request.post())
    assert isinstance(file, File)
    assert file.body == b"xy" * 3000
    assert sum(kept) > 2000
    assert max(kept) <= 1024
