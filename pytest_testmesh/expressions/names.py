"""What an expression may read: implemented by the scope of a flow."""

from __future__ import annotations

from typing import Any, Protocol


class Names(Protocol):
    """What an expression may read."""

    @property
    def placeholders(self) -> Names:
        """The names that ``${}`` and ``{{}}`` see."""

    def lookup(self, name: str) -> Any:
        """Return the value of a bare name.

        Raises:
            UndefinedNameError: There is no such name.
        """

    def root(self) -> Any:
        """Return the step's result, which ``$.path`` searches.

        Raises:
            ExpressionError: There is none here.
        """
