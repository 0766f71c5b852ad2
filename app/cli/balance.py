"""`accord balance` and `accord rebalance`."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from app.cli import arguments as arg
from app.cli.console import screen
from app.cli.hub import hubs
from app.cli.output import check_empty, write_files
from app.settings import Settings

if TYPE_CHECKING:
    import torch

    from alignment.entropic.balance import Balance
    from alignment.entropic.pretrained.subject import Subject
    from alignment.entropic.rebalance import Rebalanced

_KEEP = "\b\n"  # a line break that help texts keep: click's own mark
_BALANCE = f"""{_KEEP}Examples:
  accord balance path:pair/a
  accord balance path:pair/a --data rows.npz --batch 8 --json
  accord balance builtin:minilm-l6 --data builtin:language-reference"""
_REBALANCE = f"""{_KEEP}Examples:
  accord rebalance path:pair/a --out balanced
  accord rebalance builtin:minilm-l6 --data texts.txt --out balanced"""

Model = Annotated[
    str,
    typer.Argument(
        metavar="M",
        help="A network that Accord trained, path:DIR, or a Hugging Face model: builtin:NAME, path:DIR or hf:NAME.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|P",
        help="For a network of Accord's an .npz with inputs x (or a and b) and targets y [items, width] or target "
        "[items].  [default: what it was trained on]  For a Hugging Face model a probe set, whose labels are not used.",
    ),
]
Side = Annotated[str, typer.Option(metavar="a|b", help="Which view is taken where the data have two.")]
Batch = Annotated[
    int | None,
    typer.Option(metavar="N", help="Rows a batch, as in training.  [default: 1; 16 for a Hugging Face model]"),
]
Samples = Annotated[int, typer.Option(metavar="N", help="Items that are taken of a probe set.")]


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    cli.command(epilog=_BALANCE)(balance)
    cli.command(epilog=_REBALANCE)(rebalance)


def balance(
    model: Model,
    data: Data = None,
    side: Side = "a",
    batch: Batch = None,
    samples: Samples = 256,
    seed: arg.Seed = 0,
    json: arg.Json = False,
) -> None:
    """Say how far a model is from gradient balance."""
    import torch

    from alignment.entropic.balance import balance as measure

    subject = _open(model, data, side, batch, samples, seed, torch.float32)
    found = measure(subject.problem, subject.sampling, found=subject.found)
    if json:
        facts = {"task": subject.task, "rows": subject.rows, **found.to_dict()}
        typer.echo(json_format.dumps(facts, indent=2, allow_nan=False))
        return
    console = screen()
    console.print(
        f"[bold]{escape(model)}[/bold], {subject.rows}: the mean of |g|² is {found.square:.4g}\n{escape(subject.task)}"
    )
    console.print(_table([found], ["residual"]))
    console.print(f"[dim]{_summary(found)}[/dim]")


def rebalance(
    model: Model,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="A folder for the rebalanced model, in float32 where it was in half precision."
        ),
    ],
    data: Data = None,
    side: Side = "a",
    batch: Batch = None,
    samples: Samples = 256,
    seed: arg.Seed = 0,
    json: arg.Json = False,
) -> None:
    """Balance a model's gradients, its function unchanged."""
    import torch

    from alignment.entropic.rebalance import rebalance as run

    check_empty(out)
    subject = _open(model, data, side, batch, samples, seed, torch.float64)
    done = run(subject.problem, subject.sampling, subject.found)
    write_files(subject.files(), out)
    if json:
        facts: dict[str, Any] = {
            "model": str(out),
            "task": subject.task,
            "before": done.before.to_dict(),
            "after": done.after.to_dict(),
            "function_change": done.function_change,
            "sweeps": done.sweeps,
            "skipped": list(done.skipped),
        }
        typer.echo(json_format.dumps(facts, indent=2, allow_nan=False))
        return
    console = screen()
    console.print(
        f"[bold]{escape(model)}[/bold] rebalanced in {_way(done)}: the mean of |g|² went from "
        f"{done.before.square:.4g} to {done.after.square:.4g}, outputs changed by {done.function_change:.0e} of their "
        f"size\n{escape(subject.task)}"
    )
    console.print(_table([done.before, done.after], ["before", "after"]))
    for line in (*done.skipped, str(out)):
        console.print(f"[dim]{escape(line)}[/dim]", soft_wrap=True)


def _open(
    model: str, data: str | None, side: str, batch: int | None, samples: int, seed: int, dtype: torch.dtype
) -> Subject:
    """Returns a model with its problem; see `open_subject`."""
    from alignment.entropic.pretrained.subject import open_subject

    settings = Settings.load()
    return open_subject(
        model,
        data,
        side=side,
        batch=batch,
        samples=samples,
        seed=seed,
        dtype=dtype,
        cache=settings.cache_dir,
        **hubs(settings),
    )


def _summary(found: Balance) -> str:
    """Returns how far it is from equipartition, in words."""
    laws = (("units", found.neuron), ("matrices", found.matrix), ("attention", found.attention))
    named = [f"{name} {value:.2g}" for name, value in laws if value is not None]
    if not named:
        return "No law of balance holds for this model, so nothing is said of it."
    return (
        f"The worst: {', '.join(named)}. 0 is equipartition, which the noise of stochastic gradient descent drives to; "
        "1 is as far from it as can be. Adam's noise balances other things, to an approximation."
    )


def _way(done: Rebalanced) -> str:
    parts = [f"{done.sweeps} sweeps" if done.sweeps else "", "closed form" if done.before.heads else ""]
    return " and ".join(part for part in parts if part)


def _table(found: list[Balance], heads: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("law")
    table.add_column("place", overflow="fold")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    first = found[0]
    for place, unit in enumerate(first.units):
        table.add_row("units: mass", unit.place, *(f"{b.units[place].mass:.1e}" for b in found))
        table.add_row("units: largest", unit.place, *(f"{b.units[place].largest:.1e}" for b in found))
    if first.layer is not None:
        table.add_row("layers", "all", *(f"{b.layer:.1e}" for b in found))
    for place, pair in enumerate(first.matrices):
        table.add_row("matrix", pair.place, *(f"{b.matrices[place].residual:.1e}" for b in found))
    for place, pair in enumerate(first.heads):
        worst = pair.each.index(pair.residual)
        name = f"{pair.place}, worst of {len(pair.each)} heads: {worst}"
        table.add_row(pair.kind.replace("_", " and "), name, *(f"{b.heads[place].each[worst]:.1e}" for b in found))
    for absent in first.absent:
        table.add_row(absent.law, absent.place or "all", *["no law"] * len(found))
    for line in dict.fromkeys(absent.reason for absent in first.absent):
        table.add_row("", escape(line))
    return table
