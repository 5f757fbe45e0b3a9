"""An empty 204 from a bare asyncio protocol on uvloop, parsed by httptools: `python -m benchmarks.hello.bare PORT`."""

import asyncio
import sys
from typing import Any

import httptools
import uvloop

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Hello(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.parser = httptools.HttpRequestParser(self)
        self.answers = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parsed like the gate's, and dropped."""

    def on_message_complete(self) -> None:
        self.answers += 1

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)
        self.transport.write(ANSWER * self.answers)
        self.answers = 0


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Hello, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
