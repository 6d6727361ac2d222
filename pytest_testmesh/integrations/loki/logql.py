"""The little that is read of LogQL; the rest is the server's."""

from __future__ import annotations

import re

_BEFORE = re.compile(r"(?:\s|\(|#[^\n]*(?:\n|\Z))*")
_SELECTOR = re.compile(r'\{(?:[^{}"`]|"(?:[^"\\]|\\.)*"|`[^`]*`)*\}')


def is_log_query(query: str) -> bool:
    """Whether it returns lines: only such a query begins with a stream selector; metric queries wrap one."""
    before = _BEFORE.match(query)
    return query.startswith("{", before.end() if before else 0)


def selector(query: str) -> str | None:
    """Return the first stream selector: ``{app="shop"}``."""
    found = _SELECTOR.search(query)
    return None if found is None else found[0]
