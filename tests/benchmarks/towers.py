"""Does the entropy align two small transformers? Paired differences over fresh seeds, beside a tuned weight decay.

    .venv/bin/python -m tests.benchmarks.pairs --data emoji --jobs 2                  # seeds 40 to 45
    .venv/bin/python -m tests.benchmarks.pairs --data emoji --task masked --jobs 2    # seeds 50 to 55
    .venv/bin/python -m tests.benchmarks.pairs --data emoji --tune                    # what was tried

Strength and decay were chosen for each task on seeds of their own (100 to 102): the decay that is best for the task,
and the strength that is best for CKA, so that the comparison is in the entropy's favour. A constant answer is, of
pixels, the mean over all pictures at that place; of letters and groups, how often each is found.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, astuple, dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from alignment.entropic.calibrated import calibrated, diagonal
from alignment.entropic.emoji_pairs import EmojiPairs
from alignment.entropic.initial import tower_network
from alignment.entropic.lesson import Lesson
from alignment.entropic.recipes import TrainingRequest
from alignment.entropic.recipes.request import TaskName
from alignment.entropic.recipes.tower_shape import tower_config
from alignment.entropic.recipes.transformer import TransformerRecipe
from alignment.entropic.rows import Rows
from alignment.models import tiles
from tests.benchmarks.paired import paired

SEEDS: Mapping[TaskName, tuple[int, ...]] = {"category": tuple(range(40, 46)), "masked": tuple(range(50, 56))}
TUNING = (100, 101, 102)
METRICS, KINDS = ("cka", "unbiased_cka", "mutual_knn"), ("score", "calibrated")


@dataclass(frozen=True)
class Arm:
    """A way to train both towers.

    Attributes:
        decay: γ.
        strength: η; 0 is the plain objective.
        anneal: the share of it that is left at the end.
    """

    decay: float = 0.0
    strength: float = 0.0
    anneal: float = 1.0

    def __str__(self) -> str:
        parts = [f"η {self.strength:g}"] * (self.strength > 0) + [f"decay {self.decay:g}"] * (self.decay > 0)
        return ", ".join([*parts, *["annealed"] * (self.anneal < 1)]) or "plain"


PLAIN = Arm()
TRIED = (
    *(Arm(decay) for decay in (0.1, 0.5, 1.0, 2.0, 5.0)),
    *(Arm(0.0, strength) for strength in (0.003, 0.01, 0.03, 0.1)),
    Arm(0.0, 0.1, 0.03),
)
CHOSEN: Mapping[TaskName, tuple[Arm, ...]] = {
    "category": (Arm(0.5), Arm(0.0, 0.03)),
    "masked": (Arm(0.1), Arm(0.0, 0.03)),
}


@dataclass(frozen=True)
class Outcome:
    """One pair's numbers: alignment of hidden layers by measure and kind, of outputs, and each tower's task."""

    aligned: Mapping[str, float]
    outputs: float
    losses: Sequence[float]
    accuracies: Sequence[float]


Field = Callable[[Outcome], float]
ALIGNED: Mapping[str, Field] = {
    "CKA": lambda o: o.aligned["cka calibrated"],
    "mutual 10-NN": lambda o: o.aligned["mutual_knn calibrated"],
    "unbiased CKA, raw": lambda o: o.aligned["unbiased_cka score"],
    "mutual 10-NN, raw": lambda o: o.aligned["mutual_knn score"],
    "outputs' CKA": lambda o: o.outputs,
}
FIELDS: Mapping[TaskName, Mapping[str, Field]] = {
    "category": {
        **ALIGNED,
        "held-out loss": lambda o: sum(o.losses) / 2,
        "accuracy": lambda o: sum(o.accuracies) / 2,
    },
    "masked": {
        **ALIGNED,
        "pixels' loss": lambda o: o.losses[0],
        "letters' loss": lambda o: o.losses[1],
        "letters found": lambda o: o.accuracies[1],
    },
}


@cache
def emoji() -> EmojiPairs:
    """All emoji, drawn once a process."""
    return EmojiPairs.load(tower_config("a", "image"), tower_config("a", "text"), 0)


def trained(task: TaskName, arm: Arm, seed: int) -> Outcome:
    """What a pair of towers comes to."""
    torch.set_num_threads(1)
    request = TrainingRequest(
        "transformer",
        "entropic" if arm.strength else "plain",
        strength=arm.strength or None,
        weight_decay=arm.decay,
        seed=seed,
        task=task,
    )
    pair = replace(TransformerRecipe.of(request), anneal=arm.anneal, pairs=emoji().split(seed)).begin()
    for trainee in pair.trainees.values():  # what a report has beside, its history and curvature, costs more than that
        while not trainee.done:
            trainee.advance()
    hidden, outputs = pair.examined()
    found = {metric: calibrated(metric, hidden["a"], hidden["b"], seed=seed) for metric in METRICS}
    answers = calibrated("cka", [outputs["a"]], [outputs["b"]], seed=seed)
    (a, one), (b, other) = (lesson.score(pair.held[m]) for m, lesson in pair.lessons.items())
    return Outcome(
        {f"{metric} {kind}": diagonal(getattr(grid, kind)) for metric, grid in found.items() for kind in KINDS},
        answers.score[0][0],
        (a, b),
        (math.nan if one is None else one, math.nan if other is None else other),
    )


def constant(task: TaskName, seed: int) -> Outcome:
    """What towers come to that answer the same of all items."""
    pairs, masked, found = emoji().split(seed), task == "masked", []
    for member, modality, seen in (("a", "image", pairs.images), ("b", "text", pairs.names)):
        config = tower_config(member, modality, masked=masked)
        lesson = Lesson(tower_network(config, seed, member), seed, member)
        held = lesson.problem(Rows(seen[pairs.held], pairs.groups[pairs.held]))
        learnt, groups = seen[~pairs.held], pairs.groups[~pairs.held]
        if masked and modality == "image":
            answer = tiles(learnt, config).mean(0)
        else:
            answer = _often(learnt[learnt != 0] if masked else groups, config.outputs)
            answer = answer.expand(config.positions, -1) if masked else answer
        answers = answer.expand(len(held), *answer.shape)
        right = lesson.masking.accuracy(answers, held.targets) if lesson.masking else _share(answers, held.targets)
        found.append((float(lesson.loss(answers, held.targets).mean()), math.nan if right is None else right))
    (a, one), (b, other) = found
    nothing = {f"{metric} {kind}": math.nan for metric in METRICS for kind in KINDS}
    return Outcome(nothing, math.nan, (a, b), (one, other))


def _often(classes: Tensor, count: int) -> Tensor:
    return (torch.bincount(classes, minlength=count) + 1.0).log()


def _share(answers: Tensor, targets: Tensor) -> float:
    return float((answers.argmax(1) == targets).double().mean())


def gathered(
    pool: ProcessPoolExecutor, task: TaskName, arms: Sequence[Arm], seeds: Sequence[int], kept: Path | None
) -> dict[tuple[Arm, int], Outcome]:
    """What all arms come to on all seeds; `kept` is a file that a benchmark which was broken off goes on from."""
    found: dict[tuple[Arm, int], Outcome] = {}
    for line in kept.read_text().splitlines() if kept is not None and kept.is_file() else ():
        its, arm, seed, outcome = json.loads(line)
        if its == task:
            found[Arm(*arm), seed] = Outcome(**outcome)
    asked = [(arm, seed) for seed in seeds for arm in arms if (arm, seed) not in found]
    running = {pool.submit(trained, task, *each): each for each in asked}
    for future in as_completed(running):
        arm, seed = running[future]
        found[arm, seed] = future.result()
        if kept is not None:
            with kept.open("a") as file:
                file.write(json.dumps([task, list(astuple(arm)), seed, asdict(found[arm, seed])]) + "\n")
    return found


def study(
    pool: ProcessPoolExecutor, task: TaskName, seeds: Sequence[int], *, tune: bool, kept: Path | None = None
) -> None:
    """Prints a table: of the arms, and of each entropic one's differences from plain training and from the decays."""
    arms = (PLAIN, *(TRIED if tune else CHOSEN[task]))
    found = gathered(pool, task, arms, seeds, kept)
    runs = {str(arm): [found[arm, seed] for seed in seeds] for arm in arms}
    constants = list(pool.map(constant, [task] * len(seeds), seeds))
    fields = FIELDS[task]
    print(f"emoji, {task}, seeds {', '.join(map(str, seeds))}\n")
    _row("", *fields)
    _row(*["---"] * (1 + len(fields)))
    for name, outcomes in {"constant answer": constants, **runs}.items():
        means = [sum(map(field, outcomes)) / len(outcomes) for field in fields.values()]
        _row(name, *("" if math.isnan(middle) else f"{middle:.3f}" for middle in means))
    entropic = [arm for arm in arms if arm.strength and not tune]
    for own in entropic:
        for other in (arm for arm in arms if not arm.strength):
            gaps = (
                paired([field(o) for o in runs[str(own)]], [field(o) for o in runs[str(other)]])
                for field in fields.values()
            )
            _row(f"{own}, minus {other}", *gaps)


def _row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")
