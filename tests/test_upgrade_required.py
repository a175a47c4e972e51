"""The answer 426 for plain requests to WebSockets."""

import lowlevel as web
from lowlevel.upgrade_required import upgrade_required
from tests.support import Peer, request, serving


async def test_it_says_what_to_do() -> None:
    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        raise upgrade_required()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request())
        assert answer.status == 426
        assert answer.headers["upgrade"] == ["websocket"]
        assert answer.headers["connection"] == ["upgrade"]
        assert answer.headers["sec-websocket-version"] == ["13"]
        assert b"WebSocket" in answer.body
        # Nobody has taken the connection over.
        assert (await peer.ask(request())).status == 426
