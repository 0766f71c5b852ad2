"""How text on the command line becomes a request."""

from __future__ import annotations

import re
from pathlib import Path
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
        "--metric",
        metavar="NAME[:K=V,…]",
        help="A metric of `accord metrics`, with parameters where the defaults will not do; again for more, `all` for "
        "every one.  [default: mutual_knn]",
    ),
]
LayerChoice = Annotated[
    list[str] | None,
    typer.Option(
        "--layers",
        metavar="[a=|b=]LAYERS",
        help="all, last, or names and numbers with commas (0 is the first, -1 the last); a=… and b=… for one side.  "
        "[default: all]",
    ),
]
PoolingChoice = Annotated[
    list[str] | None,
    typer.Option(
        "--pooling",
        metavar="[a=|b=]HOW",
        help="How the positions of an item become one vector: mean, last, cls or max; a=… and b=… for one side.  "
        "[default: mean]",
    ),
]
Probe = Annotated[
    str,
    typer.Option(
        metavar="P",
        help="The probe set: builtin:NAME of `accord probes`, a file, a folder of images, or "
        "hf:ORG/NAME[@REVISION][:SPLIT[:COLUMN]].",
    ),
]
Seed = Annotated[int, typer.Option(metavar="S", help="What every random choice comes from.")]
Permutations = Annotated[int, typer.Option(metavar="K", help="Shuffles that the score is held against; 0 for none.")]
Resamples = Annotated[
    int, typer.Option(metavar="R", help="Resamples that the score's interval comes from; 0 for none.")
]
Clip = Annotated[
    bool, typer.Option("--clip/--no-clip", help="Clamp each layer at the 0.95 quantile of its magnitudes.")
]
Normalize = Annotated[bool, typer.Option("--normalize/--no-normalize", help="Scale each item's vector to unit norm.")]
Device = Annotated[str, typer.Option(metavar="D", help="auto, cpu or cuda:N.")]
Dtype = Annotated[
    str, typer.Option(metavar="T", help="What the models compute in: auto, float32, bfloat16, float16 or float64.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A folder for report.json, and a CSV and an SVG heatmap a metric."),
]


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
    return tuple(int(part) if re.fullmatch("-?[0-9]+", part) else part for part in parts)


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
