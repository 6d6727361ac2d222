"""TLS contexts, made once for each way of trusting and each client certificate."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urllib3.util.ssl_ import create_urllib3_context

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._paths import resolved
from pytest_testmesh.integrations._sockets import BoundedTLSSocket

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class TLSOptions:
    """How a server is trusted and which certificate the client shows.

    *ca* is a file or folder of CA certificates, named by *ca_source*; None accepts any certificate.
    """

    ca: str | None
    ca_source: str = ""
    cert: str | None = None
    key: str | None = None
    password: str | None = None


def tls_options(config: Mapping[str, Any], folder: Path) -> TLSOptions:
    """Read ``verify_ssl`` and ``cert``; paths are relative to *folder*."""
    ca, source = _trust(config.get("verify_ssl", True), folder)
    cert = config.get("cert")
    if cert is None:
        return TLSOptions(ca, source)
    if isinstance(cert, str):
        return TLSOptions(ca, source, resolved(cert, folder))
    key = cert.get("key")
    return TLSOptions(ca, source, resolved(cert["cert"], folder), key and resolved(key, folder), cert.get("password"))


def tls_of_address(tls: bool, verify: bool | str, config: Mapping[str, Any], folder: Path) -> TLSOptions | None:
    """Return how to trust a server whose URL says *tls* and *verify*, with ``cert`` of *config*; None in the clear."""
    if not tls:
        return None
    return tls_options({"verify_ssl": verify, **({"cert": config["cert"]} if "cert" in config else {})}, folder)


def _trust(verify: bool | str, folder: Path) -> tuple[str | None, str]:
    if verify is True:
        return ca_certificates()
    if verify is False:
        return None, ""
    return resolved(verify, folder), "config.verify_ssl"


def ca_certificates() -> tuple[str, str]:
    """Return a file or folder of CA certificates and what named it: a variable, else the package certifi."""
    for name in _CA_VARIABLES:
        value = os.environ.get(name)
        if value:
            return value, name
    import certifi

    return certifi.where(), "certifi"


def tls_context(options: TLSOptions) -> ssl.SSLContext:
    """Make the context.

    Raises:
        ActionConfigError: A file is not there or does not hold what it should.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_NONE if options.ca is None else ssl.CERT_REQUIRED)
    context.sslsocket_class = BoundedTLSSocket
    if options.ca is not None:
        _load_ca(context, options.ca, options.ca_source)
    if options.cert is not None:
        _load_cert(context, options)
    return context


def _load_ca(context: ssl.SSLContext, ca: str, source: str) -> None:
    try:
        if os.path.isdir(ca):
            context.load_verify_locations(capath=ca)
        else:
            context.load_verify_locations(cafile=ca)
    except OSError as exc:
        raise ActionConfigError(
            f"cannot read CA certificates from {ca} (named by {source}): {exc.strerror or exc}",
            hint="it must be a PEM file of certificates or a folder of them",
        ) from exc


def _load_cert(context: ssl.SSLContext, options: TLSOptions) -> None:
    assert options.cert is not None
    try:
        # an empty password keeps OpenSSL from asking for one on the terminal
        context.load_cert_chain(options.cert, options.key, options.password or "")
    except OSError as exc:
        raise ActionConfigError(
            f"cannot use the client certificate {options.cert}: {exc.strerror or exc}",
            hint="write cert: {cert: client.pem, key: client.key}; an encrypted key needs `password`",
        ) from exc
