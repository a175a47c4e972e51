"""What every HTTP and websocket server answers here, for those that do not share the handler."""

import json
from functools import cache

TEXT_TYPE = "text/plain; charset=utf-8"
JSON_TYPE = "application/json; charset=utf-8"
BYTES_TYPE = "application/octet-stream"

HELLO = b"Hello, world!"
SIZED = "/bytes/"

# To a websocket at BROADCAST this text is said, and all that are connected there get the message.
BROADCAST = "/broadcast"
GO = "go"
MESSAGE = bytes(range(64))


def document(agent: str | None, language: str | None, page: str | None) -> bytes:
    """The answer to /json: two fields of the request's header and one of its query."""
    return json.dumps({"agent": agent, "language": language, "page": page}).encode()


@cache
def zeros(size: int) -> bytes:
    """The answer to /bytes/N."""
    return bytes(size)


def size_in(path: str) -> int:
    """N in /bytes/N. Raises LookupError where the path is another."""
    if not path.startswith(SIZED):
        raise LookupError(path)
    return int(path.removeprefix(SIZED))
