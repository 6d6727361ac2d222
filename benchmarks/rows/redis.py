"""``redis.get`` steps against redis-py doing the same calls.

Both look before each command whether the server closed the connection, and wait 30 seconds at most.
"""

from __future__ import annotations

from pathlib import Path

from calls import measure_calls, server
from harness import Figure

WHAT = "1,000 redis.get steps / redis.Redis doing the same calls"
UNIT = "x"
TARGET = 1.2

STEP = """\
    - action: redis.get
      config: {{key: "bench:{n}"}}
      assert: ["value == 'value {n}'"]
"""
BEFORE = """\
import redis

url = os.environ["TESTMESH_REDIS_URL"]
client = redis.Redis.from_url(url, decode_responses=True, socket_timeout=30, socket_connect_timeout=30)
for n in range(COUNT):
    client.set(f"bench:{n}", f"value {n}")
"""
CALL = """\
    assert client.get(f"bench:{n}") == f"value {n}"
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time them."""
    with server("redis") as found:
        return measure_calls(
            folder,
            quick,
            client="redis-py",
            step=STEP,
            before=BEFORE,
            call=CALL,
            after="client.close()",
            TESTMESH_REDIS_URL=found.url,
        ).ratio()
