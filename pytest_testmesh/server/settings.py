"""Where the server listens and who may use it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from pytest_testmesh.errors import MeshError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5016


class ServerError(MeshError):
    """The server cannot be run as asked: its address, port or token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What ``testmesh serve`` was told.

    *host* is a name or address to listen on, port 0 takes a free one. *allow_hosts* are further names that clients may
    reach the server by. Without a *token* everybody on this machine may use it, and nobody else.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token: str | None = None
    allow_hosts: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        address = _address(self.host)
        return self.host == "localhost" if address is None else address.is_loopback

    @property
    def is_everywhere(self) -> bool:
        """Whether the server listens on all addresses of this machine."""
        address = _address(self.host)
        return not self.host or (address is not None and address.is_unspecified)

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = "127.0.0.1" if self.is_everywhere else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def check(self) -> None:
        """Refuse what would not be safe.

        Raises:
            ServerError: Other machines could connect without a token, or the token cannot be sent in a header.
        """
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.split()):
            raise ServerError("the token is empty, or has characters that a header cannot hold")
        if self.token is not None and self.token != self.token.strip():
            raise ServerError("the token begins or ends with a space")
        if self.token is None and not self.is_loopback:
            raise ServerError(
                f"host {self.host or '(all)'} lets other machines install and run programs here: that needs a token",
                hint="give one with --token, or leave --host out to serve this machine only",
            )


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
