"""Metrics of regression: how much of one layer can be told, linearly, from the other?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.facts import Pairing, Values
from alignment.metrics.ridge import PENALTIES, Fold
from alignment.views import Views

_FOLDS = 5
_EIGENVECTORS = 9.0  # floating-point operations of a symmetric [m, m] decomposition, in m³
_BYTES = 8
_TOGETHER, _SENT = 16, 1 << 26  # permutations whose products are one, and bytes that they may take


@dataclass(frozen=True, eq=False)
class _Grams:
    """What makes all errors of a grid one product.

    Attributes:
        rows: of the upper triangle of an `[n, n]` matrix.
        columns: likewise.
        forms: of each layer and fold, for the error left out and then for that held out; upper triangles,
            which count twice but for the diagonal.
        targets: each layer of B's Gram matrix, flattened.
    """

    rows: Int[Tensor, " pairs"]
    columns: Int[Tensor, " pairs"]
    forms: Float[Tensor, "a folds 2 p pairs"]
    targets: Float[Tensor, "b entries"]


class LinearPredictivity(Pairing):
    """R² of ridge regression from A to B, on held-out items.

    The items are shuffled by a seed and cut into 5 contiguous folds. In each, on the training items alone: both layers
    are centred, the penalty is that of 10 powers of ten, times the mean squared norm of A's rows, with the least
    leave-one-out error over all of B's features together (the least penalty if two tie), and B is told on the held-out
    items. The score is pooled and variance-weighted: 1 less the squared errors of all items and features over their
    squared deviations from the mean of all items; scikit-learn's `r2_score(multioutput="variance_weighted")` of the
    predictions put together. A layer that tells nothing scores a little below 0, and there is no lower bound.

    Every error is a sum of products of B's Gram matrix with a matrix that is A's alone. Where these matrices fit the
    budget, and items are so few for the widths that it is less work, all cells are one product with them.

    Source: Yamins et al. 2014, PNAS 111(23); Schrimpf et al. 2018, "Brain-Score", bioRxiv 407007; leave-one-out by
    leverage Allen 1974, Technometrics 16(1).
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        self.n, self.a, self.b = a.items, a.factors(), b.factors()
        order = np.random.default_rng(int(values["seed"])).permutation(self.n)
        self.parts = [torch.from_numpy(part).to(a.device) for part in np.array_split(order, _FOLDS)]
        pairs = self.n * (self.n + 1) // 2
        held = _BYTES * (2 * _FOLDS * len(PENALTIES) * self.a.layers * pairs + 2 * self.b.layers * self.n**2)
        self.through_grams = held <= a.budget and self._gram_cell < self._feature_cell
        kept = _BYTES * self.a.layers * _FOLDS * self.a.width * (self.n + len(PENALTIES) * self.a.width)
        self.keeps_folds = kept <= a.budget
        if self.through_grams:
            self.together = max(1, min(_TOGETHER, _SENT // (_BYTES * self.b.layers * pairs)))
        self._folds: dict[int, list[Fold]] = {}
        self._made_grams: _Grams | None = None

    @property
    def _gram_cell(self) -> float:
        return 2.0 * _FOLDS * len(PENALTIES) * self.n * (self.n + 1)

    @property
    def _feature_cell(self) -> float:
        a, b, test = self.a.width, self.b.width, self.n / _FOLDS
        return _FOLDS * (2 * (2 * self.n - test) * a * b + 2 * a**2 * (b + len(PENALTIES)))

    @property
    def operations(self) -> float:
        """A product with the Gram matrix a cell; or four of features, and where folds are not kept, making them."""
        cells = float(self.a.layers * self.b.layers)
        if self.through_grams:
            return cells * self._gram_cell
        a, train = self.a.width, self.n - self.n / _FOLDS
        layer = _EIGENVECTORS * a**3 + 2 * train * a**2 * (2 + len(PENALTIES))
        return cells * self._feature_cell + (0 if self.keeps_folds else _FOLDS * self.a.layers * layer)

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        return self.permuted(torch.arange(self.n, device=self.parts[0].device))

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        return self.shuffled(permutation.unsqueeze(0))[0]

    def shuffled(self, permutations: Int[Tensor, "m n"]) -> Float[Tensor, "m a b"]:
        """Returns the grid under each permutation."""
        whole = torch.cat([targets.square().sum(dim=(1, 2)) for _, targets in self.b.parts()])
        if self.through_grams:
            error = self._errors_of_grams(permutations)
        else:
            error = torch.stack([self._error_of_features(permutation) for permutation in permutations])
        return 1 - error / torch.where(whole > 0, whole, torch.nan)

    def _error_of_features(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        error = torch.zeros(self.a.layers, self.b.layers, dtype=torch.float64, device=self.parts[0].device)
        for row in range(self.a.layers):
            for fold in self._folds_of(row):
                for where, targets in self.b.parts():
                    error[row, where] += fold.error(targets[:, permutation])
        return error

    def _errors_of_grams(self, permutations: Int[Tensor, "m n"]) -> Float[Tensor, "m a b"]:
        grams = self._made_grams = self._made_grams or self._make_grams()
        entries = permutations[:, grams.rows] * self.n + permutations[:, grams.columns]
        paired = grams.targets[:, entries].flatten(0, 1)
        errors = (grams.forms.flatten(0, 3) @ paired.T).view(*grams.forms.shape[:4], self.b.layers, -1)
        left_one_out, held_out = errors[:, :, 0], errors[:, :, 1]
        return held_out.gather(2, left_one_out.argmin(dim=2, keepdim=True)).sum(dim=(1, 2)).permute(2, 0, 1)

    def _make_grams(self) -> _Grams:
        rows, columns = torch.triu_indices(self.n, self.n, device=self.parts[0].device)
        twice = torch.where(rows == columns, 1.0, 2.0).double()
        forms = [
            torch.stack([fold.forms()[:, :, rows, columns] * twice for fold in self._made(self.a.layer(row))])
            for row in range(self.a.layers)
        ]
        targets = torch.cat([(part @ part.mT).flatten(1) for _, part in self.b.parts()])
        return _Grams(rows, columns, torch.stack(forms), targets)

    def _folds_of(self, row: int) -> Iterator[Fold]:
        if not self.keeps_folds:
            yield from self._made(self.a.layer(row))
            return
        if row not in self._folds:
            self._folds[row] = list(self._made(self.a.layer(row)))
        yield from self._folds[row]

    def _made(self, features: Float[Tensor, "n w"]) -> Iterator[Fold]:
        for number, test in enumerate(self.parts):
            train = torch.cat([part for other, part in enumerate(self.parts) if other != number])
            yield Fold.of(features, train, test)
