"""The instrumented service of ``shop.py``, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

PROGRAM = Path(__file__).with_name("shop.py")


@dataclass(frozen=True)
class RunningShop:
    """The service *name* at *url*."""

    name: str
    url: str

    def order(self, headers: Mapping[str, str] | None = None, card: str = "good") -> str:
        """Place an order, as any client does; return the id of its trace."""
        data = json.dumps({"card": card}).encode()
        request = urllib.request.Request(f"{self.url}/orders", data, dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                body = response.read()
        except HTTPError as declined:
            body = declined.read()
        trace_id: str = json.loads(body)["trace_id"]
        return trace_id


@contextmanager
def running_shop(name: str, *urls: str) -> Iterator[RunningShop]:
    """Start it with the addresses that `shop.Shop` wants."""
    with subprocess.Popen([sys.executable, PROGRAM, name, *urls], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield RunningShop(name, f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()
