"""Views: one model's layers, with whatever metrics have asked of them, made once and shared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.preprocessing import PreparedLayer
from alignment.views import ahead
from alignment.views.bases import Basis, Factors
from alignment.views.dissimilarities import Dissimilarities
from alignment.views.edges import Edges
from alignment.views.grams import CentredGrams, Kernel
from alignment.views.health import Finding, faults, oddities
from alignment.views.neighbours import nearest_neighbours
from alignment.views.stacked import stacked_neighbours
from alignment.views.unlike import Contrast

GIBIBYTE = 1 << 30


class Views:
    """The views of one model's layers. Each is made when first asked for and kept until `forget`.

    Attributes:
        layers: the prepared layers, all on one device, each with a row an item. One that has no meaning is replaced by
            zeros, so that it cannot spoil a product, and `usable` says so.
        faults: what makes a layer's scores meaningless, or None.
        usable: `[layers]`, false where there is a fault.
        budget: bytes that any one view may keep; a larger one is made in tiles, with the same result.
    """

    def __init__(self, layers: Sequence[PreparedLayer], *, budget: int = GIBIBYTE) -> None:
        self.faults = faults(layers)
        self.usable = torch.tensor([found is None for found in self.faults], device=layers[0].values.device)
        self.layers = tuple(
            layer if found is None else PreparedLayer(torch.zeros_like(layer.values), None, None)
            for layer, found in zip(layers, self.faults, strict=True)
        )
        self.budget = budget
        self._neighbours: tuple[Int[Tensor, "layers n k"], Float[Tensor, "layers n k"]] | None = None
        self._edges: dict[int, Edges] = {}
        self._grams: dict[Kernel, CentredGrams] = {}
        self._dissimilarities: dict[Contrast, Dissimilarities] = {}
        self._bases: tuple[Basis, ...] | None = None
        self._factors: Factors | None = None

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def items(self) -> int:
        """How many items each layer has a row for."""
        return int(self.layers[0].values.shape[0])

    @property
    def device(self) -> torch.device:
        """Where the views are."""
        return self.layers[0].values.device

    def neighbours(self, k: int) -> Int[Tensor, "layers n k"]:
        """Returns each item's k nearest others in each layer, nearest first: the start of any longer list."""
        return self._nearest(k)[0][:, :, :k]

    def edges(self, k: int) -> Edges:
        """Returns the neighbourhoods of all layers as one list of edges."""
        if k not in self._edges:
            index, products = self._nearest(k)
            self._edges[k] = Edges.of(index[:, :, :k], products[:, :, :k])
        return self._edges[k]

    def _nearest(self, k: int) -> tuple[Int[Tensor, "layers n m"], Float[Tensor, "layers n m"]]:
        if self._neighbours is None or self._neighbours[0].shape[2] < k:
            # one more than asked for: an interval asks who steps in where a neighbour leaves
            most = min(k + 1, self.items - 1)
            nothing = torch.zeros(self.items, most, device=self.device)
            good = [layer for layer, fault in zip(self.layers, self.faults, strict=True) if fault is None]
            if ahead.runs_ahead(self.device) and good:
                made = iter(stacked_neighbours(good, most, budget=self.budget))
            else:
                made = (nearest_neighbours(layer, most, budget=self.budget) for layer in good)
            found = [next(made) if fault is None else (nothing.long(), nothing) for fault in self.faults]
            self._neighbours = (
                torch.stack([index for index, _ in found]),
                torch.stack([products.double() for _, products in found]),
            )
        return self._neighbours

    def grams(self, kernel: Kernel) -> CentredGrams:
        """Returns the centred Gram matrices under `kernel`."""
        if kernel not in self._grams:
            self._grams[kernel] = CentredGrams(self.layers, kernel, budget=self.budget)
        return self._grams[kernel]

    def dissimilarities(self, contrast: Contrast) -> Dissimilarities:
        """Returns the standardised dissimilarity matrices made with `contrast`."""
        if contrast not in self._dissimilarities:
            self._dissimilarities[contrast] = Dissimilarities(self.layers, contrast, budget=self.budget)
        return self._dissimilarities[contrast]

    def bases(self) -> tuple[Basis, ...]:
        """Returns the left singular vectors of each layer's standardised columns."""
        if self._bases is None:
            self._bases = tuple(Basis.of(layer) for layer in self.layers)
        return self._bases

    def factors(self) -> Factors:
        """Returns factors of the centred linear Gram matrices."""
        if self._factors is None:
            self._factors = Factors(self.layers, budget=self.budget)
        return self._factors

    def findings(self) -> list[list[Finding]]:
        """Returns what a reader of each layer's scores must know."""
        odd = iter(oddities([layer for layer, fault in zip(self.layers, self.faults, strict=True) if fault is None]))
        return [next(odd) if fault is None else [fault] for fault in self.faults]

    def forget(self) -> None:
        """Lets go of every view, to make room."""
        self._neighbours = None
        self._edges.clear()
        self._grams.clear()
        self._dissimilarities.clear()
        self._bases = self._factors = None
