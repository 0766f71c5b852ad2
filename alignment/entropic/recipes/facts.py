"""RecipeFacts: what a recipe takes, and what the evidence says of it; catalogues and checks read it."""

from __future__ import annotations

from dataclasses import dataclass

from alignment.entropic.recipes.request import EstimatorName, Labels, Optimizer, TaskName


@dataclass(frozen=True)
class RecipeFacts:
    """A recipe, described.

    Attributes:
        title: its name in a sentence.
        summary: what it trains, on what.
        evidence: what was measured of it, the disappointing too.
        data: the data sets that it has itself, the default first.
        rows: whether it learns from a user's own rows, too: vectors with targets.
        views: the kinds of view that it can take.
        optimizers: those that it can take.
        labels: the targets that its entropy can be taken with.
        estimators: the ways to its entropy that it can take, the default first.
        tasks: what its networks can learn, the default first; where there is no choice, the data decide.
    """

    title: str
    summary: str
    evidence: str
    data: tuple[str, ...]
    rows: bool
    views: tuple[str, ...]
    optimizers: tuple[Optimizer, ...]
    labels: tuple[Labels, ...]
    estimators: tuple[EstimatorName, ...]
    tasks: tuple[TaskName, ...]


LINEAR = RecipeFacts(
    title="deep linear networks",
    summary="Two deep linear networks of different widths and depths, between fixed random maps, each see their own "
    "invertible view of the same inputs and fit the same noisy targets: the setting of the theorem of universal "
    "alignment. The theory's kernel, balance and sharpness stand beside what is measured.",
    evidence="Entropic training by L-BFGS aligns every two hidden layers as the theorem says, 1 - alignment below 1e-4 "
    "on every seed tried, where plain descent on all rows mostly stays below 0.95. Single-row descent (optimizer sgd), "
    "whose own noise is the entropy, at a rate that the steepest row bounds, stayed finite on all 30 seeds, 6 of which "
    "had no part in choosing that bound, and in its 240,000 steps gained more than 0.1 wherever plain descent left as "
    "much to gain; it never becomes perfect. Nothing follows for nonlinear networks.",
    data=("factorial",),
    rows=False,
    views=("linear",),
    optimizers=("lbfgs", "gd", "sgd"),
    labels=("true",),
    estimators=("ghost_norm",),
    tasks=("numbers",),
)
MLP = RecipeFacts(
    title="nonlinear networks",
    summary="Two ReLU networks of different width see different views of the same vectors and fit the same numbers or "
    "classes, by Adam. Alignment, on held-out items, stands beside mutual nearest neighbours, the outputs' own "
    "alignment, and the task.",
    evidence="No theorem covers it. Entropic training aligns more than plain training does, on a teacher with label "
    "noise; weight decay alone is the simpler way to the same and goes further. On digits, at the same decay, it adds "
    "nearest neighbours in common; a larger decay alone aligns more, at a cost to the task. Finite differences, "
    "descent on few rows, rebalancing and a third or fourth hidden layer did not change that on the teacher, nor "
    "descent on few rows on the digits; with four hidden layers there the entropy aligned as far as the larger decay, "
    "at less cost to the task, on six seeds.",
    data=("teacher", "digits"),
    rows=True,
    views=("identity", "linear", "projection", "rotation", "noise"),
    optimizers=("adam",),
    labels=("true", "sampled"),
    estimators=("ghost_norm", "finite_difference"),
    tasks=("numbers", "category"),
)
TRANSFORMER = RecipeFacts(
    title="small transformers",
    summary="Two small transformers, from scratch: one sees pictures of emoji, the other reads their names, and each "
    "learns from that alone which of eight groups an emoji belongs to, or, with the task masked, what is hidden of it: "
    "half of a picture's patches, a quarter of a name's letters. With the same view for both they are two towers of "
    "one modality.",
    evidence="No theorem covers it, and it is a negative: over six seeds that learnt categories the entropy, its "
    "strength tuned on others, did not align the two towers beyond plain training or weight decay; what they share, a "
    "little above chance, plain training finds as well. Towers that learnt what is masked shared next "
    "to nothing on six seeds, by any objective.",
    data=("emoji",),
    rows=False,
    views=("identity", "modality", "rotation", "noise"),
    optimizers=("adamw", "adam", "sgd"),
    labels=("true", "sampled"),
    estimators=("finite_difference", "ghost_norm"),
    tasks=("category", "masked"),
)
