"""A child process leaves the connections of its parent alone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import os, sys
from pytest_testmesh.actions import ActionContext, Resources
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.integrations import kafka
from pytest_testmesh.scope import Scope

brokers, topic = sys.argv[1:]
session, item = Resources(), Resources()


def run(action, **config):
    scope = Scope(builtins=BuiltinValues({}), environ={})
    context = ActionContext(flow_id="f", execution_id="r", step_id="s", scope=scope, session=session, item=item)
    return getattr(kafka, f"kafka_{action}")({"brokers": brokers, "topic": topic, **config}, context)


run("produce", value="before")
pid = os.fork()
if pid == 0:
    try:
        run("produce", value="by the child")
        session.close()
    finally:
        os._exit(0)
os.waitpid(pid, 0)
run("produce", value="after")
found = run("consume", from_beginning=True, count=3)
print(sorted(each["value"] for each in found["messages"]))
item.close()
session.close()
"""


@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
def test_parent_and_child_have_clients_of_their_own(kafka: Any, brokers: str, topic: str) -> None:
    argv = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM, brokers, topic]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)

    assert "['after', 'before', 'by the child']\n" == done.stdout, done.stderr
