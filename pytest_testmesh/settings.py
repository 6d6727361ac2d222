"""Connection settings that are given once for all flows: which there are, and where each is looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SETTINGS: Mapping[str, str] = {
    "jaeger_url": "http://host:16686 of otel.assert steps that name no backend",
    "kafka_brokers": "host:9092,... of kafka.* steps that name none",
    "loki_url": "http://host:3100 of loki.* steps that name none",
    "minio_access_key": "access key of minio.* steps that name no endpoint",
    "minio_endpoint": "host:9000 or a URL of minio.* steps that name none",
    "minio_secret_key": "secret key of minio.* steps that name no endpoint",
    "neo4j_password": "password of neo4j.* steps that name no server",
    "neo4j_url": "neo4j://host:7687 or bolt://host:7687 of neo4j.* steps that name none",
    "neo4j_username": "user of neo4j.* steps that name no server",
    "postgresql_url": "postgresql://user:password@host:5432/database of SQL steps that name none",
    "prometheus_url": "http://host:9090 of prometheus.* steps that name none",
    "redis_url": "redis://[user:password@]host:6379/0 of redis.* steps that name none",
    "tempo_url": "http://host:3200 of otel.assert steps that name no backend",
}
"""Each setting with its help; the ini key is ``testmesh_NAME``, the environment variable ``TESTMESH_NAME``."""


def resolve_settings(ini: Callable[[str], Any], environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings that are given; the environment, which changes from place to place, wins over ini."""
    found = {name: environ.get(f"TESTMESH_{name.upper()}") or ini(f"testmesh_{name}") for name in SETTINGS}
    return {name: value for name, value in found.items() if value}
