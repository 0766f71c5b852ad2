"""The recipe `linear`: the setting of the theorem of universal alignment.

Two deep linear networks of different widths and depths, between fixed random maps, each see their own invertible view
of the same inputs and fit the same noisy targets. `entropic` minimises the loss with the entropy of single-row descent,
its step lowered towards the theorem's limit; `plain` is descent on all rows, which feels no entropy. With the optimizer
`sgd` nothing is added: the noise of single rows is the entropy, and alignment rises without ever being perfect. The
strength is then the largest rate, which is lower where a row is steep.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from alignment.entropic.balance import Balance, balance
from alignment.entropic.factorial import LinearData, MemberData
from alignment.entropic.initial import linear_network
from alignment.entropic.kernels import form_alignment, kernel_alignment
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.prediction import LinearTheory
from alignment.entropic.problem import Problem, square_error
from alignment.entropic.recipes.facts import LINEAR, RecipeFacts
from alignment.entropic.recipes.linear_warnings import divergence_advice, linear_warnings
from alignment.entropic.recipes.request import TrainingRequest
from alignment.entropic.recipes.result import Member, Prediction, TrainingResult
from alignment.entropic.rows import Rows
from alignment.entropic.sampling import Sampling
from alignment.entropic.sharpness import largest_eigenvalue, linear_trace
from alignment.entropic.training.descent import Descent
from alignment.entropic.training.keeper import Keeper
from alignment.entropic.training.lbfgs import Lbfgs
from alignment.entropic.training.pair import Progress, run_pair, silent
from alignment.entropic.training.point import AlignmentPoint
from alignment.entropic.training.trainee import Piece, Trainee
from alignment.errors import TrainingError
from alignment.models import DenseNetwork
from alignment.report.versions import versions

WIDTHS = {"a": (6, 8), "b": (5, 7, 6)}
SAMPLING = Sampling(batch=1, rows="all")
STRENGTH = 1e-3  # the step that the continuation ends at
_FIRST = 10.0  # … and begins at so many times
_FRESH = 256
_GD_RATE, _SGD_RATE = 2e-3, 1e-2
# Behind plain descent single rows may be steeper than that rate allows: a network then diverges in a few steps. At 1 a
# step at most fits the row that it sees; at 1.5 a network of seed 33 was shaken to nothing in 92,000 steps.
_SGD_BOUND = 1.0
_GD_STEPS, _SGD_STEPS, _LBFGS_STEPS = 20_000, 240_000, 1000


@dataclass(frozen=True)
class LinearRecipe:
    """The recipe at work on one request.

    Attributes:
        request: what was asked for, its defaults filled in.
        data: what both networks are trained on.
    """

    facts: ClassVar[RecipeFacts] = LINEAR
    request: TrainingRequest
    data: LinearData

    @classmethod
    def of(cls, request: TrainingRequest) -> LinearRecipe:
        """Returns the recipe for a request.

        Raises:
            TrainingError: if the recipe cannot do what is asked.
        """
        views = dict.fromkeys(("view_a", "view_b"), "linear")
        fixed = {**views, "data": "factorial", "labels": "true", "estimator": "ghost_norm", "task": "numbers"}
        for name, only in fixed.items():
            if getattr(request, name) not in (None, only):
                raise TrainingError(f"the recipe linear has {name} {only!r} alone, not {getattr(request, name)!r}")
        optimizer = request.optimizer
        if optimizer == "auto":
            optimizer = "lbfgs" if request.objective == "entropic" else "gd"
        if optimizer in ("adam", "adamw"):
            raise TrainingError("Adam reaches 1 - alignment 5e-3 at best here; take the optimizer lbfgs")
        if optimizer == "gd" and request.objective == "entropic":
            raise TrainingError("descent on all rows has no entropy; take the optimizer lbfgs or sgd")
        if optimizer == "sgd" and request.objective == "plain":
            raise TrainingError("the noise of sgd is the entropy; ask for objective entropic, or the optimizer gd")
        filled = TrainingRequest(
            recipe="linear",
            objective=request.objective,
            strength=None if request.objective == "plain" else request.strength or _strength(optimizer),
            weight_decay=request.weight_decay or 0.0,
            optimizer=optimizer,
            steps=request.steps or {"lbfgs": _LBFGS_STEPS, "gd": _GD_STEPS, "sgd": _SGD_STEPS}[optimizer],
            seed=request.seed,
            **fixed,  # type: ignore[arg-type]  # each is of its field's type
        )
        return cls(filled, LinearData.draw(request.seed))

    def run(self, keeper: Keeper | None = None, progress: Progress = silent) -> TrainingResult:
        """Returns the trained pair beside the theory.

        Args:
            keeper: where the state is kept; a state that waits there is taken up.
            progress: called with `train`, steps taken, steps in all.

        Raises:
            DivergenceError: if a loss is no longer a number.
            TrainingError: if the kept state is of another request.
        """
        begun = time.process_time()
        sides = dict(zip("ab", MemberData.pair(self.data), strict=True))
        networks = {m: linear_network((4, *WIDTHS[m], 3), self.request.seed, m) for m in sides}
        problems = {m: Problem(networks[m], square_error, sides[m].inputs, sides[m].targets) for m in sides}
        trainees = [self._trainee(m, networks[m], sides[m]) for m in sides]
        histories = run_pair(
            (trainees[0], trainees[1]),
            lambda step: _point(step, networks, sides, problems),
            self.request.to_dict(),
            keeper,
            progress,
        )
        members = [self._member(m, networks[m], sides[m], problems[m]) for m in sides]
        hidden, outputs = _states(networks, sides)
        grid = kernel_alignment(hidden["a"], hidden["b"])
        return TrainingResult(
            members=(members[0], members[1]),
            measure="nka",
            grid=grid.tolist(),
            calibrated=None,
            outputs=float(kernel_alignment([outputs["a"]], [outputs["b"]], centred=True)),
            extra={"cka_min": float(kernel_alignment(hidden["a"], hidden["b"], centred=True).min())},
            history=histories,
            warnings=linear_warnings(
                self.request, list(problems.values()), [m.prediction for m in members if m.prediction], SAMPLING
            ),
            provenance={"request": self.request.to_dict(), "versions": versions(), "device": "cpu", "dtype": "float64"},
            seconds=time.process_time() - begun,
            probe=self.probe(),
        )

    def probe(self) -> dict[str, Tensor]:
        """Returns each side's view of the same fresh, distinct inputs, by `a` and `b`."""
        fresh = self.data.fresh(self.request.seed, _FRESH)
        return {"a": fresh @ self.data.view_a.T, "b": fresh @ self.data.view_b.T}

    def theory(self, member: str, network: DenseNetwork, side: MemberData) -> LinearTheory:
        """Returns what the theory says of a member."""
        view = self.data.view_a if member == "a" else self.data.view_b
        return LinearTheory(
            target=torch.linalg.solve(view, self.data.target, left=False),
            inputs=side.inputs.T @ side.inputs / len(side.inputs),
            noise=self.data.noise_covariance,
            map_in=network.map_in,
            map_out=network.map_out,
            depth=network.config.depth,
        )

    def _trainee(self, member: str, network: DenseNetwork, side: MemberData) -> Trainee:
        asked = self.request
        optimizer, steps, decay = asked.optimizer, asked.steps or 0, asked.weight_decay or 0.0
        stages: list[Piece] = []
        if optimizer == "lbfgs":
            strength = asked.strength or 0.0
            first = steps // 2 if strength else 0
            for count, eta in ((first, _FIRST * strength), (steps - first, strength)):
                loss = EntropicLoss(eta, decay, sampling=SAMPLING)
                stages += [Lbfgs(count, loss, square_error, side.inputs, side.targets)] if count else []
        else:
            count = steps if optimizer == "gd" else _GD_STEPS
            stages.append(Descent(count, _GD_RATE, side.inputs, side.targets, decay))
        if optimizer == "sgd":
            rate, rows = asked.strength or _SGD_RATE, (side.inputs, side.targets)
            stages.append(Descent(steps, rate, *rows, decay, 1, asked.seed, member, bound=_SGD_BOUND))
        chunk = {"lbfgs": 25, "gd": 1000, "sgd": 4000}[optimizer]
        return Trainee(member, network, stages, chunk, divergence_advice(asked))

    def _member(self, member: str, network: DenseNetwork, side: MemberData, problem: Problem) -> Member:
        theory = self.theory(member, network, side)
        trace = linear_trace(network, side.inputs)
        with torch.no_grad():
            loss = float(problem.losses(network(side.inputs), side.targets).mean())
            error = 1 - float(form_alignment(network.hidden(side.items), side.items, theory.kernel()).min())
        return Member(
            network=network,
            rows=Rows(side.inputs, side.targets),
            loss=loss,
            accuracy=None,
            trace=trace,
            largest=largest_eigenvalue(problem),
            prediction=Prediction(
                kernel=theory.kernel(),
                kernel_error=error,
                entropy_ratio=balance(problem, SAMPLING).square / theory.least_square,
                sharpness_ratio=trace / theory.sharpness,
                sharpness_vs_flattest=trace / theory.flattest,
                collapse=theory.collapse,
            ),
        )


def _strength(optimizer: str) -> float:
    return _SGD_RATE if optimizer == "sgd" else STRENGTH


def _states(
    networks: dict[str, DenseNetwork], sides: dict[str, MemberData]
) -> tuple[dict[str, list[Tensor]], dict[str, Tensor]]:
    """Returns the hidden layers and the outputs of both on the distinct items."""
    with torch.no_grad():
        hidden = {m: network.hidden(sides[m].items) for m, network in networks.items()}
        return hidden, {m: network(sides[m].items) for m, network in networks.items()}


def _point(
    step: int, networks: dict[str, DenseNetwork], sides: dict[str, MemberData], problems: dict[str, Problem]
) -> AlignmentPoint:
    hidden, _ = _states(networks, sides)
    grid = kernel_alignment(hidden["a"], hidden["b"])
    found: list[Balance] = [balance(problem, SAMPLING) for problem in problems.values()]
    with torch.no_grad():
        losses = [float(p.losses(p.model(p.inputs), p.targets).mean()) for p in problems.values()]
    return AlignmentPoint(
        step=step,
        lowest=float(grid.min()),
        mean=float(grid.mean()),
        neuron=max(b.neuron or 0.0 for b in found),
        layer=max(b.layer or 0.0 for b in found),
        matrix=max(b.matrix or 0.0 for b in found),
        loss=(losses[0], losses[1]),
        grid=grid.tolist(),
    )
