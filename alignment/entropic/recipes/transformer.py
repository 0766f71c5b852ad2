"""The recipe `transformer`: two small transformers on two modalities of the same items, each with a task of its own.

An image tower sees pictures of emoji and a text tower reads their names; each learns, from what it sees alone, which of
Unicode's groups an emoji belongs to, or what is hidden of it (`Masking`). No theorem covers it, and no weight is
shared: what they have in common comes from the items. What to expect of the entropy is what was measured (`facts`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from alignment.entropic.calibrated import calibrated, diagonal
from alignment.entropic.emoji_pairs import PROBE, EmojiPairs
from alignment.entropic.initial import tower_network
from alignment.entropic.lesson import Lesson
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.masking import SHARES
from alignment.entropic.recipes.examined import estimation, first, point
from alignment.entropic.recipes.facts import TRANSFORMER, RecipeFacts
from alignment.entropic.recipes.nonlinear_warnings import nonlinear_warnings
from alignment.entropic.recipes.request import TrainingRequest
from alignment.entropic.recipes.result import Member, TrainingResult
from alignment.entropic.recipes.tower_pair import TowerPair
from alignment.entropic.recipes.tower_shape import tower_config
from alignment.entropic.rows import Rows
from alignment.entropic.sharpness import largest_eigenvalue, trace
from alignment.entropic.training.keeper import Keeper
from alignment.entropic.training.minibatch import Minibatch
from alignment.entropic.training.pair import Progress, run_pair, silent
from alignment.entropic.training.point import AlignmentPoint
from alignment.entropic.training.trainee import Trainee
from alignment.entropic.views import View
from alignment.errors import TrainingError, UnknownNameError
from alignment.report.versions import versions

MODALITY = "modality"  # the view that is no picture: the item's name
_STRENGTHS = {"finite_difference": 0.1, "ghost_norm": 0.03}
_RATES = {
    "category": {"adam": 2e-3, "adamw": 2e-3, "sgd": 0.05},
    "masked": {"adam": 8e-3, "adamw": 8e-3, "sgd": 0.05},
}
# What is hidden takes longer to learn: in 300 steps, at rates of 2e-3 to 1e-2, pixels came no nearer than their mean.
_STEPS = {"category": 300, "masked": 600}
_DECAY, _ANNEAL = 0.0, 1.0
_BATCH = 32
_MEASURED, _HISTORY = 32, 6  # rows that balance and curvature are taken on, points of the history
_PROBES, _LANCZOS = 16, 20


@dataclass(frozen=True)
class TransformerRecipe:
    """The recipe at work on one request.

    Attributes:
        request: what was asked for, its defaults filled in.
        anneal: the share of the strength that is left at the end.
        pairs: the emoji; None draws them when it runs.
    """

    facts: ClassVar[RecipeFacts] = TRANSFORMER
    request: TrainingRequest
    anneal: float = _ANNEAL
    pairs: EmojiPairs | None = None

    @classmethod
    def of(cls, request: TrainingRequest) -> TransformerRecipe:
        """Returns the recipe for a request; the emoji are drawn when it runs.

        Raises:
            RequestError: if the recipe cannot do what is asked.
        """
        optimizer = "adamw" if request.optimizer == "auto" else request.optimizer
        if optimizer not in cls.facts.optimizers:
            raise TrainingError(f"the recipe transformer is trained by adamw, adam or sgd, not {optimizer}")
        if request.data not in (None, *cls.facts.data):
            raise UnknownNameError("data set", str(request.data), cls.facts.data)
        views = request.view_a or "identity", request.view_b or MODALITY
        for view in views:
            if view.partition(":")[0] not in cls.facts.views:
                raise UnknownNameError("view of the recipe transformer", view, cls.facts.views)
            if view != MODALITY:
                View.parse(view)
        entropic = request.objective == "entropic"
        task = request.task or cls.facts.tasks[0]
        if task not in cls.facts.tasks:
            raise TrainingError(f"the towers learn the task {' or '.join(cls.facts.tasks)}, not {task}")
        if task == "masked" and request.labels == "sampled":
            raise TrainingError(
                "labels can be sampled where the targets are classes; take labels true, or task category"
            )
        estimator = request.estimator or "finite_difference"
        decay = request.weight_decay
        filled = replace(
            request,
            data=cls.facts.data[0],
            strength=(request.strength or _STRENGTHS[estimator]) if entropic else None,
            weight_decay=decay if decay is not None else (_DECAY if entropic else 0.0),
            optimizer=optimizer,
            steps=request.steps or _STEPS[task],
            view_a=views[0],
            view_b=views[1],
            labels=request.labels or "true",
            estimator=estimator if entropic else None,
            task=task,
        )
        return cls(filled)

    def run(self, keeper: Keeper | None = None, progress: Progress = silent) -> TrainingResult:
        """Returns the trained pair; see `Recipe.run`.

        Raises:
            ProbeError: if the packages that the emoji are drawn from are not installed.
        """
        begun, seed = time.process_time(), self.request.seed
        pair = self.begin()
        history = run_pair(
            (pair.trainees["a"], pair.trainees["b"]),
            lambda step: self._point(step, pair),
            self.request.to_dict(),
            keeper,
            progress,
        )
        hidden, outputs = pair.examined()
        cka = calibrated("cka", hidden["a"], hidden["b"], seed=seed)
        neighbours = calibrated("mutual_knn", hidden["a"], hidden["b"], seed=seed)
        answers = calibrated("cka", [outputs["a"]], [outputs["b"]], seed=seed)
        members = (self._member(pair, "a"), self._member(pair, "b"))
        return TrainingResult(
            members=members,
            measure="cka",
            grid=cka.score,
            calibrated=cka.calibrated,
            outputs=answers.score[0][0],
            extra={
                "cka_matched_depth": diagonal(cka.calibrated),
                "mutual_knn_matched_depth": diagonal(neighbours.calibrated),
                "mutual_knn": neighbours.score,
                "outputs_calibrated": answers.calibrated[0][0],
            },
            history=history,
            warnings=nonlinear_warnings(self.request, cka.score, [member.network for member in members]),
            provenance={
                "request": self.request.to_dict(),
                "rate": self._rate,
                "batch": _BATCH,
                "anneal": self.anneal,
                **({"hidden": SHARES} if self.request.task == "masked" else {}),
                "held_out": len(pair.held["a"].inputs),
                "versions": versions(),
                "device": "cpu",
                "dtype": "float32",
            },
            seconds=time.process_time() - begun,
            probe={},
            probe_name=PROBE,
        )

    @property
    def _rate(self) -> float:
        return _RATES[self.request.task or "category"][self.request.optimizer]

    def begin(self) -> TowerPair:
        """Returns the pair before its first step.

        Raises:
            ProbeError: if the packages that the emoji are drawn from are not installed.
        """
        seed, masked = self.request.seed, self.request.task == "masked"
        pairs = self.pairs or EmojiPairs.load(tower_config("a", "image"), tower_config("a", "text"), seed)
        learnt, held = self._sides(pairs, ~pairs.held), self._sides(pairs, pairs.held)
        configs = {m: tower_config(m, self._modality(m), masked=masked) for m in "ab"}
        lessons = {m: Lesson(tower_network(configs[m], seed, m), seed, m) for m in "ab"}
        return TowerPair(lessons, learnt, held, {m: self._trainee(lessons[m], learnt[m]) for m in "ab"})

    def _modality(self, member: str) -> str:
        view = self.request.view_a if member == "a" else self.request.view_b
        return "text" if view == MODALITY else "image"

    def _sides(self, pairs: EmojiPairs, rows: Tensor) -> dict[str, Rows]:
        """Returns what each tower sees of some items."""
        found = {}
        for member, view in (("a", self.request.view_a), ("b", self.request.view_b)):
            seen = pairs.names if view == MODALITY else self._picture(pairs.images, view or "identity", member)
            found[member] = Rows(seen[rows], pairs.groups[rows])
        return found

    def _picture(self, images: Tensor, view: str, member: str) -> Tensor:
        """Returns pictures as a member sees them, each colour turned alike."""
        colours = images.double().reshape(3 * len(images), -1)
        return View.parse(view).see(colours, self.request.seed, member).reshape(images.shape).to(images.dtype)

    def _trainee(self, lesson: Lesson, rows: Rows) -> Trainee:
        asked, batch = self.request, min(_BATCH, len(rows.inputs))
        estimator, sampling = estimation(asked.estimator or "finite_difference", batch)
        steps = asked.steps or _STEPS[asked.task or "category"]
        stage = Minibatch(
            steps=steps,
            rate=self._rate,
            objective=EntropicLoss(asked.strength or 0.0, asked.weight_decay or 0.0, estimator, sampling),
            loss=lesson.loss,
            inputs=rows.inputs,
            targets=rows.targets,
            batch=batch,
            hide=lesson.hide,
            labels=asked.labels if asked.labels and asked.strength else "true",
            method=asked.optimizer,  # type: ignore[arg-type]  # one of the three, as checked
            anneal=self.anneal,
            seed=asked.seed,
            member=lesson.member,
        )
        chunk = max(1, -(-steps // _HISTORY))
        return Trainee(lesson.member, lesson.tower, [stage], chunk, "lower the strength or the weight decay")

    def _point(self, step: int, pair: TowerPair) -> AlignmentPoint:
        problems = [pair.lessons[m].problem(first(pair.learnt[m], _MEASURED)) for m in "ab"]
        return point(step, pair.examined()[0], problems, self.request.seed)

    def _member(self, pair: TowerPair, member: str) -> Member:
        lesson, rows = pair.lessons[member], pair.learnt[member]
        problem = lesson.problem(first(rows, _MEASURED))
        loss, accuracy = lesson.score(pair.held[member])
        return Member(
            network=lesson.tower,
            rows=rows,
            loss=loss,
            accuracy=accuracy,
            trace=trace(problem, probes=_PROBES, seed=self.request.seed).value,
            largest=largest_eigenvalue(problem, iterations=_LANCZOS, tolerance=1e-3),
            prediction=None,
        )
