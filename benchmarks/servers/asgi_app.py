"""A bare ASGI application, for the servers of ASGI: no framework, nothing between it and them."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from . import answers

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Event = dict[str, Any]


def starting(content_type: str, size: int) -> Event:
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % size)]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def ending(body: bytes) -> Event:
    return {"type": "http.response.body", "body": body}


HELLO = (starting(answers.TEXT_TYPE, len(answers.HELLO)), ending(answers.HELLO))
MESSAGE = {"type": "websocket.send", "bytes": answers.MESSAGE}
ACCEPT = {"type": "websocket.accept"}


async def plaintext(scope: Any, receive: Receive, send: Send) -> None:
    for event in HELLO:
        await send(event)


async def json(scope: Any, receive: Receive, send: Send) -> None:
    fields = dict(scope["headers"])
    (page,) = parse_qs(scope["query_string"].decode()).get("page", [None])
    body = answers.document(
        _text(fields.get(b"user-agent")), _text(fields.get(b"accept-language")), page
    )
    await respond(send, answers.JSON_TYPE, body)


async def echo(scope: Any, receive: Receive, send: Send) -> None:
    event = await receive()
    body = event["body"]
    if event["more_body"]:
        pieces = [body]
        while event["more_body"]:
            event = await receive()
            pieces.append(event["body"])
        body = b"".join(pieces)
    await respond(send, answers.BYTES_TYPE, body)


async def upload(scope: Any, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        event = await receive()
        size += len(event["body"])
        more = event["more_body"]
    await respond(send, answers.TEXT_TYPE, b"%d" % size)


async def sized(scope: Any, receive: Receive, send: Send) -> None:
    await respond(send, answers.BYTES_TYPE, answers.zeros(answers.size_in(scope["path"])))


async def respond(send: Send, content_type: str, body: bytes) -> None:
    await send(starting(content_type, len(body)))
    await send(ending(body))


async def echo_messages(scope: Any, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": event["bytes"]})


members: set[Send] = set()


async def broadcast(scope: Any, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    members.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            if event["text"] == answers.GO:
                for each in tuple(members):
                    await each(MESSAGE)
    finally:
        members.remove(send)


ROUTES = {
    "/": plaintext,
    "/json": json,
    "/echo": echo,
    "/upload": upload,
    "/websocket": echo_messages,
    answers.BROADCAST: broadcast,
}


async def application(scope: Any, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError  # As the specification says: then the server goes on without.
    await ROUTES.get(scope["path"], sized)(scope, receive, send)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
