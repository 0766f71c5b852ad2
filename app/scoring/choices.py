"""Choices: from a request to what the work is told, with everything refused that can be before it is queued."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping

from alignment.activations import Layers, select_layers
from alignment.errors import RequestError
from alignment.metrics import METRICS, MetricChoice, find_shortage, parse_metrics
from alignment.models import POOLINGS, Pooling
from alignment.references import ModelRef
from app.api.errors import pointer
from app.jobs.devices import gpu_tasks
from app.jobs.handler import Task
from app.problems import FieldError, Problem, invalid
from app.scoring.forms import Metric
from app.scoring.schemas import Request
from app.settings import Settings

_TAKEN = {"text": ("text",), "image": ("image",), "paired": ("text", "image"), "array": ("array",)}


def choose_metrics(request: Request, settings: Settings) -> tuple[MetricChoice, ...]:
    """Returns a request's metrics, each with all its parameters.

    Raises:
        Problem: 422 naming every one that there is not, that has a wrong parameter, or that is named twice.
    """
    chosen: list[MetricChoice] = []
    errors: list[FieldError] = []
    for place, metric in enumerate(request.metrics):
        if metric.name == "all" and not metric.params:
            chosen += [MetricChoice.of(name) for name in METRICS]
            continue
        found = _errors(metric, place)
        errors += found
        if not found:
            chosen.append(MetricChoice.of(metric.name, metric.params))
    if errors:
        detail = errors[0].message if len(errors) == 1 else f"{len(errors)} fields are wrong; see errors"
        raise Problem(422, detail, errors=errors)
    if len(chosen) > settings.max_metrics:
        raise invalid("/metrics", f"{len(chosen)} metrics are asked for; at most {settings.max_metrics} are taken")
    try:
        return parse_metrics(chosen)
    except RequestError as error:
        raise invalid("/metrics", str(error)) from None


def _errors(metric: Metric, place: int) -> list[FieldError]:
    try:
        MetricChoice.of(metric.name)
    except RequestError as error:
        return [FieldError(f"/metrics/{place}", str(error))]
    errors = []
    for name, value in metric.params.items():
        try:
            MetricChoice.of(metric.name, {name: value})
        except RequestError as error:
            errors.append(FieldError(pointer(("body", "metrics", place, "params", name)), str(error)))
    return errors


def check_limits(request: Request, settings: Settings) -> None:
    """Refuses more items than a request may ask for.

    Raises:
        Problem: 422.
    """
    if request.samples > settings.max_samples:
        raise invalid("/samples", f"samples is {request.samples}; at most {settings.max_samples} are taken")


def check_layer_count(layers: Layers, settings: Settings, pointer: str) -> None:
    """Refuses more layers of a model than a request may name.

    Raises:
        Problem: 422.
    """
    if not isinstance(layers, str) and len(layers) > settings.max_layers:
        raise invalid(pointer, f"{len(layers)} layers are named; at most {settings.max_layers} are taken")


def check_items(choices: Sequence[MetricChoice], request: Request, probe: RowMapping) -> None:
    """Refuses metrics of which none can be measured on what is drawn, and a k that it does not allow.

    Raises:
        Problem: 422.
    """
    items = min(request.samples, probe["samples"])
    short = find_shortage(choices, items)
    if short is not None:
        why = "" if items == request.samples else f" (all that the probe set {probe['name']!r} has)"
        places = [place for place, asked in enumerate(request.metrics) if _is(asked, short.choice)]
        at = f"/metrics/{places[0]}" if places else "/metrics"
        raise invalid(at, f"{short.need}, and {items} are drawn{why}; {short.remedy}")


def _is(asked: Metric, choice: MetricChoice) -> bool:
    return asked.name != "all" and MetricChoice.of(asked.name, asked.params).key == choice.key


def check_model(
    model: RowMapping, probe: RowMapping, layers: Layers, pooling: Pooling, at: tuple[str, str, str]
) -> None:
    """Refuses what a model is known not to take; what is not known of it yet, its first job finds.

    Args:
        model: the model's row.
        probe: the probe set's row.
        layers: which of its layers are asked for.
        pooling: how its positions are to be pooled.
        at: the pointers to the model, its layers and its pooling.

    Raises:
        Problem: 422.
    """
    modality, known = model["modality"], model["layers"]
    takes = _TAKEN[probe["modality"]]
    if modality is not None and modality not in takes:
        held = " and ".join(takes)
        message = f"the model {model['name']!r} takes {modality} and the probe set {probe['name']!r} holds {held}"
        raise invalid(at[0], f"{message}; name another model or probe set")
    if known:
        try:
            select_layers([layer["name"] for layer in known], layers)
        except RequestError as error:
            raise invalid(at[1], f"{model['name']}: {error}") from None
    able = model["poolings"]
    if able is None and modality == "image":
        able = [name for name in POOLINGS if name != "last"]  # no image has a last position
    if able is not None and pooling not in able:
        raise invalid(at[2], f"the model {model['name']!r} cannot pool by {pooling!r}; it can by {', '.join(able)}")


def check_device(connection: Connection, device: str, models: Iterable[RowMapping]) -> None:
    """Refuses a GPU where workers are, and none of the last day does on one all that such a job needs.

    Raises:
        Problem: 422.
    """
    done = gpu_tasks(connection) if device.startswith("cuda") else None
    if done is None:
        return
    if not done:
        raise invalid("/device", f"no worker has a GPU for {device!r}; take auto or cpu, or start such a worker")
    runs = any(ModelRef.parse(model["reference"]).scheme != "features" for model in models)  # which are there already
    needed: tuple[Task, ...] = ("extract", "score") if runs else ("score",)
    for task in needed:
        if task not in done:
            raise invalid(
                "/device",
                f"no worker with a GPU does {task!r}, which {device!r} needs; take auto or cpu, or start a worker with "
                f"a GPU whose ACCORD_QUEUES names {task}",
            )


def side(model: RowMapping, layers: Layers, pooling: Pooling) -> dict[str, Any]:
    """Returns what the work is told of a model."""
    return {
        "id": model["id"],
        "name": model["name"],
        "reference": model["reference"],
        "layers": layers if isinstance(layers, str) else list(layers),
        "pooling": pooling,
    }


def items(probe: RowMapping) -> dict[str, Any]:
    """Returns what the work is told of a probe set."""
    return {name: probe[name] for name in ("id", "name", "reference", "columns", "sha256")}


def shown(request: Request, choices: Sequence[MetricChoice]) -> dict[str, Any]:
    """Returns the request's own part of what is shown, every default filled in."""
    return {
        "probe": request.probe,
        **measured(request, choices),
        "priority": request.priority,
        "webhook_url": request.webhook_url,
    }


def measured(request: Request, choices: Sequence[MetricChoice]) -> dict[str, Any]:
    """Returns what the work is told of how to measure."""
    return {
        "metrics": [{"name": choice.metric.name, "params": dict(choice.values)} for choice in choices],
        "dtype": request.dtype,
        "device": request.device,
        "preprocess": request.preprocess.model_dump(),
        "samples": request.samples,
        "seed": request.seed,
        "calibration": request.calibration.model_dump(),
    }
