"""examples/upload.py as a process of its own: aiohttp's client, curl, then its page in a browser."""

import asyncio
import gzip
import hashlib
import io
import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import pytest

from tests.browser import chromium
from tests.program import LOOP, ROOT, Program, running
from tests.support import DEADLINE, Peer, request

if TYPE_CHECKING:
    from selenium.webdriver import Remote

SCRIPT = (str(ROOT / "examples/upload.py"), "--port=0", "--client-max-size=20000000")
MODULE = (
    "-m",
    "lowlevel",
    "examples.upload:router",
    "--port=0",
    "--client-max-size=20000000",
    "--no-access-log",
    f"--loop={LOOP}",
)
PROGRAM = SCRIPT if LOOP == "asyncio" else MODULE
LARGE = random.Random(1).randbytes(5 * 2**20)
ODD_NAME = "Grüße & 'Küsse' #1 100%.txt"


@contextmanager
def uploads(folder: Path, program: tuple[str, ...] = PROGRAM) -> Iterator[Program]:
    with running(*program, cwd=folder) as running_program:
        yield running_program


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files(folder: Path) -> list[Path]:
    """What files there are, also what is not whole."""
    return [path for path in (folder / "uploads").rglob("*") if path.is_file()]


def kept(folder: Path) -> dict[str, str]:
    """Names and digests of the files."""
    return {path.name.removesuffix(".upload"): digest(path.read_bytes()) for path in files(folder)}


def told(name: str, data: bytes, content_type: str) -> dict[str, Any]:
    """What the program answers about a file."""
    return {"name": name, "size": len(data), "type": content_type, "sha256": digest(data)}


# ---- aiohttp's client --------------------------------------------------------------------------


@pytest.mark.parametrize("program", [SCRIPT, MODULE], ids=["script", "command line"])
async def test_files_are_kept_and_come_back(program: tuple[str, ...], tmp_path: Path) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("note", "Zwei Dateien, größere")
    form.add_field(
        "file", io.BytesIO(LARGE), filename="large.bin", content_type="application/octet-stream"
    )
    form.add_field("file", b"Hello\n", filename=ODD_NAME, content_type="text/plain")
    with uploads(tmp_path, program) as site:
        async with aiohttp.ClientSession(site.url) as session:
            async with session.post("/", data=form) as response:
                assert response.status == 200, await response.text()
                assert await response.json() == {
                    "note": "Zwei Dateien, größere",
                    "files": [
                        told("large.bin", LARGE, "application/octet-stream"),
                        told(ODD_NAME, b"Hello\n", "text/plain"),
                    ],
                }
            assert kept(tmp_path) == {"large.bin": digest(LARGE), ODD_NAME: digest(b"Hello\n")}
            async with session.get("/files/") as response:
                assert await response.json() == [ODD_NAME, "large.bin"]
            async with session.get(f"/files/{quote(ODD_NAME)}") as response:
                assert await response.read() == b"Hello\n"
                assert response.content_type == "text/plain"
                assert response.content_disposition is not None
                assert response.content_disposition.type == "attachment"
                assert response.content_disposition.filename == ODD_NAME
            async with session.get("/files/large.bin") as response:
                assert digest(await response.read()) == digest(LARGE)


async def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    async def send(data: bytes) -> str:
        form = aiohttp.FormData()
        form.add_field("file", data, filename="a.tar.gz")
        async with session.post("/", data=form) as response:
            name: str = (await response.json())["files"][0]["name"]
        return name

    with uploads(tmp_path) as site:
        async with aiohttp.ClientSession(site.url) as session:
            contents = [b"%d" % number for number in range(8)]
            names = await asyncio.gather(*map(send, contents))
    assert kept(tmp_path) == dict(zip(names, map(digest, contents), strict=True))
    numbered = {f"a.tar ({number}).gz" for number in range(2, 9)}
    assert set(names) == {"a.tar.gz", *numbered}


NAMES = {
    b"../../escaped.txt": "escaped.txt",
    b"/etc/passwd": "passwd",
    rb"C:\fakepath\photo.jpg": "photo.jpg",
    b"..": "unnamed",
    b".profile": ".profile",
    b"a/": "unnamed (2)",
    b"tab\tand bell\x07": "tab_and bell_",
    "ü".encode() * 300 + b".txt": "ü" * 46 + ".txt",
    b"<img src=x>.html": "<img src=x>.html",
}


async def test_names_are_made_harmless(tmp_path: Path) -> None:
    fields = "Content-Type: multipart/form-data; boundary=x"
    with uploads(tmp_path) as site:
        async with Peer.connect(site.port) as peer:
            for sent, name in NAMES.items():
                body = (
                    b'--x\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n'
                    b"Content-Type: text/html\r\n\r\n%b\r\n--x--\r\n" % (sent, name.encode())
                )
                answer = await peer.ask(request("POST", "/", fields, body=body))
                assert answer.status == 200, answer.body
                answer = await peer.ask(request("GET", f"/files/{quote(name)}"))
                assert (answer.status, answer.body) == (200, name.encode())
                assert (answer.header("content-disposition") or "").startswith("attachment;")
            answer = await peer.ask(request("GET", "/files/"))
            assert json.loads(answer.body) == sorted(NAMES.values())
    assert kept(tmp_path) == {name: digest(name.encode()) for name in NAMES.values()}
    assert [path.name for path in tmp_path.iterdir()] == ["uploads"]


async def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    """It becomes text that can be written, in JSON and in a link of the page."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="invalid\xff"\r\n\r\n'
        b"data\r\n--x--\r\n"
    )
    fields = "Content-Type: multipart/form-data; boundary=x"
    with uploads(tmp_path) as site:
        async with Peer.connect(site.port) as peer:
            await peer.ask(request("POST", "/", fields, body=body))
            [name] = json.loads((await peer.ask(request("GET", "/files/"))).body)
            answer = await peer.ask(request("GET", f"/files/{quote(name)}"))
    assert (answer.status, answer.body) == (200, b"data")


async def test_a_form_without_a_file(tmp_path: Path) -> None:
    """As a browser sends it when nothing was chosen."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename=""\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\r\n--x--\r\n"
    )
    fields = "Content-Type: multipart/form-data; boundary=x"
    with uploads(tmp_path) as site:
        async with Peer.connect(site.port) as peer:
            answer = await peer.ask(request("POST", "/", fields, body=body))
    assert (answer.status, answer.body) == (200, b'{"note": "hello", "files": []}')
    assert kept(tmp_path) == {}


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_an_upload_that_is_too_large(chunked: bool, tmp_path: Path) -> None:
    with uploads(tmp_path) as site:
        async with aiohttp.ClientSession(site.url) as session:
            form = aiohttp.FormData()
            form.add_field("file", io.BytesIO(bytes(20_000_000)), filename="a.bin")
            async with session.post("/", data=form, chunked=chunked or None) as response:
                assert response.status == 413
                assert response.content_type == "text/plain"
                assert "20000000" in await response.text()
    assert kept(tmp_path) == {}


@pytest.mark.parametrize("ending", ["error", "leaves"])
async def test_nothing_is_left_of_an_upload_cut_short(ending: str, tmp_path: Path) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    fields = "Content-Type: multipart/form-data; boundary=x"
    with uploads(tmp_path) as site:
        async with Peer.connect(site.port) as peer:
            if ending == "error":
                answer = await peer.ask(request("POST", "/", fields, body=head + b"data"))
                assert answer.status == 400
                assert answer.header("content-type") == "text/plain; charset=utf-8"
            else:
                length = f"Content-Length: {10**7}"
                await peer.send(request("POST", "/", fields, length) + head + LARGE)
                await eventually(lambda: len(files(tmp_path)) == 1)
                peer.reset()
                await eventually(lambda: not list((tmp_path / "uploads").iterdir()))
        async with Peer.connect(site.port) as peer:
            answer = await peer.ask(request("GET", "/files/"))
            assert answer.body == b"[]"
    assert kept(tmp_path) == {}


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.001)


async def test_requests_that_are_no_uploads(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    for path in ("secret.upload", "uploads/secret.upload", "uploads/unfinished"):
        (tmp_path / path).write_text(path)
    with uploads(tmp_path) as site:
        async with Peer.connect(site.port) as peer:
            answer = await peer.ask(request())
            assert answer.status == 200
            assert answer.header("content-type") == "text/html"
            assert answer.body == (ROOT / "examples/upload.html").read_bytes()
            answer = await peer.ask(request("GET", "/files/"))
            assert answer.body == b'["secret"]'
            for method, target in (("DELETE", "/files/secret"), ("PUT", "/"), ("POST", "/files/")):
                answer = await peer.ask(request(method, target))
                allowed = "GET, HEAD, POST" if target == "/" else "GET, HEAD"
                assert (answer.status, answer.header("allow")) == (405, allowed), target
            for target in (
                *(
                    "/files",
                    "/files/a",
                    "/files/unfinished",
                    "/files/%00",
                    "/file/secret",
                    "/secret",
                ),
                *("/files/../secret", "/files/%2e%2e/secret", "/files/..%2fsecret"),
                *("//files/secret", "/files/a/secret", "/files/..", "/files/..\\secret"),
                "/files/" + "a" * 4000,
            ):
                answer = await peer.ask(request("GET", target))
                assert answer.status == 404, target


# ---- curl --------------------------------------------------------------------------------------


class Curl:
    def __init__(self, program: str, site: Program, folder: Path) -> None:
        self._program, self._site, self._folder = program, site, folder

    def __call__(self, path: str, *arguments: str) -> bytes:
        """Run it in its own folder, and return what it writes."""
        done = subprocess.run(
            [self._program, "-sS", "--noproxy", "*", *arguments, self._site.url + path],
            cwd=self._folder,
            capture_output=True,
            timeout=DEADLINE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def ask(curl: str, tmp_path: Path) -> Iterator[Curl]:
    client, server = tmp_path / "client", tmp_path / "server"
    client.mkdir()
    server.mkdir()
    (client / "large.bin").write_bytes(LARGE)
    with uploads(server) as site:
        yield Curl(curl, site, client)


def test_curl_sends_a_form(ask: Curl, tmp_path: Path) -> None:
    (tmp_path / "client" / ODD_NAME).write_bytes(b"odd")
    fields = ("note=from curl", "file=@large.bin", f"file=@{ODD_NAME};type=text/x-odd")
    form = [argument for field in fields for argument in ("-F", field)]
    for more in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue")):
        answer = ask("", *form, *more)
        assert b'"note": "from curl"' in answer
        assert digest(LARGE).encode() in answer
        assert b"text/x-odd" in answer
    found = kept(tmp_path / "server")
    assert found["large.bin"] == found["large (2).bin"] == found["large (3).bin"] == digest(LARGE)
    assert found[ODD_NAME] == digest(b"odd")
    assert len(found) == 6


def test_curl_saves_by_the_name_of_the_file(ask: Curl, tmp_path: Path) -> None:
    ask("", "-F", "file=@large.bin;filename=other.bin")
    ask("files/other.bin", "-OJ")
    assert digest((tmp_path / "client/other.bin").read_bytes()) == digest(LARGE)


def test_curl_takes_a_part_and_the_rest(ask: Curl, tmp_path: Path) -> None:
    ask("", "-F", "file=@large.bin")
    assert ask("files/large.bin", "-r", "10-19") == LARGE[10:20]
    assert ask("files/large.bin", "-r", "-7") == LARGE[-7:]
    partial = tmp_path / "client/partial.bin"
    partial.write_bytes(LARGE[:1_000_000])
    ask("files/large.bin", "-C", "-", "-o", "partial.bin")
    assert digest(partial.read_bytes()) == digest(LARGE)


def test_curl_asks_for_what_has_changed(ask: Curl, tmp_path: Path) -> None:
    status = ("-o", "copy", "-R", "-w", "%{http_code}")
    ask("", "-F", "file=@large.bin")
    assert ask("files/large.bin", *status, "--etag-save", "etag") == b"200"
    assert ask("files/large.bin", *status, "--etag-compare", "etag") == b"304"
    assert ask("files/large.bin", *status, "-z", "copy") == b"304"
    assert ask("files/large.bin", *status, "-z", "2000-01-01") == b"200"
    assert digest((tmp_path / "client/copy").read_bytes()) == digest(LARGE)


def test_curl_takes_compressed_answers(ask: Curl, tmp_path: Path) -> None:
    """But nothing is compressed here, and no file is taken for another one in compressed form."""
    (tmp_path / "client/large.bin.gz").write_bytes(gzip.compress(b"something else"))
    ask("", "-F", "file=@large.bin", "-F", "file=@large.bin.gz")
    ask("files/large.bin", "--compressed", "-o", "copy")
    assert digest((tmp_path / "client/copy").read_bytes()) == digest(LARGE)
    assert b"<title>Uploads</title>" in ask("", "--compressed")


# ---- The page in a browser ---------------------------------------------------------------------


@pytest.mark.timeout(120)  # a browser takes its time to start on a machine that is busy
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    server, profile = tmp_path / "server", tmp_path / "profile"
    server.mkdir()
    odd = tmp_path / 'Grüße & "Küsse" <b>.png'
    odd.write_bytes(b"no image")
    large = tmp_path / "large.bin"
    large.write_bytes(LARGE)

    with chromium(profile) as browser, uploads(server) as site:
        browser.get(site.url)
        shows(browser, "#all", lambda text: text == "None yet.")
        browser.find_element("name", "note").send_keys("<b>Grüße</b>")
        browser.find_element("name", "file").send_keys(f"{odd}\n{large}")
        browser.find_element("tag name", "button").click()
        shows(browser, "#answer", lambda text: text.startswith("Received"))
        answer = browser.find_element("id", "answer").text.splitlines()
        found = kept(server)
        assert sorted(found.values()) == sorted([digest(b"no image"), digest(LARGE)])
        odd_name = next(name for name in found if name.endswith(".png"))
        assert odd_name.replace("%22", '"') == odd.name  # browsers put %22 for a quote
        assert answer == [
            "Received",
            "<b>Grüße</b>",
            *(odd_name, "8 bytes, image/png", f"SHA-256 {digest(b'no image')}"),
            "large.bin",
            f"{len(LARGE):,} bytes, application/octet-stream",
            f"SHA-256 {digest(LARGE)}",
        ]
        shows(browser, "#all", lambda text: text.splitlines() == [odd_name, "large.bin"])

        for name in found:
            browser.find_element("link text", name).click()
            file = name.replace("<", "_").replace(">", "_")  # as browsers do it
            assert saved(profile / "downloads" / file) == found[name]

        (tmp_path / "huge.bin").write_bytes(bytes(40_000_000))
        browser.find_element("name", "file").clear()
        browser.find_element("name", "file").send_keys(str(tmp_path / "huge.bin"))
        browser.find_element("tag name", "button").click()
        shows(browser, "#answer .error", lambda text: "20000000" in text)
        shows(browser, "#all", lambda text: text.splitlines() == [odd_name, "large.bin"])


def shows(browser: "Remote", selector: str, condition: Callable[[str], bool]) -> None:
    """Wait until the text of an element is so."""
    deadline = time.monotonic() + DEADLINE
    while True:
        texts = [element.text for element in browser.find_elements("css selector", selector)]
        if len(texts) == 1 and condition(texts[0]):
            return
        assert time.monotonic() < deadline, f"{selector} reads {texts}"
        time.sleep(0.01)


def saved(path: Path) -> str:
    """Wait until a download is there, which it is when it is whole; return its digest."""
    deadline = time.monotonic() + DEADLINE
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was not saved"
        time.sleep(0.01)
    return digest(path.read_bytes())
