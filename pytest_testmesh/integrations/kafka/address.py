"""Which brokers a step means and how it logs in: its config over ``testmesh_kafka_brokers`` over localhost:9092."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._hosts import check_host
from pytest_testmesh.integrations._paths import resolved
from pytest_testmesh.integrations._tls import ca_certificates

SETTING = "kafka_brokers"
_DEFAULT = "localhost:9092"
_PORT = 9092
_MAX_PORT = 65535
_FORM = "write host:port, several with commas between them or as a list"
_PASSWORD_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who logs in by SASL."""

    mechanism: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """How a broker is trusted, *ca* None: not checked; and the certificate that the client shows."""

    ca: str | None
    cert: str | None = None
    key: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Brokers to begin with, and the way in; what clients are pooled by. *are_default*: nobody named the brokers."""

    brokers: tuple[str, ...]
    login: Login | None = None
    tls: TLS | None = None
    are_default: bool = field(default=False, compare=False)

    @property
    def shown(self) -> str:
        """``"localhost:9092"``, for messages."""
        return ",".join(self.brokers)

    def options(self) -> dict[str, Any]:
        """Return librdkafka's configuration of the connection."""
        names = {(False, False): "PLAINTEXT", (True, False): "SASL_PLAINTEXT", (False, True): "SSL"}
        protocol = names.get((self.login is not None, self.tls is not None), "SASL_SSL")
        options: dict[str, Any] = {"bootstrap.servers": self.shown, "security.protocol": protocol}
        if self.login is not None:
            options["sasl.mechanism"] = self.login.mechanism
            options["sasl.username"] = self.login.username
            options["sasl.password"] = self.login.password
        if self.tls is not None:
            options.update(_tls_options(self.tls))
        return options


def _tls_options(tls: TLS) -> dict[str, Any]:
    given = {
        "ssl.ca.location": tls.ca,
        "ssl.certificate.location": tls.cert,
        "ssl.key.location": tls.key or tls.cert,
        "ssl.key.password": tls.password,
    }
    return {
        "enable.ssl.certificate.verification": tls.ca is not None,
        **{name: value for name, value in given.items() if value is not None},
    }


def parse_cluster(config: Mapping[str, Any], settings: Mapping[str, str], folder: Path) -> Cluster:
    """Return the cluster that *config* describes; *settings* name the brokers where it does not.

    Raises:
        ActionConfigError: An address is none, or a file of ``ssl`` cannot be read.
    """
    if "brokers" in config:
        brokers = read_brokers(config["brokers"], "config.brokers")
    else:
        brokers = read_brokers(settings.get(SETTING, _DEFAULT), f"testmesh_{SETTING}")
    return Cluster(
        brokers=brokers,
        login=_login(config),
        tls=_tls(config.get("ssl", False), folder),
        are_default="brokers" not in config and SETTING not in settings,
    )


def read_brokers(given: str | list[str], named_by: str) -> tuple[str, ...]:
    """Take a list of ``host:port`` apart, also one in a text with commas; the port is 9092 by default.

    Raises:
        ActionConfigError: There is none, or one is no address.
    """
    return _brokers(given if isinstance(given, str) else ",".join(given), named_by)


@lru_cache(maxsize=64)
def _brokers(text: str, named_by: str) -> tuple[str, ...]:
    brokers = tuple(_broker(each.strip(), named_by) for each in text.split(",") if each.strip())
    if not brokers:
        raise ActionConfigError(f"{named_by} names no broker", hint=_FORM)
    return brokers


def _broker(text: str, named_by: str) -> str:
    if "://" in text or "@" in text or "/" in text:
        raise ActionConfigError(
            f"{named_by}: a broker is host:port, not a URL", hint=f"{_FORM}; `sasl` and `ssl` say how to log in"
        )
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(_PORT)
    if not port.isdecimal() or not 1 <= int(port) <= _MAX_PORT:
        raise ActionConfigError(f"{named_by}: {port!r} is no port", hint=f"a port is a number from 1 to {_MAX_PORT}")
    check_host(host.strip("[]"), named_by)
    return f"{host}:{port}"


def _login(config: Mapping[str, Any]) -> Login | None:
    sasl = config.get("sasl")
    if sasl is None:
        return None
    mechanism = sasl.get("mechanism", _PASSWORD_MECHANISMS[0]).upper()
    return Login(mechanism=mechanism, username=sasl["username"], password=sasl["password"])


def _tls(given: bool | Mapping[str, Any], folder: Path) -> TLS | None:
    if given is False:
        return None
    ssl = {} if given is True else given
    files = {name: _readable(resolved(ssl[name], folder), name) for name in ("ca", "cert", "key") if name in ssl}
    ca = files.pop("ca", None) or ca_certificates()[0]
    return TLS(ca=ca if ssl.get("verify", True) else None, password=ssl.get("password"), **files)


def _readable(path: str, name: str) -> str:
    """Refuse now what librdkafka would only call a ``BIO lib`` error."""
    if not os.path.exists(path):
        raise ActionConfigError(f"config.ssl.{name}: there is no file {path}", hint="paths are relative to the flow")
    return path
