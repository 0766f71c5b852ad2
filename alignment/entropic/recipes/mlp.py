"""The recipe `mlp`: two nonlinear networks of different width that see different views of the same items.

No theorem covers it. What to expect of the entropy is what was measured (the README's table): weight decay alone gives
some of the same. Always beside the alignment: the same of mutual nearest neighbours, of the outputs, and the task.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from alignment.entropic.calibrated import calibrated, diagonal
from alignment.entropic.classroom import Classroom, classroom
from alignment.entropic.initial import dense_network
from alignment.entropic.kernels import kernel_alignment
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.recipes.examined import estimation, first, point, problem_of, states
from alignment.entropic.recipes.facts import MLP, RecipeFacts
from alignment.entropic.recipes.nonlinear_warnings import nonlinear_warnings
from alignment.entropic.recipes.request import TaskName, TrainingRequest
from alignment.entropic.recipes.result import Member, TrainingResult
from alignment.entropic.rows import Rows
from alignment.entropic.sharpness import largest_eigenvalue, trace
from alignment.entropic.training.keeper import Keeper
from alignment.entropic.training.minibatch import Minibatch
from alignment.entropic.training.pair import Progress, run_pair, silent
from alignment.entropic.training.point import AlignmentPoint
from alignment.entropic.training.trainee import Trainee
from alignment.entropic.views import View
from alignment.errors import TrainingError
from alignment.models import DenseConfig, DenseNetwork
from alignment.report.versions import versions

HIDDEN = {"a": (48, 48), "b": (64, 64)}
_RATE, _BATCH, _STEPS, _CHUNK = 3e-3, 64, 2000, 100
_MEASURED = 256  # held-out items, and rows learnt from, that curvature, balance and alignment over time are taken on
_PROBES = 32


@dataclass(frozen=True)
class Defaults:
    """What a kind of data asks for.

    Attributes:
        strength: η.
        anneal: the share of it that is left at the end.
        labels: the entropy's targets.
        decay: γ of the entropic objective; plain has none.
        view: of both networks.
    """

    strength: float
    anneal: float
    labels: str
    decay: float
    view: str


_REGRESSION = Defaults(0.1, 1.0, "true", 0.0, "linear")
_CLASSES = Defaults(0.05, 0.03, "sampled", 1e-3, "projection")


@dataclass(frozen=True)
class MlpRecipe:
    """The recipe at work on one request.

    Attributes:
        request: what was asked for, its defaults filled in.
        room: what is learnt from.
        anneal: the share of the strength that is left at the end.
    """

    facts: ClassVar[RecipeFacts] = MLP
    request: TrainingRequest
    room: Classroom
    anneal: float

    @classmethod
    def of(cls, request: TrainingRequest) -> MlpRecipe:
        """Returns the recipe for a request.

        Raises:
            RequestError: if the recipe cannot do what is asked.
        """
        _check_optimizer(request)
        return cls.taught(request, classroom(request.data or "teacher", request.seed))

    @classmethod
    def taught(cls, request: TrainingRequest, room: Classroom) -> MlpRecipe:
        """Returns the recipe for a request whose data have been read already.

        Raises:
            RequestError: if the recipe cannot do what is asked.
        """
        _check_optimizer(request)
        usual = _CLASSES if room.classes else _REGRESSION
        labels = request.labels or usual.labels
        if labels == "sampled" and not room.classes:
            raise TrainingError("labels can be sampled where the targets are classes; take labels true")
        task: TaskName = "category" if room.classes else "numbers"
        if request.task not in (None, task):
            raise TrainingError(f"the targets of {room.name} make the task {task}, not {request.task}; leave task out")
        entropic = request.objective == "entropic"
        for view, items in ((request.view_a, room.inputs), (request.view_b, room.inputs_b)):
            View.parse(view or usual.view).check(items.shape[1])
        filled = replace(
            request,
            data=room.name,
            strength=(request.strength or usual.strength) if entropic else None,
            weight_decay=request.weight_decay
            if request.weight_decay is not None
            else (usual.decay if entropic else 0.0),
            optimizer="adam",
            steps=request.steps or _STEPS,
            view_a=request.view_a or usual.view,
            view_b=request.view_b or usual.view,
            labels=labels,  # type: ignore[arg-type]  # one of the two
            estimator=(request.estimator or "ghost_norm") if entropic else None,
            task=task,
        )
        return cls(filled, room, usual.anneal)

    def run(self, keeper: Keeper | None = None, progress: Progress = silent) -> TrainingResult:
        """Returns the trained pair; see `LinearRecipe.run`."""
        begun = time.process_time()
        learnt, held = self._sides(held=False), self._sides(held=True)
        networks = {m: self._network(m, rows) for m, rows in learnt.items()}
        trainees = [self._trainee(m, networks[m], learnt[m]) for m in "ab"]
        history = run_pair(
            (trainees[0], trainees[1]),
            lambda step: self._point(step, networks, learnt, held),
            self.request.to_dict(),
            keeper,
            progress,
        )
        hidden, outputs = states(networks, held)
        cka = calibrated("cka", hidden["a"], hidden["b"], seed=self.request.seed)
        neighbours = calibrated("mutual_knn", hidden["a"], hidden["b"], seed=self.request.seed)
        members = (self._member("a", networks, learnt, held), self._member("b", networks, learnt, held))
        return TrainingResult(
            members=members,
            measure="cka",
            grid=cka.score,
            calibrated=cka.calibrated,
            outputs=float(kernel_alignment([outputs["a"]], [outputs["b"]], centred=True)),
            extra={
                "cka_matched_depth": diagonal(cka.calibrated),
                "mutual_knn_matched_depth": diagonal(neighbours.calibrated),
                "mutual_knn": neighbours.score,
            },
            history=history,
            warnings=nonlinear_warnings(self.request, cka.score, [member.network for member in members]),
            provenance={
                "request": self.request.to_dict(),
                "rate": _RATE,
                "batch": _BATCH,
                "anneal": self.anneal,
                "versions": versions(),
                "device": "cpu",
                "dtype": "float64",
            },
            seconds=time.process_time() - begun,
            probe={m: rows.inputs for m, rows in held.items()},
        )

    def _sides(self, *, held: bool) -> dict[str, Rows]:
        """Returns what each network learns from, or is examined on."""
        found = {}
        for member, items, view in (
            ("a", self.room.inputs, self.request.view_a),
            ("b", self.room.inputs_b, self.request.view_b),
        ):
            chosen = self.room.held if held else ~self.room.held
            seen = View.parse(view or "identity").see(items, self.request.seed, member)
            found[member] = Rows(seen[chosen], self.room.targets[chosen])
        return found

    def _network(self, member: str, rows: Rows) -> DenseNetwork:
        widths = (rows.inputs.shape[1], *HIDDEN[member], self.room.outputs)
        return dense_network(DenseConfig(widths), self.request.seed, member)

    def _trainee(self, member: str, network: DenseNetwork, rows: Rows) -> Trainee:
        asked, batch = self.request, min(_BATCH, len(rows.inputs))
        estimator, sampling = estimation(asked.estimator or "ghost_norm", batch)
        stage = Minibatch(
            steps=asked.steps or _STEPS,
            rate=_RATE,
            objective=EntropicLoss(asked.strength or 0.0, asked.weight_decay or 0.0, estimator, sampling),
            loss=self.room.loss,
            inputs=rows.inputs,
            targets=rows.targets,
            batch=batch,
            labels=asked.labels if asked.labels and asked.strength else "true",
            anneal=self.anneal,
            seed=asked.seed,
            member=member,
        )
        return Trainee(member, network, [stage], _CHUNK, "lower the strength or the weight decay")

    def _point(
        self, step: int, networks: dict[str, DenseNetwork], learnt: dict[str, Rows], held: dict[str, Rows]
    ) -> AlignmentPoint:
        hidden, _ = states(networks, {m: first(rows, _MEASURED) for m, rows in held.items()})
        problems = [problem_of(networks[m], first(learnt[m], _MEASURED)) for m in "ab"]
        return point(step, hidden, problems, self.request.seed)

    def _member(
        self, member: str, networks: dict[str, DenseNetwork], learnt: dict[str, Rows], held: dict[str, Rows]
    ) -> Member:
        network, examined = networks[member], held[member]
        problem = problem_of(network, first(learnt[member], _MEASURED))
        with torch.no_grad():
            outputs = network(examined.inputs)
            loss = float(examined.loss(outputs, examined.targets).mean())
            right = (outputs.argmax(1) == examined.targets).double().mean() if self.room.classes else None
        return Member(
            network=network,
            rows=learnt[member],
            loss=loss,
            accuracy=None if right is None else float(right),
            trace=trace(problem, probes=_PROBES, seed=self.request.seed).value,
            largest=largest_eigenvalue(problem, iterations=40),
            prediction=None,
        )


def _check_optimizer(request: TrainingRequest) -> None:
    if request.optimizer not in ("auto", "adam"):
        raise TrainingError(f"the recipe mlp is trained by adam, not {request.optimizer}")
