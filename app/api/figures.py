"""Figures: what Prometheus reads. Requests are counted in this process; jobs are read from the database they share."""

from __future__ import annotations

import json
from collections.abc import Iterator

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.api.state import State
from app.storage import Database
from app.storage.counters import DESCRIPTIONS
from app.storage.tables import counters, deliveries, jobs, workers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Requests:
    """This process's requests."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._count = Counter(
            "accord_http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "accord_http_request_seconds",
            "Seconds from a request to the end of its answer.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request."""
        self._count.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


class _Shared(Collector):
    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        database = self._state.database
        with database.read() as connection:
            yield from _queues(database, connection)
            yield _webhooks(connection)
            yield _workers(database, connection, self._state.settings.lease_seconds)
            yield from _counted(connection)


def exposition(requests: Requests, state: State) -> bytes:
    """Returns every figure in Prometheus's text format."""
    shared = CollectorRegistry()
    shared.register(_Shared(state))
    return generate_latest(requests.registry) + generate_latest(shared)


def _queues(database: Database, connection: sa.Connection) -> Iterator[Metric]:
    depth = GaugeMetricFamily("accord_jobs", "Jobs that have not ended.", labels=["kind", "state"])
    age = GaugeMetricFamily("accord_queue_age_seconds", "Age of the oldest queued job.", labels=["queue"])
    asked = (
        sa.select(jobs.c.kind, jobs.c.state, sa.func.count())
        .where(jobs.c.state.in_(("queued", "running", "waiting")))
        .group_by(jobs.c.kind, jobs.c.state)
    )
    for kind, state, count in connection.execute(asked):
        depth.add_metric([kind, state], count)
    oldest = (
        sa.select(jobs.c.queue, database.now() - sa.func.min(jobs.c.created_at))
        .where(jobs.c.state == "queued")
        .group_by(jobs.c.queue)
    )
    for queue, seconds in connection.execute(oldest):
        age.add_metric([queue], max(0.0, seconds))
    yield depth
    yield age


def _webhooks(connection: sa.Connection) -> Metric:
    asked = sa.select(sa.func.count()).select_from(deliveries).where(deliveries.c.state == "pending")
    waiting = connection.execute(asked).scalar_one()
    return GaugeMetricFamily("accord_webhooks_pending", "Webhooks that are still to be delivered.", value=waiting)


def _workers(database: Database, connection: sa.Connection, lease: float) -> Metric:
    alive = (workers.c.state == "alive", workers.c.beat_at >= database.now() - lease)
    count = connection.execute(sa.select(sa.func.count()).select_from(workers).where(*alive)).scalar_one()
    return GaugeMetricFamily("accord_workers", "Workers that live.", value=count)


def _counted(connection: sa.Connection) -> Iterator[Metric]:
    families = {
        name: (GaugeMetricFamily if kind == "gauge" else CounterMetricFamily)(name, what, labels=list(labels))
        for name, (kind, what, labels) in DESCRIPTIONS.items()
    }
    for row in connection.execute(sa.select(counters)).mappings():
        if row["name"] in families:
            labels = json.loads(row["labels"])
            names = DESCRIPTIONS[row["name"]][2]
            families[row["name"]].add_metric([str(labels.get(name, "")) for name in names], row["value"])
    yield from families.values()
