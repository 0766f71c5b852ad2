"""ImageEncoder: any model of images, once it is known how to prepare an image and where its states come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from alignment.errors import ModelError
from alignment.models.encoder import EncoderBase, Layer, Pooling
from alignment.models.pooling import pool_image
from alignment.models.pretrained import first_line

Prepare = Callable[[Image.Image], Tensor]
States = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageEncoder(EncoderBase):
    """An encoder of images: see `Encoder`.

    Attributes:
        prepare: an RGB image as a `[3, height, width]` tensor on the CPU.
        states: a batch of those as one `[b, t, c]` or `[b, c, h, w]` tensor a layer.
        prefix: how many leading tokens are not patches.
        model: the network itself, which `states` runs.
    """

    prepare: Prepare
    states: States
    prefix: int
    model: Any

    def encode(self, items: Sequence[Any], pooling: Pooling) -> list[Tensor]:
        """Returns one `[len(items), width]` float32 tensor a layer; see `Encoder.encode`."""
        self.check(items, pooling, Image.Image)
        if not items:
            return [torch.empty(0, layer.width, device=self.device) for layer in self.layers]
        pixels = [self.prepare(item) for item in items]
        # A preprocessor that keeps the aspect ratio gives images of several sizes, which cannot lie in one batch.
        alike = len({picture.shape for picture in pixels}) == 1
        batches = [torch.stack(pixels)] if alike else [picture[None] for picture in pixels]
        with torch.inference_mode():
            pooled = [
                [pool_image(states, self.prefix, pooling) for states in self.states(batch.to(self.device, self.dtype))]
                for batch in batches
            ]
        # A copy made outside is an ordinary tensor: one made in inference mode could not be changed in place later.
        return [torch.cat(parts).clone() for parts in zip(*pooled, strict=True)]


def image_encoder(
    *,
    reference: str,
    model: torch.nn.Module,
    prepare: Prepare,
    states: States,
    name: Callable[[int], Sequence[str]],
    prefix: int,
    has_class_token: bool,
    fingerprint: str,
    device: torch.device,
    dtype: torch.dtype,
) -> ImageEncoder:
    """Returns the encoder; the widths of its layers are learnt by encoding one grey image.

    Args:
        reference: how the model is named.
        model: in evaluation mode, on the device.
        prepare: see `ImageEncoder`.
        states: see `ImageEncoder`.
        name: the names of so many layers.
        prefix: see `ImageEncoder`.
        has_class_token: whether token 0 stands for the image.
        fingerprint: see `Encoder`.
        device: where the model is.
        dtype: what it computes in.

    Raises:
        ModelError: if the model cannot run on an image, gives no states, or answers at random.
    """
    grey = Image.linear_gradient("L").convert("RGB")
    try:
        pixels = prepare(grey)[None].to(device, dtype)
        with torch.inference_mode():
            found, again = states(pixels), states(pixels)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ModelError(f"{reference} cannot be run on one image: {first_line(error)}") from error
    if not found:
        raise ModelError(f"{reference} gives no hidden states, so there is nothing to compare")
    if not all(torch.allclose(a, b, rtol=1e-2, atol=1e-2) for a, b in zip(found, again, strict=True)):
        raise ModelError(f"{reference} answers at random: the same image gives other states each time (masking?)")
    widths = [state.shape[1] if state.ndim == 4 else state.shape[-1] for state in found]
    return ImageEncoder(
        reference=reference,
        modality="image",
        layers=tuple(Layer(n, width) for n, width in zip(name(len(found)), widths, strict=True)),
        parameters=sum(p.numel() for p in model.parameters()),
        fingerprint=fingerprint,
        poolings=("mean", "cls", "max") if has_class_token else ("mean", "max"),
        device=device,
        dtype=dtype,
        prepare=prepare,
        states=states,
        prefix=prefix,
        model=model,
    )
