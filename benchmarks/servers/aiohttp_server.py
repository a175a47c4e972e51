"""aiohttp's low-level server, without an access log, with its C parser and C reader."""

import sys

from aiohttp import http_parser, web
from aiohttp._websocket import reader

from . import launch
from .handlers import make_handler


def make_factory() -> launch.ProtocolFactory:
    return web.Server(make_handler(web), access_log=None)


def uses_c_extensions() -> bool:
    """False where aiohttp was installed without them, or told to do without."""
    parser_in_c = http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy
    return parser_in_c and hasattr(reader, "WebSocketReaderCython")


if __name__ == "__main__":
    if not uses_c_extensions():
        sys.exit("aiohttp has no C extensions here: the comparison would not be fair to it")
    launch.main(make_factory)
