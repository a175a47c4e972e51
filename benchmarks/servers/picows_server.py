"""picows: a callback for each frame, and no more asyncio than that."""

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from . import answers, launch

members: set[WSTransport] = set()


def close(transport: WSTransport, frame: WSFrame) -> None:
    transport.send_close(frame.get_close_code(), frame.get_close_message())
    transport.disconnect()


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            close(transport, frame)
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())


class Member(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        members.add(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            close(transport, frame)
        elif frame.get_payload_as_utf8_text() == answers.GO:
            for each in members:
                each.send(WSMsgType.BINARY, answers.MESSAGE)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        members.remove(transport)


def make_listener(request: WSUpgradeRequest) -> WSListener:
    return Member() if request.path == answers.BROADCAST.encode() else Echo()


async def listen(options: launch.Options) -> launch.Listening:
    server: launch.Listening = await ws_create_server(
        make_listener, launch.HOST, options.port, backlog=launch.BACKLOG, ssl=options.context()
    )
    return server


if __name__ == "__main__":
    launch.run(listen)
