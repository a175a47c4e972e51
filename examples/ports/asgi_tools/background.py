"""What is done after the response: it does not keep the client waiting, and one failure is only its own."""

import argparse
import asyncio

import lowlevel as web

done: list[str] = []


async def send_mail(address: str) -> None:
    await asyncio.sleep(0.2)
    done.append(address)


async def fail() -> None:
    raise LookupError("There is no such list")


async def handler(request: web.BaseRequest) -> web.StreamResponse:
    if request.method == "POST":
        request.background(send_mail(await request.text()))
        request.background(fail())
    return web.json_response(done)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(handler, **vars(parser.parse_args()))
