"""StaticFiles with real folders over real sockets. Targets are sent as they are: clients would put them in order."""

import asyncio
import errno
import gzip
import html
import os
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import lowlevel as web
from lowlevel.toolkit.static import StaticFiles, _split
from tests.support import Answer, Peer, Serving, request, serving

SECRET = b"this must never be seen"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder to serve, ``static``, with secrets all around it."""
    files = {
        "static/a.txt": b"a",
        "static/.hidden": b"hidden",
        "static/page.html": b"<p>page",
        "static/sub/index.html": b"<p>index",
        "static/sub/deep/x.txt": b"x",
        "static/empty/.keep": b"",
        "static-secret/secret.txt": SECRET,
        "secret.txt": SECRET,
    }
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


@asynccontextmanager
async def served(*folders: Path, **options: Any) -> AsyncIterator[Serving]:
    async with serving(await asyncio.to_thread(StaticFiles, *folders, **options)) as site:
        yield site


async def ask(site: Serving, target: str, *fields: str, method: str = "GET") -> Answer:
    async with Peer.connect(site.port) as peer:
        return await peer.ask(request(method, target, *fields))


async def fetch(folder: Path, target: str, **options: Any) -> Answer:
    async with served(folder, **options) as site:
        return await ask(site, target)


# --- Files --------------------------------------------------------------------------------


async def test_a_file(base: Path) -> None:
    answer = await fetch(base / "static", "/a.txt")
    assert (answer.status, answer.body) == (200, b"a")
    assert answer.header("Content-Type") == "text/plain"
    assert answer.header("Accept-Ranges") == "bytes"
    assert answer.header("Content-Length") == "1"
    assert answer.header("Last-Modified")
    assert "Content-Disposition" not in answer.head.decode()


async def test_head_conditions_and_ranges(base: Path) -> None:
    async with served(base / "static") as site:
        head = await ask(site, "/page.html", method="HEAD")
        assert (head.status, head.header("Content-Length")) == (200, "7")
        assert head.header("Content-Type") == "text/html"
        etag = head.header("ETag")
        assert (await ask(site, "/page.html", f"If-None-Match: {etag}")).status == 304
        assert (await ask(site, "/page.html", 'If-Match: "other"')).status == 412
        part = await ask(site, "/page.html", "Range: bytes=1-2")
        assert (part.status, part.body) == (206, b"p>")
        assert (await ask(site, "/page.html", "Range: bytes=7-")).status == 416


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "é☃",
        "100%",
        "%2e%2e",
        "a+b",
        "...",
        "..a",
        "~root",
        "a:b",
        "semi;colon",
        "question?",
        "hash#",
        '"quotes"',
        "<tag>",
        "line\nend",
        "-rf",
    ],
)
async def test_any_name_a_file_may_have(base: Path, name: str) -> None:
    (base / "static" / name).write_bytes(b"found")
    if name == "a:b":  # on Windows, it would be another drive
        assert (await fetch(base / "static", "/" + quote(name))).status == 404
        return
    assert (await fetch(base / "static", "/" + quote(name))).body == b"found"


async def test_a_name_that_is_no_text(base: Path) -> None:
    path = os.fsencode(base / "static") + b"/\xff\xfe"
    with open(path, "wb") as file:
        file.write(b"found")
    assert (await fetch(base / "static", "/%FF%FE")).body == b"found"


@pytest.mark.parametrize(
    "target", ["/.hidden", "/sub/deep/x.txt", "/%61.txt", "/a.txt?b=%2F..", "/sub/deep/x.txt?"]
)
async def test_other_ways_to_a_file(base: Path, target: str) -> None:
    assert (await fetch(base / "static", target)).status == 200


async def test_the_absolute_form(base: Path) -> None:
    async with served(base / "static", index="a.txt") as site:
        assert (await ask(site, "http://a.test/a.txt")).body == b"a"
        assert (await ask(site, "http://a.test")).body == b"a"
        assert (await ask(site, "http://a.test/../secret.txt")).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods(base: Path, method: str) -> None:
    async with served(base / "static", index="a.txt") as site:
        for target in ("/a.txt", "/missing", "/"):
            answer = await ask(site, target, method=method)
            assert answer.status == 405
            assert answer.headers["allow"] == ["GET, HEAD"]


async def test_a_large_file(base: Path) -> None:
    data = os.urandom(3_000_000)
    (base / "static" / "large").write_bytes(data)
    assert (await fetch(base / "static", "/large")).body == data


async def test_a_miss_is_an_exception(base: Path) -> None:
    """So that middlewares and routers may do about it what they want."""
    files = await asyncio.to_thread(StaticFiles, base / "static")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await files(request)
        except web.HTTPNotFound:
            return web.Response(text="instead")

    async with serving(handler) as site:
        for target in ("/missing", "/..", "/sub/", "/sub"):
            assert (await ask(site, target)).body == b"instead"


async def test_the_body_of_a_miss(base: Path) -> None:
    answer = await fetch(base / "static", "/missing")
    assert (answer.status, answer.body) == (404, b"404: Not Found")
    for name in ("ETag", "Last-Modified", "Accept-Ranges"):
        assert answer.header(name) is None


# --- Misses -------------------------------------------------------------------------------

OUT = [
    "/../secret.txt",
    "/sub/../../secret.txt",
    "/sub/deep/../../../secret.txt",
    "/./../secret.txt",
    "/%2e%2e/secret.txt",
    "/%2E%2E/secret.txt",
    "/.%2e/secret.txt",
    "/%2e./secret.txt",
    "/..%2fsecret.txt",
    "/..%2Fsecret.txt",
    "/%2e%2e%2fsecret.txt",
    "/sub%2f..%2f..%2fsecret.txt",
    "/..%5csecret.txt",
    "/%2e%2e%5csecret.txt",
    "/..\\secret.txt",
    "/%252e%252e/secret.txt",
    "/%%32%65%%32%65/secret.txt",
    "/%c0%ae%c0%ae/secret.txt",
    "/%uff0e%uff0e/secret.txt",
    "/..;/secret.txt",
    "/..%00/secret.txt",
    "/..%0d/secret.txt",
    "//../secret.txt",
    "/../static-secret/secret.txt",
    "/-secret/secret.txt",
    "/../static/a.txt",
]
ODD = [
    "/sub/../a.txt",
    "/./a.txt",
    "/%2e/a.txt",
    "/sub/%2e%2e/a.txt",
    "//a.txt",
    "//sub/deep/x.txt",
    "/sub//deep/x.txt",
    "/sub%2fdeep/x.txt",
    "/sub%2Fdeep%2Fx.txt",
    "/sub%5cdeep%5cx.txt",
    "/sub\\deep\\x.txt",
    "/%2fa.txt",
    "/a.txt%00",
    "/a.txt%00.html",
    "/%00",
    "/a.txt/",
    "/a.txt/.",
    "/a.txt/..",
    "/a.txt/x",
    "/C:/a.txt",
    "/c:a.txt",
    "/C%3A/a.txt",
    "/a.txt%20",
    "/A.TXT.",
    "/" + "x" * 300,
    "/" + "/".join(["y" * 200] * 30),
    "/%",
    "/%zz",
    "/%ff",
    "/%f0%9f",
    "/~",
    "/sub",
    "/sub/",
    "/empty",
    "/empty/",
    "/",
]


@pytest.mark.parametrize("follow_symlinks", [False, True])
async def test_what_is_not_there(base: Path, follow_symlinks: bool) -> None:
    async with served(base / "static", follow_symlinks=follow_symlinks) as site:
        for target in [*OUT, *ODD]:
            answer = await ask(site, target)
            assert answer.status in (400, 404), target
            assert SECRET not in answer.body, target
        # Not all of them are the parser's work.
        statuses = [(await ask(site, target)).status for target in OUT]
        assert statuses.count(404) > len(OUT) - 3


async def test_absolute_names(base: Path) -> None:
    secret = str(base / "secret.txt")
    async with served(base / "static") as site:
        for target in (
            secret,
            "/" + secret,
            "/" + quote(secret, safe=""),
            f"/{quote('//' + secret)}",
        ):
            assert (await ask(site, target)).status == 404


async def test_nothing_is_asked_of_the_system_for_a_bad_name(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In particular, the NUL does not reach it, and no drive is woken up."""
    async with served(base / "static") as site:

        def refuse(*args: object) -> None:
            raise AssertionError(args)

        monkeypatch.setattr(StaticFiles, "_find", refuse)
        for target in ("/a.txt%00", "/C%3A/x", "/..%5cx", "/%2e%2e/x", "/..%2fx"):
            assert (await ask(site, target)).status == 404


def special_fifo(path: Path) -> None:
    os.mkfifo(path)


def special_socket(path: Path) -> None:
    sock = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(path.parent)  # the whole path may be too long for the address of a socket
    try:
        sock.bind(path.name)
    finally:
        os.chdir(here)
        sock.close()


def special_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [special_fifo, special_socket, special_device])
async def test_what_is_no_file(base: Path, make: Callable[[Path], None]) -> None:
    make(base / "static" / "special")
    async with served(base / "static", follow_symlinks=True, show_index=True) as site:
        assert (await ask(site, "/special")).status == 404
        assert b"special" not in (await ask(site, "/")).body


def failing(monkeypatch: pytest.MonkeyPatch, function: str, name: str, code: int) -> None:
    """Let a function of the system fail for files of a name."""
    real = getattr(os, function)

    def fail(path: Any, *args: Any, **options: Any) -> Any:
        if isinstance(path, str) and os.path.basename(path) == name:
            raise OSError(code, os.strerror(code), path)
        return real(path, *args, **options)

    monkeypatch.setattr(os, function, fail)
    # Not by the way that asks the kernel itself.
    monkeypatch.setattr("lowlevel.cached_files._system", None)


@pytest.mark.parametrize("function", ["open", "stat", "lstat"])
@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
async def test_what_may_not_be_read(
    base: Path, function: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(base / "static") as site:
        failing(monkeypatch, function, "a.txt", code)
        assert (await ask(site, "/a.txt")).status == 404
        assert (await ask(site, "/page.html")).status == 200


async def test_a_file_that_vanishes(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found, and gone before it is opened."""
    async with served(base / "static") as site:
        failing(monkeypatch, "open", "a.txt", errno.ENOENT)
        assert (await ask(site, "/a.txt")).status == 404


@pytest.mark.parametrize("function", ["open", "stat", "lstat"])
async def test_faults_of_the_system_are_told(
    base: Path, function: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(base / "static") as site:
        failing(monkeypatch, function, "a.txt", errno.EIO)
        assert (await ask(site, "/a.txt")).status == 500
    assert "Input/output error" in caplog.text


# --- Several folders ----------------------------------------------------------------------


async def test_the_first_folder_wins(base: Path) -> None:
    other = base / "other"
    (other / "sub").mkdir(parents=True)
    (other / "a.txt").write_bytes(b"the other a")
    (other / "b.txt").write_bytes(b"b")
    (other / "sub" / "y.txt").write_bytes(b"y")
    # A folder does not hide a file, and the other way round.
    (base / "static" / "b.txt").mkdir()
    (other / "page.html").mkdir()
    async with served(base / "static", other) as site:
        assert (await ask(site, "/a.txt")).body == b"a"
        assert (await ask(site, "/b.txt")).body == b"b"
        assert (await ask(site, "/sub/y.txt")).body == b"y"
        assert (await ask(site, "/sub/deep/x.txt")).body == b"x"
        assert (await ask(site, "/page.html")).body == b"<p>page"
        assert (await ask(site, "/c.txt")).status == 404
    async with served(other, base / "static") as site:
        assert (await ask(site, "/a.txt")).body == b"the other a"


async def test_an_index_may_be_in_another_folder(base: Path) -> None:
    other = base / "other"
    (other / "empty").mkdir(parents=True)
    (other / "empty" / "index.html").write_bytes(b"of the other")
    (other / "index.html").write_bytes(b"root of the other")
    async with served(base / "static", other, index="index.html") as site:
        assert (await ask(site, "/empty/")).body == b"of the other"
        assert (await ask(site, "/empty")).status == 301
        assert (await ask(site, "/")).body == b"root of the other"
        assert (await ask(site, "/sub/")).body == b"<p>index"


async def test_a_link_that_leaves_hides_nothing(base: Path) -> None:
    other = base / "other"
    other.mkdir()
    (other / "x").write_bytes(b"of the other")
    (base / "static" / "x").symlink_to(base / "secret.txt")
    async with served(base / "static", other) as site:
        assert (await ask(site, "/x")).body == b"of the other"


# --- Folders ------------------------------------------------------------------------------


async def test_an_index(base: Path) -> None:
    async with served(base / "static", index="index.html") as site:
        answer = await ask(site, "/sub/")
        assert (answer.status, answer.body) == (200, b"<p>index")
        assert answer.header("Content-Type") == "text/html"
        assert (await ask(site, "/sub/?a=b")).body == b"<p>index"
        assert (await ask(site, "/sub/index.html")).body == b"<p>index"
        for target in ("/", "/empty/", "/empty", "/sub/deep", "/sub/deep/"):
            assert (await ask(site, target)).status == 404


async def test_an_index_that_is_no_file(base: Path) -> None:
    (base / "static" / "empty" / "index.html").mkdir()
    async with served(base / "static", index="index.html") as site:
        assert (await ask(site, "/empty/")).status == 404
        assert (await ask(site, "/empty")).status == 404
        assert (await ask(site, "/empty/index.html/")).status == 404


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/sub", "sub/"),
        ("/sub?a=b&c=%2F", "sub/?a=b&c=%2F"),
        ("/%73ub", "sub/"),
        ("/sub/deep", "deep/"),
        ("/with%20space", "with%20space/"),
        ("/evil.test", "evil.test/"),
        ("/http%3A", "http%3A/"),
        ("/line%0D%0Aend", "line%0D%0Aend/"),
        ("/%C3%A9", "%C3%A9/"),
        ("/%FF", "%FF/"),
    ],
)
@pytest.mark.parametrize("options", [{"index": "index.html"}, {"show_index": True}])
async def test_the_slash_is_added(
    base: Path, target: str, location: str, options: dict[str, Any]
) -> None:
    """Links on the page would lead elsewhere without it. The place is a relative one, so that a mount need not care."""
    static = os.fsencode(base / "static")
    for name in (
        b"sub/deep",
        b"with space",
        b"evil.test",
        b"http:",
        b"line\r\nend",
        b"\xc3\xa9",
        b"\xff",
    ):
        os.makedirs(static + b"/" + name, exist_ok=True)
        with open(static + b"/" + name + b"/index.html", "wb") as file:
            file.write(b"there")
    async with served(base / "static", **options) as site:
        for method in ("GET", "HEAD"):
            answer = await ask(site, target, method=method)
            assert (answer.status, answer.header("Location")) == (301, location)
        there = urljoin(f"http://a.test{target}", location)
        assert there.startswith("http://a.test/")
        assert (await ask(site, there)).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "//evil.test",
        "//evil.test/",
        "//evil.test/..",
        "//evil.test/%2e%2e",
        "//evil.test/%2f..",
        "///evil.test",
        "/%2fevil.test",
        "/%2f%2fevil.test",
        "/\\evil.test",
        "/%5cevil.test",
        "/%5c%5cevil.test",
        "/%09/evil.test",
    ],
)
@pytest.mark.parametrize("options", [{"index": "index.html"}, {"show_index": True}])
async def test_open_redirects_cve_2021_28861_and_21330(
    base: Path, target: str, options: dict[str, Any]
) -> None:
    """http.server and a middleware of aiohttp sent clients to ``//evil.test/``."""
    (base / "static" / "evil.test").mkdir()
    (base / "static" / "evil.test" / "index.html").write_bytes(b"")
    answer = await fetch(base / "static", target, **options)
    assert answer.status in (400, 404)
    assert answer.header("Location") is None


def links(answer: Answer) -> dict[str, str]:
    """What the page of a folder shows: names by links."""
    found = re.findall('<li><a href="([^"]*)">([^<]*)</a></li>', answer.body.decode())
    return {html.unescape(link): html.unescape(name) for link, name in found}


async def test_a_list(base: Path) -> None:
    static = base / "static"
    for name in ("Zebra", "a b&<c>.txt", "é"):
        (static / name).write_bytes(name.encode())
    async with served(static, show_index=True) as site:
        answer = await ask(site, "/")
        assert answer.status == 200
        assert answer.header("Content-Type") == "text/html; charset=utf-8"
        shown = links(answer)
        assert list(shown.values()) == sorted(shown.values())
        assert shown == {
            ".hidden": ".hidden",
            "Zebra": "Zebra",
            "a%20b%26%3Cc%3E.txt": "a b&<c>.txt",
            "a.txt": "a.txt",
            "empty/": "empty/",
            "page.html": "page.html",
            "sub/": "sub/",
            "%C3%A9": "é",
        }
        for link in shown:
            assert (await ask(site, f"/{link}")).status == 200
        assert links(await ask(site, "/sub/deep/")) == {"../": "../", "x.txt": "x.txt"}
        assert b"<h1>/sub/deep/</h1>" in (await ask(site, "/sub/deep/")).body
        head = await ask(site, "/", method="HEAD")
        assert head.header("Content-Length") == str(len(answer.body))


async def test_an_index_goes_before_a_list(base: Path) -> None:
    async with served(base / "static", show_index=True, index="index.html") as site:
        assert (await ask(site, "/sub/")).body == b"<p>index"
        assert links(await ask(site, "/empty/")) == {"../": "../", ".keep": ".keep"}


async def test_a_list_of_several_folders(base: Path) -> None:
    other = base / "other"
    (other / "sub").mkdir(parents=True)
    (other / "sub" / "index.html").write_bytes(b"")
    (other / "sub" / "y").write_bytes(b"")
    async with served(base / "static", other, show_index=True) as site:
        answer = await ask(site, "/sub/")
        assert list(links(answer)) == ["../", "deep/", "index.html", "y"]
        assert answer.body.count(b"<li>") == 4


async def test_a_list_shows_what_can_be_had(base: Path) -> None:
    static = base / "static"
    (static / "empty" / "out").symlink_to(base / "secret.txt")
    (static / "empty" / "out-folder").symlink_to(base)
    (static / "empty" / "in").symlink_to(static / "a.txt")
    (static / "empty" / "in-folder").symlink_to(static / "sub")
    (static / "empty" / "broken").symlink_to("nowhere")
    (static / "empty" / "loop").symlink_to("loop")
    (static / "empty" / "back\\slash").write_bytes(b"")
    (static / "empty" / "c:drive").write_bytes(b"")
    async with served(static, show_index=True) as site:
        shown = links(await ask(site, "/empty/"))
        assert list(shown) == ["../", ".keep", "in", "in-folder/"]
        for link in shown:
            assert (await ask(site, urljoin("/empty/", link))).status == 200
    async with served(static, show_index=True, follow_symlinks=True) as site:
        shown = links(await ask(site, "/empty/"))
        assert list(shown) == ["../", ".keep", "in", "in-folder/", "out", "out-folder/"]
        for link in shown:
            assert (await ask(site, urljoin("/empty/", link))).status == 200


async def test_a_list_of_too_many(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowlevel.toolkit.static._MOST_ENTRIES", 5)
    folder = base / "many"
    folder.mkdir()
    for number in range(4):
        (folder / str(number)).touch()
    async with served(folder, show_index=True) as site:
        for number in range(4, 8):
            (folder / str(number)).touch()
            answer = await ask(site, "/")
            assert len(links(answer)) == min(number + 1, 5)
            assert (b"and more" in answer.body) == (number + 1 > 5)


@pytest.mark.parametrize(("code", "status"), [(errno.EACCES, 200), (errno.EIO, 500)])
async def test_a_folder_that_cannot_be_listed(
    base: Path, code: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(base / "static", show_index=True) as site:
        failing(monkeypatch, "scandir", "sub", code)
        answer = await ask(site, "/sub/")
        assert answer.status == status
        assert "deep" not in answer.body.decode()


async def test_names_in_a_list_cve_2024_27306(base: Path) -> None:
    """aiohttp put the names of files into its index pages as they were."""
    evil = "<img src=x onerror=alert(1)>"
    quoted = '" onmouseover="alert(1)'
    folder = base / "static" / evil
    folder.mkdir()
    (folder / evil).write_bytes(b"")
    (folder / quoted).write_bytes(b"")
    (folder / "javascript:alert(1)").write_bytes(b"")
    async with served(base / "static", show_index=True) as site:
        for target in ("/", f"/{quote(evil)}/"):
            answer = await ask(site, target)
            assert answer.status == 200
            assert b"<img" not in answer.body
            assert b' onmouseover="' not in answer.body
            assert b'"javascript:' not in answer.body
            assert answer.header("Content-Security-Policy") == "default-src 'none'"
        assert set(links(answer).values()) == {"../", evil, quoted, "javascript:alert(1)"}


async def test_names_that_are_no_text_in_a_list(base: Path) -> None:
    with open(os.fsencode(base / "static" / "empty") + b"/\xff.txt", "wb") as file:
        file.write(b"found")
    async with served(base / "static", show_index=True) as site:
        shown = links(await ask(site, "/empty/"))
        assert shown["%FF.txt"] == "\ufffd.txt"
        assert (await ask(site, "/empty/%FF.txt")).body == b"found"


# --- Links --------------------------------------------------------------------------------


@pytest.fixture
def linked(base: Path) -> Path:
    static = base / "static"
    (static / "in").symlink_to("sub/deep/x.txt")
    (static / "in-folder").symlink_to(static / "sub")
    (static / "in-again").symlink_to("in")
    (static / "out").symlink_to(base / "secret.txt")
    (static / "out-relative").symlink_to("../secret.txt")
    (static / "out-again").symlink_to("out")
    (static / "neighbour").symlink_to(base / "static-secret")
    (static / "up").symlink_to("..")
    (static / "slash").symlink_to("/")
    (static / "loop").symlink_to("loop")
    (static / "broken").symlink_to("nowhere")
    return base


INSIDE = ["/in", "/in-again", "/in-folder/deep/x.txt"]
OUTSIDE = ["/out", "/out-relative", "/out-again", "/neighbour/secret.txt", "/up/secret.txt"]


async def test_links_within_the_folder(linked: Path) -> None:
    for follow_symlinks in (False, True):
        async with served(linked / "static", follow_symlinks=follow_symlinks) as site:
            for target in INSIDE:
                assert (await ask(site, target)).body == b"x"
            for target in ("/loop", "/broken", "/loop/x", "/in/x"):
                assert (await ask(site, target)).status == 404


async def test_links_that_leave_the_folder(linked: Path) -> None:
    root = f"/slash{quote(str(linked / 'secret.txt'))}"
    back = "/up/static/a.txt"
    async with served(linked / "static") as site:
        for target in [*OUTSIDE, root]:
            assert (await ask(site, target)).status == 404
        # It is inside, however it is reached.
        assert (await ask(site, back)).body == b"a"
    async with served(linked / "static", follow_symlinks=True) as site:
        for target in [*OUTSIDE, root]:
            assert (await ask(site, target)).body == SECRET
        assert (await ask(site, back)).body == b"a"


async def test_folders_by_links(linked: Path) -> None:
    async with served(linked / "static", show_index=True) as site:
        assert (await ask(site, "/neighbour")).status == 404
        assert (await ask(site, "/neighbour/")).status == 404
        assert (await ask(site, "/up/")).status == 404
        assert (await ask(site, "/in-folder")).header("Location") == "in-folder/"
        assert "deep/" in links(await ask(site, "/in-folder/"))
    async with served(linked / "static", show_index=True, follow_symlinks=True) as site:
        assert "secret.txt" in links(await ask(site, "/neighbour/"))


async def test_an_index_by_a_link(linked: Path) -> None:
    index = linked / "static" / "empty" / "index.html"
    index.symlink_to(linked / "secret.txt")
    async with served(linked / "static", index="index.html") as site:
        assert (await ask(site, "/empty/")).status == 404
        assert (await ask(site, "/empty")).status == 404
    async with served(linked / "static", index="index.html", follow_symlinks=True) as site:
        assert (await ask(site, "/empty/")).body == SECRET


async def test_the_name_asked_for_decides_about_the_type(linked: Path) -> None:
    static = linked / "static"
    (static / "build-5f2a").write_bytes(b"{}")
    (static / "latest.json").symlink_to("build-5f2a")
    async with served(static) as site:
        assert (await ask(site, "/latest.json")).header("Content-Type") == "application/json"
        build = await ask(site, "/build-5f2a")
        assert build.header("Content-Type") == "application/octet-stream"


async def test_the_folder_may_be_a_link_that_changes(base: Path) -> None:
    """As deployments do it."""
    for version in (b"1", b"2"):
        folder = base / version.decode()
        folder.mkdir()
        (folder / "version").write_bytes(version)
    current = base / "current"
    current.symlink_to("1")
    async with served(current) as site:
        assert (await ask(site, "/version")).body == b"1"
        current.unlink()
        assert (await ask(site, "/version")).status == 404
        current.symlink_to("2")
        assert (await ask(site, "/version")).body == b"2"


async def test_following_links_opens_nothing_else_cve_2024_23334(linked: Path) -> None:
    """aiohttp, told to follow links, did not look where ``..`` led."""
    async with served(linked / "static", follow_symlinks=True) as site:
        for target in OUT:
            answer = await ask(site, target)
            assert answer.status in (400, 404), target
            assert SECRET not in answer.body


async def test_a_neighbour_with_the_same_prefix_cve_2023_29159(base: Path) -> None:
    """starlette compared paths as texts: /srv/static-secret begins with /srv/static."""
    (base / "static" / "link").symlink_to(base / "static-secret")
    async with served(base / "static") as site:
        for target in (
            "/../static-secret/secret.txt",
            "/..%2fstatic-secret/secret.txt",
            "/-secret/secret.txt",
            "/link/secret.txt",
        ):
            answer = await ask(site, target)
            assert (answer.status, answer.body) == (404, b"404: Not Found")


async def test_links_of_compressed_siblings_cve_2024_42367(base: Path) -> None:
    """aiohttp followed a link from a.txt.gz to anywhere."""
    static = base / "static"
    (static / "a.txt.gz").symlink_to(base / "secret.txt")
    (static / "a.txt.br").symlink_to(base / "secret.txt")
    (static / "a.txt.zst").symlink_to(static / "page.html")
    for follow_symlinks in (False, True):
        async with served(static, follow_symlinks=follow_symlinks) as site:
            answer = await ask(site, "/a.txt", "Accept-Encoding: gzip, br, zstd")
            assert answer.body == b"a"
            assert answer.header("Content-Encoding") is None


async def test_encoded_dots_cve_2021_41773_and_42013(base: Path) -> None:
    """Apache looked for dots before it decoded, and once more too few."""
    async with served(base / "static") as site:
        for target in (
            "/.%2e/secret.txt",
            "/sub/.%2e/.%2e/secret.txt",
            "/%%32%65%%32%65/secret.txt",
            "/.%%32%65/secret.txt",
            "/%252e%252e/secret.txt",
        ):
            assert (await ask(site, target)).status in (400, 404)


# --- Compressed siblings ------------------------------------------------------------------


async def test_compressed_siblings(base: Path) -> None:
    static = base / "static"
    (static / "a.txt.gz").write_bytes(gzip.compress(b"a"))
    (static / "by-link").symlink_to("a.txt")
    for follow_symlinks in (False, True):
        async with served(static, follow_symlinks=follow_symlinks) as site:
            answer = await ask(site, "/a.txt", "Accept-Encoding: gzip")
            assert answer.header("Content-Encoding") == "gzip"
            assert answer.header("Content-Type") == "text/plain"
            assert answer.header("Vary") == "Accept-Encoding"
            assert gzip.decompress(answer.body) == b"a"
            assert (await ask(site, "/a.txt")).body == b"a"


# --- Construction -------------------------------------------------------------------------


def test_no_folder() -> None:
    with pytest.raises(TypeError, match="folders"):
        StaticFiles()


def test_folders_must_be_there(base: Path) -> None:
    for path in (base / "missing", base / "secret.txt"):
        with pytest.raises(ValueError, match=f"folders: '{path}' is no folder"):
            StaticFiles(base / "static", path)
    with pytest.raises(TypeError, match="folders"):
        StaticFiles(os.fsencode(base))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        StaticFiles(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "index", ["", ".", "..", "a/b", "/index.html", "../secret.txt", "a\\b", "a\0", "C:x"]
)
def test_what_is_no_index(base: Path, index: str) -> None:
    with pytest.raises(ValueError, match="index"):
        StaticFiles(base, index=index)


@pytest.mark.parametrize(
    "options", [{"index": b"x"}, {"index": True}, {"show_index": 1}, {"follow_symlinks": None}]
)
def test_options_of_wrong_types(base: Path, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        StaticFiles(base, **options)


def test_relative_folders_count_from_here(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    files = StaticFiles("static", Path("static/sub"))
    monkeypatch.chdir("/")
    assert files._find(["a.txt"]) == str(base / "static" / "a.txt")
    assert files._find(["deep", "x.txt"]) == str(base / "static" / "sub" / "deep" / "x.txt")
    assert repr(files) == f"<StaticFiles '{base}/static' '{base}/static/sub'>"


def test_it_is_one_of_lowlevel_s_names() -> None:
    assert web.StaticFiles is StaticFiles


async def test_the_root_of_the_system_may_be_served(base: Path) -> None:
    async with served(Path("/")) as site:
        assert (await ask(site, quote(str(base / "static" / "a.txt")))).body == b"a"
        assert (await ask(site, "/../etc/passwd")).status == 404


async def test_below_a_prefix(base: Path) -> None:
    """As a router mounts it: with the target made shorter."""
    files = await asyncio.to_thread(StaticFiles, base / "static", index="index.html")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        rest = request.rel_url.raw_path.removeprefix("/prefix")
        url = request.rel_url.with_path(rest, encoded=True, keep_query=True)
        return await files(request.clone(rel_url=url))

    async with serving(handler) as site:
        assert (await ask(site, "/prefix/a.txt")).body == b"a"
        assert (await ask(site, "/prefix/../secret.txt")).status == 404
        assert (await ask(site, "/prefix/..%2fsecret.txt")).status == 404
        assert (await ask(site, "/prefix/sub")).header("Location") == "sub/"
        assert (await ask(site, "/prefix/sub/")).body == b"<p>index"


# --- Whatever is asked for ----------------------------------------------------------------

PARTS = [
    "..",
    ".",
    "...",
    "%2e%2e",
    "%2e",
    ".%2E",
    "%252e%252e",
    "%c0%ae%c0%ae",
    "\\",
    "%5c",
    "%2f",
    "%252f",
    "%00",
    "%0a",
    ";",
    ":",
    "c:",
    "~",
    "?",
    "#",
    "%",
    "*",
    "static",
    "static-secret",
    "-secret",
    "secret.txt",
    "a.txt",
    "sub",
    "deep",
    "in-folder",
    "out",
    "up",
    "slash",
    "neighbour",
]
TARGETS = st.builds(
    "/".join,
    st.lists(st.sampled_from(PARTS) | st.builds("".join, st.lists(st.sampled_from(PARTS)))),
).map("/".__add__) | st.text(min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(path=TARGETS, slash=st.sampled_from(["", "/"]))
@example("/../secret.txt", "")
@example("/out", "")
@example("/up/secret.txt", "")
@example("/slash/etc/passwd", "")
def test_no_path_leads_out(linked: Path, path: str, slash: str) -> None:
    names = _split(path + slash)
    if names is None:
        return
    inside = os.path.realpath(linked / "static")
    files = StaticFiles(linked / "static", show_index=True)
    try:
        found = files._find(names)
    except FileNotFoundError:
        return
    if isinstance(found, str):
        assert os.path.commonpath((os.path.realpath(found), inside)) == inside
        assert Path(found).read_bytes() != SECRET
    else:
        assert "secret.txt" not in found
    # With links followed, the path itself stays inside.
    try:
        found = StaticFiles(linked / "static", follow_symlinks=True)._find(names)
    except FileNotFoundError:
        return
    assert isinstance(found, str)
    assert os.path.normpath(found).startswith(f"{linked}/static/")
    assert found == os.path.normpath(found)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None
)
@given(st.lists(TARGETS, min_size=10, max_size=30))
def test_no_target_gives_a_secret(linked: Path, targets: list[str]) -> None:
    """The same with all that stands in front of it: parser, URL, connection."""
    files = StaticFiles(linked / "static", show_index=True, index="index.html")

    async def ask_all() -> None:
        async with serving(files) as site:
            for target in targets:
                async with Peer.connect(site.port) as peer:
                    sent = re.sub(rb"[\s\0]", b"%20", target.encode())
                    await peer.send(
                        b"GET " + sent + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                    )
                    answer = await peer.read_eof()
                    assert answer.startswith(b"HTTP/1.1 ")
                    assert SECRET not in answer
                    assert b">secret.txt<" not in answer

    asyncio.run(ask_all())


async def test_a_mounted_folder_is_found_with_a_slash_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("home")
    router = web.Router()
    with_index = await asyncio.to_thread(web.StaticFiles, tmp_path, index="index.html")
    router.mount("/my%20files", with_index)
    router.mount("/plain", await asyncio.to_thread(web.StaticFiles, tmp_path))
    async with serving(router) as site, Peer.connect(site.port) as peer:
        moved = await peer.ask(request("GET", "/my%20files?a=%20"))
        assert (moved.status, moved.header("Location")) == (301, "my%20files/?a=%20")
        assert (await peer.ask(request("GET", "/my%20files/"))).body == b"home"
        assert (await peer.ask(request("GET", "/my%20files/index.html"))).body == b"home"
        assert (await peer.ask(request("GET", "/plain"))).status == 404
