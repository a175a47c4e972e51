"""A BlackSheep application."""

from blacksheep import Application, Content, Request, Response

from . import answers

application = Application()


def respond(content_type: str, body: bytes) -> Response:
    return Response(200, content=Content(content_type.encode(), body))


@application.router.get("/")
async def plaintext(request: Request) -> Response:
    return respond(answers.TEXT_TYPE, answers.HELLO)


@application.router.get("/json")
async def json(request: Request) -> Response:
    (page,) = request.query.get("page", [None])
    body = answers.document(
        _text(request.get_first_header(b"user-agent")),
        _text(request.get_first_header(b"accept-language")),
        page,
    )
    return respond(answers.JSON_TYPE, body)


@application.router.post("/echo")
async def echo(request: Request) -> Response:
    return respond(answers.BYTES_TYPE, await request.read() or b"")


@application.router.post("/upload")
async def upload(request: Request) -> Response:
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return respond(answers.TEXT_TYPE, b"%d" % size)


@application.router.get("/bytes/{int:size}")
async def sized(request: Request) -> Response:
    return respond(answers.BYTES_TYPE, answers.zeros(int(request.route_values["size"])))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
