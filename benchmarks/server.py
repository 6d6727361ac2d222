"""A small HTTP server that costs its clients little: prints its port, answers any request with an order as JSON.

Ends when its standard input is closed, so it cannot outlive the process that started it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
NUMBER = re.compile(rb"/orders/(\d+)")


def answer(head: bytes) -> bytes:
    number = NUMBER.search(head)
    order = {
        "id": int(number[1]) if number else 0,
        "state": "PAID",
        "total": 42.5,
        "currency": "EUR",
        "customer": {"name": "Amy Lee", "email": "amy@example.com"},
        "items": [{"sku": f"sku-{index}", "quantity": index, "price": 9.99} for index in (1, 2, 3)],
    }
    body = json.dumps(order).encode()
    return (
        b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )


class Connection(asyncio.Protocol):
    """Answers the requests of one connection in turn."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = LENGTH.search(head)
            rest = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < rest:
                return
            self._received = self._received[rest:]
            self._transport.write(answer(head))


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
