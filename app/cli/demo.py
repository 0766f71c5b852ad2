"""`accord demo`: the main job on real models, through the service, with pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from alignment.errors import WorkError
from app.cli.console import following, screen, table, warn
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
        "minilm-l6",
        "efficientnet-lite0",
        "emoji",
        500,
        "a model of text and a model of images, which share neither data nor task,",
    ),
    Scene(
        "two-text-models",
        "Two text models of different depth and training read the same sentences",
        "minilm-l6",
        "minilm-l3",
        "language-reference",
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
    """Measure real models through a service, with heatmaps."""
    from alignment.report import AlignmentReport
    from app.client import Client, sources
    from app.client.local import LocalService

    Settings.load()  # what is wrong with them is said here, and not in the log of the service
    check_folder(out)
    console = screen()
    reports = []
    with LocalService.start() as service, Client(service.url) as client:
        console.print(f"The service listens on {service.url}", soft_wrap=True)
        for name in dict.fromkeys(name for scene in SCENES for name in (scene.model_a, scene.model_b)):
            sources.register(client, name, {"type": "builtin", "id": name})
        for name in dict.fromkeys(scene.probe for scene in SCENES):
            sources.register(client, name, {"type": "builtin", "id": name}, kind="probes")
        for scene in SCENES:
            console.print(f"\n[bold]{escape(scene.heading)}[/bold]")
            body = {
                "model_a": scene.model_a,
                "model_b": scene.model_b,
                "probe": scene.probe,
                "samples": scene.samples,
                "metrics": list(METRICS),
                "seed": seed,
            }
            job_id = client.post("/v1/comparisons", body)["id"]
            console.print(f"  POST {service.url}/v1/comparisons gives {job_id}", soft_wrap=True)
            report = AlignmentReport.from_dict(_result(following(client.follow(f"/v1/comparisons/{job_id}"))))
            warn(report)
            console.print(table(report))
            for metric in METRICS:
                console.print(
                    f"  {service.url}/v1/comparisons/{job_id}/heatmap?metric={metric}", soft_wrap=True, markup=False
                )
            out.mkdir(exist_ok=True)
            for path in write_report(report, out / scene.folder):
                if path.suffix == ".svg":
                    console.print(f"  {escape(str(path))}", soft_wrap=True)
            reports.append(report)
    found = "; ".join(_found(scene.subjects, report) for scene, report in zip(SCENES, reports, strict=True))
    console.print(f"\n[bold]Found:[/bold] {escape(found)}.", soft_wrap=True)
    console.print("The service has stopped; `accord serve` starts one that stays.")


def _result(job: Mapping[str, Any]) -> Mapping[str, Any]:
    if job["status"] != "succeeded":
        detail = (job["error"] or {}).get("detail", "it gave no reason")
        raise WorkError(f"the comparison {job['status']}: {detail}")
    result: Mapping[str, Any] = job["result"]
    return result


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
