"""`accord finetune`: a pretrained model trained further, and how near another it then is."""

from __future__ import annotations

import json as json_format
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from app.cli import arguments as arg
from app.cli.console import progress_bar, screen
from app.cli.hub import hubs
from app.cli.output import check_empty, dropped_if_diverged, write_files
from app.settings import Settings

if TYPE_CHECKING:
    from alignment.entropic.finetuning import FinetuneResult

_EXAMPLES = """\b
Examples:
  accord finetune builtin:minilm-l3 --towards builtin:minilm-l6 --probe texts.txt
  accord finetune path:mine --towards hf:ORG/NAME --probe texts.txt --part lora:8
\b
Nothing of the other model enters the training: it is measured, no more. The task
needs no labels: one half of an item's tokens (or one crop of an image) is to find
the other half. What was measured of it stands in the README."""


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command(epilog=_EXAMPLES)(finetune)


def finetune(
    model: Annotated[str, typer.Argument(metavar="M", help="A Hugging Face model: builtin:NAME, path:DIR or hf:NAME.")],
    towards: Annotated[str, typer.Option(metavar="MODEL", help="The other model, which stays as it is.")],
    probe: arg.Probe,
    objective: Annotated[str, typer.Option(metavar="O", help="entropic or plain.")] = "entropic",
    strength: Annotated[
        float | None, typer.Option(metavar="ETA", help="The step whose entropy is added.  [default: 0.01]")
    ] = None,
    weight_decay: Annotated[float, typer.Option(metavar="GAMMA", help="Of GAMMA times the weights' square.")] = 0.0,
    rate: Annotated[float, typer.Option(metavar="R", help="Adam's rate, which falls to 0.")] = 5e-5,
    steps: Annotated[int, typer.Option(metavar="N", help="How many.")] = 200,
    batch: Annotated[int, typer.Option(metavar="N", help="Items a step.")] = 16,
    part: Annotated[
        str, typer.Option(metavar="P", help="What is trained: last:N blocks, all, or adapters of a rank, lora:R.")
    ] = "last:1",
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="Items that are taken of the probe set.  [default: all]")
    ] = None,
    seed: arg.Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder for the model, in float32 where it was in half precision, and the report.  [default: "
            "finetuned-OBJECTIVE-SEED]",
        ),
    ] = None,
    json: arg.Json = False,
) -> None:
    """Train a pretrained model further, beside another."""
    from alignment.entropic.finetuning import FinetuneRequest
    from alignment.entropic.finetuning import finetune as run
    from alignment.entropic.training.keeper import FileKeeper
    from app.trainings.work import finite

    request = FinetuneRequest(
        model=model,
        towards=towards,
        probe=probe,
        objective=objective,  # type: ignore[arg-type]  # checked there
        strength=strength,
        weight_decay=weight_decay,
        rate=rate,
        steps=steps,
        batch=batch,
        part=part,
        samples=samples,
        seed=seed,
    )
    folder = out or Path(f"finetuned-{objective}-{seed}")
    keeper = FileKeeper(folder / "unfinished.safetensors")
    check_empty(folder, keeper.path)
    settings = Settings.load()
    with progress_bar() as progress, dropped_if_diverged(keeper.path):
        result = run(request, keeper, progress, cache=settings.cache_dir, **hubs(settings))
    report = json_format.dumps(finite({"model": str(folder), **result.to_dict()}), indent=2, allow_nan=False)
    write_files(
        {**result.model.files(), "finetuning.json": (report + "\n").encode(), **_probe(result)},
        folder,
    )
    keeper.path.unlink(missing_ok=True)
    if json:
        typer.echo(report)
        return
    _show(result, folder)


def _probe(result: FinetuneResult) -> dict[str, bytes]:
    """Returns the held-out items as a probe set, where they are texts."""
    if not all(isinstance(item, str) for item in result.held_out):
        return {}
    lines = (json_format.dumps({"text": text}, ensure_ascii=False) for text in result.held_out)
    return {"held-out.jsonl": ("\n".join(lines) + "\n").encode()}


def _show(result: FinetuneResult, folder: Path) -> None:
    console = screen()
    request: dict[str, Any] = result.provenance["request"]
    console.print(
        f"[bold]{escape(request['model'])}[/bold], {request['objective']}, seed {request['seed']}: {request['steps']} "
        f"steps on {result.provenance['learnt']} items, {result.seconds:.0f} s of processor time"
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for head in (f"{len(result.held_out)} held-out items", "before", "after"):
        table.add_column(head, justify="left" if head[0].isdigit() else "right")
    for metric in result.after.scores:
        pair = (result.before.last(metric), result.after.last(metric))
        table.add_row(f"{metric} with {escape(request['towards'])}, calibrated", *map(_number, pair))
    table.add_row("loss of the task", f"{result.before.task:.4f}", f"{result.after.task:.4f}")
    for metric, value in result.moved.items():
        table.add_row(f"{metric} with itself before", "1.0000", _number(value))
    console.print(table)
    console.print(f"[dim]of the last layers; the model is path:{escape(str(folder))}[/dim]", soft_wrap=True)


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.4f}"
