"""What every table of errors says, as a reader sees it: the masker must leave our own words alone."""

from __future__ import annotations

import gc
import importlib
import pkgutil

from pytest_testmesh import integrations
from pytest_testmesh.integrations._failures import Row
from pytest_testmesh.integrations._http_api import _NO_LOGIN
from pytest_testmesh.secrets import Masker

for module in pkgutil.walk_packages(integrations.__path__, f"{integrations.__name__}."):
    importlib.import_module(module.name)


class Facts(dict[str, str]):
    """A fact for every name."""

    def __missing__(self, name: str) -> str:
        return name.upper()


def test_the_masker_leaves_the_words_of_a_row_alone() -> None:
    rows = [each for each in gc.get_objects() if isinstance(each, Row)]
    texts = {text.format_map(Facts()) for row in rows for text in (row.text, row.hint) if text} | {_NO_LOGIN}
    told = {f"GET a at localhost:1: {text}" for text in texts}

    assert len(told) > 200
    assert told == {Masker().text(text) for text in told}
