"""tornado's HTTP server without its web framework: a delegate gets the parts of each message."""

from collections.abc import Callable
from urllib.parse import parse_qs

from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from . import answers, launch

OK = ResponseStartLine("HTTP/1.1", 200, "OK")
Answer = tuple[str, bytes]


class Exchange(HTTPMessageDelegate):
    """One request and its answer. The body is kept for /echo alone."""

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection
        self.pieces: list[bytes] = []
        self.size = 0

    def headers_received(self, start_line: RequestStartLine, headers: HTTPHeaders) -> None:
        self.path, _, self.query = start_line.path.partition("?")
        self.headers = headers

    def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.path == "/echo":
            self.pieces.append(chunk)

    def finish(self) -> None:
        content_type, body = ROUTES.get(self.path, sized)(self)
        headers = HTTPHeaders({"Content-Type": content_type, "Content-Length": str(len(body))})
        self.connection.write_headers(OK, headers, body)
        self.connection.finish()


def plaintext(request: Exchange) -> Answer:
    return answers.TEXT_TYPE, answers.HELLO


def json(request: Exchange) -> Answer:
    (page,) = parse_qs(request.query).get("page", [None])
    fields = request.headers
    return answers.JSON_TYPE, answers.document(
        fields.get("User-Agent"), fields.get("Accept-Language"), page
    )


def echo(request: Exchange) -> Answer:
    return answers.BYTES_TYPE, b"".join(request.pieces)


def upload(request: Exchange) -> Answer:
    return answers.TEXT_TYPE, b"%d" % request.size


def sized(request: Exchange) -> Answer:
    return answers.BYTES_TYPE, answers.zeros(answers.size_in(request.path))


ROUTES: dict[str, Callable[[Exchange], Answer]] = {
    "/": plaintext,
    "/json": json,
    "/echo": echo,
    "/upload": upload,
}


class Delegate(HTTPServerConnectionDelegate):
    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        return Exchange(request_conn)


class Listener:
    """The server, with what `launch` wants to see of it."""

    def __init__(self, options: launch.Options) -> None:
        listening = launch.bound(options)
        listening.setblocking(False)
        self.sockets = (listening,)
        self._server = HTTPServer(Delegate(), ssl_options=options.context())
        self._server.add_sockets(self.sockets)

    def close(self) -> None:
        self._server.stop()


async def listen(options: launch.Options) -> Listener:
    return Listener(options)


if __name__ == "__main__":
    launch.run(listen)
