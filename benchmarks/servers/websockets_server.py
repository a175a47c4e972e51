"""`websockets`, its asyncio server: no compression, no keep-alive pings."""

from websockets.asyncio.server import ServerConnection, broadcast, serve

from . import answers, launch

members: set[ServerConnection] = set()


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def join(connection: ServerConnection) -> None:
    members.add(connection)
    try:
        async for message in connection:
            if message == answers.GO:
                broadcast(members, answers.MESSAGE)
    finally:
        members.remove(connection)


async def handle(connection: ServerConnection) -> None:
    request = connection.request
    await (join if request and request.path == answers.BROADCAST else echo)(connection)


async def listen(options: launch.Options) -> launch.Listening:
    return await serve(
        handle,
        launch.HOST,
        options.port,
        backlog=launch.BACKLOG,
        ssl=options.context(),
        compression=None,
        ping_interval=None,
    )


if __name__ == "__main__":
    launch.run(listen)
