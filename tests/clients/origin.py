"""The service behind the proxy: HTTP/1.1 with WebSocket, and gRPC. Prints its two ports."""

import asyncio
import hashlib

import grpc
from aiohttp import WSMsgType, web


async def echo(request):
    """The body as it came, and what it came with."""
    body = await request.read()
    headers = {"x-method": request.method, "x-digest": hashlib.sha256(body).hexdigest()}
    return web.Response(body=body, headers=headers)


async def stream(request):
    """As many pieces as asked for, in chunks."""
    response = web.StreamResponse(headers={"content-type": "text/plain"})
    await response.prepare(request)
    for number in range(int(request.query["pieces"])):
        await response.write(b"%06d\n" % number)
    await response.write_eof()
    return response


async def websocket(request):
    socket = web.WebSocketResponse(protocols=["echo"], max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


class Echo(grpc.GenericRpcHandler):
    """Messages are bytes: no compiler is needed."""

    def service(self, details):
        method = details.method.rsplit("/", 1)[-1]
        if method == "Unary":
            return grpc.unary_unary_rpc_method_handler(self.unary)
        if method == "Both":
            return grpc.stream_stream_rpc_method_handler(self.both)
        if method == "Fail":
            return grpc.unary_unary_rpc_method_handler(self.fail)
        return None

    @staticmethod
    async def unary(message, context):
        context.set_trailing_metadata([("x-length", str(len(message)))])
        return message

    @staticmethod
    async def both(messages, context):
        async for message in messages:
            yield message

    @staticmethod
    async def fail(message, context):
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")


async def main():
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/echo", echo)
    app.router.add_get("/stream", stream)
    app.router.add_get("/socket", websocket)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((Echo(),))
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(site._server.sockets[0].getsockname()[1], grpc_port, flush=True)
    await server.wait_for_termination()


asyncio.run(main())
