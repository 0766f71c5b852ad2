"""Centred Gram matrices, a stack of layers at once, upper triangle only.

Both HSIC estimators need nothing else. The biased one is `Σ K ∘ L` over all entries of the centred Grams. The unbiased
one does not see the diagonal and is blind to additive row terms, so it too can be taken from the centred matrix, whose
rows sum to zero: the sum of a row's other entries is minus its diagonal entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.errors import RequestError
from alignment.preprocessing import PreparedLayer
from alignment.views.neighbours import symmetric_product

# Rows of a block: wide enough for the product's full speed, narrow enough to waste little below the diagonal.
_BLOCK = 128
_LINE = 16  # float32 values in a cache line


@dataclass(frozen=True)
class Kernel:
    """What a Gram matrix is made with.

    Attributes:
        name: `linear`, or `rbf`: exp(-d² / 2σ²).
        bandwidth: σ as a multiple of the lower median of all n² distances, the zero diagonal included.
    """

    name: Literal["linear", "rbf"] = "linear"
    bandwidth: float = 1.0


class CentredGrams:
    """A stack of centred Gram matrices, handed out as blocks of the strict upper triangle, and their diagonals.

    A block holds rows `start` to `stop` and columns `start` to n of every layer, flattened; what lies on or below the
    diagonal is zero. Blocks are kept while the stack fits the budget and formed anew each time when it does not.

    Attributes:
        n: how many items.
        layers: how many layers.
        dtype: float32, or float64 if any layer is.
        diagonal: `[layers, n]`, float64.
    """

    def __init__(self, layers: Sequence[PreparedLayer], kernel: Kernel, *, budget: int) -> None:
        """Forms the stack.

        Raises:
            RequestError: if an rbf stack does not fit the budget, in bytes: its blocks cannot be formed one by one.
        """
        self.n, self.layers, self.budget = len(layers[0].values), len(layers), budget
        self.dtype = torch.float64 if any(layer.precision == torch.float64 for layer in layers) else torch.float32
        self._bytes = torch.finfo(self.dtype).bits // 8
        self.diagonal = torch.empty(self.layers, self.n, dtype=torch.float64, device=layers[0].values.device)
        self._starts = range(0, self.n, _BLOCK)
        self._offsets = [0]
        for number in range(len(self)):
            start, stop = self.rows(number)
            self._offsets.append(self._offsets[-1] + (stop - start) * (self.n - start))
        self._features: list[Float[Tensor, "n d"]] = []
        self._held: Float[Tensor, "layers packed"] | None = None
        self._spread: Float[Tensor, "n n padded"] | None = None
        if kernel.name == "rbf":
            self._hold_rbf(layers, kernel.bandwidth)
        else:
            self._hold_linear(layers)

    @property
    def operations(self) -> float:
        """How many floating-point operations forming the stack takes."""
        return float(self.n**2 * sum(features.shape[1] for features in self._features))

    def __len__(self) -> int:
        return len(self._starts)

    def rows(self, number: int) -> tuple[int, int]:
        """Returns the first row of block `number` and the row after its last."""
        start = self._starts[number]
        return start, min(start + _BLOCK, self.n)

    def block(self, number: int, permutation: Int[Tensor, " n"] | None = None) -> Float[Tensor, "layers packed"]:
        """Returns block `number` of every layer, flattened; of the items in `permutation`'s order, if there is one.

        A permuted block is formed from the features, which is for stacks too large to be `spread`.
        """
        if self._held is not None and permutation is None:
            return self._held[:, self._offsets[number] : self._offsets[number + 1]]
        if not self._features:
            raise ValueError("a permuted block of an rbf stack comes from its spread")
        out = self._features[0].new_empty(self.layers, self._offsets[number + 1] - self._offsets[number])
        for index, features in enumerate(self._features):
            start, stop = self.rows(number)
            place = out[index].view(stop - start, -1)
            if permutation is None:
                _upper(features[start:stop], features[start:], place)
            else:
                _upper(features[permutation[start:stop]], features[permutation[start:]], place)
        return out

    def blocks(self) -> Iterator[Float[Tensor, "layers packed"]]:
        """Yields every block of every layer."""
        return (self.block(number) for number in range(len(self)))

    def spread(self) -> Float[Tensor, "n n padded"] | None:
        """Returns the whole matrices with the layers innermost, or None if that does not fit the budget.

        A pair of items is then one short run of memory, so that permuting costs one read of it. Layers are padded with
        zeros to whole cache lines.
        """
        padded = -(-self.layers // _LINE) * _LINE
        if self._spread is None and self._held is not None and self.n**2 * padded * self._bytes <= self.budget:
            self._spread = self._held.new_zeros(self.n, self.n, padded)
            for number in range(len(self)):
                start, stop = self.rows(number)
                upper = self.block(number).view(self.layers, stop - start, -1).permute(1, 2, 0)
                self._spread[start:stop, start:, : self.layers] += upper
                self._spread[start:, start:stop, : self.layers] += upper.transpose(0, 1)
        return self._spread

    def _hold_linear(self, layers: Sequence[PreparedLayer]) -> None:
        if self.layers * self._offsets[-1] * self._bytes <= self.budget:
            self._held = torch.empty(self.layers, self._offsets[-1], dtype=self.dtype, device=self.diagonal.device)
        for index, layer in enumerate(layers):
            features = layer.features(centred=True).to(self.dtype)
            self._features.append(features)
            self.diagonal[index] = features.double().square().sum(dim=1)
            if self._held is not None:
                for number in range(len(self)):
                    start, stop = self.rows(number)
                    _upper(features[start:stop], features[start:], self._slot(index, number))

    def _hold_rbf(self, layers: Sequence[PreparedLayer], bandwidth: float) -> None:
        need = self._bytes * self.n**2 * max(self.layers, _LINE)
        if need > self.budget:
            raise RequestError(
                f"an rbf kernel of {self.n} items and {self.layers} layers needs {need / 2**30:.1f} GiB, "
                f"more than the {self.budget / 2**30:.1f} GiB of the budget; take fewer samples, or the linear kernel"
            )
        self._held = torch.empty(self.layers, self._offsets[-1], dtype=self.dtype, device=self.diagonal.device)
        for index, layer in enumerate(layers):
            gram = _centre(_rbf(layer, bandwidth))
            self.diagonal[index] = gram.diagonal()
            for number in range(len(self)):
                start, stop = self.rows(number)
                slot = self._slot(index, number)
                slot.copy_(gram[start:stop, start:])
                slot[:, : stop - start].triu_(1)

    def _slot(self, index: int, number: int) -> Float[Tensor, "r c"]:
        assert self._held is not None  # noqa: S101 - only called while it is being filled
        packed = self._held[index, self._offsets[number] : self._offsets[number + 1]]
        return packed.view(-1, self.n - self._starts[number])


def _upper(rows: Float[Tensor, "r d"], columns: Float[Tensor, "c d"], out: Float[Tensor, "r c"]) -> None:
    """Writes the products of `rows` with `columns`, of which they are the first; zero on and below the diagonal."""
    torch.mm(rows, columns.T, out=out)
    out[:, : len(rows)].triu_(1)


def _rbf(layer: PreparedLayer, bandwidth: float) -> Float[Tensor, "n n"]:
    features = layer.features(centred=True)  # distances do not see the shift, and centring takes the cancellation away
    products = symmetric_product(features)
    squares = features.double().square().sum(dim=1).to(products.dtype)
    distances = products.mul_(-2).add_(squares.unsqueeze(1)).add_(squares.unsqueeze(0)).clamp_(min=0)
    distances.fill_diagonal_(0)
    median = distances.flatten().median()  # torch's median of an even count is the lower one
    return distances.mul_(-1 / (2 * bandwidth**2 * median)).exp_()


def _centre(gram: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    means = gram.mean(dim=1, dtype=torch.float64)
    shift = (means - means.mean() / 2).to(gram.dtype)
    return gram.sub_(shift.unsqueeze(1)).sub_(shift.unsqueeze(0))
