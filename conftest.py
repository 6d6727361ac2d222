"""Test configuration of the whole repository: pytest accepts ``pytest_plugins`` only here."""

pytest_plugins = ["pytester"]
