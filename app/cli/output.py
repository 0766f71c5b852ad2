"""The files of a report: report.json, and a CSV and an SVG heatmap a metric."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from alignment.errors import DivergenceError, RequestError, WorkError
from alignment.report import AlignmentReport, MetricResult, heatmap
from alignment.report.data import plain


def check_folder(out: Path | None) -> None:
    """Checks, before any work, that a folder can be written to, or made.

    Raises:
        RequestError: if it is a file, cannot be written to, or the folder that it would be made in does not exist.
    """
    if out is None:
        return
    if out.exists() and not out.is_dir():
        raise RequestError(f"--out {out} is a file; name a folder")
    place = out if out.is_dir() else out.absolute().parent
    if not place.is_dir():
        raise RequestError(f"--out {out}: there is no folder {place} to make it in")
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".accord-"):
            pass
    except OSError as error:
        raise RequestError(f"--out {out} cannot be written to ({error.strerror}); name another folder") from error


def check_empty(out: Path, unfinished: Path | None = None) -> None:
    """Checks, before any work, that nothing of the user's can be written over, beside `check_folder`.

    Args:
        out: the folder.
        unfinished: the state of a killed run, which goes on where it is there.

    Raises:
        RequestError: if there is anything in the folder, and not that state.
    """
    check_folder(out)
    if out.is_dir() and any(out.iterdir()) and not (unfinished is not None and unfinished.is_file()):
        raise RequestError(f"{out} is not empty: name another folder, or remove it")


@contextmanager
def dropped_if_diverged(unfinished: Path) -> Iterator[None]:
    """Takes a training's state away if the training diverges: from there it would do so again."""
    try:
        yield
    except DivergenceError:
        unfinished.unlink(missing_ok=True)
        if unfinished.parent.is_dir() and not any(unfinished.parent.iterdir()):
            unfinished.parent.rmdir()
        raise


def write_report(report: AlignmentReport, out: Path) -> list[Path]:
    """Writes a report's files, as `write_files` does."""
    a, b = (str(plain(report.provenance[side])["reference"]) for side in ("model_a", "model_b"))
    files = {"report.json": (json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n").encode()}
    for result in report.metrics:
        stem = re.sub(r"[^\w.-]+", "-", result.key)
        files[f"{stem}.csv"] = grid_csv(result, report.layers_a, report.layers_b).encode()
        files[f"{stem}.svg"] = heatmap(result, report.layers_a, report.layers_b, a, b)
    return write_files(files, out)


def write_files(files: Mapping[str, bytes], out: Path) -> list[Path]:
    """Writes files into a folder and returns their paths; all of them are made before the first one appears.

    Raises:
        WorkError: if they cannot be written; a folder that was not there before is not there then.
    """
    new = not out.exists()
    try:
        out.mkdir(exist_ok=True)
        # Within the folder, not beside it: its parent may be another disk, or not ours to write to.
        with tempfile.TemporaryDirectory(dir=out, prefix=".accord-") as draft:
            for name, content in files.items():
                Path(draft, name).write_bytes(content)
            for name in files:
                Path(draft, name).replace(out / name)
    except BaseException as error:  # Ctrl-C too leaves nothing behind
        if new:
            shutil.rmtree(out, ignore_errors=True)
        if isinstance(error, OSError):
            raise WorkError(
                f"--out {out} could not be written ({error.strerror}); free some space or name another folder"
            ) from error
        raise
    return [out / name for name in files]


def grid_csv(result: MetricResult, layers_a: tuple[str, ...], layers_b: tuple[str, ...]) -> str:
    """Returns the grid as CSV: A's layers down, B's across, an empty field where a score has no meaning."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([result.key, *layers_b])
    for layer, row in zip(layers_a, result.grid, strict=True):
        writer.writerow([layer, *("" if value is None else repr(value) for value in row)])
    return text.getvalue()
