"""What tables and plots call the servers, and where their versions are found."""

import re
from collections.abc import Iterable, Mapping

# Where the name of the program is not what a reader would call it.
_LABELS = {
    "lowlevel_masker": "lowlevel",
    "lowlevel_no_masker": "lowlevel, no masker",
    "lowlevel_bare": "bare handler",
    "lowlevel_router": "lowlevel Router",
    "lowlevel_application": "lowlevel Application",
    "lowlevel_middlewares": "with middlewares",
    "lowlevel_many_routes": "with many routes",
    "granian-rsgi": "granian RSGI",
    "granian-asgi": "granian ASGI",
    "floor_asyncio": "floor: asyncio",
    "floor_httptools": "floor: httptools",
    "floor_websocket": "floor: asyncio",
}
_DISTRIBUTIONS = {
    "granian-rsgi": "granian",
    "granian-asgi": "granian",
    "asgi-tools": "asgi_tools",
}


def label(server: str) -> str:
    return _LABELS.get(server, server)


def is_ours(server: str) -> bool:
    return server.startswith("lowlevel")


def is_floor(server: str) -> bool:
    """Whether it does less than a server has to."""
    return server.startswith("floor_")


def versions(servers: Iterable[str], facts: Mapping[str, str]) -> str:
    """The versions of these servers, from what the run wrote down; those without one left out."""
    known: dict[str, str] = {}
    for text in facts.values():
        for entry in text.split(", "):
            if found := re.fullmatch(r"(\S+) (\d\S*|\(this checkout\))", entry):
                known.setdefault(found[1].lower(), entry)
    names = (
        "lowlevel" if is_ours(server) else _DISTRIBUTIONS.get(server, server) for server in servers
    )
    entries = [known[name.lower()] for name in dict.fromkeys(names) if name.lower() in known]
    return ", ".join(entries)
