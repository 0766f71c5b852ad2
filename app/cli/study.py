"""`accord study`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from alignment.errors import RequestError
from app.cli import arguments as arg
from app.cli.console import progress_bar
from app.cli.hub import hubs
from app.cli.output import check_folder
from app.cli.study_output import show
from app.settings import Settings

_KEEP = "\b\n"  # a line break that help texts keep: click's own mark
_EXAMPLES = f"""{_KEEP}Examples:
  accord study builtin:minilm-l6 builtin:minilm-l3 builtin:efficientnet-lite0 \\
    --probe builtin:emoji --capability capability.csv --out study
  accord study A B C --probe words.txt --corpus corpus.txt --metric cka"""


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command(epilog=_EXAMPLES)(study)


def study(
    models: Annotated[
        list[str],
        typer.Argument(metavar="M", help="2 to 64 models, as `accord compare` takes them, each once."),
    ],
    probe: arg.Probe,
    metric: arg.Metrics = None,
    capability: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A number a model, for the trend: .json, or .csv with lines model,number."),
    ] = None,
    kernel: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A reference kernel: an .npz with `kernel` [n, n], and `ids`.")
    ] = None,
    counts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Co-occurrence `counts` [n, n] in an .npz: their PMI is the reference."),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A text, a document a line, in which the probe set's texts are counted."),
    ] = None,
    theory: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A network of `accord train --recipe linear`: what theory has it be like."),
    ] = None,
    window: Annotated[
        int, typer.Option(metavar="W", help="Of --corpus: how many words apart items may be to occur together.")
    ] = 8,
    smoothing: Annotated[
        float, typer.Option(metavar="C", help="Of --counts and --corpus: pseudo-counts; 0 refuses unseen pairs.")
    ] = 1.0,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layers",
            metavar="[M=]LAYERS",
            help="all, last, or names and numbers with commas; MODEL=… for one model.  [default: all]",
        ),
    ] = None,
    pooling: Annotated[
        list[str] | None,
        typer.Option(
            "--pooling",
            metavar="[M=]HOW",
            help="mean, last, cls or max; MODEL=… for one model.  [default: mean]",
        ),
    ] = None,
    samples: Annotated[int, typer.Option(metavar="N", help="How many items to draw; all if there are fewer.")] = 1024,
    seed: arg.Seed = 0,
    permutations: arg.Permutations = 200,
    resamples: arg.Resamples = 200,
    clip: arg.Clip = True,
    normalize: arg.Normalize = True,
    device: arg.Device = "auto",
    dtype: arg.Dtype = "auto",
    json: arg.Json = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A folder for study.json, and CSV and SVG of each matrix and trend."),
    ] = None,
) -> None:
    """Measure many models against each other on one probe set."""
    from alignment.study import KernelSource, Study, read_capability
    from alignment.study import study as run

    settings = Settings.load()
    scoring = arg.scoring(
        metric,
        None,
        clip=clip,
        normalize=normalize,
        seed=seed,
        permutations=permutations,
        resamples=resamples,
        device=device,
        budget_mib=settings.budget_mib,
    )
    files = {"kernel": kernel, "counts": counts, "corpus": corpus, "theory": theory}
    given = {kind: path for kind, path in files.items() if path is not None}
    if len(given) > 1:
        raise RequestError(f"--{' and --'.join(given)} are given; a study takes one reference kernel")
    reference = None
    for kind, path in given.items():
        reference = KernelSource(kind, str(path), window, smoothing)  # type: ignore[arg-type]  # one of them
    request = Study(
        tuple(models),
        probe,
        scoring,
        layers={model: arg.layers(text) for model, text in by_model("layers", layers, models, "all").items()},
        pooling=by_model("pooling", pooling, models, "mean"),
        samples=samples,
        dtype=dtype,
        reference=reference,
    )
    if capability is not None:
        request = replace(request, capability=read_capability(capability))
    check_folder(out)
    with progress_bar() as progress:
        report = run(request, cache=settings.cache_dir, **hubs(settings), progress=progress)
    show(report, as_json=json, out=out)


def by_model(name: str, given: list[str] | None, models: list[str], default: str) -> Mapping[str, Any]:
    """Returns an option of each model: one value for all, and `MODEL=…` for one.

    Raises:
        RequestError: if a model, or all of them, are given two.

    >>> by_model("pooling", ["mean", "hf:b=cls"], ["hf:a", "hf:b"], "mean")
    {'hf:a': 'mean', 'hf:b': 'cls'}
    """
    found: dict[str | None, str] = {}
    for text in given or []:
        # A model's name may hold an equals sign itself, and so may a layer's.
        model = next((model for model in models if text.startswith(f"{model}=")), None)
        if model in found:
            raise RequestError(f"--{name} is given twice for {model or 'all models'}; give it once each")
        found[model] = text if model is None else text[len(model) + 1 :]
    return {model: found.get(model, found.get(None, default)) for model in models}
