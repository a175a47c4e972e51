"""picows: a callback for each frame, and no more asyncio than that."""

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from . import launch


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())


def make_echo(request: WSUpgradeRequest) -> Echo:
    return Echo()


async def listen(port: int) -> launch.Listening:
    server: launch.Listening = await ws_create_server(
        make_echo, launch.HOST, port, backlog=launch.BACKLOG
    )
    return server


if __name__ == "__main__":
    launch.run(listen)
