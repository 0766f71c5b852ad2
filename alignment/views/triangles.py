"""Triangles: a stack of symmetric matrices, upper halves only, laid out so that all pairs of layers are one product."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Rows of a block: wide enough for a product's full speed, narrow enough to waste little below the diagonal.
_BLOCK = 128
_LINE = 16  # float32 values in a cache line


class Triangles:
    """A stack of symmetric matrices, handed out as blocks of the strict upper triangle.

    A block holds rows `start` to `stop` and columns `start` to n of every layer, flattened; what lies on or below the
    diagonal is zero.

    Attributes:
        n: how many items.
        layers: how many layers.
        dtype: what entries are kept in.
        device: where they are.
        budget: bytes that the stack may keep.
        element_bytes: what one entry takes.
    """

    def __init__(self, layers: int, n: int, *, dtype: torch.dtype, device: torch.device, budget: int) -> None:
        self.n, self.layers, self.dtype, self.device, self.budget = n, layers, dtype, device, budget
        self.element_bytes = torch.finfo(dtype).bits // 8
        self._starts = range(0, n, _BLOCK)
        self._offsets = [0]
        for number in range(len(self)):
            start, stop = self.rows(number)
            self._offsets.append(self._offsets[-1] + (stop - start) * (n - start))
        self._held: Float[Tensor, "layers packed"] | None = None
        self._spread: Float[Tensor, "n n padded"] | None = None
        self._places: tuple[Int[Tensor, " packed"], Int[Tensor, " packed"]] | None = None

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def held(self) -> bool:
        """Whether the blocks are kept, and not formed anew each time."""
        return self._held is not None

    @property
    def whole(self) -> Float[Tensor, "layers packed"] | None:
        """All blocks, one after the other; None unless they are held."""
        return self._held

    def places(self) -> tuple[Int[Tensor, " packed"], Int[Tensor, " packed"]]:
        """Returns the row and the column of each entry of `whole`."""
        if self._places is None:
            items, parts = torch.arange(self.n, device=self.device), list(map(self.rows, range(len(self))))
            rows = [items[start:stop].unsqueeze(1).expand(-1, self.n - start).flatten() for start, stop in parts]
            columns = [items[start:].expand(stop - start, -1).flatten() for start, stop in parts]
            self._places = torch.cat(rows), torch.cat(columns)
        return self._places

    @property
    def packed_bytes(self) -> int:
        """How much all blocks of all layers take."""
        return self.layers * self._offsets[-1] * self.element_bytes

    @property
    def spread_bytes(self) -> int:
        """How much the whole matrices take, layers padded to whole cache lines."""
        return self.n**2 * self._padded * self.element_bytes

    @property
    def _padded(self) -> int:
        return 1 << (self.layers - 1).bit_length() if self.layers <= _LINE else -(-self.layers // _LINE) * _LINE

    def rows(self, number: int) -> tuple[int, int]:
        """Returns the first row of block `number` and the row after its last."""
        start = self._starts[number]
        return start, min(start + _BLOCK, self.n)

    def block(self, number: int, permutation: Int[Tensor, " n"] | None = None) -> Float[Tensor, "layers packed"]:
        """Returns block `number` of every layer, flattened; of the items in `permutation`'s order, if there is one."""
        if self._held is None or permutation is not None:
            raise ValueError("a block of a stack that is held is not permuted: that comes from its spread")
        return self._held[:, self._offsets[number] : self._offsets[number + 1]]

    def blocks(self) -> Iterator[Float[Tensor, "layers packed"]]:
        """Yields every block of every layer."""
        return (self.block(number) for number in range(len(self)))

    def spread(self) -> Float[Tensor, "n n padded"] | None:
        """Returns the whole matrices with the layers innermost, or None if that does not fit the budget.

        A pair of items is then one short run of memory, so that permuting costs one read of it. Layers are padded with
        zeros to whole cache lines, few of them to a power of two.
        """
        if self._spread is None and self._held is not None and self.spread_bytes <= self.budget:
            self._spread = self._held.new_zeros(self.n, self.n, self._padded)
            for number in range(len(self)):
                start, stop = self.rows(number)
                upper = self.block(number).view(self.layers, stop - start, -1).permute(1, 2, 0)
                self._spread[start:stop, start:, : self.layers] += upper
                self._spread[start:, start:stop, : self.layers] += upper.transpose(0, 1)
        return self._spread

    def hold(self) -> None:
        """Makes room for the whole stack, to be `put` in."""
        self._held = torch.empty(self.layers, self._offsets[-1], dtype=self.dtype, device=self.device)

    def put(self, index: int, matrix: Float[Tensor, "n n"]) -> None:
        """Keeps the strict upper triangle of one layer's matrix."""
        for number in range(len(self)):
            start, stop = self.rows(number)
            slot = self.slot(index, number)
            slot.copy_(matrix[start:stop, start:])
            slot[:, : stop - start].triu_(1)

    def slot(self, index: int, number: int) -> Float[Tensor, "r c"]:
        """Returns where block `number` of one layer is kept."""
        assert self._held is not None  # noqa: S101 - only called once there is room
        packed = self._held[index, self._offsets[number] : self._offsets[number + 1]]
        return packed.view(-1, self.n - self._starts[number])
