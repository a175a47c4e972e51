"""aiohttp's low-level server, without an access log and with its C parser."""

import sys

from aiohttp import http_parser, web

from . import launch
from .handlers import make_handler


def make_factory() -> launch.ProtocolFactory:
    return web.Server(make_handler(web), access_log=None)


def uses_c_parser() -> bool:
    """False where aiohttp was installed without its extensions, or told to do without them."""
    return http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy


if __name__ == "__main__":
    if not uses_c_parser():
        sys.exit("aiohttp has no C parser here: the comparison would not be fair to it")
    launch.main(make_factory)
