"""Basic authentication (RFC 7617)."""

import argparse
import binascii
from base64 import b64decode

import lowlevel as web

router = web.Router()


@router.get("/authenticate")
async def authenticate(request: web.BaseRequest) -> web.StreamResponse:
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    try:
        name, colon, password = b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name = colon = ""
    if scheme.lower() != "basic" or not colon:
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="here"'})
    return web.Response(text=f"Authenticated {name}, who knows a password")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
