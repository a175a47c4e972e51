"""Notes by REST. Run it, then: curl http://127.0.0.1:8080/notes --json '{"text": "Buy milk"}'"""

import argparse
import itertools

import lowlevel as web

router = web.Router()
notes: dict[int, str] = {}
numbers = itertools.count(1)


@router.get("/notes")
async def list_notes(request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response([shown(number) for number in notes])


@router.post("/notes")
async def add_note(request: web.BaseRequest) -> web.StreamResponse:
    notes[number := next(numbers)] = await text_of(request)
    place = f"{request.path}/{number}"
    return web.json_response(shown(number), status=201, headers={"Location": place})


@router.route("/notes/{number:int}")
class Note(web.HTTPEndpoint):
    async def get(self, request: web.BaseRequest, number: int) -> web.StreamResponse:
        return web.json_response(shown(number))

    async def put(self, request: web.BaseRequest, number: int) -> web.StreamResponse:
        text = await text_of(request)
        shown(number)
        notes[number] = text
        return web.json_response(shown(number))

    async def delete(self, request: web.BaseRequest, number: int) -> web.StreamResponse:
        shown(number)
        del notes[number]
        return web.Response(status=204)


def shown(number: int) -> dict[str, int | str]:
    if number not in notes:
        raise web.HTTPNotFound(text=f"There is no note {number}")
    return {"number": number, "text": notes[number]}


async def text_of(request: web.BaseRequest) -> str:
    match await request.json():
        case {"text": str(text)}:
            return text
    raise web.HTTPUnprocessableEntity(text='A note is {"text": "..."}')


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    web.run_app(router, **vars(parser.parse_args()))
