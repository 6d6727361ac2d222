"""A step's config as a request: method, target, headers and body bytes."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from urllib3.util import make_headers

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._paths import resolved
from pytest_testmesh.integrations.http.checks import check_request_config
from pytest_testmesh.integrations.http.target import Target, parse_target, text_of, with_params
from pytest_testmesh.model import EMPTY

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE_BREAK = re.compile(r"[\r\n\x00]")
_CREDENTIALS = re.compile(r"authorization|cookie|api[-_]?key|token|secret|password|credential", re.IGNORECASE)
_OF_THE_BODY = frozenset({"content-type", "content-length", "content-encoding", "transfer-encoding"})
_DEFAULT_HEADERS = {
    "User-Agent": "pytest-testmesh",
    "Accept": "*/*",
    "Accept-Encoding": make_headers(accept_encoding=True)["accept-encoding"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What goes out. *cookies* are this request's own; *shown_body* stands for a body that is no text.

    *secret_headers* names, in lower case, headers that a redirect to another origin must not carry.
    """

    method: str
    target: Target
    headers: Mapping[str, str]
    body: bytes | None = None
    shown_body: str | None = None
    cookies: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    secret_headers: frozenset[str] = frozenset()

    def has_header(self, name: str) -> bool:
        """Whether there is a header of that name, given in lower case."""
        return any(each.lower() == name for each in self.headers)

    def with_header(self, name: str, value: str) -> Request:
        """Return the request with one header more.

        Raises:
            ActionConfigError: A value that no header can have.
        """
        return replace(self, headers={**self.headers, name: _header_value(name, value)})

    def redirected(self, status: int, target: Target) -> Request:
        """Return what follows a redirect to *target*.

        303 becomes GET, 301 and 302 too where they answer a POST; 307 and 308 repeat method and body. Another
        origin gets none of the credentials.

        Source: https://fetch.spec.whatwg.org/#http-redirect-fetch
        """
        method, body, dropped = self.method, self.body, frozenset[str]()
        if (status == 303 and method not in ("GET", "HEAD")) or (status in (301, 302) and method == "POST"):
            method, body, dropped = "GET", None, _OF_THE_BODY
        cookies = self.cookies
        leaves = not self.target.keeps_credentials(target)
        if leaves:
            cookies = EMPTY
            dropped |= {"host"}
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in dropped and not (leaves and self._is_secret(name))
        }
        return replace(self, method=method, body=body, target=target, headers=headers, cookies=cookies)

    def _is_secret(self, name: str) -> bool:
        return name.lower() in self.secret_headers or bool(_CREDENTIALS.search(name))


def build_request(config: Mapping[str, Any], folder: Path) -> Request:
    """Make the request that *config* describes; ``auth`` is left to `auth`.

    Raises:
        ActionConfigError: A URL, header or body that cannot be sent, or a file that is not there.
    """
    url = config["url"]
    for key in ("params", "query_params"):
        if config.get(key):
            url = with_params(url, config[key])
    body, content_type, shown_body = _body(config, folder)
    return Request(
        method=_method(config.get("method", "GET")),
        target=parse_target(url),
        headers=_headers(config.get("headers"), content_type),
        body=body,
        shown_body=shown_body,
        cookies=_cookies(config.get("cookies")),
    )


def _cookies(given: Mapping[str, Any] | None) -> Mapping[str, str]:
    if not given:
        return EMPTY
    return {name: text_of(value) for name, value in given.items() if value is not None}


def _method(method: str) -> str:
    if not _TOKEN.fullmatch(method):
        raise ActionConfigError(f"config.method: {method!r} is no HTTP method", hint="write GET, POST, PUT...")
    return method.upper()


def _headers(given: Mapping[str, Any] | None, content_type: str | None) -> dict[str, str]:
    headers = dict(_DEFAULT_HEADERS)
    if content_type is not None:
        headers["Content-Type"] = content_type
    if not given:
        return headers
    names = {name.lower() for name in given}
    headers = {name: value for name, value in headers.items() if name.lower() not in names}
    for name, value in given.items():
        if value is not None:
            headers[name] = _header_value(name, text_of(value))
    return headers


def _header_value(name: str, value: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ActionConfigError(f"config.headers: {name!r} is no header name", hint="it may not hold blanks or :")
    if _LINE_BREAK.search(value):
        raise ActionConfigError(
            f"config.headers.{name} holds a line break", hint="in YAML, write | as |- or put the text in quotes"
        )
    return value


Body = tuple["bytes | None", "str | None", "str | None"]
"""The bytes, their content type, and what a report shows instead of them."""


def _body(config: Mapping[str, Any], folder: Path) -> Body:
    check_request_config(config)
    body, form, files = config.get("body"), config.get("form"), config.get("files")
    if files:
        return _multipart(form or {}, files, folder)
    if form is not None:
        return _urlencoded(form)
    if body is None:
        return None, None, None
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass"), None, None
    if isinstance(body, Mapping) and _wants_form(config.get("headers")):
        return _urlencoded(body)
    return json.dumps(body, allow_nan=False).encode("ascii"), "application/json", None


def _wants_form(headers: Mapping[str, Any] | None) -> bool:
    return any(
        name.lower() == "content-type" and str(value).lower().startswith("application/x-www-form-urlencoded")
        for name, value in (headers or {}).items()
    )


def _pairs(form: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in form.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, (Mapping, list)):
                yield name, json.dumps(each)
            elif each is not None:
                yield name, text_of(each)


def _urlencoded(form: Mapping[str, Any]) -> Body:
    return urlencode(list(_pairs(form))).encode("ascii"), "application/x-www-form-urlencoded", None


def _multipart(form: Mapping[str, Any], files: Mapping[str, Any], folder: Path) -> Body:
    from urllib3.fields import RequestField
    from urllib3.filepost import encode_multipart_formdata

    fields: list[Any] = list(_pairs(form))
    shown = [f"{name}={value}" for name, value in fields]
    for name, given in files.items():
        for each in given if isinstance(given, list) else [given]:
            data, filename, content_type = _file(name, each, folder)
            field = RequestField(name, data, filename)
            field.make_multipart(content_type=content_type)
            fields.append(field)
            shown.append(f"{name}={filename} ({content_type}, {len(data)} bytes)")
    body, header = encode_multipart_formdata(fields)
    return body, header, f"multipart form: {', '.join(shown)}"


def _file(field: str, given: Any, folder: Path) -> tuple[bytes, str, str]:
    spec: Mapping[str, Any] = {"path": given} if isinstance(given, str) else given
    if ("path" in spec) == ("content" in spec):
        raise ActionConfigError(f"config.files.{field} needs either `path` or `content`", hint="write one of them")
    if "content" in spec:
        content = spec["content"]
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        filename = spec.get("filename", field)
    else:
        data = _read(field, resolved(spec["path"], folder))
        filename = spec.get("filename", Path(spec["path"]).name)
    return data, filename, spec.get("content_type") or _guessed(filename)


def _guessed(filename: str) -> str:
    from mimetypes import guess_type

    return guess_type(filename)[0] or "application/octet-stream"


def _read(field: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise ActionConfigError(
            f"config.files.{field}: cannot read {path}: {exc.strerror}", hint="paths are relative to the flow file"
        ) from exc


def basic(user: str, password: str) -> str:
    """Return the value of an ``Authorization: Basic`` header; user and password go out as UTF-8 (RFC 7617)."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode('ascii')}"
