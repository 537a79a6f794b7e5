"""A WebSocket server that says back what it hears, or closes if told to."""

import asyncio
import sys

from websockets.asyncio.server import serve


async def converse(socket):
    async for message in socket:
        if message == "close":
            await socket.close(4001, "as told")
        elif message == "vanish":
            socket.transport.abort()
        else:
            await socket.send(message)


async def main(host, port):
    async with serve(converse, host, int(port), subprotocols=["chat.v2"]) as server:
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
