"""Plugins that the tests use."""

import yaml  # noqa: F401 - an in-process run of pytester forgets what it imported, and libyaml must not be loaded twice

pytest_plugins = ["pytester"]
