"""`accord compare`, `accord score` and `accord extract`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli import arguments as arg
from app.cli.console import progress_bar, show
from app.cli.hub import hubs
from app.cli.output import check_folder
from app.settings import Settings

# A line break that help texts keep: click's own mark.
_KEEP = "\b\n"
_MODELS = "builtin:NAME of `accord models`, hf:ORG/NAME[@REVISION], timm:NAME[@REVISION] or path:DIR"
_COMPARE = f"""{_KEEP}Examples:
  accord compare builtin:minilm-l6 builtin:efficientnet-lite0 --probe builtin:emoji
  accord compare hf:ORG/NAME path:DIR --probe captions.csv --metric all --out report
  accord compare A B --probe P --metric mutual_knn:k=20 --layers b=last --json"""
_SCORE = f"""{_KEEP}Examples:
  accord score a.npz b.safetensors
  accord score a.npz b.npz --metric cka:kernel=rbf --no-clip --no-normalize"""
_EXTRACT = f"""{_KEEP}Examples:
  accord extract builtin:minilm-l6 --probe builtin:emoji --out minilm.safetensors
  accord extract hf:ORG/NAME --probe texts.txt --layers last --out last.npz"""


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    cli.command(epilog=_COMPARE)(compare)
    cli.command(epilog=_SCORE)(score)
    cli.command(epilog=_EXTRACT)(extract)


def compare(
    model_a: Annotated[str, typer.Argument(metavar="A", help=f"A model: {_MODELS}; or features:FILE.")],
    model_b: Annotated[str, typer.Argument(metavar="B", help="The other, likewise; it may be the same.")],
    probe: arg.Probe,
    metric: arg.Metrics = None,
    layers: arg.LayerChoice = None,
    pooling: arg.PoolingChoice = None,
    samples: Annotated[int, typer.Option(metavar="N", help="How many items to draw; all if there are fewer.")] = 1024,
    seed: arg.Seed = 0,
    permutations: arg.Permutations = 200,
    resamples: arg.Resamples = 200,
    clip: arg.Clip = True,
    normalize: arg.Normalize = True,
    device: arg.Device = "auto",
    dtype: arg.Dtype = "auto",
    json: arg.Json = False,
    out: arg.Out = None,
) -> None:
    """Compare two models on a probe set, each layer with each layer."""
    from alignment.comparison import Comparison
    from alignment.comparison import compare as run

    settings = Settings.load()
    scoring = arg.scoring(
        metric,
        layers,
        clip=clip,
        normalize=normalize,
        seed=seed,
        permutations=permutations,
        resamples=resamples,
        device=device,
        budget_mib=settings.budget_mib,
    )
    pool = arg.both_sides("pooling", pooling, "mean", str)
    request = Comparison(model_a, model_b, probe, scoring, pool, samples, dtype)  # type: ignore[arg-type]  # checked there
    check_folder(out)
    with progress_bar() as progress:
        report = run(request, cache=settings.cache_dir, **hubs(settings), progress=progress)
    show(report, as_json=json, out=out)


def score(
    x: Annotated[
        Path,
        typer.Argument(metavar="X", help="Activations, .npz or .safetensors: one 2-D array [items, width] a layer."),
    ],
    y: Annotated[Path, typer.Argument(metavar="Y", help="The other side's, of the same items in the same order.")],
    metric: arg.Metrics = None,
    layers: arg.LayerChoice = None,
    seed: arg.Seed = 0,
    permutations: arg.Permutations = 200,
    resamples: arg.Resamples = 200,
    clip: arg.Clip = True,
    normalize: arg.Normalize = True,
    device: arg.Device = "auto",
    json: arg.Json = False,
    out: arg.Out = None,
) -> None:
    """Compare two files of activations."""
    from alignment.activations import read_activations
    from alignment.comparison import score as run

    settings = Settings.load()
    scoring = arg.scoring(
        metric,
        layers,
        clip=clip,
        normalize=normalize,
        seed=seed,
        permutations=permutations,
        resamples=resamples,
        device=device,
        budget_mib=settings.budget_mib,
    )
    check_folder(out)
    a, b = read_activations(x), read_activations(y)
    with progress_bar() as progress:
        report = run(a, b, scoring, progress=progress)
    show(report, as_json=json, out=out)


def extract(
    model: Annotated[str, typer.Argument(metavar="M", help=f"A model: {_MODELS}.")],
    probe: arg.Probe,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write, .npz or .safetensors.")],
    layers: Annotated[str, typer.Option(metavar="LAYERS", help="all, last, or names and numbers with commas.")] = "all",
    pooling: Annotated[str, typer.Option(metavar="HOW", help="mean, last, cls or max.")] = "mean",
    samples: Annotated[int | None, typer.Option(metavar="N", help="How many items to draw.  [default: all]")] = None,
    seed: arg.Seed = 0,
    side: Annotated[str, typer.Option(metavar="a|b", help="Which view of a probe set of vectors is taken.")] = "a",
    device: arg.Device = "auto",
    dtype: arg.Dtype = "auto",
) -> None:
    """Write a model's activations on a probe set to a file."""
    from alignment.activations import write_activations
    from alignment.activations.files import check_writable
    from alignment.comparison import Extraction, extract_model

    request = Extraction(
        model,
        probe,
        layers=arg.layers(layers),
        pooling=pooling,  # type: ignore[arg-type]  # checked there
        samples=samples,
        seed=seed,
        side=side,  # type: ignore[arg-type]  # checked there
        device=device,
        dtype=dtype,
    )
    check_writable(out)
    settings = Settings.load()
    with progress_bar() as progress:
        activations = extract_model(request, cache=settings.cache_dir, **hubs(settings), progress=progress)
    write_activations(activations, out)
    layers_made = f"{len(activations.layers)} layer{'s' * (len(activations.layers) > 1)}"
    typer.echo(f"{out}: {len(activations)} items, {layers_made} of {activations.origin.reference}")
