"""What a person reads of a training: the alignment of its layers, balance, task and theory, wherever it was done."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from app.cli.console import screen

MEASURES = {"nka": "normalised kernel alignment", "cka": "linear CKA"}
# What every alignment says; further measures, by name, stand beside it.
_OWN = {"measure", "min", "mean", "layers_a", "layers_b", "grid", "calibrated", "outputs", "history"}
_THEORY = ("kernel_error", "entropy_ratio", "sharpness_ratio", "sharpness_vs_flattest")
_BALANCE = {"neuron": "unit", "layer": "layer", "matrix": "matrix", "attention": "attention"}


def warn(found: Mapping[str, Any]) -> None:
    """Writes a training's warnings to stderr, one a line."""
    for warning in found["warnings"]:
        sys.stderr.write(f"accord: warning: {warning['detail']} ({warning['code']})\n")


def print_training(found: Mapping[str, Any], took: str, command: str) -> None:
    """Prints a training's result on stdout.

    Args:
        found: the contract's JSON, with null for what is no number.
        took: how long it took, in words.
        command: the one that compares its models.
    """
    console, request, alignment = screen(), found["provenance"]["request"], found["alignment"]
    console.print(
        f"[bold]{escape(request['recipe'])}, {request['objective']}[/bold], seed {request['seed']}: "
        f"{alignment['history'][-1]['step']} steps of {request['optimizer']}, {took}"
    )
    console.print(f"\n{MEASURES[alignment['measure']]} of each hidden layer of A (down) with each of B")
    console.print(_grid(alignment))
    facts = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    for row in _facts(found):
        facts.add_row(*row)
    console.print(facts)
    console.print(f"models  {escape(found['models']['a'])}  {escape(found['models']['b'])}", soft_wrap=True)
    console.print(f"[dim]{escape(command)}[/dim]", soft_wrap=True)


def _grid(alignment: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("")
    for layer in alignment["layers_b"]:
        table.add_column(escape(layer), justify="right", no_wrap=True)
    for layer, row in zip(alignment["layers_a"], alignment["grid"], strict=True):
        table.add_row(escape(layer), *map(_alignment, row))
    return table


def _alignment(value: float | None) -> str:
    """Returns an alignment by its distance from 1 where that says more.

    >>> _alignment(0.25), _alignment(1 - 2e-9), _alignment(None)
    ('0.2500', '1 - 2.0e-09', 'undefined')
    """
    if value is None:
        return "undefined"
    return f"{value:.4f}" if value < 0.999 else f"1 - {max(1 - value, 0.0):.1e}"


def _facts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    alignment = found["alignment"]
    first, last = alignment["history"][0], alignment["history"][-1]
    if alignment["calibrated"] is not None:
        before = _alignment(first["calibrated"])
        yield "mean, calibrated", f"{_alignment(last['calibrated'])}, before training {before}"
    yield "lowest alignment", f"{_alignment(alignment['min'])}, before training {_alignment(first['min'])}"
    yield "of the outputs (CKA)", _alignment(alignment["outputs"])
    for name, value in alignment.items():
        if name not in _OWN and not isinstance(value, list):
            yield name.replace("_", " "), _alignment(value)
    first = found["balance"]["history"][0]
    for name, title in _BALANCE.items():
        if found["balance"][name] is not None and first[name] is not None:
            yield f"{title} imbalance", f"{found['balance'][name]:.1e}, before training {first[name]:.1e}"
    for name in "ab":
        yield f"network {name.upper()}", _network(found["task"][name], found["sharpness"][name])
        if found["prediction"] is not None:
            yield "  over theory", _theory(found["prediction"][name])


def _network(task: Mapping[str, Any], sharpness: Mapping[str, Any]) -> str:
    accuracy = "" if task["accuracy"] is None else f", accuracy {task['accuracy']:.3f}"
    trace, largest = _number(sharpness["trace"]), _number(sharpness["largest"])
    return f"loss {_number(task['loss'])}{accuracy}, Hessian's trace {trace}, largest {largest}"


def _theory(prediction: Mapping[str, Any]) -> str:
    if any(prediction[name] is None for name in _THEORY):
        return "undefined"
    return (
        f"kernel 1 - {prediction['kernel_error']:.1e}, entropy {prediction['entropy_ratio']:.3f}, sharpness "
        f"{prediction['sharpness_ratio']:.3f} ({prediction['sharpness_vs_flattest']:.2f} of the flattest)"
    )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
