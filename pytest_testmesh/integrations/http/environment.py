"""What the process environment says about HTTP: proxies and netrc; read as requests reads it."""

from __future__ import annotations

import os
import sys

from pytest_testmesh.integrations.http.target import Target

_SYSTEM_PROXIES = sys.platform in ("darwin", "win32")

Login = tuple[str, str]


class Proxies:
    """Which proxy the environment names for an origin, as it was when an item began to run."""

    def __init__(self) -> None:
        self._named = {scheme: _names_proxy(scheme) for scheme in ("http", "https")}
        self._found: dict[tuple[str, str, int], str | None] = {}

    def find(self, target: Target) -> str | None:
        """Return the URL of the proxy for *target*, None to go direct.

        Source: ``requests.utils.get_environ_proxies`` and ``select_proxy``, which do the work.
        """
        if not self._named[target.scheme]:
            return None
        if target.origin not in self._found:
            self._found[target.origin] = _select(target)
        return self._found[target.origin]


def _names_proxy(scheme: str) -> bool:
    """Whether there may be a proxy for *scheme*; to ask requests which one costs its import, some 60 ms."""
    names = (f"{scheme}_proxy", "all_proxy")
    return _SYSTEM_PROXIES or any(os.environ.get(each) or os.environ.get(each.upper()) for each in names)


class Netrc:
    """Logins from ``$NETRC``, ``~/.netrc`` or ``~/_netrc``, read once."""

    def __init__(self) -> None:
        self._logins: dict[str, Login | None] | None = None

    def login(self, host: str) -> Login | None:
        """Return login and password for *host*; a file that cannot be read counts as absent, as for requests."""
        if self._logins is None:
            self._logins = _read_netrc()
        return self._logins.get(host, self._logins.get("default"))


def _read_netrc() -> dict[str, Login | None]:
    named = os.environ.get("NETRC")
    places = [named] if named is not None else ["~/.netrc", "~/_netrc"]
    path = next((each for each in map(os.path.expanduser, places) if os.path.exists(each)), None)
    if path is None:
        return {}
    from netrc import NetrcParseError, netrc

    try:
        hosts = netrc(path).hosts
    except (NetrcParseError, OSError):
        return {}
    return {host: _login(entry) for host, entry in hosts.items()}


def _login(entry: tuple[str, str | None, str | None]) -> Login | None:
    login, account, password = entry
    return (login or account or "", password or "") if any(entry) else None


def _select(target: Target) -> str | None:
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(target.url, get_environ_proxies(target.url))
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
