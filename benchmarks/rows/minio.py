"""``minio.put`` and ``minio.get`` steps against the bare client of minio doing the same calls, connected before.

Needs a server: ``TESTMESH_MINIO_ENDPOINT``, ``_ACCESS_KEY`` and ``_SECRET_KEY``.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

from harness import TIMER, Figure, items_spent, make_suite, measure_pairs, run_pytest, run_python

WHAT = "minio.put and minio.get steps / minio.Minio doing the same calls"
UNIT = "x"
TARGET = 1.2

FLOW = """\
flow:
  name: {name}
  steps:
"""
STEPS = """\
    - action: minio.put
      config: {{bucket: {bucket}, object: "{n}", data: "value {n}", create_bucket: {create}}}
      assert: ["size > 6"]
    - action: minio.get
      config: {{bucket: {bucket}, object: "{n}"}}
      assert: ["body == 'value {n}'"]
"""
SCRIPT = """\
import io
import json
import os
import pathlib
import time

from minio import Minio

key, secret = os.environ["TESTMESH_MINIO_ACCESS_KEY"], os.environ["TESTMESH_MINIO_SECRET_KEY"]
client = Minio(os.environ["TESTMESH_MINIO_ENDPOINT"], key, secret, secure=False, region="us-east-1")
client.bucket_exists("BUCKET")
started = time.perf_counter()
for n in range(COUNT):
    data = f"value {n}".encode()
    client.put_object("BUCKET", str(n), io.BytesIO(data), len(data), "text/plain; charset=utf-8")
    response = client.get_object("BUCKET", str(n))
    assert response.read().decode() == f"value {n}"
    response.release_conn()
pathlib.Path("seconds.json").write_text(json.dumps(time.perf_counter() - started))
"""
CLEAN = """\
import os

from minio import Minio

key, secret = os.environ["TESTMESH_MINIO_ACCESS_KEY"], os.environ["TESTMESH_MINIO_SECRET_KEY"]
client = Minio(os.environ["TESTMESH_MINIO_ENDPOINT"], key, secret, secure=False, region="us-east-1")
for each in client.list_objects("BUCKET"):
    client.remove_object("BUCKET", each.object_name)
client.remove_bucket("BUCKET")
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time the loop over a client, and the whole item of one flow; connections and imports are made before."""
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        raise SystemExit(f"the row minio needs a server: set {', '.join(missing)}")
    server = {name: os.environ[name] for name in _NEEDED}
    calls = 50 if quick else 200
    bucket = f"bench-{uuid.uuid4().hex[:12]}"
    flows = {
        "a.yaml": FLOW.format(name="warm up") + STEPS.format(n=0, bucket=bucket, create="true"),
        "b.yaml": FLOW.format(name="calls")
        + "".join(STEPS.format(n=n, bucket=bucket, create="false") for n in range(calls)),
    }
    suite = make_suite(folder / "flows", {"conftest.py": TIMER, **flows})
    texts = {"calls.py": SCRIPT, "clean.py": CLEAN}
    scripts = {name: text.replace("COUNT", str(calls)).replace("BUCKET", bucket) for name, text in texts.items()}
    script = make_suite(folder / "script", scripts)

    def theirs() -> float:
        run_python("calls.py", folder=script, **server)
        seconds: float = json.loads((script / "seconds.json").read_text(encoding="utf-8"))
        return seconds

    def ours() -> float:
        run_pytest(suite, **server)
        return items_spent(suite)["calls"].whole_s

    run_pytest(suite, **server)  # makes the bucket
    pairs = measure_pairs(theirs, ours, count=3 if quick else 9)
    run_python("clean.py", folder=script, **server)
    call_ms, step_ms = (each / calls / 2 * 1e3 for each in pairs.medians())
    return pairs.ratio(a_call=f"{call_ms:.2f} ms minio.Minio, {step_ms:.2f} ms a step")


_NEEDED = ("TESTMESH_MINIO_ENDPOINT", "TESTMESH_MINIO_ACCESS_KEY", "TESTMESH_MINIO_SECRET_KEY")
