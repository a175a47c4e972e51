"""The smallest server: one handler, one port. Run it, then: curl http://127.0.0.1:8080/"""

import argparse
import asyncio
import contextlib

import lowlevel as web


async def handler(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="OK")


async def main(port: int) -> None:
    async with web.ServerRunner(web.Server(handler)) as runner:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        print(f"======= Serving on http://127.0.0.1:{site.port}/ ======", flush=True)
        await asyncio.sleep(100 * 3600)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(parser.parse_args().port))
