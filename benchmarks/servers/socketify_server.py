"""socketify: uWebSockets in C++ on its own loop of libuv, with plain functions as handlers.

It calls an asyncio loop between, and asks both in turn without waiting: some seconds after its last
request it still takes a few hundredths of its core.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from socketify import App, AppListenOptions, AppOptions, CompressOptions, OpCode

from . import answers, launch

TEXT, JSON, BYTES = (
    each.encode() for each in (answers.TEXT_TYPE, answers.JSON_TYPE, answers.BYTES_TYPE)
)
TOPIC = "all"
MEBIBYTE = 1024 * 1024


def plaintext(response: Any, request: Any) -> None:
    response.send(answers.HELLO, TEXT)


def json(response: Any, request: Any) -> None:
    body = answers.document(
        request.get_header("user-agent"),
        request.get_header("accept-language"),
        request.get_query("page"),
    )
    response.send(body, JSON)


# Responses whose request is not complete. Nobody else refers to them, and its C++ calls them.
receiving: set[Any] = set()


def receive_into(response: Any, receive: Callable[[Any, bytes | None, bool], None]) -> None:
    """Give the pieces of the body to `receive`, with whether it was the last."""
    receiving.add(response)

    def take(response: Any, piece: bytes | None, is_last: bool) -> None:
        if is_last:
            receiving.discard(response)
        receive(response, piece, is_last)

    response.on_aborted(receiving.discard)
    response.on_data(take)


def echo(response: Any, request: Any) -> None:
    pieces: list[bytes] = []

    def receive(response: Any, piece: bytes | None, is_last: bool) -> None:
        if piece:
            pieces.append(piece)
        if is_last:
            response.send(b"".join(pieces), BYTES)

    receive_into(response, receive)


def upload(response: Any, request: Any) -> None:
    if request.get_header("content-length") == "0":  # Then `receive` would never be called.
        response.send(b"0", TEXT)
        return
    size = 0

    def receive(response: Any, piece: bytes | None, is_last: bool) -> None:
        nonlocal size
        if piece:
            size += len(piece)
        if is_last:
            response.send(b"%d" % size, TEXT)

    receive_into(response, receive)


def sized(response: Any, request: Any) -> None:
    if body := answers.zeros(int(request.get_parameter(0))):
        response.send(body, BYTES)
    else:  # `send` would forget the Content-Length, and the client wait for the end.
        response.write_header(b"Content-Type", BYTES)
        response.end(body)


def echo_message(websocket: Any, message: Any, kind: OpCode) -> None:
    websocket.send(message, kind)


def join(websocket: Any) -> None:
    websocket.subscribe(TOPIC)


def broadcast(websocket: Any, message: Any, kind: OpCode) -> None:
    if message == answers.GO:
        websocket.publish(TOPIC, answers.MESSAGE, OpCode.BINARY)


def make_application(options: launch.Options) -> App:
    # Its class for HTTPS is another below: None means HTTP.
    tls = options.tls and AppOptions(cert_file_name=options.tls[0], key_file_name=options.tls[1])
    application = App(tls or None)
    application.get("/", plaintext)
    application.get("/json", json)
    application.post("/echo", echo)
    application.post("/upload", upload)
    application.get("/bytes/:size", sized)
    behaviour = {"compression": CompressOptions.DISABLED, "max_payload_length": MEBIBYTE}
    application.ws("/websocket", {**behaviour, "message": echo_message})
    application.ws(answers.BROADCAST, {**behaviour, "open": join, "message": broadcast})
    return application


def listening(listener: AppListenOptions) -> None:
    launch.announce(listener.port)


if __name__ == "__main__":
    options = launch.parse()
    asyncio.set_event_loop(launch.loop_factory(options.loop)())
    application = make_application(options)
    application.listen(AppListenOptions(port=options.port, host=launch.HOST), listening)
    application.run()
