"""Service: a study is checked against all that is known, and queued."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping

from alignment.activations import Layers
from alignment.errors import UnknownNameError
from alignment.metrics import MetricChoice
from alignment.models import Pooling
from alignment.references import ModelRef
from app.api.errors import pointer
from app.api.state import State
from app.jobs import NewJob
from app.jobs.handler import queue_of
from app.models.service import find_all as find_models
from app.probes.service import find as find_probe
from app.problems import invalid
from app.scoring import choices
from app.scoring.room import check_room, hold_room
from app.settings import Settings
from app.studies import references
from app.studies.schemas import NewStudy
from app.teams import audit
from app.teams.principal import Principal

KIND = "study"
T = TypeVar("T")


def check(body: NewStudy, settings: Settings) -> Sequence[MetricChoice]:
    """Returns the metrics, having refused all that the request alone decides.

    Raises:
        Problem: 422 that points at what is wrong.
    """
    choices.check_limits(body, settings)
    for name, layers in body.layers.items() if isinstance(body.layers, dict) else [("", body.layers)]:
        choices.check_layer_count(layers, settings, _at("layers", body.layers, name))
    return choices.choose_metrics(body, settings)


def create(state: State, connection: Connection, principal: Principal, body: NewStudy) -> RowMapping:
    """Queues a study in the caller's transaction; returns its row. A webhook's address is the caller's to check.

    Raises:
        Problem: 422 that points at what cannot be met; 429 if the team has as many jobs as it may.
    """
    metrics = check(body, state.settings)
    found = check_room(state, connection, principal.team)
    probe = find_probe(state, connection, principal, body.probe, "/probe")
    choices.check_items(metrics, body, probe)
    models = _find_models(connection, principal, body.models)
    _check_views(probe, models.values())
    choices.check_device(connection, body.device, models.values())
    layers: dict[str, Layers] = _by_model("layers", body.layers, models, "all")
    pooling: dict[str, Pooling] = _by_model("pooling", body.pooling, models, "mean")
    for place, (name, model) in enumerate(models.items()):
        at = (f"/models/{place}", _at("layers", body.layers, name), _at("pooling", body.pooling, name))
        choices.check_model(model, probe, layers[name], pooling[name], at)
    capability = _capability(body, models)
    source = None
    if body.reference is not None:
        source = references.find_source(state, connection, principal, body.reference, probe)
    request = shown(body, metrics, source)
    row = state.ledger.submit(
        connection,
        NewJob(
            kind=KIND,
            team=principal.team,
            queue=queue_of("score", body.device),
            request=request,
            payload={
                "models": [choices.side(model, layers[name], pooling[name]) for name, model in models.items()],
                "probe": choices.items(probe),
                **choices.measured(body, metrics),
                "capability": capability,
                "reference": source,
                "request": request,
            },
            priority=body.priority,
            models=[model["id"] for model in models.values()],
            webhook_url=body.webhook_url,
        ),
    )
    audit.record(state.database, connection, principal, "study.create", row["id"])
    hold_room(state, connection, principal.team, found)
    return row


def shown(body: NewStudy, metrics: Sequence[MetricChoice], source: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the request with every default filled in."""
    reference = None
    if body.reference is not None and source is not None:
        reference = references.shown(body.reference, source)
    return {
        "models": body.models,
        "layers": body.layers,
        "pooling": body.pooling,
        **choices.shown(body, metrics),
        "capability": body.capability,
        "reference": reference,
    }


def _find_models(connection: Connection, principal: Principal, names: Sequence[str]) -> dict[str, RowMapping]:
    """Returns each model by what the request calls it."""
    found = find_models(connection, principal, [(name, f"/models/{place}") for place, name in enumerate(names)])
    called: dict[str, str] = {}
    for place, name in enumerate(names):
        before = called.setdefault(found[name]["id"], name)
        if before != name:
            raise invalid(f"/models/{place}", f"{name!r} and {before!r} are one model; a study takes each model once")
    return {name: found[name] for name in names}


def _check_views(probe: RowMapping, models: Iterable[RowMapping]) -> None:
    """Refuses vectors that are one side's of a comparison, unless no model is to answer them."""
    runs = any(ModelRef.parse(model["reference"]).scheme != "features" for model in models)
    if runs and probe["views"] is not None and "x" not in probe["views"]:
        raise invalid(
            "/probe",
            f"the probe set {probe['name']!r} has vectors 'a' and 'b', one a side of a comparison, and a study has no "
            "sides; register the vectors as 'x', or compare the models two at a time with POST /v1/comparisons",
        )


def _called(what: str, key: str, models: Mapping[str, RowMapping]) -> str:
    """Returns what the request calls the model that a field's key names: by that, by its id, or by its name."""
    if key in models:
        return key
    meant = [name for name, model in models.items() if key in (model["id"], model["name"])]
    if len(meant) != 1:
        raise invalid(pointer(("body", what, key)), str(UnknownNameError("model of this study", key, models)))
    return meant[0]


def _by_model(what: str, given: T | Mapping[str, T], models: Mapping[str, RowMapping], default: T) -> dict[str, T]:
    """Returns a field's value for each model, by what the request calls it."""
    if not isinstance(given, Mapping):
        return dict.fromkeys(models, given)
    found: dict[str, T] = {}
    for key, value in given.items():
        name = _called(what, key, models)
        if name in found:
            raise invalid(pointer(("body", what, key)), f"the model {name!r} is given two values; give it one")
        found[name] = value
    return {name: found.get(name, default) for name in models}


def _at(what: str, given: object, name: str) -> str:
    return pointer(("body", what, name) if isinstance(given, Mapping) and name in given else ("body", what))


def _capability(body: NewStudy, models: Mapping[str, RowMapping]) -> dict[str, float] | None:
    """Returns each model's capability by its id."""
    if body.capability is None:
        return None
    found = {_called("capability", key, models): value for key, value in body.capability.items()}
    missing = [name for name in models if name not in found]
    if missing:
        raise invalid("/capability", f"there is no capability for {', '.join(missing)}; give every model a number")
    if len(found) < len(body.capability):
        raise invalid("/capability", "a model is given two numbers; give each model one")
    return {model["id"]: found[name] for name, model in models.items()}
