"""obtain(): the activations of each side, or the extractions that are to be waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alignment.activations import Activations, Layers
from alignment.comparison import Scoring
from alignment.extraction import ActivationStore, Facts, Key, from_file
from alignment.models import Hub, identify
from alignment.probes import Draw
from alignment.references import ModelRef
from app.jobs import Context, Needs, Part
from app.jobs.handler import queue_of
from app.scoring.asked import draw_of, hub_of, scoring_of, store_of
from app.scoring.hiding import hide_folders, hide_model, hide_probe, probe_shown, shown
from app.scoring.stages import Stages

KIND = "extraction"


@dataclass(frozen=True)
class Opening:
    """What a comparison or study asks for, found to be possible as far as the request and the items tell.

    Attributes:
        sides: each side, by the stage that its extraction is to the job.
        scoring: how activations are compared.
        draw: what is drawn of the probe set.
        probe: how answers name the probe set: one of the hub with its commit.
    """

    sides: Mapping[str, Mapping[str, Any]]
    scoring: Scoring
    draw: Draw
    probe: str

    @property
    def provenance(self) -> dict[str, Any]:
        """What reports say of the items."""
        return {"probe": self.probe, "probe_sha256": self.draw.whole_sha256, "items_sha256": self.draw.sha256}


@dataclass(frozen=True)
class Answer:
    """One side's activations.

    Attributes:
        activations: of the drawn items, just the layers wanted.
        facts: what provenance says of the side.
        model: what the model's row is to say: `modality`, `layers`, `poolings`, `parameters`, `fingerprint`.
    """

    activations: Activations
    facts: Mapping[str, Any]
    model: Mapping[str, Any]


def open_request(payload: Mapping[str, Any], context: Context) -> Opening:
    """Returns what a comparison's or study's payload asks for.

    Raises:
        RequestError: if it cannot be done as asked.
    """
    hide_folders(context)
    probe, sides = payload["probe"], sides_of(payload)
    hide_probe(context, probe, probe["name"])
    for side in sides.values():
        hide_model(context, side["reference"], side["name"])
    scoring = scoring_of(payload, context.device, context.settings)
    draw = draw_of(payload, probe["name"], context.settings)
    scoring.require_items(len(draw))
    return Opening(sides, scoring, draw, probe_shown(probe))


def obtain(
    opening: Opening, payload: Mapping[str, Any], context: Context, stages: Stages, *, by_side: bool = True
) -> list[Answer] | Needs:
    """Returns every side's activations, or what to wait for: an extraction for each side that the store lacks.

    Args:
        opening: of the payload.
        payload: the job's.
        context: the job's.
        stages: is told of progress.
        by_side: whether the second side takes view `b` of a probe set of vectors that has one.

    Raises:
        RequestError: if it cannot be done as asked.
    """
    store, hub = store_of(context.settings), hub_of(context.settings)
    answers: list[Answer] = []
    parts: list[Part] = []
    for number, (role, side) in enumerate(opening.sides.items()):
        context.subject = side["name"]
        stages.progress(role, 0, len(opening.draw))
        view = "b" if by_side and number else "a"
        found = _answer(side, opening.draw, payload, store, hub, role, view)
        if isinstance(found, Part):
            parts.append(found)
        else:
            answers.append(found)
    context.subject = None
    return Needs(tuple(parts)) if parts else answers


def sides_of(payload: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Returns a comparison's or study's sides, each by the stage that its extraction is to it."""
    if "models" in payload:
        return {f"extract_{number}": side for number, side in enumerate(payload["models"], start=1)}
    return {"extract_a": payload["a"], "extract_b": payload["b"]}


def layers_of(given: str | Sequence[str | int]) -> Layers:
    """Returns the layers that a payload names."""
    return given if isinstance(given, str) else tuple(given)  # type: ignore[return-value]  # checked at the door


def _answer(
    side: Mapping[str, Any],
    draw: Draw,
    payload: Mapping[str, Any],
    store: ActivationStore,
    hub: Hub,
    role: str,
    view: str,
) -> Answer | Part:
    ref, layers = ModelRef.parse(side["reference"]), layers_of(side["layers"])
    if ref.scheme == "features":
        read = from_file(ref.name, draw, draw.whole)
        widths = [{"name": name, "width": value.shape[1]} for name, value in zip(read.layers, read.values, strict=True)]
        return _told(side, read.select(layers), shown(str(ref), side["name"]), widths, None)
    identity = identify(ref, hub, store.digests)
    asked = {"layers": layers, "pooling": side["pooling"], "dtype": payload["dtype"], "device": payload["device"]}
    key = Key.of(identity.content, draw, side=view, **asked)  # type: ignore[arg-type]  # checked at the door
    entry = store.find(key)
    found = None if entry is None else store.load(entry, layers)
    if entry is None or found is None:
        probe = {name: payload["probe"][name] for name in ("reference", "columns", "sha256")}
        needed = {
            "reference": str(identity.ref),
            "probe": probe,
            "samples": payload["samples"],
            "seed": payload["seed"],
            "side": view,
            **asked,
        }
        return Part(KIND, key.name, role, queue_of("extract", payload["device"]), needed)
    facts = entry.facts
    widths = [{"name": layer.name, "width": layer.width} for layer in facts.model_layers]
    return _told(side, found, shown(str(identity.ref), side["name"]), widths, facts)


def _told(
    side: Mapping[str, Any],
    found: Activations,
    reference: str,
    widths: list[dict[str, Any]],
    entry: Facts | None,
) -> Answer:
    origin = replace(found.origin, reference=reference)
    place = {"dtype": entry.dtype if entry else None, "device": entry.device if entry else None}
    facts = {"id": side["id"], "name": side["name"], **vars(origin), **place}
    model = {
        "modality": origin.modality,
        "layers": widths,
        "poolings": list(entry.poolings) or None if entry else None,
        "parameters": origin.parameters,
        "fingerprint": origin.fingerprint,
    }
    return Answer(replace(found, origin=origin), facts, model)
