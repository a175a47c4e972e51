"""An application of granian's own interface, RSGI."""

from typing import Any
from urllib.parse import parse_qs

from . import answers

Headers = list[tuple[str, str]]

TEXT: Headers = [("content-type", answers.TEXT_TYPE)]
JSON: Headers = [("content-type", answers.JSON_TYPE)]
BYTES: Headers = [("content-type", answers.BYTES_TYPE)]
HELLO = answers.HELLO.decode()


async def plaintext(scope: Any, protocol: Any) -> None:
    protocol.response_str(200, TEXT, HELLO)


async def json(scope: Any, protocol: Any) -> None:
    (page,) = parse_qs(scope.query_string).get("page", [None])
    fields = scope.headers
    body = answers.document(fields.get("user-agent"), fields.get("accept-language"), page)
    protocol.response_bytes(200, JSON, body)


async def echo(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, BYTES, await protocol())


async def upload(scope: Any, protocol: Any) -> None:
    size = 0
    async for piece in protocol:
        size += len(piece)
    protocol.response_str(200, TEXT, str(size))


async def sized(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, BYTES, answers.zeros(answers.size_in(scope.path)))


CLOSE, BINARY, STRING = range(3)


async def echo_messages(scope: Any, protocol: Any) -> None:
    transport = await protocol.accept()
    while (message := await transport.receive()).kind != CLOSE:
        await transport.send_bytes(message.data)
    protocol.close()


members: set[Any] = set()


async def broadcast(scope: Any, protocol: Any) -> None:
    transport = await protocol.accept()
    members.add(transport)
    try:
        while (message := await transport.receive()).kind != CLOSE:
            if message.data == answers.GO:
                await tell_all()
    finally:
        members.remove(transport)
    protocol.close()


async def tell_all() -> None:
    # In a function of its own: granian keeps a connection as long as its transport is referred to.
    for each in tuple(members):
        await each.send_bytes(answers.MESSAGE)


ROUTES = {
    "/": plaintext,
    "/json": json,
    "/echo": echo,
    "/upload": upload,
    "/websocket": echo_messages,
    answers.BROADCAST: broadcast,
}


async def application(scope: Any, protocol: Any) -> None:
    await ROUTES.get(scope.path, sized)(scope, protocol)
