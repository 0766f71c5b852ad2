"""What `accord train` leaves behind: two models, a report, a picture and a probe set; and what it prints."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

from rich import box
from rich.markup import escape
from rich.table import Table

from alignment.entropic.recipes.files import model_files, probe_file
from alignment.entropic.recipes.result import TrainingResult
from alignment.entropic.rows import FILE, rows_file
from alignment.report.history_figure import history_figure
from app.cli.console import screen
from app.cli.output import write_files
from app.trainings.work import finite

_NAMES = {"nka": "normalised kernel alignment", "cka": "linear CKA"}


def write_training(result: TrainingResult, out: Path) -> None:
    """Writes a training's files; those of the models first, so that a report is never without them."""
    models = {name: str(out / name) for name in "ab"}
    last = result.history[-1].step
    curve = [(point.step / last, point.lowest, point.mean) for point in result.history]
    request = result.provenance["request"]
    title = f"{request['recipe']}, {request['objective']}, seed {request['seed']}"
    files = {
        "training.json": (json.dumps(finite(result.to_dict(models)), indent=2, allow_nan=False) + "\n").encode(),
        "alignment.svg": history_figure({request["objective"]: [curve]}, title, _NAMES[result.measure]),
    }
    if result.probe_name is None:
        files["probe.npz"] = probe_file(result)
    out.mkdir(exist_ok=True)
    for name, member in zip("ab", result.members, strict=True):
        write_files({**model_files(member), FILE: rows_file(member.rows)}, out / name)
    write_files(files, out)


def show_training(result: TrainingResult, out: Path, *, as_json: bool) -> None:
    """Prints the result on stdout, and the warnings on stderr."""
    for warning in result.warnings:
        sys.stderr.write(f"accord: warning: {warning.detail} ({warning.code})\n")
    if as_json:
        models = {name: str(out / name) for name in "ab"}
        sys.stdout.write(json.dumps(finite(result.to_dict(models)), indent=2, allow_nan=False) + "\n")
        return
    console = screen()
    request = result.provenance["request"]
    console.print(
        f"[bold]{request['recipe']}, {request['objective']}[/bold], seed {request['seed']}: "
        f"{result.history[-1].step} steps of {request['optimizer']}, {result.seconds:.1f} s of processor time"
    )
    console.print(f"\n{_NAMES[result.measure]} of each hidden layer of A (down) with each of B")
    console.print(_grid(result))
    console.print(_facts(result))
    console.print(f"models  {escape(str(out / 'a'))}  {escape(str(out / 'b'))}", soft_wrap=True)
    probe = result.probe_name or str(out / "probe.npz")
    console.print(
        f"[dim]accord compare path:{escape(str(out / 'a'))} path:{escape(str(out / 'b'))} "
        f"--probe {escape(probe)} --metric cka --no-clip --no-normalize[/dim]",
        soft_wrap=True,
    )


def _grid(result: TrainingResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("")
    for layer in result.layers(1):
        table.add_column(layer, justify="right", no_wrap=True)
    for layer, row in zip(result.layers(0), result.grid, strict=True):
        table.add_row(layer, *(_alignment(value) for value in row))
    return table


def _alignment(value: float) -> str:
    """Returns an alignment by its distance from 1 where that says more.

    >>> _alignment(0.25), _alignment(1 - 2e-9), _alignment(float("nan"))
    ('0.2500', '1 - 2.0e-09', 'undefined')
    """
    if math.isnan(value):
        return "undefined"
    return f"{value:.4f}" if value < 0.999 else f"1 - {max(1 - value, 0.0):.1e}"


def _facts(result: TrainingResult) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    last, first = result.history[-1], result.history[0]
    if last.calibrated is not None and first.calibrated is not None:
        table.add_row(
            "mean, calibrated", f"{_alignment(last.calibrated)}, before training {_alignment(first.calibrated)}"
        )
    table.add_row("lowest alignment", f"{_alignment(result.lowest)}, before training {_alignment(first.lowest)}")
    table.add_row("of the outputs (CKA)", _alignment(result.outputs))
    for name, value in result.extra.items():
        if isinstance(value, float):
            table.add_row(name.replace("_", " "), _alignment(value))
    for name, now, then in (
        ("unit imbalance", last.neuron, first.neuron),
        ("layer imbalance", last.layer, first.layer),
        ("matrix imbalance", last.matrix, first.matrix),
        ("attention imbalance", last.attention, first.attention),
    ):
        if now is not None and then is not None:
            table.add_row(name, f"{now:.1e}, before training {then:.1e}")
    for name, member in zip("AB", result.members, strict=True):
        loss = f"loss {member.loss:.4g}"
        task = loss if member.accuracy is None else f"{loss}, accuracy {member.accuracy:.3f}"
        table.add_row(f"network {name}", f"{task}, Hessian's trace {member.trace:.4g}, largest {member.largest:.4g}")
        found = member.prediction
        if found is not None:
            table.add_row(
                "  over theory",
                f"kernel 1 - {found.kernel_error:.1e}, entropy {found.entropy_ratio:.3f}, sharpness "
                f"{found.sharpness_ratio:.3f} ({found.sharpness_vs_flattest:.2f} of the flattest)",
            )
    return table
