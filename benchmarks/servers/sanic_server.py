"""Sanic in one process: no access log, no start banner."""

from sanic import HTTPResponse, Request, Sanic
from sanic.response import raw

from . import answers, launch

application = Sanic("benchmarks")


@application.get("/")
async def plaintext(request: Request) -> HTTPResponse:
    return raw(answers.HELLO, content_type=answers.TEXT_TYPE)


@application.get("/json")
async def json(request: Request) -> HTTPResponse:
    fields = request.headers
    body = answers.document(
        fields.get("user-agent"), fields.get("accept-language"), request.args.get("page")
    )
    return raw(body, content_type=answers.JSON_TYPE)


@application.post("/echo")
async def echo(request: Request) -> HTTPResponse:
    return raw(request.body)


@application.post("/upload", stream=True)
async def upload(request: Request) -> HTTPResponse:
    size = 0
    async for piece in request.stream:
        size += len(piece)
    return raw(b"%d" % size, content_type=answers.TEXT_TYPE)


@application.get("/bytes/<size:int>")
async def sized(request: Request, size: int) -> HTTPResponse:
    return raw(answers.zeros(size))


if __name__ == "__main__":
    options = launch.parse()
    application.config.KEEP_ALIVE_TIMEOUT = launch.KEEP_ALIVE_SECONDS
    application.config.GRACEFUL_SHUTDOWN_TIMEOUT = 0
    application.config.USE_UVLOOP = options.loop == "uvloop"
    listening = launch.bound(options)
    launch.announce(listening.getsockname()[1])
    application.run(
        sock=listening,
        ssl=options.tls and {"cert": options.tls[0], "key": options.tls[1]},
        single_process=True,
        access_log=False,
        motd=False,
        debug=False,
        verbosity=-1,
    )
