"""load_probe: from the text that names a probe set to the set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alignment.errors import ProbeError
from alignment.hub import Datasets, HuggingFaceDatasets
from alignment.probes.builtin import builtin_probes, load_builtin
from alignment.probes.dataset import read_dataset
from alignment.probes.dataset_ref import SCHEME, DatasetRef
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers import read_probe
from alignment.probes.readers.source import Source


def load_probe(
    text: str,
    *,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
    datasets: Datasets | None = None,
    cache: Path | None = None,
) -> ProbeSet:
    """Returns the probe set that `text` names.

    Args:
        text: `builtin:NAME`, `hf:ORG/NAME[@REVISION][:SPLIT[:COLUMN]]`, or the path of a file or of a folder of images.
        columns: what a file calls its columns, as `{"text": "caption"}`; those not named keep their own names:
            `text`, `image`, `id`, `target`.
        name: what the set and every error call it, where that should not be `text` (a server hides its paths). A set
            of the hub is else called by its commit, too.
        datasets: where data sets of the hub come from; None is the Hugging Face hub.
        cache: a folder for what a built-in set takes long to make; None makes it anew.

    Raises:
        UnknownNameError: if there is no built-in set of that name.
        ReferenceError: if it has no meaning.
        ProbeError: if it cannot be read; one sentence says where and what would work.
        HubUnreachableError: if the hub is needed and cannot be reached.

    >>> load_probe("builtin:language-reference").kind
    'text'
    """
    if text.startswith(SCHEME):
        hub = datasets or HuggingFaceDatasets()
        return read_dataset(DatasetRef.parse(text), hub, columns or {}, name)
    name = text if name is None else name
    scheme, _, rest = text.partition(":")
    if scheme == "builtin":
        if columns:
            raise ProbeError(f"{name!r} is built in and has no columns to name; leave the column names out")
        return load_builtin(rest, name, cache)
    path = Path(text)
    try:
        found = bool(text) and path.exists()
    except OSError as error:
        raise ProbeError(
            f"probe set {name!r} cannot be reached ({error.strerror}); name a file that can be read"
        ) from error
    if not found:
        names = " or ".join(f"builtin:{probe.name}" for probe in builtin_probes())
        raise ProbeError(f"there is no file or folder {name!r}; name one that exists, or {names}")
    return read_probe(Source(path, name, dict(columns or {})))
