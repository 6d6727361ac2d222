"""``minio.put`` and ``minio.get`` steps against the bare client of minio doing the same calls."""

from __future__ import annotations

import uuid
from pathlib import Path

from calls import measure_calls, server
from harness import Figure

WHAT = "1,000 rounds of minio.put and minio.get / minio.Minio doing the same calls"
UNIT = "x"
TARGET = 1.2

STEP = """\
    - action: minio.put
      config: {{bucket: "${{BUCKET}}", object: "{n}", data: "value {n}"}}
      assert: ["size > 6"]
    - action: minio.get
      config: {{bucket: "${{BUCKET}}", object: "{n}"}}
      assert: ["body == 'value {n}'"]
"""
BEFORE = """\
import io
from minio import Minio

bucket = os.environ["BUCKET"]
login = os.environ["TESTMESH_MINIO_ACCESS_KEY"], os.environ["TESTMESH_MINIO_SECRET_KEY"]
client = Minio(os.environ["TESTMESH_MINIO_ENDPOINT"], *login, secure=False, region="us-east-1")
client.bucket_exists(bucket)
"""
CALL = """\
    data = f"value {n}".encode()
    client.put_object(bucket, str(n), io.BytesIO(data), len(data), "text/plain; charset=utf-8")
    response = client.get_object(bucket, str(n))
    assert response.read().decode() == f"value {n}"
    response.release_conn()
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time them in a bucket of their own."""
    from minio import Minio

    bucket = f"bench-{uuid.uuid4().hex[:12]}"
    with server("minio") as found:
        facts = found.facts
        client = Minio(facts["endpoint"], facts["access_key"], facts["secret_key"], secure=False)
        client.make_bucket(bucket)
        try:
            return measure_calls(
                folder,
                quick,
                client="minio.Minio",
                step=STEP,
                before=BEFORE,
                call=CALL,
                after="",
                TESTMESH_MINIO_ENDPOINT=facts["endpoint"],
                TESTMESH_MINIO_ACCESS_KEY=facts["access_key"],
                TESTMESH_MINIO_SECRET_KEY=facts["secret_key"],
                BUCKET=bucket,
            ).ratio()
        finally:
            for each in client.list_objects(bucket):
                client.remove_object(bucket, str(each.object_name))
            client.remove_bucket(bucket)
