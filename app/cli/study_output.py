"""What a person sees of a study, and its files: study.json, and a CSV and an SVG a metric."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alignment.report.study import KernelResult, MatrixResult, Prediction, StudyReport
from alignment.report.study_figures import FOUND, matrix_figure, orders, short_names, trend_figure
from app.cli.console import screen
from app.cli.output import write_files

_ACROSS = 8  # models whose matrix fits 80 columns; with more, each model's nearest is shown


def show(report: StudyReport, *, as_json: bool, out: Path | None) -> None:
    """Writes the files, then the report to stdout and the warnings to stderr."""
    written = [] if out is None else write_files(study_files(report), out)
    for warning in report.warnings:
        place = f"{warning.model}/{warning.layer}: " if warning.layer else ""
        sys.stderr.write(f"accord: warning: {place}{warning.detail} ({warning.code})\n")
    if as_json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n")
        return
    console = screen()
    console.print(f"[bold]{len(report.models)} models, {report.samples} items[/bold]")
    for result in report.metrics:
        _show_metric(console, report, result)
    if report.prediction is not None:
        kernel = report.prediction.kernel
        source = "PMI of " * (kernel["kind"] in ("counts", "corpus")) + f"{kernel['kind']} {kernel['path']}"
        console.print(f"\nbest layers against the kernel: {escape(source)}, {report.prediction.samples} items")
        console.print(_kernel_table(report.prediction, short_names(model.name for model in report.models)))
    for path in written:
        console.print(f"[dim]{escape(str(path))}[/dim]", soft_wrap=True)


def study_files(report: StudyReport) -> dict[str, bytes]:
    """Returns the files' names and contents."""
    models = tuple(model.name for model in report.models)
    files = {"study.json": (json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n").encode()}
    for result in report.metrics:
        stem = re.sub(r"[^\w.-]+", "-", result.key)
        files[f"{stem}.csv"] = matrix_csv(result, models).encode()
        files[f"{stem}.svg"] = matrix_figure(result, models)
        if result.trend is not None:
            files[f"{stem}-trend.svg"] = trend_figure(result.trend, result.key, models)
    return files


def matrix_csv(result: MatrixResult, models: tuple[str, ...]) -> str:
    """Returns the matrix as CSV, models in the clusters' order; an empty field where there is no score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    order = [models.index(name) for name in result.clusters.order]
    writer.writerow([result.key, *result.clusters.order])
    for a in order:
        scores = [result.matrix[a][b] for b in order]
        writer.writerow([models[a], *("" if score is None else repr(score) for score in scores)])
    return text.getvalue()


def _show_metric(console: Console, report: StudyReport, result: MatrixResult) -> None:
    models = tuple(model.name for model in report.models)
    called, small = short_names(models), len(models) <= _ACROSS
    what = "the score of each two models' best pair of layers" if small else "each model's nearest, by its best layers"
    console.print(f"\n{escape(result.key)}: {what}")
    console.print((_matrix_table if small else _nearest_table)(result, called))
    if small and _any_unsure(result):
        console.print(f"  in brackets: not told from chance (q > {FOUND})")
    groups = result.clusters.groups
    if len(groups) > 1:
        told = " | ".join(", ".join(called[name] for name in group) for group in groups)
        console.print(f"  alike: {escape(told)} (silhouette {result.clusters.silhouette:.2f})")
    else:
        console.print("  no groups stand out")
    if result.trend is not None:
        trend = result.trend
        console.print(
            f"  rises with capability? Spearman's rho {trend.rho:.2f}, one-sided p {trend.p_value:.2g} "
            f"({orders(trend)})"
        )


def _matrix_table(result: MatrixResult, called: Mapping[str, str]) -> Table:
    models = tuple(called)
    table = _table()
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("model" if result.symmetric else "A down, B across", overflow="fold")
    order = [models.index(name) for name in result.clusters.order]
    for number in range(1, len(order) + 1):
        table.add_column(str(number), justify="right", no_wrap=True)
    starts = {group[0] for group in result.clusters.groups[1:]}
    for number, a in enumerate(order, start=1):
        if models[a] in starts:
            table.add_section()
        table.add_row(str(number), escape(called[models[a]]), *(_cell(result, a, b) for b in order))
    return table


def _nearest_table(result: MatrixResult, called: Mapping[str, str]) -> Table:
    models = tuple(called)
    table = _table()
    for name in ("model", "nearest"):
        table.add_column(name, overflow="fold")
    for name in ("score", "interval", "calibrated", "q"):
        table.add_column(name, justify="right", no_wrap=True)
    starts = {group[0] for group in result.clusters.groups[1:]}
    for name in result.clusters.order:
        if name in starts:
            table.add_section()
        a = models.index(name)
        scores = [(-score, b) for b, score in enumerate(result.matrix[a]) if score is not None]
        if not scores:
            table.add_row(escape(called[name]), "undefined")
            continue
        b = min(scores)[1]
        grids = ((result.matrix, "{:.3f}"), (result.calibrated, "{:.3f}"), (result.q_value, "{:.2g}"))
        score, *rest = ("" if grid is None or grid[a][b] is None else form.format(grid[a][b]) for grid, form in grids)
        span = None if result.interval is None else result.interval[a][b]
        interval = "" if span is None else "{:.2f}–{:.2f}".format(*span)
        table.add_row(escape(called[name]), escape(called[models[b]]), score, interval, *rest)
    return table


def _cell(result: MatrixResult, a: int, b: int) -> str:
    score, q = result.matrix[a][b], None if result.q_value is None else result.q_value[a][b]
    if score is None:
        return "" if a == b else "-"
    return f"{score:.2f}" if q is None or q <= FOUND else f"({score:.2f})"


def _any_unsure(result: MatrixResult) -> bool:
    return any(q is not None and q > FOUND for row in result.q_value or () for q in row)


def _kernel_table(prediction: Prediction, called: Mapping[str, str]) -> Table:
    table = _table()
    table.add_column("model", overflow="fold")
    table.add_column("metric", no_wrap=True)
    table.add_column("layer", overflow="fold")
    for name in ("score", "shuffled", "calibrated", "q"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in prediction.metrics:
        table.add_section()
        for row in _kernel_rows(result, called):
            table.add_row(*row)
    return table


def _kernel_rows(result: KernelResult, called: Mapping[str, str]) -> Iterator[list[str]]:
    for fit in result.models:
        names = [escape(called[fit.model]), escape(result.key), escape(fit.layer or "undefined")]
        numbers = (fit.score, fit.null_mean, fit.calibrated)
        yield [
            *names,
            *("" if value is None else f"{value:.3f}" for value in numbers),
            "" if fit.q_value is None else f"{fit.q_value:.2g}",
        ]


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
