"""Host names in a step's config."""

from __future__ import annotations

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.values import shorten


def check_host(host: str, what: str) -> None:
    """Refuse a *host* that no resolver can be asked for; *what* says where it stands.

    Raises:
        ActionConfigError: The host, or a part of it between dots, is empty or longer than 63 bytes.
    """
    try:
        fits = bool(host.encode("idna"))
    except UnicodeError:
        fits = False
    if not fits:
        raise ActionConfigError(
            f'{what}: "{shorten(host, 80)}" is no host name',
            hint="each part between dots has 1 to 63 characters; is a variable in it wrong?",
        )
