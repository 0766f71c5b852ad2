"""Masking: what is hidden from a tower of each item, and how far off it is about that.

Half of an image's patches are hidden, or a quarter of a text's letters, drawn anew for each batch. What is hidden is
not there: such a patch is NaN, and such a letter the one number that stands for all that are hidden, so that no network
can read the answer off its input.

Source: Devlin et al. 2019, arXiv 1810.04805 (texts); He et al. 2022, arXiv 2111.06377 (images).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from alignment.entropic.problem import Loss
from alignment.models import TowerConfig, tiles
from alignment.models.tower import PADDING

SHARES = {"image": 0.5, "text": 0.25}
_SEEN = -100  # the target of a letter that is seen, and not asked for


@dataclass(frozen=True)
class Masking:
    """How a tower's items are hidden in part.

    Attributes:
        config: the tower's.
    """

    config: TowerConfig

    @property
    def loss(self) -> Loss:
        """An item's loss: the mean over what is hidden of the pixels' squared errors, or of the letters' nats."""
        return pixels_loss if self.config.modality == "image" else letters_loss

    def hide(self, items: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns items with some of their places hidden, and what was there.

        Args:
            items: `[b, n]`, whole, as the tower takes them.
            random: what the places are drawn from.

        Returns:
            The inputs, `[b, n]`, and the targets: `[b, t, m]` pixels of each patch, NaN where it is seen; or `[b, t]`
            numbers of the letters, -100 where one is seen or none is.
        """
        config, share = self.config, SHARES[self.config.modality]
        if config.modality == "text":
            hidden = _drawn(items != PADDING, share, random)
            return items.masked_fill(hidden, config.hidden_letter), items.long().masked_fill(~hidden, _SEEN)
        hidden = _drawn(torch.ones(len(items), config.positions, dtype=torch.bool), share, random)
        across = config.side // config.patch
        pixels = hidden.reshape(-1, 1, across, across)
        pixels = pixels.repeat_interleave(config.patch, 2).repeat_interleave(config.patch, 3).expand(-1, 3, -1, -1)
        inputs = items.masked_fill(pixels.reshape(items.shape), torch.nan)
        return inputs, tiles(items, config).masked_fill(~hidden[..., None], torch.nan)

    def accuracy(self, outputs: Tensor, targets: Tensor) -> float | None:
        """Returns the share of the hidden letters that were found; None for pixels, which are numbers."""
        if self.config.modality == "image":
            return None
        asked = targets != _SEEN
        return float((outputs.argmax(2) == targets)[asked].double().mean())


def pixels_loss(outputs: Float[Tensor, "b t m"], targets: Float[Tensor, "b t m"]) -> Float[Tensor, " b"]:
    """Returns the mean squared error of each item's hidden pixels, those whose targets are numbers.

    >>> targets = torch.tensor([[[1.0, 3.0], [torch.nan, torch.nan]]])
    >>> pixels_loss(torch.zeros(1, 2, 2), targets)
    tensor([5.])
    """
    seen = targets.isnan()
    errors = (outputs - targets.masked_fill(seen, 0.0)).masked_fill(seen, 0.0).square()
    return errors.flatten(1).sum(1) / (~seen).flatten(1).sum(1)


def letters_loss(outputs: Float[Tensor, "b t m"], targets: Tensor) -> Float[Tensor, " b"]:
    """Returns the mean cross-entropy of each item's hidden letters, in nats."""
    each = functional.cross_entropy(outputs.transpose(1, 2), targets, reduction="none", ignore_index=_SEEN)
    return each.sum(1) / (targets != _SEEN).sum(1)


def _drawn(there: Bool[Tensor, "b t"], share: float, random: torch.Generator) -> Bool[Tensor, "b t"]:
    """Returns a share of each item's places that hold something, one at least."""
    order = torch.rand(there.shape, generator=random).masked_fill(~there, 2.0).argsort(1).argsort(1)
    return order < (share * there.sum(1, keepdim=True)).round().clamp(min=1)
