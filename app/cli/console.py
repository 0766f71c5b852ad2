"""What a person sees: progress on stderr while it is a terminal, a table on stdout, warnings on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from alignment.report import AlignmentReport, MetricResult
from app.cli.output import write_report

_NUMBERS = ("score,\ninterval", "shuffled\nbest", "95%\nbelow", "cali-\nbrated", "p")
STAGES = {"extract_a": "activations of A", "extract_b": "activations of B", "score": "scores", "calibrate": "shuffles"}


def screen() -> Console:
    """Returns stdout, for people."""
    return Console(highlight=False)


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Returns the rate, empty before there is one."""
        return Text("" if not task.speed else f"{task.speed:.1f}/s", style="progress.data.speed")


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Yields a function (stage, done, total) that draws on stderr if that is a terminal, and does nothing if not."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda stage, done, total: None
        return
    columns = (TextColumn("{task.description:17}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        loading = bars.add_task("libraries, models", total=None)
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            bars.update(loading, visible=False)
            if stage not in tasks or (done < total and bars.tasks[tasks[stage]].finished):
                tasks[stage] = bars.add_task(STAGES.get(stage, stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def following(jobs: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Returns the last of the states of a service's job, having drawn the progress of each."""
    last: Mapping[str, Any] = {}
    with progress_bar() as report:
        for last in jobs:
            progress = last.get("progress")
            if progress is not None:
                report(progress["stage"], progress["done"], progress["total"])
    return last


def show(report: AlignmentReport, *, as_json: bool, out: Path | None) -> None:
    """Writes the files, then the result to stdout and the warnings to stderr."""
    written = [] if out is None else write_report(report, out)
    warn(report)
    if as_json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n")
        return
    console = screen()
    console.print(table(report))
    for path in written:
        console.print(f"[dim]{escape(str(path))}[/dim]", soft_wrap=True)


def warn(report: AlignmentReport) -> None:
    """Writes the report's warnings to stderr, one a line."""
    for warning in report.warnings:
        place = f"{warning.side}/{warning.layer}: " if warning.layer else ""
        sys.stderr.write(f"accord: warning: {place}{warning.detail} ({warning.code})\n")


def table(report: AlignmentReport) -> Table:
    """Returns the best pair of each metric, beside its null."""
    origins = (report.provenance["model_a"], report.provenance["model_b"])
    counts = (len(report.layers_a), len(report.layers_b))
    names = [f"{_reference(o)} ({n} layer{'s' * (n > 1)})" for o, n in zip(origins, counts, strict=True)]
    title = f"A {names[0]}\nB {names[1]}\n{report.samples} items"
    drawn = Table(
        title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1)
    )
    drawn.add_column("metric", no_wrap=True)
    drawn.add_column("best pair", overflow="fold", min_width=9)
    rows = [_row(result) for result in report.metrics]
    filled = [any(row[place] for row in rows) for place in range(len(rows[0]))]  # no column for what was not made
    for name, wanted in zip(_NUMBERS, filled[2:], strict=True):
        if wanted:
            drawn.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        drawn.add_row(*(cell for cell, wanted in zip(row, filled, strict=True) if wanted))
    return drawn


def _row(result: MetricResult) -> list[str]:
    best = result.best
    if best is None:
        return [escape(result.key), "undefined in every cell", *[""] * 5]
    interval = "" if best.interval is None else f"\n[dim]{best.interval[0]:.3f}–{best.interval[1]:.3f}[/dim]"
    null = [best.null_mean, best.null_threshold, best.calibrated]
    return [
        escape(result.key),
        escape(f"A {best.layer_a}\nB {best.layer_b}"),
        f"{best.score:.3f}{interval}",
        *("" if value is None else f"{value:.3f}" for value in null),
        "" if best.p_value is None else f"{best.p_value:.2g}",
    ]


def _reference(origin: Any) -> str:
    """Returns what a model is called, in a report that was made here or that a service sent."""
    return str(origin["reference"] if isinstance(origin, Mapping) else origin.reference)
