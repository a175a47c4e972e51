"""Every block of code of docs/forms-and-files.rst, run as it stands there."""

import gzip
import json
from pathlib import Path

import aiohttp
import pytest

from tests.docpages import Page

PAGE = Page("docs/forms-and-files.rst")


async def test_a_form() -> None:
    form = aiohttp.FormData({"title": "May"}, quote_fields=False)
    form.add_field("report", b"one\ntwo\n", filename="a/b.txt")
    async with PAGE.session("Forms") as client:
        async with client.post("/", data=form) as response:
            assert await response.text() == "May: b.txt has 2 lines"
        async with client.post("/", data={"title": "May"}) as response:
            assert (response.status, await response.text()) == (400, "Please choose a report.")


async def test_upload_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "uploads").mkdir()
    async with PAGE.session("Forms", 1) as client:
        async with client.post("/", data={"a": "data"}) as response:
            assert await response.json() == []
        form = aiohttp.FormData()
        form.add_field("a", b"data", filename="a.txt")
        async with client.post("/", data=form) as response:
            [name] = await response.json()
    assert (tmp_path / "uploads" / name).read_bytes() == b"data"


async def test_part_by_part() -> None:
    form = aiohttp.FormData({"title": "May"}, quote_fields=False)
    form.add_field("report", b"x" * 300_000, filename="b.txt")
    async with PAGE.session("Part by part") as client, client.post("/", data=form) as response:
        assert await response.json() == {"title": 3, "report": 300_000}


async def test_whatever_it_is() -> None:
    async with PAGE.session("Whatever it is") as client:
        for data, content_type, expected in (
            (b"a=1", "application/x-www-form-urlencoded", "MultiDictProxy"),
            (b"[1]", "application/problem+json", "list"),
            (b"text", "text/markdown", "str"),
            (b"text", "image/png", "bytes"),
            (b"{", "application/json", "400: Bad Request"),
        ):
            headers = {"Content-Type": content_type}
            async with client.post("/", data=data, headers=headers) as response:
                assert expected in await response.text() or response.status == 400


async def test_cookies() -> None:
    async with PAGE.session("Cookies") as client:
        async with client.get("/") as response:
            assert await response.text() == "Welcome"
            [cookie] = response.headers.getall("Set-Cookie")
            assert set(cookie.split("; ")) == {
                *("seen=yes", "HttpOnly", "Max-Age=86400", "Path=/", "SameSite=Lax"),
            }
        async with client.get("/", headers={"Cookie": "other; seen=yes"}) as response:
            assert await response.text() == "Welcome back"
    async with PAGE.session("Cookies", 1) as client, client.get("/") as response:
        assert response.headers.getall("Set-Cookie") == ["rocky=road; Path=/cookie"]


def test_modules() -> None:
    PAGE.run("Cookies", 2)
    PAGE.run("Header fields")


@pytest.mark.parametrize("number", [0, 1])
async def test_compression(number: int) -> None:
    headers = {"Accept-Encoding": "gzip;q=0.5, br;q=0, identity;q=0.1"}
    async with PAGE.session("Compression", number) as client:
        async with client.get("/", headers=headers) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert response.headers["Vary"] == "Accept-Encoding"
            plain = gzip.decompress(await response.read())
        if number == 0:
            assert json.loads(plain) == list(range(1000))
        else:
            assert plain == b"Hello " * 1000
            async with client.get("/", headers={"Accept-Encoding": "identity;q=0"}) as response:
                assert response.status == 406


async def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.pdf").write_bytes(b"0123456789")
    async with PAGE.session("Files") as client:
        async with client.get("/") as response:
            assert (response.status, await response.read()) == (200, b"0123456789")
            assert response.content_type == "application/pdf"
            assert response.content_disposition is not None
            assert response.content_disposition.filename == "Report of May.pdf"
            headers = {"If-None-Match": response.headers["ETag"]}
        async with client.get("/", headers=headers) as response:
            assert response.status == 304
        async with client.get("/", headers={"Range": "bytes=2-4"}) as response:
            assert (response.status, await response.read()) == (206, b"234")


async def test_static_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "static" / "empty").mkdir(parents=True)
    (tmp_path / "static" / "index.html").write_text("<p>Hello")
    async with PAGE.session("Files", 1) as client:
        for path in ("/", "/index.html"):
            async with client.get(path) as response:
                assert await response.text() == "<p>Hello"
        async with client.get("/empty/") as response:
            assert response.status == 404
        async with client.post("/") as response:
            assert response.status == 405


async def test_events() -> None:
    async with PAGE.session("Events") as client, client.get("/") as response:
        assert response.content_type == "text/event-stream"
        expected = [{"event": "count", "data": f"number {n}", "id": f"{n}"} for n in range(3)]
        assert events(await response.text()) == expected
    async with PAGE.session("Events", 1) as client, client.get("/") as response:
        expected = [{"data": "tick"}, {"event": "tock", "data": "two\nlines"}]
        assert events(await response.text()) == expected


def events(stream: str) -> list[dict[str, str]]:
    found = []
    for block in stream.removesuffix("\n\n").split("\n\n"):
        event: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            event[name] = f"{event[name]}\n{value}" if name in event else value
        found.append(event)
    return found


def test_no_block_is_left_out() -> None:
    """A block that is new wants a test above."""
    assert PAGE.counts == {
        "Forms": 2,
        "Part by part": 1,
        "Whatever it is": 1,
        "Cookies": 3,
        "Header fields": 1,
        "Compression": 2,
        "Files": 2,
        "Events": 2,
    }
