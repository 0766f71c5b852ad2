"""Data sets of the hub, as probe sets: first which commit and files are meant, then what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from alignment.errors import ProbeError
from alignment.hub import Datasets, find_split
from alignment.hub.layout import IMAGES
from alignment.probes.dataset_ref import DatasetRef
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers import images, lines, shards
from alignment.probes.readers.source import Source

MOST_BYTES = 8 << 30  # of a split's files, unless whoever reads it says less


def pin_dataset(ref: DatasetRef, datasets: Datasets, *, most: int = MOST_BYTES) -> DatasetRef:
    """Returns the reference with its revision as a commit and its split by its whole name: it means the same for ever.

    Of a data set that is read as the hub's own conversion to Parquet it is a commit of that.

    Args:
        ref: the reference.
        datasets: the hub.
        most: bytes that the split's files may have.

    Raises:
        ProbeError: if there is no such data set, revision or split, or it is too large.
        HubUnreachableError: if the hub cannot be reached.
    """
    split = find_split(datasets, ref.name, ref.revision, ref.split, most=most)
    return replace(ref, revision=split.commit, split=split.name)


def read_dataset(
    ref: DatasetRef, datasets: Datasets, columns: Mapping[str, str], name: str | None, *, most: int = MOST_BYTES
) -> ProbeSet:
    """Returns a split as a probe set, its files downloaded if they were not here.

    Args:
        ref: the split.
        datasets: the hub.
        columns: what it calls its columns.
        name: what the set and every error call it; None is the reference with its commit.
        most: bytes that its files may have.

    Raises:
        ProbeError: if there is no such split, or it cannot be read.
        HubUnreachableError: if the hub cannot be reached.
    """
    split = find_split(datasets, ref.name, ref.revision, ref.split, most=most)
    title = name or str(replace(ref, revision=split.commit, split=split.name))
    folder = datasets.fetch(ref.name, split.commit, split.files)
    try:
        if split.kind == IMAGES:
            return images.read(Source(folder, title, _columns(ref, columns, None)), described=True)
        files = [folder / path for path in split.files]
        if split.kind == ".txt":
            if len(files) > 1:
                raise ProbeError(f"{title!r} has {len(files)} .txt files; upload the one that is to be read")
            return lines.read(Source(files[0], title, _columns(ref, columns, None)))
        named = _columns(ref, columns, files[0])
        sources = [Source(file, f"{title}/{path}", named) for file, path in zip(files, split.files, strict=True)]
        return shards.read(sources, title)
    except OSError as error:  # of a file that was there a moment ago
        raise ProbeError(f"{title!r} cannot be read from the cache ({error.strerror}); try again") from error


def _columns(ref: DatasetRef, columns: Mapping[str, str], file: Path | None) -> dict[str, str]:
    """Returns the columns' names, the reference's own column as the text or the image that it holds."""
    if ref.column is None:
        return dict(columns)
    kind = "image" if file is not None and file.suffix == ".parquet" and _holds_images(file, ref.column) else "text"
    return {kind: ref.column, **columns}


def _holds_images(file: Path, column: str) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError, ValueError):
        return False  # which its reader says better
    kind = schema.field(column).type if schema.names.count(column) == 1 else pa.null()
    return bool(pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
