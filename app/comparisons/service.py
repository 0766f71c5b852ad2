"""Service: a comparison is checked against all that is known, and queued."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping

from alignment.metrics import MetricChoice
from app.api.state import State
from app.comparisons.schemas import NewComparison
from app.jobs import NewJob
from app.jobs.handler import queue_of
from app.models.service import find_all as find_models
from app.probes.service import find as find_probe
from app.scoring import choices
from app.scoring.room import check_room, hold_room
from app.settings import Settings
from app.teams import audit
from app.teams.principal import Principal

KIND = "comparison"


def check(body: NewComparison, settings: Settings) -> Sequence[MetricChoice]:
    """Returns the metrics, having refused all that the request alone decides.

    Raises:
        Problem: 422 that points at what is wrong.
    """
    choices.check_limits(body, settings)
    for name in ("a", "b"):
        choices.check_layer_count(getattr(body.layers, name), settings, f"/layers/{name}")
    return choices.choose_metrics(body, settings)


def create(state: State, connection: Connection, principal: Principal, body: NewComparison) -> RowMapping:
    """Queues a comparison in the caller's transaction; returns its row. A webhook's address is the caller's to check.

    Raises:
        Problem: 422 that points at what cannot be met; 429 if the team has as many jobs as it may.
    """
    metrics = check(body, state.settings)
    found = check_room(state, connection, principal.team)
    probe = find_probe(state, connection, principal, body.probe, "/probe")
    models = find_models(connection, principal, [(body.model_a, "/model_a"), (body.model_b, "/model_b")])
    a, b = models[body.model_a], models[body.model_b]
    choices.check_device(connection, body.device, (a, b))
    choices.check_items(metrics, body, probe)
    for name, model in (("a", a), ("b", b)):
        at = (f"/model_{name}", f"/layers/{name}", f"/pooling/{name}")
        choices.check_model(model, probe, getattr(body.layers, name), getattr(body.pooling, name), at)
    request = shown(body, metrics)
    row = state.ledger.submit(
        connection,
        NewJob(
            kind=KIND,
            team=principal.team,
            queue=queue_of("score", body.device),
            request=request,
            payload={
                "a": choices.side(a, body.layers.a, body.pooling.a),
                "b": choices.side(b, body.layers.b, body.pooling.b),
                "probe": choices.items(probe),
                **choices.measured(body, metrics),
                "request": request,
            },
            priority=body.priority,
            models=(a["id"], b["id"]),
            webhook_url=body.webhook_url,
        ),
    )
    audit.record(state.database, connection, principal, "comparison.create", row["id"])
    hold_room(state, connection, principal.team, found)
    return row


def shown(body: NewComparison, metrics: Sequence[MetricChoice]) -> dict[str, Any]:
    """Returns the request with every default filled in."""
    return {
        "model_a": body.model_a,
        "model_b": body.model_b,
        "layers": body.layers.shown(),
        "pooling": body.pooling.model_dump(),
        **choices.shown(body, metrics),
    }
