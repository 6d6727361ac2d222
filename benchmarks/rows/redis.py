"""``redis.get`` steps against redis-py doing the same calls."""

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

client = redis.Redis.from_url(os.environ["TESTMESH_REDIS_URL"], decode_responses=True)
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
