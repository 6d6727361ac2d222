#!/usr/bin/env python3
"""A plugin in Python. What it prints is shown in the report of the step during which it was printed."""

import time

from pytest_testmesh.plugin_sdk import Plugin, PluginError

plugin = Plugin()


@plugin.action(
    "my-plugin.hello",
    name="Say hello",
    description="Returns a greeting",
    schema={
        "type": "object",
        "properties": {"name": {"type": "string"}, "greeting": {"type": "string"}},
        "required": ["name"],
    },
)
def hello(config, context, log):
    """Greet `name`. `greeting` comes from the manifest unless the step gives its own."""
    name = config["name"].strip()
    if not name:
        raise PluginError("EMPTY_NAME", "there is nobody to greet", step=context["step_id"])
    log(f"greeted {name}")
    return {"greeting": f"{config['greeting']}, {name}!", "timestamp": time.time()}


if __name__ == "__main__":
    plugin.run()
