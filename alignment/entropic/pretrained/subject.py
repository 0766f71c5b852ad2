"""Subject: a model whose balance is measured, with what its gradients are taken on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from alignment.entropic.chance import generator
from alignment.entropic.lesson import Lesson
from alignment.entropic.pretrained.contrastive import TASK, Contrastive
from alignment.entropic.pretrained.items import task_items
from alignment.entropic.problem import Problem
from alignment.entropic.rows import FILE, Rows, read_rows, rows_file
from alignment.entropic.sampling import Sampling
from alignment.entropic.symmetry import Symmetries, symmetries
from alignment.entropic.verify import verified
from alignment.errors import TrainingError
from alignment.hub import Datasets
from alignment.models import Hub, TowerNetwork, open_own, own_files
from alignment.models.trainable import is_own, open_trainable
from alignment.probes import load_probe
from alignment.references import ModelRef

BATCH = 16  # of the contrastive task
SAMPLES = 256


@dataclass(frozen=True, eq=False)
class Subject:
    """A model with its problem.

    Attributes:
        problem: the model, the loss and the rows.
        sampling: what batches are.
        found: the model's symmetries.
        task: which loss the gradients are of, in words.
        rows: how many rows, or batches, it is measured on, in words.
        files: makes the folder that `path:` loads the model from, as it stands.
    """

    problem: Problem
    sampling: Sampling
    found: Symmetries
    task: str
    rows: str
    files: Callable[[], Mapping[str, bytes]]


def open_subject(
    model: str,
    data: str | None = None,
    *,
    side: str = "a",
    batch: int | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    cache: Path | None = None,
    hub: Hub | None = None,
    datasets: Datasets | None = None,
) -> Subject:
    """Returns a network that Accord trained with its rows, or a Hugging Face model with the contrastive task.

    Args:
        model: its reference.
        data: an `.npz` of rows for the first kind, a probe set for the second; None is what the first was trained on.
        side: which view is taken where the rows have two.
        batch: rows a batch; None is one row, or 16 items of the contrastive task.
        samples: items taken of a probe set.
        seed: what they, and the task's batches and views, are drawn from.
        dtype: what a Hugging Face model computes in, once its symmetries were tried in float64; the other kind
            computes in float64.
        cache: see `load_encoder`.
        hub: likewise.
        datasets: where probe sets of the hub come from.

    Raises:
        RequestError: if the model or the data cannot be read, or do not fit.
    """
    if side not in ("a", "b"):
        raise TrainingError(f"side is 'a' or 'b', not {side!r}")
    ref = ModelRef.parse(model)
    if is_own(ref):
        return _own(ref, data, side, batch or 1)
    if data is None:
        raise TrainingError(
            f"{model} was not trained by Accord, so its data are not known; name texts or images with --data: a probe "
            "set, builtin:NAME, a file or a folder"
        )
    trainable = open_trainable(ref, dtype=torch.float64, cache=cache, hub=hub)
    probe = load_probe(data, datasets=datasets).sample(samples, seed)
    items = task_items(probe, trainable.encoder)
    task = Contrastive(trainable, items)
    draws = task.batches(BATCH if batch is None else batch, generator(seed, "balance"))
    found = verified(task.problem(draws))
    if dtype != torch.float64:
        trainable = open_trainable(ref, dtype=dtype, cache=cache, hub=hub)
        task = Contrastive(trainable, items)
    rows = f"{len(draws)} batches of {draws.shape[1] - 1} items"
    # A row is a whole batch here: the expectation over batches is the mean over rows.
    return Subject(task.problem(draws), Sampling(), found, TASK, rows, trainable.files)


def _own(ref: ModelRef, data: str | None, side: str, batch: int) -> Subject:
    network = open_own(Path(ref.name), str(ref)).double()
    file = Path(data) if data is not None else Path(ref.name, FILE)
    if not file.is_file():
        raise TrainingError(f"there is no file {file}; give the rows to take gradients on with --data FILE")
    rows: Rows = read_rows(file, side)
    config = network.config
    if isinstance(network, TowerNetwork) and network.config.masked:
        rows.check_width(config.inputs)
        problem, task = Lesson(network, 0, side).problem(rows), f"what is hidden of the items in {file.name}"
    else:
        problem = rows.problem(network, config.inputs, config.outputs)
        kind = "squared error" if rows.targets.is_floating_point() else "cross-entropy"
        task = f"{kind} of the targets in {file.name}"
    return Subject(
        problem,
        Sampling(batch, "all"),
        symmetries(network),
        task,
        f"{len(problem)} rows",
        lambda: {**own_files(network), FILE: rows_file(rows)},
    )
