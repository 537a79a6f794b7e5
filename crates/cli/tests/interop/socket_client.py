"""Talks over WebSockets and prints what comes of it."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main(url):
    options = {"subprotocols": ["chat.v1", "chat.v2"], "proxy": None}
    async with connect(url, **options) as socket:
        extensions = socket.response.headers["Sec-WebSocket-Extensions"]
        print(socket.subprotocol, extensions.split(";")[0])
        for message in ["hello", b"\x00\xff" * 300_000, "\u00fc" * 1000]:
            await socket.send(message)
            assert await socket.recv() == message
        # In fragments, with a ping between.
        await socket.send(["one ", "two ", "three"])
        await (await socket.ping())
        print(await socket.recv())
        await socket.send("close")
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            print(closed.rcvd.code, closed.rcvd.reason)

    sockets = [await connect(url, **options) for _ in range(50)]
    for number, socket in enumerate(sockets):
        await socket.send(str(number))
    print([await socket.recv() for socket in sockets] == [str(n) for n in range(50)])
    for socket in sockets:
        await socket.close()

    async with connect(url, **options) as socket:
        await socket.send("vanish")
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            print(closed.rcvd)


asyncio.run(main(sys.argv[1]))
