"""What the flows in this folder use beside the built-in actions: a running shop, and actions of our own."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest


def restock(config, context):
    with closing(sqlite3.connect(config["database"])) as database, database:
        database.execute("INSERT OR REPLACE INTO articles VALUES (:sku, :price, :stock)", config)


def close_books(config, context):
    """What the shop does at night: an order goes to the books in PostgreSQL, its total to Redis for an hour."""
    import psycopg2
    import redis
    from psycopg2.sql import SQL, Identifier

    with closing(sqlite3.connect(config["database"])) as database:
        order = database.execute("SELECT id, sku, total FROM orders WHERE id = :order_id", config).fetchone()
    with closing(psycopg2.connect(context.settings["postgresql_url"])) as books, books, books.cursor() as cursor:
        insert = SQL("INSERT INTO {} VALUES (%s, %s, %s, now())").format(Identifier(config["books"]))
        cursor.execute(insert, order)
    with redis.Redis.from_url(context.settings["redis_url"]) as cache:
        cache.set(config["books"], order[2], ex=3600)


@pytest.hookimpl(optionalhook=True)
def pytest_testmesh_actions(registry):
    registry.add("shop.close_books", close_books)
    registry.add("shop.restock", restock)


@dataclass(frozen=True)
class RunningShop:
    """What a flow sees as ``${fixtures.shop.url}`` and so on."""

    url: str
    auth: dict[str, str]
    database: str


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """A shop of its own for each session, and for each xdist worker."""
    database = str(tmp_path_factory.mktemp("shop") / "shop.db")
    token = "example-token-7d1f"
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("shop_service.py")), database],
        env={**os.environ, "SHOP_TOKEN": token},
        stdin=subprocess.PIPE,  # closed at the end of the with statement, or when pytest dies: the shop ends too
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for pytest: teardown steps still need the shop
    ) as service:
        url = service.stdout.readline().strip()
        assert url, "the shop did not start"
        yield RunningShop(url, {"type": "bearer", "token": token}, database)


@pytest.fixture
def postgresql_and_redis() -> None:
    """Skip a flow that needs both where they are not given."""
    missing = [name for name in ("TESTMESH_POSTGRESQL_URL", "TESTMESH_REDIS_URL") if not os.environ.get(name)]
    if missing:
        pytest.skip(f"needs a PostgreSQL and a Redis: set {' and '.join(missing)}")
