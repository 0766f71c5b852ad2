"""find_split(): which files of a data set of the hub are the split that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from alignment.errors import ProbeError
from alignment.hub.datasets import Datasets, NoRevisionError
from alignment.hub.layout import IMAGES, METADATA, Layout, default_of, kind_of, layout_of

CONVERTED = "refs/convert/parquet"  # the branch where the hub keeps its own copy of a data set, as Parquet
_MOST_CARD = 1 << 20
_MIB = 1 << 20


@dataclass(frozen=True)
class Split:
    """A split's files.

    Attributes:
        commit: of which commit they are.
        name: `SPLIT`, or `CONFIGURATION/SPLIT` where there is more than one configuration.
        kind: what they are: `.parquet`, `.jsonl`, `.csv`, `.txt`, or `images`.
        files: their paths, in order, and how many bytes each has.
    """

    commit: str
    name: str
    kind: str
    files: Mapping[str, int]


def find_split(datasets: Datasets, name: str, revision: str | None, wanted: str | None, *, most: int) -> Split:
    """Returns the files of a split, none of them downloaded.

    The splits are those that the README's `configs` name, else those that folders and files are named for. Of a data
    set that is a script, or of files that are not read, it is those of the hub's own conversion to Parquet.

    Args:
        datasets: the hub.
        name: the data set's id.
        revision: a branch, tag or commit; None is the default branch.
        wanted: `SPLIT` or `CONFIGURATION/SPLIT`; None is the only one.
        most: bytes that its files may have.

    Raises:
        ProbeError: if there is none such, or it is too large.
        HubUnreachableError: if the hub cannot be reached.
    """
    commit = datasets.commit(name, revision)
    files = datasets.files(name, commit)
    configs = _configs(datasets, name, commit, files)
    layout = layout_of(files, configs)
    script = f"{PurePosixPath(name).name}.py" in files
    if script or not layout:
        converted = _converted(datasets, name, commit)
        if converted is not None:
            commit, files = converted, datasets.files(name, converted)
            configs = None
            layout = layout_of(files, configs)
    if not layout:
        raise ProbeError(
            f"hf:{name} has no .parquet, .jsonl or .csv file and no images at {commit[:12]}, and the hub has no "
            "conversion of it to Parquet; save it in one of these and upload that"
        )
    title, paths = _choose(layout, default_of(layout, configs), wanted, name)
    return _checked(Split(commit, title, *_alike(paths, files, f"hf:{name}:{title}")), name, most)


def _converted(datasets: Datasets, name: str, commit: str) -> str | None:
    """Returns the commit of the hub's own conversion, which is of the default branch; None if there is none."""
    try:
        found = datasets.commit(name, CONVERTED)
    except NoRevisionError:
        return None
    return found if datasets.commit(name, None) == commit else None


def _configs(
    datasets: Datasets, name: str, commit: str, files: Mapping[str, int]
) -> Sequence[Mapping[str, Any]] | None:
    """Returns the configurations that the README's head names; None if it names none."""
    if not 0 < files.get("README.md", 0) <= _MOST_CARD:
        return None
    import yaml  # type: ignore[import-untyped]
    from huggingface_hub import metadata_load

    folder = datasets.fetch(name, commit, {"README.md": files["README.md"]})
    try:
        card = metadata_load(folder / "README.md") or {}
    except (ValueError, yaml.YAMLError) as error:
        reason = str(error).partition("\n")[0]
        raise ProbeError(
            f"hf:{name}: the head of its README.md is not readable ({reason}); upload its files"
        ) from error
    found = card.get("configs")
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else None


def _choose(layout: Layout, default: str | None, wanted: str | None, name: str) -> tuple[str, list[str]]:
    """Returns the name and the files of the split that is meant."""
    titles = {
        (config, split): split if len(layout) == 1 else f"{config}/{split}"
        for config, splits in layout.items()
        for split in splits
    }
    if wanted is None:
        meant = [key for key in titles if key[0] == default]
    elif wanted in layout.get(default or "", {}):
        meant = [(str(default), wanted)]
    else:
        config, slash, split = wanted.rpartition("/")
        meant = [key for key in titles if key[1] == split and (not slash or key[0] == config)]
        meant = meant or [key for key in titles if key[0] == wanted and len(layout[wanted]) == 1]
    if len(meant) == 1:
        config, split = meant[0]
        return titles[meant[0]], layout[config][split]
    have = ", ".join(sorted(titles.values())[:20])
    asked = "no split was named" if wanted is None else f"{wanted!r} is none of its splits, or more than one"
    raise ProbeError(f"hf:{name}: {asked}; name one of {have}")


def _alike(paths: Sequence[str], files: Mapping[str, int], title: str) -> tuple[str, Mapping[str, int]]:
    """Returns what a split's files are, and those that are read."""
    data = [path for path in paths if PurePosixPath(path).name.lower() not in METADATA]
    kinds = sorted({kind_of(path) or "" for path in data})
    if kinds == [IMAGES]:  # and what is said of them
        data = list(paths)
    elif len(kinds) != 1:
        raise ProbeError(f"{title} has files of several kinds ({', '.join(kinds) or 'none'}); upload those to be read")
    return kinds[0], {path: files[path] for path in data}


def _checked(split: Split, name: str, most: int) -> Split:
    size = sum(split.files.values())
    if size > most:
        raise ProbeError(
            f"hf:{name}:{split.name} has {size / _MIB:,.0f} MiB, and at most {most / _MIB:,.0f} MiB are downloaded; "
            "name a smaller split, or upload a part of it"
        )
    return split
