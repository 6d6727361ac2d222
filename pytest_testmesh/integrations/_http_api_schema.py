"""The config keys that all steps share which ask an HTTP API; loads no client."""

from __future__ import annotations

from typing import Any

from pytest_testmesh.integrations._durations import DURATION
from pytest_testmesh.integrations.http import AUTH, TLS_PROPERTIES

API_PROPERTIES: dict[str, Any] = {
    "auth": AUTH,
    "tenant": {"type": "string", "minLength": 1, "description": "the tenant, sent as header X-Scope-OrgID"},
    "headers": {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        "description": "further request headers",
    },
    "timeout": {**DURATION, "default": "30s", "description": "bounds one look at the server"},
    **TLS_PROPERTIES,
}
"""auth, tenant, headers, timeout, verify_ssl, cert, proxy."""
