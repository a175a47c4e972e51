"""The programs and configurations of the how-to pages about deployment, run as a reader would run them."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import threading
import time
from asyncio import constants
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.deploying import (
    CLIENT,
    ask,
    free_port,
    haproxy_before,
    installed,
    nginx_before,
    verify_units,
)
from tests.listings import LEFT_OUT, Listing, Shell, commands, listings
from tests.support import DEADLINE

TLS = listings("docs/how-to/tls.rst")


def the(page: list[Listing], caption: str) -> Listing:
    [listing] = [listing for listing in page if listing.caption == caption]
    return listing


def consoles(page: list[Listing], heading: str) -> list[Listing]:
    return [one for one in page if one.heading == heading and one.language == "console"]


class Place(Shell):
    """An empty folder, and free ports for those of the pages."""

    def __init__(self, folder: Path, replace: dict[str, str] | None = None) -> None:
        self.port, self.tls_port = free_port(), free_port()
        ports = {"8080": str(self.port), "8443": str(self.tls_port)}
        super().__init__(folder, ports | (replace or {}))

    def follow(self, page: list[Listing], *headings: str) -> None:
        """Do what stands under some headings, files and commands in their order."""
        for listing in page:
            if listing.heading in headings:
                if listing.language == "console":
                    self.type(listing)
                else:
                    self.write(listing)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Place(tmp_path) as place:
        yield place


# --- TLS ------------------------------------------------------------------------------------


@pytest.fixture
def secured(place: Place, curl: str) -> Place:
    """The folder with the certificate for localhost and the programs that others import."""
    installed("openssl")
    place.follow(TLS, "")
    place.write(the(TLS, "secure.py"))
    return place


def certificate(port: int, name: str = "localhost") -> bytes | None:
    """The certificate that a server shows to who asks for a name."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), DEADLINE) as sock,
        context.wrap_socket(sock, server_hostname=name) as secure,
    ):
        return secure.getpeercert(binary_form=True)


def self_signed(folder: Path, name: str, file: str, key: str = "key.pem") -> None:
    """Another certificate; its key is made, or is there."""
    new = f"-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {key}"
    with_key = f"-key {key}" if (folder / key).exists() else new
    command = f"openssl req -x509 {with_key} -days 1 -subj /CN={name} -out {file}"
    subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)


def test_tls_on_the_command_line(secured: Place) -> None:
    secured.follow(TLS, "On the command line")


def test_tls_in_a_program(secured: Place) -> None:
    secured.follow(TLS, "In a program")


def test_alpn(secured: Place) -> None:
    secured.follow(TLS, "In a program")
    context = ssl.create_default_context(cafile=str(secured.folder / "cert.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", secured.tls_port), DEADLINE) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "http/1.1"


def test_plain_http_leads_to_https(secured: Place) -> None:
    secured.follow(TLS, "Plain http only leads to https")


def test_a_new_certificate_without_a_restart(secured: Place) -> None:
    secured.write(the(TLS, "renewing.py"))
    server = secured.serve("python renewing.py")
    port, folder = secured.tls_port, secured.folder
    old = certificate(port)
    context = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    kept = http.client.HTTPSConnection("localhost", port, context=context, timeout=DEADLINE)
    with closing(kept):
        kept.request("GET", "/")
        assert kept.getresponse().read() == b"This is https.\n"

        # A certificate of another key, a file that is no certificate, and one that is not there.
        self_signed(folder, "stranger", "stranger.pem", "stranger-key.pem")
        stranger = (folder / "stranger.pem").read_text()
        for number, text in enumerate((stranger, "", None), start=1):
            if text is None:
                (folder / "cert.pem").unlink()
            else:
                (folder / "cert.pem").write_text(text)
            server.process.send_signal(signal.SIGHUP)
            complaints = "The old certificate stays.*" * number
            server.read_until(re.compile(complaints, re.DOTALL).search, "a complaint")
            assert certificate(port) == old

        self_signed(folder, "localhost", "cert.pem")
        server.process.send_signal(signal.SIGHUP)
        server.read_until(lambda said: "The certificate is new" in said, "the good news")
        new = certificate(port)
        assert new not in (old, None)
        assert new == ssl.PEM_cert_to_DER_cert((folder / "cert.pem").read_text())
        kept.request("GET", "/")  # goes on with what it has
        assert kept.getresponse().read() == b"This is https.\n"


def test_several_names(secured: Place) -> None:
    self_signed(secured.folder, "other.test", "other.pem")
    secured.write(the(TLS, "names.py"))
    secured.serve("python names.py")
    port = secured.tls_port
    first, other = certificate(port), certificate(port, "other.test")
    assert first != other
    assert certificate(port, "unknown.test") == first
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    for name in ("localhost", "other.test"):
        with (
            socket.create_connection(("127.0.0.1", port), DEADLINE) as sock,
            context.wrap_socket(sock, server_hostname=name) as secure,
        ):
            assert secure.selected_alpn_protocol() == "http/1.1"
            secure.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            with secure.makefile("rb") as answer:
                assert answer.read().endswith(f"This is {name}.\n".encode())


def test_clients_with_certificates(secured: Place) -> None:
    secured.follow(TLS, "Clients with certificates")
    context = ssl.create_default_context(cafile=str(secured.folder / "cert.pem"))
    with (
        socket.create_connection(("127.0.0.1", secured.tls_port), DEADLINE) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as secure,
        pytest.raises(OSError),
    ):
        secure.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        if not secure.recv(100):
            raise OSError("closed without an answer")


def test_a_client_cannot_issue_certificates(secured: Place) -> None:
    """Bob's certificate is among those that are taken, one that he signed for somebody else is not."""
    secured.follow(TLS, "Clients with certificates")
    folder = secured.folder
    for command in (
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=alice"
        " -keyout alice-key.pem -out alice.csr",
        "openssl x509 -req -in alice.csr -CA bob.pem -CAkey bob-key.pem -set_serial 1 -days 1"
        " -out alice.pem",
    ):
        subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)
    (folder / "chain.pem").write_text(
        (folder / "alice.pem").read_text() + (folder / "bob.pem").read_text()
    )
    for file, key, greeting in (
        ("bob.pem", "bob-key.pem", b"Hello, bob.\n"),
        ("chain.pem", "alice-key.pem", b""),
    ):
        context = ssl.create_default_context(cafile=str(folder / "cert.pem"))
        context.load_cert_chain(folder / file, folder / key)
        answer = ask_securely(secured.tls_port, context)
        assert answer.partition(b"\r\n\r\n")[2] == greeting, answer


def ask_securely(port: int, context: ssl.SSLContext) -> bytes:
    """What localhost answers to a GET; nothing where TLS fails."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), DEADLINE) as sock,
            context.wrap_socket(sock, server_hostname="localhost") as secure,
        ):
            secure.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            with secure.makefile("rb") as answer:
                return answer.read()
    except (ssl.SSLError, ConnectionError):
        return b""


def test_what_can_go_wrong_with_tls(secured: Place) -> None:
    """What the table says of clients that mistake one kind of port for the other."""
    secured.write(the(TLS, "both.py"))
    server = secured.serve("python both.py")
    done = subprocess.run(
        ["curl", "-sS", f"http://localhost:{secured.tls_port}/"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert "Empty reply from server" in done.stderr, done.stderr
    for port, data in (
        (secured.tls_port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (secured.port, bytes.fromhex("16030102000100")),
    ):
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
            sock.sendall(data)
            assert sock.recv(100) == b""
    assert server.said == "Serving on both\n"


def test_how_long_a_handshake_may_take() -> None:
    assert constants.SSL_HANDSHAKE_TIMEOUT == 60


# --- Unix sockets ---------------------------------------------------------------------------

UNIX = listings("docs/how-to/unix-sockets.rst")


def test_unix_socket(place: Place, curl: str) -> None:
    place.follow(UNIX, "")
    assert (place.folder / "hello.sock").is_socket()
    place.finish()
    assert not (place.folder / "hello.sock").exists()


def test_whose_process_has_connected(place: Place, curl: str) -> None:
    place.follow(UNIX, "Who has connected")
    answer = ask(place.folder / "whoami.sock")
    assert answer.text == f"You are user {os.getuid()}.\n"


def test_a_socket_that_systemd_holds(tmp_path: Path, curl: str) -> None:
    installed("systemd-socket-activate")
    activate = "systemd-socket-activate"
    # It passes on no variables but those it is told.
    with Place(tmp_path, {activate: f"{activate} -E PYTHONPATH", "$PWD": str(tmp_path)}) as place:
        place.write(the(UNIX, "inherited.py"))
        for listing in consoles(UNIX, "A socket that systemd holds"):
            place.type(listing)
        place.finish()
        assert (tmp_path / "hello.sock").is_socket()
        refused = subprocess.run(
            [*shlex.split("python inherited.py")],
            cwd=tmp_path,
            env=place.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert "ValueError: sock is empty" in refused.stderr


def test_the_units_of_a_socket(tmp_path: Path) -> None:
    names = ("hello.socket", "hello.service")
    verify_units({name: the(UNIX, name).text for name in names}, tmp_path)


def test_what_can_go_wrong_with_unix_sockets(place: Place) -> None:
    place.write(the(UNIX, "hello.py"))
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(place.folder / "hello.sock"))
    place.serve("python hello.py")
    for path, message in (
        ("hello.sock", "Address already in use"),
        ("long" * 40, "AF_UNIX path too long"),
    ):
        done = subprocess.run(
            ["python", "-m", "lowlevel", "hello", "--path", path],
            cwd=place.folder,
            env=place.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert (done.returncode, message in done.stderr) == (1, True), done.stderr
    assert ask(place.folder / "hello.sock").status == 200


# --- Behind a proxy -------------------------------------------------------------------------

PROXY = listings("docs/how-to/behind-a-proxy.rst")

# What the page says passes through.
PASSING = """
import asyncio

import lowlevel as web
from app import proxied

router = web.Router()


@router.get("/")
async def connection(request):
    return web.json_response(request.get_extra_info("peername"))


@router.websocket("/echo")
async def echo(request, ws):
    async for message in ws:
        await ws.send_str(f"You said: {message.data}")


@router.get("/events")
async def events(request):
    async with web.EventSourceResponse(request) as stream:
        await stream.send("one")
        await asyncio.Event().wait()
    return stream


@router.post("/upload")
async def upload(request):
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
    await response.prepare(request)
    async for piece in request.content.iter_any():
        await response.write(b"%d\\n" % len(piece))
    return response


if __name__ == "__main__":
    web.run_app(router, host="127.0.0.1", port=8080, request_factory=proxied)
"""


@contextmanager
def behind(kind: str, place: Place, port: int) -> Iterator[None]:
    """The page's configuration of a proxy, at a port of ours."""
    name = {"nginx": "app.conf", "haproxy": "haproxy.cfg"}[kind]
    with at(kind, place.here(the(PROXY, name).text), place, port):
        yield


@contextmanager
def at(kind: str, text: str, place: Place, port: int) -> Iterator[None]:
    """A proxy with a configuration for port 80, at a port of ours."""
    old, before = {
        "nginx": ("listen 80;", nginx_before),
        "haproxy": ("bind :80\n", haproxy_before),
    }[kind]
    assert text.count(old) == 1
    new = old.replace(":80", f" 127.0.0.1:{port}").replace(" 80", f" 127.0.0.1:{port}")
    with before(text.replace(old, new), port, place.folder):
        yield


TAKEN_FROM = "/etc/letsencrypt/live/example.org"


def with_certificates(kind: str, place: Place, tls_port: int) -> str:
    """The page's configuration of a proxy with its lines for certificates, and one for example.org."""
    pair = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout privkey.pem"
    self_signed_for = "-subj /CN=example.org -addext subjectAltName=DNS:example.org"
    command = f"openssl req -x509 {pair} -days 1 {self_signed_for} -out fullchain.pem"
    subprocess.run(shlex.split(command), cwd=place.folder, check=True, capture_output=True)
    both = [(place.folder / name).read_text() for name in ("fullchain.pem", "privkey.pem")]
    (place.folder / "example.org.pem").write_text("".join(both))
    if kind == "nginx":
        before = the(PROXY, "app.conf").text
        lines = the(PROXY, "app.conf, in place of its listen 80").text
        text = before.replace("listen 80;", lines) + the(PROXY, "app.conf, at its end").text
        assert text.count(f"{TAKEN_FROM}/") == 2
        text = text.replace("listen 443 ", f"listen 127.0.0.1:{tls_port} ")
        return text.replace(TAKEN_FROM, str(place.folder))
    before = the(PROXY, "haproxy.cfg").text
    lines = the(PROXY, "haproxy.cfg, below its bind :80").text
    text = before.replace("bind :80\n", "bind :80\n" + lines.replace("\n", "\n    "))
    assert "/etc/haproxy/" in text
    text = text.replace("bind :443 ", f"bind 127.0.0.1:{tls_port} ")
    return text.replace("/etc/haproxy", str(place.folder))


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_certificates_of_a_proxy(kind: str, place: Place) -> None:
    installed("openssl")
    place.write(the(PROXY, "app.py"))
    place.serve("python app.py")
    port, tls_port = free_port(), free_port()
    text = place.here(with_certificates(kind, place, tls_port))
    with at(kind, text, place, port):
        answer = ask(port, "/a?b=c", Host="example.org")
        assert (answer.status, answer.headers["Location"]) == (308, "https://example.org/a?b=c")
        context = ssl.create_default_context(cafile=str(place.folder / "fullchain.pem"))
        for offered, spoken in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1")):
            context.set_alpn_protocols(offered)
            with (
                socket.create_connection(("127.0.0.1", tls_port), DEADLINE) as sock,
                context.wrap_socket(sock, server_hostname="example.org") as secure,
            ):
                assert secure.selected_alpn_protocol() == spoken
                if spoken == "http/1.1":
                    secure.sendall(b"GET /a?b=c HTTP/1.1\r\nHost: example.org\r\n\r\n")
                    told = http.client.HTTPResponse(secure)
                    told.begin()
                    assert json.loads(told.read())["url"] == "https://example.org/a?b=c"


def test_the_name_that_nginx_has_chosen_by(place: Place) -> None:
    """A target with a name of its own comes before Host, for nginx and for the program."""
    place.write(the(PROXY, "app.py"))
    place.serve("python app.py")
    port = free_port()
    with behind("nginx", place, port):
        answer = ask(port, "http://example.org/", Host="inside.test")
        assert json.loads(answer.text)["url"] == "http://example.org/"


def test_how_large_a_body_may_be(place: Place) -> None:
    """Where a ``request_factory`` makes the requests, its limit counts: the same as nginx's."""
    text = place.here(the(PROXY, "app.py").text)
    handler = "async def handler(request):\n"
    assert handler in text
    text = text.replace(handler, f"{handler}    await request.read()\n")
    (place.folder / "app.py").write_text(text)
    place.serve("python app.py")
    assert "client_max_body_size 100m;" in the(PROXY, "app.conf").text
    assert ask(place.port, "/", "x" * (2 * 2**20)).status == 200
    head = {"Content_Length": str(100 * 2**20 + 1), "Expect": "100-continue"}
    with closing(http.client.HTTPConnection("127.0.0.1", place.port, timeout=DEADLINE)) as client:
        client.putrequest("POST", "/")
        for name, value in head.items():
            client.putheader(name.replace("_", "-"), value)
        client.endheaders()
        assert client.getresponse().status == 413


def trust(place: Place, *addresses: str) -> None:
    """Have the page's program believe other proxies."""
    text = place.here(the(PROXY, "app.py").text)
    old = '{"127.0.0.1", "::1", ""}'
    assert old in text
    (place.folder / "app.py").write_text(text.replace(old, repr(set(addresses))))


KINDS = pytest.mark.parametrize("kind", ["nginx", "haproxy"])


@KINDS
def test_who_the_client_is(kind: str, place: Place) -> None:
    trust(place, "127.0.0.1", CLIENT)
    place.serve("python app.py")
    port = free_port()
    with behind(kind, place, port):
        forged = {"X_Forwarded_For": "6.6.6.6", "X_Forwarded_Proto": "https", "Host": "a.test"}
        told = json.loads(ask(port, "/a?b=c", **forged).text)
        assert told == {"client": CLIENT, "url": "http://a.test/a?b=c"}
    # Of several addresses the last one counts, and of schemes only two.
    for fields, client, scheme in (
        ({"X_Forwarded_For": "6.6.6.6, 10.0.0.1"}, "10.0.0.1", "http"),
        ({"X_Forwarded_Proto": "https"}, "127.0.0.1", "https"),
        ({"X_Forwarded_Proto": "file"}, "127.0.0.1", "http"),
    ):
        told = json.loads(ask(place.port, Host="a.test", **fields).text)
        assert told == {"client": client.replace("127.0.0.1", CLIENT), "url": f"{scheme}://a.test/"}


def test_who_is_not_the_proxy_is_not_believed(place: Place) -> None:
    trust(place, "10.0.0.1")
    place.serve("python app.py")
    forged = {"X_Forwarded_For": "6.6.6.6", "X_Forwarded_Proto": "https", "Host": "a.test"}
    told = json.loads(ask(place.port, **forged).text)
    assert told == {"client": CLIENT, "url": "http://a.test/"}


@KINDS
def test_what_passes_a_proxy(kind: str, place: Place) -> None:
    place.write(the(PROXY, "app.py"))
    (place.folder / "passing.py").write_text(place.here(PASSING))
    place.serve("python passing.py")
    port = free_port()
    with behind(kind, place, port):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as client:
            connections = []
            for _ in range(5):
                client.request("GET", "/")
                connections.append(client.getresponse().read())
            assert len(set(connections)) == 1, "the proxy has not used its connection again"
        asyncio.run(passes(port))


async def passes(port: int) -> None:
    async with (
        asyncio.timeout(DEADLINE),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}/") as client,
    ):
        async with client.ws_connect("echo") as ws:
            await ws.send_str("hi")
            assert await ws.receive_str() == "You said: hi"

        async with client.get("events") as stream:
            assert await stream.content.readline() == b"data: one\n"

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /upload HTTP/1.1\r\nHost: a.test\r\nContent-Length: 8\r\n\r\n12345")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert await reader.readuntil(b"5\n")  # while the rest of the body is still to come
        writer.write(b"678")
        assert await reader.readuntil(b"3\n")
        writer.close()


def test_the_proxy_protocol_is_not_understood(place: Place) -> None:
    place.write(the(PROXY, "app.py"))
    place.serve("python app.py")
    with socket.create_connection(("127.0.0.1", place.port), DEADLINE) as sock:
        sock.sendall(b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")


# --- Graceful shutdown ----------------------------------------------------------------------

SHUTDOWN = listings("docs/how-to/graceful-shutdown.rst")


async def open_news(port: int, opened: asyncio.Event) -> int | None:
    """Read a WebSocket to its end; return the code of its end."""
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"http://127.0.0.1:{port}/news") as ws,
    ):
        await ws.send_bytes(b"no text")
        await ws.send_str("hi")
        assert await ws.receive_str() == "hi"
        opened.set()
        await ws.receive()
        return ws.close_code


async def test_what_happens_at_the_end(place: Place) -> None:
    place.write(the(SHUTDOWN, "shop.py"))
    server = await asyncio.to_thread(place.serve, "python shop.py")
    opened = asyncio.Event()
    async with asyncio.timeout(DEADLINE):
        news = asyncio.create_task(open_news(place.port, opened))
        await opened.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(b"POST /orders HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbo")
        # An answer to a later connection: the others have been seen by then.
        assert (await asyncio.to_thread(ask, place.port, "/nothing")).status == 404
        server.process.send_signal(signal.SIGTERM)
        assert await idle.read() == b""
        assert await news == 1001
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(b"ok")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 202 ")
        assert b"\r\nConnection: close\r\n" in head
        assert await reader.read() == b""
        for one in (writer, idle_writer):
            one.close()
        assert await asyncio.to_thread(server.process.wait, DEADLINE) == 0
    said = server.said.splitlines()[2:]
    assert said == [
        "a reader less",
        "ordered: book",
        "the mail is being sent",
        "the mail is sent",
        "the database is closed",
    ]


def test_a_second_signal_does_not_wait(place: Place) -> None:
    place.write(the(SHUTDOWN, "shop.py"))
    server = place.serve("python shop.py")
    server.expect_status(1)
    with socket.create_connection(("127.0.0.1", place.port), DEADLINE) as sock:
        sock.sendall(b"POST /orders HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbo")
        assert ask(place.port, "/nothing").status == 404
        server.process.send_signal(signal.SIGTERM)
        wait_until_refused(place.port)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE) == 1


def wait_until_refused(port: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)):
                return
        assert time.monotonic() < deadline, "it still listens"
        time.sleep(0.01)


def test_the_command_of_a_container(place: Place) -> None:
    """It serves what is outside of the container, too: asked from here, at another address than the default."""
    [listing] = [listing for listing in SHUTDOWN if listing.language == "docker"]
    command = json.loads(listing.text.removeprefix("CMD "))
    assert command[command.index("--host") + 1] == "0.0.0.0"
    command[command.index("--host") + 1] = "127.0.0.1"
    place.write(the(SHUTDOWN, "shop.py"))
    server = place.serve(shlex.join([*command, "--port", str(place.port)]))
    assert ask(place.port, "/orders", "book").status == 202
    server.stop(signal.SIGTERM)


def test_streams_of_your_own(place: Place, curl: str) -> None:
    place.write(the(SHUTDOWN, "ticker.py"))
    server = place.serve("python ticker.py")
    stream = place.start(f"curl -sSN http://127.0.0.1:{place.port}/")
    stream.read_until(lambda said: "tick\n" in said, "a tick")
    server.process.send_signal(signal.SIGTERM)
    assert stream.process.wait(DEADLINE) == 0
    assert stream.said.endswith("tick\nThat is all.\n")
    assert server.process.wait(DEADLINE) == 0


def test_a_balancer_that_has_to_know_first(place: Place) -> None:
    program = place.write(the(SHUTDOWN, "service.py"))
    text = program.read_text()
    assert "DRAIN_SECONDS = 5 " in text
    program.write_text(text.replace("DRAIN_SECONDS = 5 ", "DRAIN_SECONDS = 1 "))
    server = place.serve("python service.py")
    assert ask(place.port, "/ready").status == 200
    server.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + DEADLINE
    while ask(place.port, "/ready").status == 200:
        assert time.monotonic() < deadline, "it says that it is ready"
    assert ask(place.port, "/").text == "Hello"  # it still listens
    assert server.process.wait(DEADLINE) == 0


def test_lasting_needs_a_socket(place: Place) -> None:
    place.write(the(SHUTDOWN, "lasting.py"))
    done = subprocess.run(
        ["python", "lasting.py"],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "started without a socket\n")


class Load:
    """Clients that ask all the time, each request on a connection of its own; what they got."""

    def __init__(self, port: int, clients: int = 6) -> None:
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = ask(self._port)
            except (OSError, http.client.HTTPException) as exc:
                self.failures.append(repr(exc))
            else:
                (self.answers if answer.status == 200 else self.failures).append(answer.text)

    def wait_for(self, pid: int) -> None:
        """Wait until a process has answered some requests."""
        deadline = time.monotonic() + DEADLINE
        while self.answers.count(f"{pid}\n") < 30:
            assert time.monotonic() < deadline, f"no answers from {pid}: {self.failures}"
            time.sleep(0.01)


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("proxy", ["", "nginx"])
def test_a_restart_that_nobody_notices(place: Place, overlapping: bool, proxy: str) -> None:
    """Under load, one process after the other serves the socket that we hold as systemd would."""
    place.write(the(SHUTDOWN, "lasting.py"))
    with socket.create_server(("127.0.0.1", place.port)) as held:
        os.set_inheritable(held.fileno(), True)
        command = (
            f"LISTEN_FDS=1 LISTEN_PID=$$ exec python lasting.py 3<&{held.fileno()} {held.fileno()}<&-"
            if held.fileno() != 3
            else "LISTEN_FDS=1 LISTEN_PID=$$ exec python lasting.py"
        )

        def start() -> Any:
            server = place.start(shlex.join(["bash", "-c", command]), inherit=(held.fileno(),))
            server.read_until(lambda said: "Serving on" in said, "the server")
            return server

        with contextlib.ExitStack() as stack:
            port = place.port
            if proxy:
                port = free_port()
                stack.enter_context(behind(proxy, place, port))
            server = start()
            load = stack.enter_context(Load(port))
            load.wait_for(server.process.pid)
            for _ in range(2):
                old = server
                if overlapping:
                    server = start()
                old.process.send_signal(signal.SIGTERM)
                assert old.process.wait(DEADLINE) == 0, old.said
                if not overlapping:
                    server = start()
                load.wait_for(server.process.pid)
        assert not load.failures
        server.stop(signal.SIGTERM)


# --- All of them ----------------------------------------------------------------------------

HERE = Path(__file__).read_text("utf-8")


@pytest.mark.parametrize("name", ["tls", "unix-sockets", "behind-a-proxy", "graceful-shutdown"])
def test_no_listing_is_left_out(name: str) -> None:
    """Files are written by name, or with the commands below their heading."""
    page = listings(f"docs/how-to/{name}.rst")
    for listing in page:
        if listing.language == "console":
            typed = all(command.startswith(LEFT_OUT) for command, _ in commands(listing.text))
            assert typed or (name, listing.heading) in FOLLOWED, listing
        else:
            assert f'"{listing.caption}"' in HERE or (name, listing.heading) in FOLLOWED, listing


# The headings whose commands are typed above.
FOLLOWED = {
    ("tls", ""),
    ("tls", "On the command line"),
    ("tls", "In a program"),
    ("tls", "Plain http only leads to https"),
    ("tls", "Clients with certificates"),
    ("unix-sockets", ""),
    ("unix-sockets", "Who has connected"),
    ("unix-sockets", "A socket that systemd holds"),
}
