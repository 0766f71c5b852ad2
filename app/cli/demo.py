"""`accord demo`: the main job on real models, with pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from app.cli.console import progress_bar, screen, table, warn
from app.cli.output import check_folder, write_report
from app.settings import Settings

if TYPE_CHECKING:
    from alignment.report import AlignmentReport

METRICS = ("mutual_knn", "cka", "unbiased_cka")


@dataclass(frozen=True)
class Scene:
    """One comparison of the demo."""

    folder: str
    heading: str
    model_a: str
    model_b: str
    probe: str
    samples: int
    subjects: str


SCENES = (
    Scene(
        "text-and-images",
        "A text model reads the names of emoji; a vision model looks at their pictures",
        "builtin:minilm-l6",
        "builtin:efficientnet-lite0",
        "builtin:emoji",
        500,
        "a model of text and a model of images, which share neither data nor task,",
    ),
    Scene(
        "two-text-models",
        "Two text models of different depth and training read the same sentences",
        "builtin:minilm-l6",
        "builtin:minilm-l3",
        "builtin:language-reference",
        1000,
        "two text models",
    ),
)


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(help="A folder for reports and heatmaps.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="What every random choice comes from.")] = 0,
) -> None:
    """Measure real models, and draw their heatmaps."""
    from alignment.comparison import Comparison, Scoring, compare
    from alignment.metrics import parse_metrics

    settings = Settings.load()
    check_folder(out)
    scoring = Scoring(metrics=parse_metrics(METRICS), seed=seed)
    console = screen()
    reports = []
    for scene in SCENES:
        console.print(f"\n[bold]{escape(scene.heading)}[/bold]")
        request = Comparison(scene.model_a, scene.model_b, scene.probe, scoring, samples=scene.samples)
        with progress_bar() as progress:
            report = compare(request, cache=settings.cache_dir, progress=progress)
        out.mkdir(exist_ok=True)
        warn(report)
        console.print(table(report))
        for path in write_report(report, out / scene.folder):
            if path.suffix == ".svg":
                console.print(f"  {escape(str(path))}", soft_wrap=True)
        reports.append(report)
    found = "; ".join(_found(scene.subjects, report) for scene, report in zip(SCENES, reports, strict=True))
    console.print(f"\n[bold]Found:[/bold] {escape(found)}.", soft_wrap=True)


def _found(subjects: str, report: AlignmentReport) -> str:
    best = report.metric("mutual_knn").best
    if best is None or best.null_mean is None or best.p_value is None:
        raise AssertionError("the demo's layers are never degenerate and always calibrated")
    agree = "agree on" if best.p_value <= 0.05 else "do not agree beyond chance on"
    return (
        f"{subjects} {agree} {best.score:.0%} of an item's 10 nearest neighbours "
        f"({best.layer_a} against {best.layer_b}), "
        f"where shuffled items give {best.null_mean:.1%} at best (p = {best.p_value:.2g})"
    )
