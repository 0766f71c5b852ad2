"""Reading: a probe set is read once, when it is registered, so that what is wrong with it is said then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.errors import ProbeError
from alignment.hub import Datasets, HuggingFaceDatasets
from alignment.hub.kept import nothing_new_if_refused
from alignment.probes import DatasetRef, ProbeSet, load_probe, pin_dataset
from app.jobs import Context, Done
from app.probes import preview

# Pixels that are decoded to see whether images are whole, some seconds' worth. The job decodes every image before any
# model runs.
_MOST_PIXELS = 400_000_000
BUILTIN = "builtin:"


@dataclass(frozen=True)
class Facts:
    """What a probe set is.

    Attributes:
        modality: what its items are: text, image, paired or array.
        samples: how many it has.
        sha256: their fingerprint.
        reference: what `alignment` calls it, a data set's revision as a commit; may hold a path of the server.
        views: of vectors, the names of their arrays: `x`, or `a` and `b`; None of others.
    """

    modality: str
    samples: int
    sha256: str
    reference: str
    views: Sequence[str] | None = None

    @classmethod
    def of(cls, probe: ProbeSet, reference: str) -> Facts:
        """Returns the facts of a set; this reads all of it."""
        views = sorted(probe.vectors) if probe.kind == "array" else None
        return cls(probe.kind, len(probe), probe.sha256, reference, views)


def datasets_of(settings: Mapping[str, Any]) -> Datasets:
    """Returns where data sets of the hub come from: what is public there, for every team sees what a service reads."""
    most = settings["datasets_mib"] << 20
    return HuggingFaceDatasets(settings["hub_endpoint"], datasets_folder(settings["cache_dir"]), token=False, most=most)


def datasets_folder(cache_dir: str | Path) -> Path:
    """Returns where data sets of the hub are kept."""
    return Path(cache_dir) / "datasets"


def drawings_folder(settings: Mapping[str, Any]) -> Path:
    """Returns where what built-in sets take long to make is kept."""
    return Path(settings["cache_dir"]) / "probes"


def look(payload: Mapping[str, Any], context: Context) -> Done:
    """Returns the facts of the probe set that a payload names, and keeps its preview: the work of a child process.

    Args:
        payload: `reference`, `columns` and `name`, which errors call it.
        context: whose settings say where previews are kept.

    Raises:
        ProbeError: if it cannot be read, one of its first images is broken, or there is too little memory for it.
        HubUnreachableError: if it is of the hub, and that cannot be reached.
        CacheFullError: if it is of the hub, and there is no room for it now.
    """
    reference, datasets = payload["reference"], datasets_of(context.settings)
    context.names[f"{context.settings['cache_dir']}/"] = ""
    try:
        if is_hub(reference):
            ref, folder = DatasetRef.parse(reference), datasets_folder(context.settings["cache_dir"])
            with nothing_new_if_refused(folder, ref.name):
                reference = str(pin_dataset(ref, datasets, most=context.settings["upload_mib"] << 20))
                return _seen(reference, payload, datasets, context)
        return _seen(reference, payload, datasets, context)
    except (MemoryError, ProbeError) as error:
        if not _lacks_memory(error):
            raise
        raise ProbeError(
            f"{payload['name']!r} takes more than {context.settings['reading_mib']} MiB of memory to be read; send "
            "fewer or smaller items, or ask the operator to raise ACCORD_MAX_READING_MIB"
        ) from error


def know(payload: Mapping[str, Any], context: Context) -> Done:
    """Returns the facts of a built-in probe set: the work of a child process. What it draws is kept.

    Args:
        payload: `reference`.
        context: whose settings say where drawings are kept.

    Raises:
        ProbeError: if a package that it is made from is not installed.
    """
    reference = payload["reference"]
    return Done(vars(Facts.of(load_probe(reference, cache=drawings_folder(context.settings)), reference)))


def _seen(reference: str, payload: Mapping[str, Any], datasets: Datasets, context: Context) -> Done:
    probe = read(reference, payload["name"], payload["columns"], datasets, drawings_folder(context.settings))
    facts = Facts.of(probe, reference)
    preview.keep(Path(context.settings["data_dir"]), facts.sha256, preview.make(probe))
    return Done(vars(facts))


def _lacks_memory(error: BaseException | None) -> bool:
    """Whether it is, or is because of, too little memory: a reader takes that for a file that is broken."""
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__
    return error is not None


def is_hub(reference: str) -> bool:
    """Whether a reference is of a data set of the hub."""
    return reference.startswith("hf:")


def read(
    reference: str, name: str, columns: Mapping[str, str], datasets: Datasets, drawings: Path | None = None
) -> ProbeSet:
    """Returns the probe set of a reference.

    Args:
        reference: what `alignment` calls it; of a file its path, which is not in any error.
        name: what errors call it.
        columns: what it calls its columns, where that is not their own name.
        datasets: where data sets of the hub come from.
        drawings: where what a built-in set takes long to make is kept; None makes it anew.

    Raises:
        ProbeError: if it cannot be read, or one of its first images is broken.
        HubUnreachableError: if it is of the hub, and that cannot be reached.
    """
    try:
        probe = load_probe(reference, columns=columns, name=name, datasets=datasets, cache=drawings)
        pixels = 0
        for image in probe.images or ():
            pixels += math.prod(image.open().size)
            if pixels > _MOST_PIXELS:
                break
    except ProbeError as error:
        path = Path(reference)
        if not path.is_absolute():  # no file's
            raise
        raise ProbeError(str(error).replace(reference, name).replace(str(path.parent), "…")) from error
    return probe
