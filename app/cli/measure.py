"""`accord compare`, `accord score` and `accord extract`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli import arguments as arg
from app.cli.console import progress_bar, show
from app.cli.output import check_folder
from app.settings import Settings

Out = Annotated[Path | None, typer.Option(help="A folder for report.json, and a CSV and an SVG heatmap a metric.")]


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    cli.command()(compare)
    cli.command()(score)
    cli.command()(extract)


def compare(
    model_a: Annotated[str, typer.Argument(help="builtin:NAME, hf:ORG/NAME[@REV], timm:NAME, path:DIR, features:FILE")],
    model_b: Annotated[str, typer.Argument(help="The other model, likewise.")],
    probe: Annotated[str, typer.Option(help="The probe set: builtin:NAME, a file or a folder.")],
    metric: arg.Metrics = None,
    layers: arg.LayerChoice = None,
    pooling: arg.PoolingChoice = None,
    samples: Annotated[int, typer.Option(help="How many items to draw.")] = 1024,
    seed: arg.Seed = 0,
    permutations: arg.Permutations = 200,
    resamples: arg.Resamples = 200,
    clip: arg.Clip = True,
    normalize: arg.Normalize = True,
    device: arg.Device = "auto",
    dtype: arg.Dtype = "auto",
    json: arg.Json = False,
    out: Out = None,
) -> None:
    """Compare two models on a probe set, every layer against every layer."""
    from alignment.comparison import Comparison
    from alignment.comparison import compare as run

    settings = Settings()
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
        report = run(request, cache=settings.cache_dir, progress=progress)
    show(report, as_json=json, out=out)


def score(
    x: Annotated[Path, typer.Argument(help="Activations, .npz or .safetensors: one 2-D array [items, width] a layer.")],
    y: Annotated[Path, typer.Argument(help="The other side's, of the same items in the same order.")],
    metric: arg.Metrics = None,
    layers: arg.LayerChoice = None,
    seed: arg.Seed = 0,
    permutations: arg.Permutations = 200,
    resamples: arg.Resamples = 200,
    clip: arg.Clip = True,
    normalize: arg.Normalize = True,
    device: arg.Device = "auto",
    json: arg.Json = False,
    out: Out = None,
) -> None:
    """Compare two files of activations."""
    from alignment.activations import read_activations
    from alignment.comparison import score as run

    settings = Settings()
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
    model: Annotated[str, typer.Argument(help="builtin:NAME, hf:ORG/NAME[@REV], timm:NAME or path:DIR")],
    probe: Annotated[str, typer.Option(help="The probe set: builtin:NAME, a file or a folder.")],
    out: Annotated[Path, typer.Option(help="The file to write, .npz or .safetensors.")],
    layers: Annotated[str, typer.Option(help="all, last, or names and numbers with commas.")] = "all",
    pooling: Annotated[str, typer.Option(help="mean, last, cls or max.")] = "mean",
    samples: Annotated[int | None, typer.Option(help="How many items to draw. [default: all]")] = None,
    seed: arg.Seed = 0,
    side: Annotated[str, typer.Option(help="Which view of a probe set of vectors: a or b.")] = "a",
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
    with progress_bar() as progress:
        activations = extract_model(request, cache=Settings().cache_dir, progress=progress)
    write_activations(activations, out)
    typer.echo(f"{out}: {len(activations)} items, {len(activations.layers)} layers of {activations.origin.reference}")
