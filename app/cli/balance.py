"""`accord balance` and `accord rebalance`."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from alignment.errors import RequestError
from app.cli import arguments as arg
from app.cli.console import screen
from app.cli.output import check_folder, write_files

if TYPE_CHECKING:
    from alignment.entropic.balance import Balance
    from alignment.entropic.problem import Problem
    from alignment.entropic.rows import Rows
    from alignment.models import DenseNetwork

_KEEP = "\b\n"  # a line break that help texts keep: click's own mark
_BALANCE = f"""{_KEEP}Examples:
  accord balance path:pair/a
  accord balance path:pair/a --data rows.npz --batch 8 --json"""
_REBALANCE = f"""{_KEEP}Example:
  accord rebalance path:pair/a --out balanced"""

Model = Annotated[str, typer.Argument(metavar="M", help="A network that Accord trained, path:DIR.")]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="An .npz with inputs x (or a and b) and targets y [items, width] or target [items].  [default: what the "
        "model was trained on]",
    ),
]
Side = Annotated[str, typer.Option(metavar="a|b", help="Which view is taken where the data have two.")]
Batch = Annotated[int, typer.Option(metavar="N", help="Rows a batch, as in training.")]


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    cli.command(epilog=_BALANCE)(balance)
    cli.command(epilog=_REBALANCE)(rebalance)


def balance(model: Model, data: Data = None, side: Side = "a", batch: Batch = 1, json: arg.Json = False) -> None:
    """Say how far a model is from gradient balance."""
    from alignment.entropic.balance import balance as measure
    from alignment.entropic.sampling import Sampling

    _, problem, _ = _open(model, data, side)
    found = measure(problem, Sampling(batch, "all"))
    if json:
        typer.echo(json_format.dumps(found.to_dict(), indent=2, allow_nan=False))
        return
    console = screen()
    console.print(f"[bold]{escape(model)}[/bold], {len(problem)} rows: the mean of |g|² is {found.square:.4g}")
    console.print(_table([found], ["residual"]))


def rebalance(
    model: Model,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A folder for the rebalanced model.")],
    data: Data = None,
    side: Side = "a",
    batch: Batch = 1,
    json: arg.Json = False,
) -> None:
    """Balance a model's gradients, its function unchanged."""
    from alignment.entropic.rebalance import rebalance as run
    from alignment.entropic.rows import FILE, rows_file
    from alignment.entropic.sampling import Sampling
    from alignment.models import dense_files

    network, problem, rows = _open(model, data, side)
    check_folder(out)
    done = run(problem, Sampling(batch, "all"))
    write_files({**dense_files(network), FILE: rows_file(rows)}, out)
    if json:
        facts: dict[str, Any] = {
            "model": str(out),
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
        f"[bold]{escape(model)}[/bold] rebalanced in {done.sweeps} sweeps: the mean of |g|² went from "
        f"{done.before.square:.4g} to {done.after.square:.4g}, outputs changed by {done.function_change:.0e} of their "
        "size"
    )
    console.print(_table([done.before, done.after], ["before", "after"]))
    for line in (*done.skipped, str(out)):
        console.print(f"[dim]{escape(line)}[/dim]", soft_wrap=True)


def _open(model: str, data: Path | None, side: str) -> tuple[DenseNetwork, Problem, Rows]:
    """Returns a network, its problem and the rows.

    Raises:
        RequestError: if the model or the data cannot be read, or do not fit.
    """
    from alignment.entropic.rows import FILE, read_rows
    from alignment.models import open_dense
    from alignment.references import ModelRef

    ref = ModelRef.parse(model)
    if ref.scheme != "path":
        raise RequestError(f"{model}: balance is measured on networks that Accord trained; name one as path:DIR")
    network = open_dense(Path(ref.name), model).double()
    file = data or Path(ref.name, FILE)
    if not file.is_file():
        raise RequestError(f"there is no file {file}; give the rows to take gradients on with --data FILE")
    rows = read_rows(file, side)
    widths = network.config.widths
    return network, rows.problem(network, widths[0], widths[-1]), rows


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
    for absent in first.absent:
        table.add_row(absent.law, absent.place or "all", *["no law"] * len(found))
    for line in dict.fromkeys(absent.reason for absent in first.absent):
        table.add_row("", escape(line))
    return table
