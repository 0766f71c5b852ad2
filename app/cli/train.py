"""`accord train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alignment.errors import RequestError
from app.cli import arguments as arg
from app.cli.console import progress_bar
from app.cli.output import check_empty, dropped_if_diverged
from app.cli.remote import submit_training

_KEEP = "\b\n"  # a line break that help texts keep: click's own mark
_TRAIN = f"""{_KEEP}Examples:
  accord train --recipe linear --seed 7 --out pair
  accord train --recipe linear --objective plain
  accord train --recipe mlp --data rows.npz --submit --watch
  accord compare path:pair/a path:pair/b --probe pair/probe.npz --metric cka"""


# In words of its own, for help is to import nothing that takes long.
_VIEWS = (
    "identity; linear, a random invertible map; projection, a random orthogonal mixture; rotation:45, a square image "
    "turned by so many degrees; noise:0.5, with noise of that deviation; or modality, the items' names. linear takes "
    "linear; mlp all but modality; transformer identity, modality, rotation and noise"
)


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command(epilog=_TRAIN)(train)


def train(
    recipe: Annotated[
        str,
        typer.Option(
            metavar="R",
            help="linear: the setting of the theorem; mlp: nonlinear networks; transformer: pictures and names.",
        ),
    ] = "linear",
    objective: Annotated[
        str, typer.Option(metavar="O", help="entropic: with the entropy of stochastic descent; or plain.")
    ] = "entropic",
    strength: Annotated[
        float | None, typer.Option(metavar="ETA", help="The step whose entropy is added.  [default: the recipe's]")
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(metavar="GAMMA", help="Of the term GAMMA times |weights|².  [default: the recipe's]")
    ] = None,
    optimizer: Annotated[
        str, typer.Option(metavar="NAME", help="auto (the recipe's own), lbfgs, gd, sgd, adam or adamw.")
    ] = "auto",
    steps: Annotated[int | None, typer.Option(metavar="N", help="Of each network.  [default: the recipe's]")] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="mlp: teacher, digits, or an .npz with x (or a, b) and y or target.  [default: the recipe's]",
        ),
    ] = None,
    view_a: Annotated[
        str | None, typer.Option(metavar="VIEW", help=f"How A sees it: {_VIEWS}.  [default: the recipe's]")
    ] = None,
    view_b: Annotated[
        str | None, typer.Option(metavar="VIEW", help="How B sees it, likewise.  [default: the recipe's]")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="L",
            help="The entropy's targets: true, or sampled from the model, a Fisher-trace variant.  [default: the "
            "recipe's]",
        ),
    ] = None,
    estimator: Annotated[
        str | None,
        typer.Option(
            metavar="E",
            help="How the entropy is found: ghost_norm, of single rows, or finite_difference, of whole batches.  "
            "[default: the recipe's]",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="transformer: category, or masked: what is hidden of each item.  [default: category; of other recipes "
            "the data decide]",
        ),
    ] = None,
    seed: arg.Seed = 0,
    json: arg.Json = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder for both models (a/ and b/), training.json, a picture and a probe set; a killed run goes on "
            "from what it holds.  [default: RECIPE-OBJECTIVE-SEED, here]",
        ),
    ] = None,
    submit: Annotated[
        bool, typer.Option("--submit", help="Queue it with a running service instead, and print its id.")
    ] = False,
    follow: Annotated[bool, typer.Option("--watch", help="With --submit: follow it to its end.")] = False,
) -> None:
    """Train two models that see different views of the same items."""
    import torch

    from alignment.entropic.recipes import TrainingRequest
    from alignment.entropic.recipes import train as run
    from alignment.entropic.training.keeper import FileKeeper
    from app.cli.train_output import show_training, write_training

    request = TrainingRequest(
        recipe=recipe,
        objective=objective,  # type: ignore[arg-type]  # checked there
        strength=strength,
        weight_decay=weight_decay,
        optimizer=optimizer,  # type: ignore[arg-type]  # likewise
        steps=steps,
        seed=seed,
        data=data,
        view_a=view_a,
        view_b=view_b,
        labels=labels,  # type: ignore[arg-type]  # likewise
        estimator=estimator,  # type: ignore[arg-type]  # likewise
        task=task,  # type: ignore[arg-type]  # likewise
    )
    if submit:
        if out is not None:
            raise RequestError("with --submit the service keeps the models; leave --out out")
        submit_training(request.to_dict(), follow=follow, as_json=json)
        return
    if follow:
        raise RequestError("--watch is for a training that is queued with --submit; leave it out, or give both")
    folder = out or Path(f"{recipe}-{objective}-{seed}")
    keeper = FileKeeper(folder / "unfinished.safetensors")
    check_empty(folder, keeper.path)
    torch.set_num_threads(1)  # networks this small gain nothing from a second one, and sums keep their order
    with progress_bar() as progress, dropped_if_diverged(keeper.path):
        result = run(request, keeper, progress)
    write_training(result, folder)
    keeper.path.unlink(missing_ok=True)
    show_training(result, folder, as_json=json)
