"""extract(): the work of a part that comparisons and studies share: one model answers, and the store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alignment.comparison import Extraction, Source
from alignment.errors import WorkError
from alignment.extraction import Facts, Key
from alignment.models import identify
from alignment.probes import Draw
from alignment.references import ModelRef
from app.jobs import Context, Done
from app.jobs.handler import FIGURES
from app.scoring.asked import cache_of, device_of, hub_of, items_of, store_of
from app.scoring.extraction import layers_of
from app.scoring.hiding import MODEL, PROBE, hide_folders, hide_model, hide_probe, shown
from app.scoring.stages import Stages

STAGE = "extract"


def extract(payload: Mapping[str, Any], context: Context) -> Done:
    """Returns the key of the activations, once the store has them.

    The key is made anew from what is there now: a folder that changed since it was asked for is another model, whose
    activations whoever asked will not take for the old one's.

    Raises:
        RequestError: if the model cannot be loaded, or cannot take the items, as asked.
        StoreFullError: if there is no room for them.
        WorkError: if one item alone does not fit the device's memory.
    """
    hide_folders(context)
    hide_model(context, payload["reference"], MODEL)
    hide_probe(context, payload["probe"], PROBE)
    stages = Stages(context)
    stages.progress(STAGE, 0, payload["samples"])
    reference = payload["probe"]["reference"]
    items = items_of(payload, reference if reference.startswith("builtin:") else PROBE, context.settings)
    store, hub = store_of(context.settings), hub_of(context.settings)
    identity = identify(ModelRef.parse(payload["reference"]), hub, store.digests)
    asked = {name: payload[name] for name in ("side", "pooling", "dtype")}
    layers = layers_of(payload["layers"])
    draw = Draw.of(items.whole, items.drawn)
    key = Key.of(identity.content, draw, layers=layers, device=payload["device"], **asked)
    entry = store.find(key)
    if entry is not None:  # made since it was asked for
        layers_kept = [{"name": row["name"], "width": row["width"]} for row in entry.manifest["layers"]]
        return _done(key, layers_kept, vars(entry.origin), stages, forward_items=0)
    request = Extraction(
        str(identity.ref),
        reference,
        layers=layers,
        samples=payload["samples"],
        seed=payload["seed"],
        device=device_of(payload["device"], context.device),
        **asked,
    )
    source = Source.open(request, items, cache_of(context.settings), hub)
    found = source.answer(items, lambda _, done, total: stages.progress(STAGE, done, total))
    if identify(identity.ref, hub, store.digests) != identity:
        raise WorkError(f"{shown(str(identity.ref), MODEL)} changed while it was read; ask again when it is written")
    assert source.encoder is not None  # noqa: S101 - only a file of activations has none
    found = replace(found, origin=replace(found.origin, reference=shown(found.origin.reference, MODEL)))
    encoder = source.encoder
    facts = Facts(encoder.layers, str(source.dtype), str(encoder.device), encoder.poolings)
    store.write(key, found, facts)
    widths = [{"name": name, "width": value.shape[1]} for name, value in zip(found.layers, found.values, strict=True)]
    return _done(key, widths, vars(found.origin), stages, forward_items=len(found))


def _done(
    key: Key, layers: list[dict[str, Any]], origin: Mapping[str, Any], stages: Stages, *, forward_items: int
) -> Done:
    facts = {name: origin[name] for name in ("modality", "parameters", "fingerprint")}
    figures = {**stages.figures(), "forward_items": forward_items}
    return Done({"key": key.name, "layers": layers, **facts, FIGURES: figures})
