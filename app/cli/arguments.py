"""How text on the command line becomes a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from alignment.errors import RequestError

if TYPE_CHECKING:
    from alignment.activations import Layers
    from alignment.comparison import Scoring

T = TypeVar("T")

Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric", help="NAME or NAME:key=value,…; again for more; `all` for every one. [default: mutual_knn]"
    ),
]
LayerChoice = Annotated[
    list[str] | None,
    typer.Option(
        "--layers", help="all, last, or names and numbers with commas; a=… and b=… for one side. [default: all]"
    ),
]
PoolingChoice = Annotated[
    list[str] | None,
    typer.Option("--pooling", help="mean, last, cls or max; a=… and b=… for one side. [default: mean]"),
]
Seed = Annotated[int, typer.Option(help="What every random choice comes from.")]
Permutations = Annotated[int, typer.Option(help="Draws of the null; 0 for none.")]
Resamples = Annotated[int, typer.Option(help="Resamples for the interval; 0 for none.")]
Clip = Annotated[bool, typer.Option("--clip/--no-clip", help="Clamp each layer at its 0.95 order statistic.")]
Normalize = Annotated[bool, typer.Option("--normalize/--no-normalize", help="Scale each row to unit norm.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda:0.")]
Dtype = Annotated[str, typer.Option(help="What the models compute in: auto, float32, bfloat16, float16 or float64.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def both_sides(name: str, given: list[str] | None, default: T, read: Any) -> tuple[T, T]:
    """Returns an option for A and for B: one value for both, or `a=…` and `b=…`.

    Raises:
        RequestError: if a side is given twice.
    """
    sides: dict[str, T] = {}
    for text in given or []:
        side, equals, rest = text.partition("=")
        targets, value = ((side,), rest) if equals and side in ("a", "b") else (("a", "b"), text)
        for target in targets:
            if target in sides:
                raise RequestError(f"--{name} is given twice for side {target}; write --{name} a=… --{name} b=…")
            sides[target] = read(value)
    return sides.get("a", default), sides.get("b", default)


def layers(text: str) -> Layers:
    """Returns what `all`, `last` or a list of names and numbers means.

    >>> layers("0,layer.3,-1")
    (0, 'layer.3', -1)
    """
    if text in ("all", "last"):
        return text  # type: ignore[return-value]  # narrowed by the test
    parts = [part.strip() for part in text.split(",")]
    return tuple(int(part) if part.lstrip("-").isdigit() else part for part in parts)


def scoring(
    metrics: list[str] | None,
    layer_choice: list[str] | None,
    *,
    clip: bool,
    normalize: bool,
    seed: int,
    permutations: int,
    resamples: int,
    device: str,
    budget_mib: int,
) -> Scoring:
    """Returns how activations are to be compared.

    Raises:
        RequestError: if an option has no meaning.
    """
    from alignment.calibration import Calibration
    from alignment.comparison import Scoring
    from alignment.metrics import parse_metrics
    from alignment.preprocessing import Preprocessing

    return Scoring(
        metrics=parse_metrics(metrics or ["mutual_knn"]),
        layers=both_sides("layers", layer_choice, "all", layers),
        preprocess=Preprocessing(clip=0.95 if clip else None, normalize=normalize),
        calibration=Calibration(permutations=permutations, resamples=resamples),
        seed=seed,
        device=device,
        budget=budget_mib << 20,
    )
