"""Centred Gram matrices, a stack of layers at once, upper triangle only.

Both HSIC estimators need nothing else. The biased one is `Σ K ∘ L` over all entries of the centred Grams. The unbiased
one does not see the diagonal and is blind to additive row terms, so it too can be taken from the centred matrix, whose
rows sum to zero: the sum of a row's other entries is minus its diagonal entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.preprocessing import PreparedLayer
from alignment.views.rbf import Rbf, rbf_of
from alignment.views.summary import Summary, stacked, summarise
from alignment.views.triangles import Triangles


@dataclass(frozen=True)
class Kernel:
    """What a Gram matrix is made with.

    Attributes:
        name: `linear`, or `rbf`: exp(-d² / 2σ²).
        bandwidth: σ as a multiple of the lower median of all n² distances, the zero diagonal included.
    """

    name: Literal["linear", "rbf"] = "linear"
    bandwidth: float = 1.0


class CentredGrams(Triangles):
    """A stack of centred Gram matrices, handed out as blocks of the strict upper triangle, and their diagonals.

    Blocks are kept while the stack fits the budget and formed anew each time when it does not.

    Attributes:
        n: how many items.
        layers: how many layers.
        dtype: float32, or float64 if any layer is.
        device: where they are.
        budget: bytes that the stack may keep.
        diagonal: `[layers, n]`, float64.
        features: each layer's centred features; none for an rbf kernel.
    """

    def __init__(self, layers: Sequence[PreparedLayer], kernel: Kernel, *, budget: int) -> None:
        """Forms the stack, or what its blocks are formed from."""
        precise = any(layer.precision == torch.float64 for layer in layers)
        super().__init__(
            len(layers),
            len(layers[0].values),
            dtype=torch.float64 if precise else torch.float32,
            device=layers[0].values.device,
            budget=budget,
        )
        self.diagonal = torch.empty(self.layers, self.n, dtype=torch.float64, device=self.device)
        self.features: list[Float[Tensor, "n d"]] = []
        self._tiles: list[Rbf] = []
        self._summaries: dict[bool, Summary] = {}
        if kernel.name == "rbf" and self.spread_bytes <= budget:
            self._hold_rbf(layers, kernel.bandwidth)
        elif kernel.name == "rbf":
            for index, layer in enumerate(layers):
                self._tiles.append(Rbf(layer, kernel.bandwidth))
                self.diagonal[index] = self._tiles[index].diagonal
        else:
            self._hold_linear(layers)

    @property
    def operations(self) -> float:
        """How many floating-point operations forming the stack takes."""
        features = self.features or [tile.features for tile in self._tiles]
        return float(self.n**2 * sum(one.shape[1] for one in features))

    def block(self, number: int, permutation: Int[Tensor, " n"] | None = None) -> Float[Tensor, "layers packed"]:
        """Returns block `number` of every layer, flattened; of the items in `permutation`'s order, if there is one.

        A permuted block is formed from the features, which is for stacks too large to be `spread`.
        """
        if self._held is not None and permutation is None:
            return super().block(number)
        if not self.features and not self._tiles:
            raise ValueError("a permuted block of a whole rbf stack comes from its spread")
        size = self._offsets[number + 1] - self._offsets[number]
        out = torch.empty(self.layers, size, dtype=self.dtype, device=self.device)
        start, stop = self.rows(number)
        rows, columns = (
            (slice(start, stop), slice(start, self.n))
            if permutation is None
            else (permutation[start:stop], permutation[start:])
        )
        for index, tile in enumerate(self._tiles):
            place = out[index].view(stop - start, -1)
            place.copy_(tile.entries(rows, columns))
            place[:, : stop - start].triu_(1)
        for index, features in enumerate(self.features):
            place = out[index].view(stop - start, -1)
            _upper(features[rows], features[columns], place)
        return out

    def shift(self) -> Float[Tensor, "layers n"]:
        """Returns what added to row and column of each entry U-centres the matrices, once their diagonal is zero."""
        n, k = self.n, self.diagonal
        return (k / (n - 2) - k.sum(dim=1, keepdim=True) / (2 * (n - 1) * (n - 2))).to(self.dtype)

    def summary(self, *, unbiased: bool) -> Summary:
        """Returns every layer's summary, U-centred or centred, made once; only while the matrices are held."""
        if unbiased not in self._summaries:
            self._summaries[unbiased] = stacked([summarise(self._matrix(i, unbiased)) for i in range(self.layers)])
        return self._summaries[unbiased]

    def _matrix(self, layer: int, unbiased: bool) -> Float[Tensor, "n n"]:
        whole = torch.zeros(self.n, self.n, dtype=self.dtype, device=self.device)
        for number in range(len(self)):
            start, stop = self.rows(number)
            upper = self.slot(layer, number)
            whole[start:stop, start:] += upper
            whole[start:, start:stop] += upper.T
        if not unbiased:
            whole.diagonal().copy_(self.diagonal[layer])
            return whole
        shift = self.shift()[layer]
        return whole.add_(shift.unsqueeze(0)).add_(shift.unsqueeze(1)).fill_diagonal_(0)

    def whole_rows(self, items: Int[Tensor, " m"]) -> Float[Tensor, "layers m n"]:
        """Returns the rows of some items, diagonal included."""
        if self.features:
            return torch.stack([features[items] @ features.T for features in self.features])
        spread = self.spread()
        if spread is None:
            rows = torch.stack([tile.entries(items, slice(None)).to(self.dtype) for tile in self._tiles])
        else:
            rows = spread[items][:, :, : self.layers].permute(2, 0, 1).contiguous()
        rows[:, torch.arange(len(items), device=items.device), items] = self.diagonal[:, items].to(self.dtype)
        return rows

    def _hold_linear(self, layers: Sequence[PreparedLayer]) -> None:
        if self.packed_bytes <= self.budget:
            self.hold()
        for index, layer in enumerate(layers):
            features = layer.features(centred=True).to(self.dtype)
            self.features.append(features)
            self.diagonal[index] = torch.linalg.vector_norm(features, dim=1, dtype=torch.float64).square()
            if self._held is not None:
                for number in range(len(self)):
                    start, stop = self.rows(number)
                    _upper(features[start:stop], features[start:], self.slot(index, number))

    def _hold_rbf(self, layers: Sequence[PreparedLayer], bandwidth: float) -> None:
        self.hold()
        for index, layer in enumerate(layers):
            gram = _centre(rbf_of(layer, bandwidth))
            self.diagonal[index] = gram.diagonal()
            self.put(index, gram)


def _upper(rows: Float[Tensor, "r d"], columns: Float[Tensor, "c d"], out: Float[Tensor, "r c"]) -> None:
    """Writes the products of `rows` with `columns`, of which they are the first; zero on and below the diagonal."""
    torch.mm(rows, columns.T, out=out)
    out[:, : len(rows)].triu_(1)


def _centre(gram: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    means = gram.mean(dim=1, dtype=torch.float64)
    shift = (means - means.mean() / 2).to(gram.dtype)
    return gram.sub_(shift.unsqueeze(1)).sub_(shift.unsqueeze(0))
