"""A page by HTTPS. Run it with a certificate: python examples/ports/bareasgi/https.py cert.pem key.pem"""

import argparse
import ssl

import lowlevel as web

PAGE = "<!doctype html><title>HTTPS</title><p>This came by {}</p>"


async def page(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=PAGE.format(request.scheme), content_type="text/html")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("certfile")
    parser.add_argument("keyfile")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    options = parser.parse_args()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certfile, options.keyfile)
    web.run_app(page, host=options.host, port=options.port, ssl_context=context)
