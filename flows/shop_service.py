"""The service that the example flows test: orders over HTTP, SQLite behind them.

By hand: ``SHOP_TOKEN=secret python flows/shop_service.py shop.db``; it ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAYMENT_TAKES_S = 0.3

SCHEMA = """
CREATE TABLE IF NOT EXISTS articles (sku TEXT PRIMARY KEY, price REAL NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, sku TEXT NOT NULL, quantity INTEGER NOT NULL, total REAL NOT NULL, state TEXT NOT NULL
);
INSERT OR IGNORE INTO articles VALUES ('mug', 12.5, 100), ('teapot', 40, 5);
"""


class Refused(Exception):
    """A request that is answered with an error, as ``{"error": code, "message": text}``."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": code, "message": message}


class Shop:
    """The orders and the stock: NEW -> PENDING -> PAID or DECLINED, and CANCELLED from any but PENDING."""

    def __init__(self, path: str) -> None:
        self._path = path
        with closing(sqlite3.connect(path)) as database:
            database.executescript(SCHEMA)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path)) as database, database:
            database.row_factory = sqlite3.Row
            yield database

    def article(self, sku: str) -> dict[str, Any]:
        with self._transaction() as database:
            row = database.execute("SELECT sku, price, stock FROM articles WHERE sku = ?", [sku]).fetchone()
        if row is None:
            raise Refused(404, "unknown_article", f"there is no article {sku}")
        return dict(row)

    def order(self, order_id: str) -> dict[str, Any]:
        with self._transaction() as database:
            row = database.execute("SELECT * FROM orders WHERE id = ?", [order_id]).fetchone()
        if row is None:
            raise Refused(404, "unknown_order", f"there is no order {order_id}")
        return dict(row)

    def create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        sku, quantity = wanted.get("sku"), wanted.get("quantity")
        if not isinstance(sku, str) or type(quantity) is not int or quantity < 1:
            raise Refused(422, "invalid_order", "an order has a sku and a quantity of at least 1")
        total = self.article(sku)["price"] * quantity
        with self._transaction() as database:
            reserve = "UPDATE articles SET stock = stock - ? WHERE sku = ? AND stock >= ?"
            if database.execute(reserve, [quantity, sku, quantity]).rowcount == 0:
                raise Refused(409, "out_of_stock", f"fewer than {quantity} of {sku} are left")
            insert = "INSERT INTO orders (sku, quantity, total, state) VALUES (?, ?, ?, 'NEW')"
            order_id = database.execute(insert, [sku, quantity, total]).lastrowid
        return self.order(str(order_id))

    def pay(self, order_id: str, payment: dict[str, Any]) -> dict[str, Any]:
        """Accept the payment; the bank says later whether it went through."""
        card = payment.get("card_number")
        if not isinstance(card, str) or not card.isdigit():
            raise Refused(422, "invalid_card", "a card number is a text of digits")
        order = self._move(order_id, ["NEW"], "PENDING")
        outcome = "DECLINED" if card.endswith("0002") else "PAID"
        bank = threading.Timer(PAYMENT_TAKES_S, self._move, [order_id, ["PENDING"], outcome])
        bank.daemon = True
        bank.start()
        return order

    def cancel(self, order_id: str) -> dict[str, Any]:
        order = self._move(order_id, ["NEW", "PAID", "DECLINED"], "CANCELLED")
        with self._transaction() as database:
            give_back = "UPDATE articles SET stock = stock + ? WHERE sku = ?"
            database.execute(give_back, [order["quantity"], order["sku"]])
        return order

    def _move(self, order_id: str, states: list[str], state: str) -> dict[str, Any]:
        marks = ", ".join("?" * len(states))
        with self._transaction() as database:
            update = f"UPDATE orders SET state = ? WHERE id = ? AND state IN ({marks})"
            moved = database.execute(update, [state, order_id, *states]).rowcount
        order = self.order(order_id)
        if not moved:
            raise Refused(409, "wrong_state", f"order {order_id} is {order['state']}")
        return order


class ShopServer(ThreadingHTTPServer):
    """Serves one shop to those who know the token."""

    def __init__(self, shop: Shop, token: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.shop = shop
        self.authorization = f"Bearer {token}"
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """JSON in, JSON out."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    server: ShopServer

    def do_GET(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            status, answer = self._route(data)
        except Refused as refused:
            status, answer = refused.status, refused.body
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET

    def _route(self, data: bytes) -> tuple[int, dict[str, Any]]:
        shop = self.server.shop
        if self.headers.get("Authorization") != self.server.authorization:
            raise Refused(401, "unauthorized", "the token is missing or wrong")
        match self.command, *self.path.strip("/").split("/"):
            case "POST", "orders":
                return 201, shop.create(_mapping(data))
            case "GET", "orders", order_id:
                return 200, shop.order(order_id)
            case "POST", "orders", order_id, "pay":
                return 202, shop.pay(order_id, _mapping(data))
            case "DELETE", "orders", order_id:
                return 200, shop.cancel(order_id)
            case "GET", "stock", sku:
                return 200, shop.article(sku)
        raise Refused(404, "unknown_path", f"there is no {self.command} {self.path}")

    def log_message(self, *args: object) -> None:
        """Say nothing: the flows tell what was sent and received."""


def _mapping(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refused(422, "invalid_json", "the body must be a JSON object")
    return value


def main() -> None:
    server = ShopServer(Shop(sys.argv[1]), os.environ["SHOP_TOKEN"])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
