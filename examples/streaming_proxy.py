"""A reverse proxy that streams. Run it: python examples/streaming_proxy.py http://127.0.0.1:9000"""

import argparse

import aiohttp
from multidict import CIMultiDict, MultiMapping

import lowlevel as web

OURS = "connection expect host keep-alive proxy-connection te trailer transfer-encoding upgrade"


class Proxy:
    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.rstrip("/")

    async def __aenter__(self) -> None:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            auto_decompress=False,
        )

    async def __aexit__(self, *error: object) -> None:
        await self.session.close()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        url = self.upstream + request.path_qs if request.path else ""  # CONNECT leads nowhere
        head = passed_on(request.headers)
        head.extend({"Via": "1.1 lowlevel", "X-Forwarded-For": request.remote or "unknown"})
        body = request.content.iter_any() if request.can_read_body else None
        ask = self.session.request
        try:
            answer = await ask(request.method, url, headers=head, data=body, allow_redirects=False)
        except aiohttp.ClientError as error:
            raise request.content.exception() or web.HTTPBadGateway() from error
        async with answer:
            response = web.StreamResponse(status=answer.status, headers=passed_on(answer.headers))
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)  # waits while the client does not read
        return response


def passed_on(fields: MultiMapping[str]) -> CIMultiDict[str]:  # RFC 9110 §7.6.1
    left_out = " ".join([OURS, *fields.getall("Connection", [])]).replace(",", " ").lower().split()
    return CIMultiDict(field for field in fields.items() if field[0].lower() not in left_out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("upstream")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    options = vars(parser.parse_args())
    proxy = Proxy(options.pop("upstream"))
    web.run_app(proxy, lifespan=proxy, handler_cancellation=True, auto_decompress=False, **options)
