"""finetune(): a pretrained model trained further on its own task, and how near another it then is.

Nothing of the other model enters the training: what may bring the two nearer is the entropy alone. The theorem of
universal alignment is of two deep linear networks that both minimise the entropic loss; here one of two transformers
does, a little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from alignment.entropic.calibrated import calibrated
from alignment.entropic.chance import generator
from alignment.entropic.finetuning.part import Part
from alignment.entropic.finetuning.request import FinetuneRequest
from alignment.entropic.finetuning.result import METRICS, FinetuneResult, Standing
from alignment.entropic.finetuning.stage import ContrastiveStage
from alignment.entropic.pretrained.contrastive import Contrastive, contrastive_loss
from alignment.entropic.pretrained.items import task_items
from alignment.entropic.training.keeper import Keeper
from alignment.entropic.training.pair import Progress, silent
from alignment.entropic.training.trainee import Trainee
from alignment.errors import TrainingError
from alignment.hub import Datasets
from alignment.metrics import MetricChoice
from alignment.models import Encoder, Hub, load_encoder
from alignment.models.trainable import Trainable, open_trainable
from alignment.preprocessing import Preprocessing, prepare
from alignment.probes import load_probe
from alignment.references import ModelRef
from alignment.report.versions import versions
from alignment.views import Views

_HELD_OUT = 0.25
_LEAST_HELD = 40
_CHUNK = 20
_ENCODED = 16  # items a forward: short ones then wait for few long ones
STEPS = Preprocessing()  # those that `accord compare` has by default


@dataclass(frozen=True, eq=False)
class Examination:
    """The held-out items, and what the other model makes of them."""

    items: Sequence[Any]
    other: Encoder
    theirs: Sequence[Tensor]
    task: Contrastive
    batch: int
    seed: int

    def of(self, trainable: Trainable) -> tuple[list[Tensor], Standing]:
        """Returns the model's layers on these items, and how it stands."""
        own = _encoded(trainable.encoder, self.items)
        scores = {metric: calibrated(metric, own, self.theirs, seed=self.seed, steps=STEPS) for metric in METRICS}
        return own, Standing(scores, self.task_loss())

    def now(self, trainable: Trainable) -> dict[str, float]:
        """Returns the task's loss, and each metric of the two last layers, uncalibrated."""
        own = _encoded(trainable.encoder, self.items)[-1]
        return {"task": self.task_loss(), **{metric: _score(metric, own, self.theirs[-1]) for metric in METRICS}}

    def task_loss(self) -> float:
        """Returns the task's mean loss on these items."""
        draws = self.task.batches(self.batch, generator(self.seed, "examined"))
        with torch.no_grad():
            return float(contrastive_loss(self.task(draws), draws).mean())


def finetune(
    request: FinetuneRequest,
    keeper: Keeper | None = None,
    progress: Progress = silent,
    *,
    cache: Path | None = None,
    hub: Hub | None = None,
    datasets: Datasets | None = None,
) -> FinetuneResult:
    """Returns the fine-tuned model, and how it stands beside the other.

    Args:
        request: what is asked for.
        keeper: where the state is kept; a state that waits there is taken up.
        progress: called with `train`, steps taken, steps in all; what it raises stops the training.
        cache: see `load_encoder`.
        hub: likewise.
        datasets: where probe sets of the hub come from.

    Raises:
        RequestError: if a model or the probe set cannot be used as asked.
        DivergenceError: if the loss is no longer a number.
    """
    begun = time.process_time()
    trainable = open_trainable(ModelRef.parse(request.model), cache=cache, hub=hub)
    learnt, held = _split(request, trainable, datasets)
    other = load_encoder(ModelRef.parse(request.towards), cache=cache, hub=hub)
    examined = Examination(
        held,
        other,
        _encoded(other, held),
        Contrastive(trainable, held),
        min(request.batch, len(held)),
        request.seed,
    )
    fingerprint = trainable.encoder.fingerprint
    start, before = examined.of(trainable)
    part = Part.parse(request.part)
    trained = nn.ParameterList(part.take(trainable.model, request.seed))
    stage = ContrastiveStage(
        steps=request.steps,
        rate=request.rate,
        task=Contrastive(trainable, learnt),
        batch=request.batch,
        strength=request.eta,
        decay=request.weight_decay,
        seed=request.seed,
    )
    trainee = Trainee("model", trained, [stage], _CHUNK, "lower --rate or --strength")
    begin = {"step": 0, "loss": None, **before.raw()}
    history = _trained(trainee, begin, lambda: examined.now(trainable), request.to_dict(), keeper, progress)
    part.merge(trainable.model)
    trainable.model.requires_grad_(False)
    end, after = examined.of(trainable)
    return FinetuneResult(
        model=trainable,
        layers_a=[layer.name for layer in trainable.encoder.layers],
        layers_b=[layer.name for layer in other.layers],
        before=before,
        after=after,
        moved={metric: _score(metric, start[-1], end[-1]) for metric in METRICS},
        history=[*history, {"step": request.steps, "loss": trainee.loss, **after.raw()}],
        held_out=held,
        provenance={
            "request": request.to_dict(),
            "fingerprints": {"model": fingerprint, "towards": other.fingerprint},
            "trained": sum(p.numel() for p in trained),
            "learnt": len(learnt),
            "versions": versions(),
            "device": "cpu",
            "dtype": "float32",
        },
        seconds=time.process_time() - begun,
    )


def _split(request: FinetuneRequest, trainable: Trainable, datasets: Datasets | None) -> tuple[list[Any], list[Any]]:
    """Returns the items learnt from, and those held out."""
    probe = load_probe(request.probe, datasets=datasets).sample(request.samples, request.seed)
    items = task_items(probe, trainable.encoder)
    count = round(_HELD_OUT * len(items))
    if count < _LEAST_HELD or len(items) - count < request.batch:
        raise TrainingError(
            f"{len(items)} items leave {count} to hold out and {len(items) - count} to learn from; give at least "
            f"{max(int(_LEAST_HELD / _HELD_OUT), 2 * request.batch)}"
        )
    order = torch.randperm(len(items), generator=generator(request.seed, "held out")).tolist()
    return [items[i] for i in sorted(order[count:])], [items[i] for i in sorted(order[:count])]


def _trained(
    trainee: Trainee,
    begin: dict[str, Any],
    measure: Callable[[], dict[str, float]],
    request: dict[str, Any],
    keeper: Keeper | None,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Trains to the end, in place, and returns what was measured after each piece but the last."""
    kept = keeper.load(request) if keeper is not None else None
    if kept is None:
        history = [begin]
    else:
        trainee.restore(kept["model"])
        history = [dict(point) for point in kept["history"]]
    progress("train", trainee.taken, trainee.total)
    while not trainee.done:
        trainee.advance()
        if not trainee.done:
            history.append({"step": trainee.taken, "loss": trainee.loss, **measure()})
        if keeper is not None:
            keeper.save(request, {"model": trainee.state(), "history": history})
        progress("train", trainee.taken, trainee.total)
    return history


def _encoded(encoder: Encoder, items: Sequence[Any]) -> list[Tensor]:
    parts = [encoder.encode(items[at : at + _ENCODED], "mean") for at in range(0, len(items), _ENCODED)]
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def _score(metric: str, one: Tensor, other: Tensor) -> float:
    choice = MetricChoice.parse(metric)
    views = [Views([prepare(layer, STEPS)]) for layer in (one, other)]
    return float(choice.metric.pair(views[0], views[1], choice.values).observed()[0, 0])
