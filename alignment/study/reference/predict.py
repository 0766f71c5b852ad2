"""predict(): every model's layers against a reference kernel, beside chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.activations import Activations
from alignment.calibration import against_chance, maximum
from alignment.comparison import Scoring
from alignment.metrics import MetricChoice
from alignment.report.study import KernelFit, KernelResult, Prediction
from alignment.study.multiplicity import benjamini_hochberg
from alignment.study.reference.load import ReferenceKernel
from alignment.study.reference.scores import chosen, kernel_scores
from alignment.views import Views

Made = Callable[[int, tuple[int, ...]], Views]  # a model's number and its items' rows to its views


def predict(
    names: Sequence[str],
    answers: Sequence[Activations],
    reference: ReferenceKernel,
    made: Made,
    scoring: Scoring,
    progress: Callable[[str, int, int], None],
) -> Prediction:
    """Returns how like the reference kernel each model's layers are.

    The null shuffles the kernel's items; the best layer's is that of the maximum over the layers, as for a pair of
    models. q-values are over the models, metric by metric.

    Args:
        names: the models.
        answers: their activations of the drawn items.
        reference: the kernel, of some of these.
        made: gives a model's views of those items.
        scoring: the permutations, the seed, and mutual_knn's k.
        progress: called with the stage `predict`, how many models are done, of how many.
    """
    metrics = chosen(scoring.metrics)
    fits: list[list[KernelFit]] = [[] for _ in metrics]
    pairings = _pairings(len(reference.rows), scoring.calibration.permutations, scoring.seed)
    for number, (name, activations) in enumerate(zip(names, answers, strict=True)):
        progress("predict", number, len(names))
        views = made(number, reference.rows)
        kernel = torch.from_numpy(reference.values).to(views.device)
        for place, choice in enumerate(metrics):
            if len(kernel) < choice.least_items:
                fits[place].append(KernelFit(name, activations.layers, (None,) * len(activations.layers)))
                continue
            scores = kernel_scores(choice, views, kernel, pairings.to(views.device))
            fits[place].append(_fit(name, activations.layers, scores, choice))
    progress("predict", len(names), len(names))
    results = [
        KernelResult(choice.key, choice.metric.name, dict(choice.values), choice.metric.range, _with_q(found))
        for choice, found in zip(metrics, fits, strict=True)
    ]
    # Against a kernel that need not be positive, cka is a cosine of either sign.
    results = [replace(r, range=(-1.0, 1.0)) if r.name == "cka" else r for r in results]
    return Prediction(reference.facts, len(reference.rows), tuple(results))


def _pairings(items: int, count: int, seed: int) -> Int[Tensor, "m n"]:
    """Returns the items as they are, then `count` shuffles."""
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0xC0FFEE])))
    return torch.from_numpy(np.stack([np.arange(items), *(random.permutation(items) for _ in range(count))]))


def _fit(name: str, layers: tuple[str, ...], scores: Float[Tensor, "m layers"], choice: MetricChoice) -> KernelFit:
    observed, null = scores[0], scores[1:]
    plain = tuple(None if value != value else value for value in observed.tolist())  # NaN is not itself
    fit = KernelFit(name, layers, plain)
    if observed.isnan().all():
        return fit
    best = int(observed.nan_to_num(nan=-torch.inf).argmax())
    fit = replace(fit, layer=layers[best], score=float(observed[best]))
    if not len(null):
        return fit
    peak = against_chance(observed[best], maximum(null.unsqueeze(1)), choice.metric)
    return replace(
        fit,
        null_mean=float(peak.mean),
        null_threshold=float(peak.threshold),
        calibrated=float(peak.calibrated),
        p_value=float(peak.p),
    )


def _with_q(fits: Sequence[KernelFit]) -> tuple[KernelFit, ...]:
    found = iter(benjamini_hochberg([fit.p_value for fit in fits if fit.p_value is not None]))
    return tuple(fit if fit.p_value is None else replace(fit, q_value=next(found)) for fit in fits)
