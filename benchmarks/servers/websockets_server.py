"""`websockets`, its asyncio server: no compression, no keep-alive pings."""

from websockets.asyncio.server import ServerConnection, serve

from . import launch


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def listen(port: int) -> launch.Listening:
    return await serve(
        echo, launch.HOST, port, backlog=launch.BACKLOG, compression=None, ping_interval=None
    )


if __name__ == "__main__":
    launch.run(listen)
