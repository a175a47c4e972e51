"""Currency rates, asked of another service. Run it: python ... https://rates.example/latest"""

import argparse
from html import escape

import aiohttp

import lowlevel as web

app = web.Application()


@app.on_startup
async def open_session(app: web.Application) -> None:
    app["session"] = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))


@app.on_shutdown
async def close_session(app: web.Application) -> None:
    await app["session"].close()


@app.on_error(aiohttp.ClientError, TimeoutError)
async def no_rates(request: web.BaseRequest, error: Exception) -> object:
    return 502, "<h1>There are no rates at the moment</h1>"


@app.route("/", "/base/{currency:[A-Z]{3}}", methods="GET")
async def rates(request: web.BaseRequest) -> object:
    currency = request.match_info.get("currency", "USD")
    async with request.app["session"].get(app["url"], params={"base": currency}) as answer:
        data = await answer.json()
    if "error" in data:
        return 404, f"<h1>There is no currency {currency}</h1><a href='/'>Home</a>"
    rows = "".join(row(name, rate) for name, rate in sorted(data["rates"].items()))
    return f"<h1>Rates for {escape(data['base'])}</h1><table>{rows}</table>"


def row(name: str, rate: float) -> str:
    name = escape(name)
    return f"<tr><td><a href='/base/{name}'>{name}</a><td>{rate:.3f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = vars(parser.parse_args())
    app["url"] = options.pop("url")
    web.run_app(app, **options)
