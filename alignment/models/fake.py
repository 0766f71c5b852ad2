"""FakeEncoder: an encoder without a model, for tests and demonstrations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from alignment.models.encoder import EncoderBase, Layer, Modality, Pooling

_KINDS: dict[Modality, type] = {"text": str, "image": Image.Image, "array": np.ndarray}


@dataclass(frozen=True, kw_only=True, eq=False)
class FakeEncoder(EncoderBase):
    """An encoder whose vectors are drawn from the content of the item alone; make one with `FakeEncoder.of`.

    An item's content seeds its latent vector, which each layer maps by a fixed random matrix and blurs with noise of
    its own. Fakes of equal `latent` seeds see the same latent vectors, so they align: the more, the less the noise.

    Attributes:
        seed: of the layers' matrices and noise.
        latent: of the latent vectors.
        noise: the noise's standard deviation; the signal's is 1.
        key: what of an item counts as its content; None is all of it.
        capacity: a larger batch raises `torch.OutOfMemoryError`; None takes any.
        failing: the calls, counted from 0, that raise a `RuntimeError`.
        calls: the size of each batch so far.
    """

    seed: int
    latent: int
    noise: float
    key: Callable[[Any], str] | None
    capacity: int | None
    failing: frozenset[int]
    calls: list[int] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        name: str = "fake",
        modality: Modality = "text",
        *,
        layers: int = 3,
        width: int = 16,
        seed: int = 0,
        latent: int = 0,
        noise: float = 0.0,
        key: Callable[[Any], str] | None = None,
        capacity: int | None = None,
        failing: frozenset[int] = frozenset(),
        poolings: tuple[Pooling, ...] = ("mean", "last", "cls", "max"),
    ) -> FakeEncoder:
        """Returns a fake encoder; what the arguments mean is said above.

        >>> a, b = FakeEncoder.of(seed=1), FakeEncoder.of(seed=2, noise=0.1)
        >>> [tuple(x.shape) for x in a.encode(["one", "two"], "mean")]
        [(2, 16), (2, 16), (2, 16)]
        >>> a.fingerprint == b.fingerprint
        False
        """
        facts = repr((name, modality, layers, width, seed, latent, noise))
        return cls(
            reference=f"fake:{name}",
            modality=modality,
            layers=tuple(Layer(f"layer.{i}", width) for i in range(layers)),
            parameters=layers * width * width,
            fingerprint=hashlib.sha256(facts.encode()).hexdigest(),
            poolings=poolings,
            device=torch.device("cpu"),
            dtype=torch.float32,
            seed=seed,
            latent=latent,
            noise=noise,
            key=key,
            capacity=capacity,
            failing=failing,
        )

    def encode(self, items: Sequence[Any], pooling: Pooling) -> list[Tensor]:
        """Returns one `[len(items), width]` float32 tensor a layer; see `Encoder.encode`.

        Raises:
            ModelError: as every encoder does.
            torch.OutOfMemoryError: if there are more items than the capacity.
            RuntimeError: if this call was told to fail.
        """
        self.check(items, pooling, _KINDS[self.modality])
        call = len(self.calls)
        self.calls.append(len(items))
        if call in self.failing:
            raise RuntimeError(f"{self.reference} was told to fail at call {call}")
        if self.capacity is not None and len(items) > self.capacity:
            raise torch.OutOfMemoryError(f"{self.reference} has room for {self.capacity} items, not {len(items)}")
        contents = [self._content(item) for item in items]
        found = []
        for depth, layer in enumerate(self.layers):
            mixing = _normal(layer.width * layer.width, "mixing", self.seed, depth).reshape(layer.width, layer.width)
            rows = [
                _normal(layer.width, "latent", self.latent, content) @ mixing / layer.width**0.5
                + self.noise * _normal(layer.width, "noise", self.seed, depth, pooling, content)
                for content in contents
            ]
            vectors = np.stack(rows) if rows else np.empty((0, layer.width))
            found.append(torch.from_numpy(vectors.astype(np.float32)))
        return found

    def _content(self, item: Any) -> str:
        if self.key is not None:
            return self.key(item)
        if isinstance(item, Image.Image):
            return hashlib.sha256(repr((item.mode, item.size)).encode() + item.tobytes()).hexdigest()
        if isinstance(item, np.ndarray):
            return hashlib.sha256(repr((item.dtype.str, item.shape)).encode() + item.tobytes()).hexdigest()
        return str(item)


def _normal(count: int, *seed: object) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns standard normal numbers that the seed alone decides."""
    digest = hashlib.sha256(repr(seed).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little")).standard_normal(count)
