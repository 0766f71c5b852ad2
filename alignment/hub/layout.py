"""layout_of(): the splits of a data set's files, by what its README says or by the hub's conventions for names.

Source: "Data files configuration" in the documentation of the Hugging Face hub.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

Layout = dict[str, dict[str, list[str]]]  # configuration -> split -> paths, in order
IMAGES = "images"
METADATA = ("metadata.csv", "metadata.jsonl")  # what is said of the images beside it
_KINDS = {".parquet": ".parquet", ".jsonl": ".jsonl", ".csv": ".csv", ".txt": ".txt"}
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_CONVERTED = re.compile(r"([^/]+)/([^/]+)/[0-9]{4,5}\.parquet")  # the layout of the hub's own conversion
_SHARD = re.compile(r"(?:data/)?([^/]+)-[0-9]{5}-of-[0-9]{5}(?:-[0-9a-f]+)?\.[a-z]+")


def kind_of(path: str) -> str | None:
    """Returns what a file is by its name: `.parquet`, `.jsonl`, `.csv`, `.txt`, `images`; None for all others.

    >>> kind_of("data/train-00000-of-00001.parquet"), kind_of("cat/1.JPG"), kind_of("load.py")
    ('.parquet', 'images', None)
    """
    suffix = PurePosixPath(path).suffix.lower()
    return IMAGES if suffix in _IMAGE_SUFFIXES else _KINDS.get(suffix)


def layout_of(files: Mapping[str, int], configs: Sequence[Mapping[str, Any]] | None) -> Layout:
    """Returns the splits, by configuration; those without a file that can be read are left out.

    Args:
        files: the repository's files.
        configs: the rows of `configs` in the README's head; None if there are none.
    """
    paths = sorted(path for path in files if kind_of(path) and not _is_hidden(path))
    if configs:
        named = {str(row.get("config_name", "default")): _of_config(row, paths) for row in configs}
        return {name: splits for name, splits in named.items() if splits}
    converted: Layout = {}
    for path in paths:
        match = _CONVERTED.fullmatch(path)
        if match is None:
            return _by_name(paths)
        converted.setdefault(match[1], {}).setdefault(match[2], []).append(path)
    return converted


def default_of(layout: Layout, configs: Sequence[Mapping[str, Any]] | None) -> str | None:
    """Returns the configuration that is meant where none is named; None if it could be any of several."""
    marked = [str(row.get("config_name", "default")) for row in configs or () if row.get("default") is True]
    if len(layout) == 1:
        return next(iter(layout))
    return next((name for name in (*marked, "default") if name in layout), None)


def _of_config(row: Mapping[str, Any], paths: Sequence[str]) -> dict[str, list[str]]:
    """Returns the splits of a row of `configs`: `data_files` is a pattern, some, or `{split, path}` each."""
    folder = str(row.get("data_dir") or "").strip("./")
    given = row.get("data_files")
    if given is None:
        within = [path for path in paths if path.startswith(f"{folder}/")] if folder else list(paths)
        return _by_name(within).get("default", {})
    rows = given if isinstance(given, list) else [given]
    found: dict[str, list[str]] = {}
    for one in rows:
        split, patterns = (one.get("split", "train"), one.get("path")) if isinstance(one, Mapping) else ("train", one)
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            whole = f"{folder}/{pattern}" if folder else str(pattern)
            matching = [path for path in paths if _matches(path, whole.removeprefix("./"))]
            found.setdefault(str(split), []).extend(matching)
    return {split: list(dict.fromkeys(found[split])) for split in found if found[split]}


def _matches(path: str, pattern: str) -> bool:
    """Whether a path is meant by a pattern, whose `**/` is any folders and whose `*` is no `/`."""
    if "**" in pattern:
        return any(fnmatch.fnmatchcase(path, form) for form in (pattern, pattern.replace("**/", "")))
    return fnmatch.fnmatchcase(path, pattern) and path.count("/") == pattern.count("/")


def _by_name(paths: Sequence[str]) -> Layout:
    """Returns the splits that files and folders are named for; without any such name all is `train`."""
    shards = {path: match[1] for path in paths if (match := _SHARD.fullmatch(path)) is not None}
    if shards:
        found = [(split, path) for path, split in shards.items()]
    else:
        found = [(split, path) for path in paths for split in _words(path)]
        found = found or [("train", path) for path in paths if kind_of(path) != ".txt"]  # a licence is no data
    splits: dict[str, list[str]] = {}
    for split, path in found:
        splits.setdefault(split, []).append(path)
    return {"default": splits} if splits else {}


def _words(path: str) -> Iterator[str]:
    """Yields the split that a path names: its first folder that does, else its file."""
    for part in (*PurePosixPath(path).parts[:-1], PurePosixPath(path).stem):
        words = re.split(r"[-._ 0-9]+", part.lower())
        for split, names in _WORDS.items():
            if any(name in words for name in names):
                yield split
                return


def _is_hidden(path: str) -> bool:
    return any(part.startswith((".", "__")) for part in PurePosixPath(path).parts)
