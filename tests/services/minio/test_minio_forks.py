"""A child process leaves the connection of its parent alone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

PROGRAM = """
import os, stat, sys
from contextlib import suppress
from pytest_testmesh.actions import ActionContext, Resources
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.integrations import minio
from pytest_testmesh.scope import Scope

endpoint, access_key, secret_key, bucket = sys.argv[1:]
session = Resources()
login = {"endpoint": endpoint, "access_key": access_key, "secret_key": secret_key, "bucket": bucket}


def run(action, **config):
    scope = Scope(builtins=BuiltinValues({}), environ={})
    context = ActionContext(flow_id="f", execution_id="r", step_id="s", scope=scope, session=session)
    return getattr(minio, f"minio_{action}")({**login, **config}, context)


def ends():
    stats = []
    for each in range(200):
        with suppress(OSError):
            stats.append(os.fstat(each))
    return {each.st_ino for each in stats if stat.S_ISSOCK(each.st_mode)}


run("put", object="a", data="before")
of_parent = ends()
pid = os.fork()
if pid == 0:
    try:
        run("put", object="a", data="by the child")
        print("own" if ends() - of_parent else "shared", flush=True)
        session.close()
    finally:
        os._exit(0)
os.waitpid(pid, 0)
print(run("get", object="a")["body"], ends() == of_parent)
session.close()
"""


def test_parent_and_child_have_connections_of_their_own(server: Any, bucket: str) -> None:
    facts = server.facts
    login = [facts["endpoint"], facts["access_key"], facts["secret_key"], bucket]
    argv = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM, *login]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)

    assert ["own", "by the child True"] == done.stdout.splitlines(), done.stderr
