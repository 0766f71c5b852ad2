"""Pooling: from the states of many tokens to one vector an item, always in float32.

Text is padded on the right and masked. An image's states are tokens `[b, t, c]`, of which the first `prefix` are not
patches (the class token, registers), or maps `[b, c, h, w]`. The mean and the maximum of an image are over its patches
alone: registers and the class token have no place in the picture, and registers carry massive activations
(Darcet et al. 2023, "Vision Transformers Need Registers").
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from alignment.models.encoder import Pooling


def pool_text(states: Float[Tensor, "b t c"], mask: Bool[Tensor, "b t"], pooling: Pooling) -> Float[Tensor, "b c"]:
    """Returns one float32 vector a text.

    Args:
        states: one vector a token; what padding holds does not matter, even if it is not finite.
        mask: True where a token is; at least one True a row.
        pooling: `mean`, `max`, `last` (the last real token) or `cls` (the first real token).
    """
    match pooling:
        case "mean":
            kept = states.float().masked_fill(~mask[..., None], 0.0)
            return kept.sum(1) / mask.sum(1, keepdim=True)
        case "max":
            return states.float().masked_fill(~mask[..., None], -torch.inf).amax(1)
        case "last":
            # The mask's own last True: right whatever side the padding is on.
            steps = torch.arange(mask.shape[1], device=mask.device)
            place = (mask * steps).argmax(1)
        case "cls":
            place = mask.int().argmax(1)
    return states[torch.arange(len(states), device=states.device), place].float()


def pool_image(
    states: Float[Tensor, "b t c"] | Float[Tensor, "b c h w"], prefix: int, pooling: Pooling
) -> Float[Tensor, "b c"]:
    """Returns one float32 vector an image.

    Args:
        states: tokens or maps.
        prefix: how many leading tokens are not patches; the class token, where there is one, is token 0.
        pooling: `mean`, `max`, or for tokens `cls`.

    Raises:
        ValueError: for `last`, and for `cls` of a map.
    """
    patches = states.flatten(2).transpose(1, 2) if states.ndim == 4 else states[:, prefix:]
    match pooling:
        case "mean":
            return patches.float().mean(1)
        case "max":
            return patches.float().amax(1)
        case "cls" if states.ndim == 3:
            return states[:, 0].float()
    raise ValueError(f"an image of states {tuple(states.shape)} has no pooling {pooling!r}")
