"""Python's clients: httpx with HTTP/1.1 and HTTP/2, aiohttp with WebSocket, gRPC. Arguments: the proxy's two ports."""

import asyncio
import hashlib
import sys

import aiohttp
import grpc
import httpx

HTTP, GRPC = (f"127.0.0.1:{port}" for port in sys.argv[1:3])
BODY = bytes(range(256)) * 20_000


def check(condition, what):
    if not condition:
        raise SystemExit(f"{what} is not so")


async def with_httpx():
    for http2 in (False, True):
        version = "HTTP/2" if http2 else "HTTP/1.1"
        async with httpx.AsyncClient(http1=not http2, http2=http2, timeout=30) as client:
            sent = await client.post(f"http://{HTTP}/echo", content=BODY)
            check(sent.http_version == version, f"httpx: {sent.http_version}")
            check(sent.content == BODY, f"httpx {version}: the body")
            check(sent.headers["x-digest"] == hashlib.sha256(BODY).hexdigest(), "httpx: the digest")
            puts = [client.put(f"http://{HTTP}/echo", content=b"%d" % n) for n in range(100)]
            # Many at once on one connection of HTTP/2 fail within httpx, whatever the server.
            many = [await put for put in puts] if http2 else await asyncio.gather(*puts)
            check([r.content for r in many] == [b"%d" % n for n in range(100)], f"httpx {version}: 100 requests")
            async with client.stream("GET", f"http://{HTTP}/stream?pieces=5000") as response:
                lines = [line async for line in response.aiter_lines()]
            check(lines == [f"{n:06}" for n in range(5000)], f"httpx {version}: the stream")


async def with_aiohttp():
    async with aiohttp.ClientSession() as session:
        async def pieces():
            for at in range(0, len(BODY), 65_536):
                yield BODY[at : at + 65_536]

        async with session.post(f"http://{HTTP}/echo", data=pieces()) as response:
            check(await response.read() == BODY, "aiohttp: the chunked body")
        async with session.request("DELETE", f"http://{HTTP}/echo") as response:
            check(response.headers["x-method"] == "DELETE", "aiohttp: the method")
        async with session.ws_connect(f"http://{HTTP}/socket", protocols=["echo"], max_msg_size=0) as socket:
            check(socket.protocol == "echo", "aiohttp: the subprotocol")
            for message in ("hello", "x" * 100_000):
                await socket.send_str(message)
                check(await socket.receive_str() == message, "aiohttp: the text")
            await socket.send_bytes(BODY)
            check(await socket.receive_bytes() == BODY, "aiohttp: the binary message")
            await socket.ping()
        check(socket.close_code == 1000, f"aiohttp: close code {socket.close_code}")


async def with_grpc():
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(GRPC, options=options) as channel:
        call = channel.unary_unary("/test.Echo/Unary")(BODY)
        check(await call == BODY, "gRPC: the message")
        check(dict(await call.trailing_metadata())["x-length"] == str(len(BODY)), "gRPC: the trailer")

        async def messages():
            for number in range(2000):
                yield b"%d" % number

        answers = [m async for m in channel.stream_stream("/test.Echo/Both")(messages())]
        check(answers == [b"%d" % n for n in range(2000)], "gRPC: both directions")
        for method, code in (("Fail", grpc.StatusCode.FAILED_PRECONDITION), ("None", grpc.StatusCode.UNIMPLEMENTED)):
            try:
                await channel.unary_unary(f"/test.Echo/{method}")(b"")
                check(False, f"gRPC: {method} fails")
            except grpc.aio.AioRpcError as error:
                check(error.code() == code, f"gRPC: {error.code()}")
        waiting = channel.stream_stream("/test.Echo/Both")()
        await waiting.write(b"one")
        check(await waiting.read() == b"one", "gRPC: the first of many")
        waiting.cancel()


async def main():
    await with_httpx()
    await with_aiohttp()
    await with_grpc()


asyncio.run(main())
