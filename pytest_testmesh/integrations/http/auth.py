"""Credentials of a step: basic, bearer, API key and OAuth 2 client credentials."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from pytest_testmesh.errors import ActionConfigError, TargetError
from pytest_testmesh.integrations.http.client import Response
from pytest_testmesh.integrations.http.request import Request, basic, build_request
from pytest_testmesh.integrations.http.target import parse_target, with_params

_NEEDED = {
    "basic": ("username", "password"),
    "bearer": ("token",),
    "api_key": ("key",),
    "oauth2": ("token_url", "client_id", "client_secret"),
}
_SECRETS = {"basic": "password", "bearer": "token", "api_key": "key", "oauth2": "client_secret"}
_EXPIRY_MARGIN_S = 10.0

Send = Callable[[Request], Response]
Hide = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    expires_at: float


class Tokens:
    """OAuth 2 tokens of one item run, by what was asked for."""

    def __init__(self) -> None:
        self._tokens: dict[str, _Token] = {}

    def get(self, auth: Mapping[str, Any], send: Send) -> str:
        """Return a token that is still good, asking ``token_url`` where there is none.

        Raises:
            TargetError: The answer holds no token.
        """
        key = json.dumps(auth, sort_keys=True)
        token = self._tokens.get(key)
        if token is None or token.expires_at <= time.monotonic():
            token = self._tokens[key] = _fetch(auth, send)
        return token.value

    def forget(self, auth: Mapping[str, Any]) -> None:
        """Drop the token: the server refused it."""
        self._tokens.pop(json.dumps(auth, sort_keys=True), None)


def authorize(
    request: Request, auth: Mapping[str, Any], tokens: Callable[[], Tokens], send: Send, hide: Hide
) -> Request:
    """Return *request* with the credentials that *auth* describes; *hide* is told each that reports must mask.

    Raises:
        ActionConfigError: Something is missing, or there is an ``Authorization`` header already.
    """
    kind = auth["type"]
    missing = [name for name in _NEEDED[kind] if name not in auth]
    if missing:
        raise ActionConfigError(
            f"config.auth of type {kind} lacks {' and '.join(missing)}",
            hint=f"it needs {', '.join(_NEEDED[kind])}",
        )
    hide(auth[_SECRETS[kind]])
    if kind == "api_key":
        return _with_api_key(request, auth)
    if request.has_header("authorization"):
        raise ActionConfigError(
            "both config.auth and config.headers.Authorization are given", hint="remove one of them"
        )
    if kind == "basic":
        return request.with_header("Authorization", basic(auth["username"], auth["password"]))
    token = auth["token"] if kind == "bearer" else tokens().get(auth, send)
    hide(token)
    return request.with_header("Authorization", f"Bearer {token}")


def _with_api_key(request: Request, auth: Mapping[str, Any]) -> Request:
    name = auth.get("name", "X-API-Key")
    if auth.get("location") == "query":
        return replace(request, target=parse_target(with_params(request.target.url, {name: auth["key"]})))
    return replace(request.with_header(name, auth["key"]), secret_headers=request.secret_headers | {name.lower()})


def _fetch(auth: Mapping[str, Any], send: Send) -> _Token:
    """Ask for a token with client credentials (RFC 6749, 4.4)."""
    request = _token_request(auth)
    response = send(request)
    try:
        answer = json.loads(response.body)
        value, lifetime_s = answer["access_token"], float(answer.get("expires_in") or 3600)
    except (ValueError, KeyError, TypeError, AttributeError):
        shown = response.body[:200].decode("utf-8", "replace")
        raise TargetError(
            f"POST {request.target.url}: no access_token in the answer: {response.status} {shown}",
            code="OAUTH2_FAILED",
            hint="check config.auth: token_url, client_id, client_secret, scope, client_auth",
        ) from None
    return _Token(value, time.monotonic() + lifetime_s - _EXPIRY_MARGIN_S)


def _token_request(auth: Mapping[str, Any]) -> Request:
    scope = auth.get("scope")
    form = {
        "grant_type": "client_credentials",
        "scope": " ".join(scope) if isinstance(scope, list) else scope,
        "audience": auth.get("audience"),
    }
    headers = {"Accept": "application/json"}
    if auth.get("client_auth") == "body":
        form |= {"client_id": auth["client_id"], "client_secret": auth["client_secret"]}
    else:
        # both are form-encoded first, RFC 6749, 2.3.1
        user, password = quote_plus(auth["client_id"]), quote_plus(auth["client_secret"])
        headers["Authorization"] = basic(user, password)
    config = {"method": "POST", "url": auth["token_url"], "form": form, "headers": headers}
    return build_request(config, Path())
