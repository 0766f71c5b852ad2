"""Contrastive: a task that any encoder has, from items alone.

Two views of a text share no token but those that begin and end it: the others are dealt out to one or the other at
random. An image gives two random crops, which may overlap. By the cosine of the two, at the temperature 0.05, an item
is to be told from the others of its batch. (Two draws of dropout, as in SimCSE, are no task for a sentence encoder:
paraphrase-MiniLM-L3 has a loss of 0.0006 nats there before any training.) Source: Gao, Yao and Chen 2021, arXiv
2104.08821, for the loss; Lee, Chang and Toutanova 2019, arXiv 1906.00300, for parts of a text that are to find each
other.

A row of a problem is a whole batch here, for only a batch has a loss: a key, which the views are drawn from, and the
numbers of its items. The same row has the same loss each time, and dropout is off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from alignment.entropic.chance import generator
from alignment.entropic.problem import Problem
from alignment.errors import TrainingError
from alignment.models.trainable import Trainable

TASK = "contrastive, without labels: one half of an item's tokens (or one crop of an image) is to find the other half"
TEMPERATURE = 0.05
_KEYS = 2**62
_CROP = (0.5, 0.8)  # the share of each side of an image that a view keeps


class Contrastive(nn.Module):
    """A model with the items of the task: from batches to two unit vectors an item."""

    def __init__(self, trainable: Trainable, items: Sequence[Any]) -> None:
        """Prepares the items.

        Args:
            trainable: the model.
            items: texts or images.

        Raises:
            ModelError: if an item is not of the model's modality.
        """
        super().__init__()
        self.model = trainable.model
        self._trainable = trainable
        self._items = trainable.prepare(items)

    def __len__(self) -> int:
        return len(self._items)

    def forward(self, draws: Int[Tensor, "k draw"]) -> Float[Tensor, "k 2 b width"]:
        """Returns each batch's two views; a draw is a key and the items' numbers."""
        return torch.stack([self._views(int(draw[0]), draw[1:].tolist()) for draw in draws])

    def problem(self, draws: Int[Tensor, "k draw"]) -> Problem:
        """Returns the problem whose rows are these batches."""
        return Problem(self, contrastive_loss, draws, torch.zeros(len(draws)), batched=False)

    def batches(self, size: int, random: torch.Generator) -> Int[Tensor, "k draw"]:
        """Returns all items once, in batches of a size, in random order; those that fill no batch are left out.

        Raises:
            TrainingError: if there are too few items, or a batch has no two.
        """
        if size < 2:
            raise TrainingError(f"a batch of the contrastive task has at least two items, not {size}")
        count = len(self) // size
        if count == 0:
            raise TrainingError(f"{len(self)} items fill no batch of {size}; give more, or a smaller batch")
        order = torch.randperm(len(self), generator=random)[: count * size].reshape(count, size)
        return torch.cat([torch.randint(_KEYS, (count, 1), generator=random), order], 1)

    def _views(self, key: int, numbers: Sequence[int]) -> Float[Tensor, "2 b width"]:
        random = generator(key, "views")
        split = self._dealt if self._trainable.encoder.modality == "text" else _cropped
        pairs = [split(self._items[number], random) for number in numbers]
        pooled = self._trainable.pooled([one for one, _ in pairs] + [other for _, other in pairs])
        return functional.normalize(pooled, dim=1).reshape(2, len(pairs), -1)

    def _dealt(self, ids: Int[Tensor, " t"], random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns a text's tokens in two parts, those that begin and end a text in both; a text of one token twice."""
        frame = torch.isin(ids, self._trainable.frame)
        places = torch.nonzero(~frame)[:, 0]
        if len(places) < 2:
            return ids, ids
        first = torch.zeros_like(frame)
        first[places[torch.randperm(len(places), generator=random)[: len(places) // 2]]] = True
        return ids[first | frame], ids[~first]


def contrastive_loss(views: Float[Tensor, "k 2 b width"], targets: Tensor) -> Float[Tensor, " k"]:
    """Returns each batch's mean cross-entropy of finding an item's second view among all second views, in nats.

    >>> views = functional.normalize(torch.eye(2).expand(1, 2, 2, 2), dim=3)
    >>> contrastive_loss(views, torch.zeros(1)) < 1e-6
    tensor([True])
    """
    cosines = views[:, 0] @ views[:, 1].transpose(1, 2) / TEMPERATURE
    own = torch.arange(views.shape[2]).expand(len(views), -1)
    return functional.cross_entropy(cosines.transpose(1, 2), own, reduction="none").mean(1)


def _cropped(pixels: Float[Tensor, "3 h w"], random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns two random crops of an image, at its own size."""
    height, width = pixels.shape[1:]

    def crop() -> Tensor:
        share, down, along = torch.rand(3, generator=random).tolist()
        share = _CROP[0] + share * (_CROP[1] - _CROP[0])
        tall, wide = max(1, round(share * height)), max(1, round(share * width))
        top, left = int(down * (height - tall + 1)), int(along * (width - wide + 1))
        part = pixels[None, :, top : top + tall, left : left + wide]
        return functional.interpolate(part, (height, width), mode="bilinear", align_corners=False)[0]

    return crop(), crop()
