"""The private names of pytest that we cannot do without; nothing else in the package uses any.

pytest has no public way to fixtures in non-Python items (pytest #2471, #12630); its own doctest items do the same.
Unchanged and without warnings on pytest 8.0 to 9.2.
"""

from __future__ import annotations

from typing import Any

import pytest
from _pytest.fixtures import TopRequest  # noqa: TID251 - the one module where it is allowed


def read_captured(config: pytest.Config) -> tuple[str, str] | None:
    """Return what was printed since the last call, stdout and stderr; None where pytest captures nothing (any more)."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    if capture is None or getattr(capture, "_global_capturing", None) is None:
        return None  # -p no:capture; or the session is ending after Ctrl-C
    out, err = capture.read_global_capture()
    return out, err


class FixtureItem(pytest.Item):
    """An item that is no Python function and yet has fixtures: autouse ones, ``usefixtures`` and by name."""

    _request: Any
    _fixture_request: Any

    def prepare_fixtures(self) -> None:
        """Find the fixtures that this item needs; marks must be on the item before."""
        info = self.session._fixturemanager.getfixtureinfo(self, None, None)
        self._fixtureinfo = info
        self.fixturenames = info.names_closure
        self._initrequest()

    def _initrequest(self) -> None:
        # Called by pytest too, before the item is run once more (rerunfailures).
        self.funcargs: dict[str, Any] = {}
        # Interrupted by Ctrl-C, an item loses its _request before its finalizers run.
        self._request = self._fixture_request = TopRequest(self, _ispytest=True)  # type: ignore[arg-type]

    def has_fixture(self, name: str) -> bool:
        """Whether a fixture that this item asks for is there for its folder."""
        return name in self._fixtureinfo.name2fixturedefs or name == "request"

    def has_parameters(self, name: str) -> bool:
        """Whether a fixture has ``params``, which only Python functions can take."""
        return any(definition.params for definition in self._fixtureinfo.name2fixturedefs.get(name, ()))

    def fixture_names(self) -> set[str]:
        """Return the names of all fixtures, for near matches only."""
        manager = self.session._fixturemanager
        # The first is pytest 9.2's name, the second the one before.
        return {*getattr(manager, "_arg2node2fixturedefs", ()), *getattr(manager, "_arg2fixturedefs", ())}

    def fill_fixtures(self) -> None:
        """Set up the fixtures that this item needs; called during setup."""
        self._request._fillfixtures()

    def fixture_value(self, name: str) -> Any:
        """Return the value of a fixture; during setup and call, and in finalizers one that is set up already."""
        return self._fixture_request.getfixturevalue(name)
