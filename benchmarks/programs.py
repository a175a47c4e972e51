"""The servers that are measured: the program of each, and the environment that it runs in."""

from collections.abc import Mapping

PROGRAMS = {
    "lowlevel": "benchmarks.servers.lowlevel_server",
    "aiohttp": "benchmarks.servers.aiohttp_server",
    "uvicorn": "benchmarks.servers.uvicorn_server",
    "granian-rsgi": "benchmarks.servers.granian_rsgi_server",
    "granian-asgi": "benchmarks.servers.granian_asgi_server",
    "hypercorn": "benchmarks.servers.hypercorn_server",
    "sanic": "benchmarks.servers.sanic_server",
    "blacksheep": "benchmarks.servers.blacksheep_server",
    "tornado": "benchmarks.servers.tornado_server",
    "socketify": "benchmarks.servers.socketify_server",
    "websockets": "benchmarks.servers.websockets_server",
    "picows": "benchmarks.servers.picows_server",
    "floor_asyncio": "benchmarks.servers.floor_asyncio",
    "floor_httptools": "benchmarks.servers.floor_httptools",
    "floor_websocket": "benchmarks.servers.floor_websocket",
    "lowlevel_masker": "benchmarks.servers.lowlevel_masker",
    "lowlevel_no_masker": "benchmarks.servers.lowlevel_no_masker",
    "lowlevel_bare": "benchmarks.servers.lowlevel_bare",
    "lowlevel_router": "benchmarks.servers.lowlevel_router",
    "lowlevel_application": "benchmarks.servers.lowlevel_application",
    "lowlevel_middlewares": "benchmarks.servers.lowlevel_middlewares",
    "lowlevel_many_routes": "benchmarks.servers.lowlevel_many_routes",
    "bareASGI": "benchmarks.servers.bareasgi_server",
    "asgi-tools": "benchmarks.servers.asgi_tools_server",
    "Starlette": "benchmarks.servers.starlette_server",
}

# The peers with an environment of their own, and its name: that of the file in peers/ with its
# pins. All others run in the environment of the benchmarks.
ENVIRONMENTS: Mapping[str, str] = {
    "uvicorn": "uvicorn",
    "granian-rsgi": "granian",
    "granian-asgi": "granian",
    "hypercorn": "hypercorn",
    "sanic": "sanic",
    "blacksheep": "blacksheep",
    "tornado": "tornado",
    "socketify": "socketify",
    "websockets": "websockets",
    "picows": "picows",
    "bareASGI": "bareasgi",
    "asgi-tools": "asgi_tools",
    "Starlette": "starlette",
}
