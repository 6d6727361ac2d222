"""Lists what is built in, by integration, as registry, API and page show it; loads no client library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_testmesh.actions import ActionRegistry
from pytest_testmesh.integrations import register_builtins

if TYPE_CHECKING:
    from pytest_testmesh.actions import Action

# In the order in which the original's API lists them.
_NAMES = {
    "kafka": "Apache Kafka",
    "postgresql": "PostgreSQL",
    "redis": "Redis",
    "neo4j": "Neo4j",
    "minio": "MinIO / S3",
    "otel": "OTel / Tempo",
    "loki": "Grafana Loki",
    "prometheus": "Prometheus",
}
# Actions by the names that they had before integrations: whose they are.
_OLD_NAMES = {
    "kafka_producer": "kafka",
    "kafka_publish": "kafka",
    "kafka_consumer": "kafka",
    "kafka_consume": "kafka",
    "database_query": "postgresql",
    "db_poll": "postgresql",
    "redis_get": "redis",
    "redis_set": "redis",
}
_WORDS_OF_THE_API = frozenset({"native", "types"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeIntegration:
    """One service that flows can use without any plugin; *actions* are those of this version, by name."""

    id: str
    name: str
    actions: tuple[Action, ...]


def native_integrations() -> tuple[NativeIntegration, ...]:
    """Return the integrations of the page's table, with the actions that this version has of each."""
    actions = _builtin_actions()
    return tuple(
        NativeIntegration(id=key, name=name, actions=tuple(each for each in actions if _owner(each.name) == key))
        for key, name in _NAMES.items()
    )


def core_actions() -> tuple[Action, ...]:
    """Return the built-in actions that belong to no integration: ``http_request``, ``log`` and the like."""
    return tuple(each for each in _builtin_actions() if _owner(each.name) not in _NAMES)


def reserved_ids() -> frozenset[str]:
    """Return the ids, in lower case, that no plugin may take: flows or the API's paths mean something else by them."""
    names = {each.name for each in _builtin_actions()}
    taken = {*_NAMES, *_OLD_NAMES, *names, *map(_owner, names), *_WORDS_OF_THE_API}
    return frozenset(each.lower() for each in taken)


def _builtin_actions() -> tuple[Action, ...]:
    registry = ActionRegistry()
    register_builtins(registry)
    return registry.actions()


def _owner(action_name: str) -> str:
    """``"redis.get"`` and its old name ``"redis_get"`` -> ``"redis"``."""
    return _OLD_NAMES.get(action_name) or action_name.partition(".")[0]
