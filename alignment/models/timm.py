"""Timm models, as image encoders: from a folder with timm's own `config.json` (`architecture`) and `model.safetensors`.

Layers are timm's own intermediate features, under the names of the modules that give them (`blocks.0`, `layer1`).
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from PIL import Image
from torch import Tensor, cat

from alignment.errors import ModelError
from alignment.models.checkpoint import Checkpoint
from alignment.models.fingerprint import fingerprint, weights_digest
from alignment.models.image import ImageEncoder, image_encoder
from alignment.models.placement import Placement


def require_timm(reference: str) -> Any:
    """Returns the module timm.

    Raises:
        ModelError: if timm, or the torchvision that it needs, is absent.
    """
    try:
        import timm
        import timm.data
    except ImportError as error:
        raise ModelError(
            f"{reference} needs timm, which is not installed ({error.name}); "
            "in Accord's checkout, pip install '.[timm]'"
        ) from error
    return timm


def hub_id(name: str) -> str:
    """Returns the hub repository of a timm name: `timm/NAME`, or for a name without a tag that of its default weights.

    Raises:
        ModelError: if there is no tag and timm is absent or knows no weights of that name.

    >>> hub_id("resnet50.a1_in1k")
    'timm/resnet50.a1_in1k'
    """
    if "/" in name:
        return name
    if "." in name:
        return f"timm/{name}"
    cfg = require_timm(f"timm:{name}").get_pretrained_cfg(name, allow_unregistered=True)
    if cfg is None or not cfg.hf_hub_id:
        raise ModelError(f"timm has no pretrained weights named {name!r}; write timm:ARCHITECTURE.TAG")
    return str(cfg.hf_hub_id)


def load_timm(checkpoint: Checkpoint, place: Placement) -> ImageEncoder:
    """Returns the image encoder that a checkpoint in timm's format holds; its classifier is left out.

    Raises:
        ModelError: if timm is absent or lacks the architecture, the weights do not suffice, or the model cannot give
            its intermediate features.
    """
    reference, config = checkpoint.reference, checkpoint.config
    timm = require_timm(reference)
    architecture, args = str(config["architecture"]), dict(config.get("model_args") or {})
    _refuse_commands(timm, reference, architecture, args)
    # An older config.json is itself the pretrained configuration.
    cfg = config.get("pretrained_cfg") or {k: v for k, v in config.items() if k != "model_args"}
    try:
        model = timm.create_model(architecture, pretrained=False, pretrained_cfg=cfg, **{**args, "num_classes": 0})
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise ModelError(f"{reference}: timm cannot build {architecture!r} ({error})") from error
    report = model.load_state_dict(_fitting(checkpoint, model), strict=False)
    if report.missing_keys:
        raise ModelError(
            f"{reference} lacks {len(report.missing_keys)} of the weights of {architecture} "
            f"({', '.join(report.missing_keys[:3])}, …), which would be random; give the folder of the whole model"
        )
    if not hasattr(model, "forward_intermediates"):
        raise ModelError(f"timm's {architecture} cannot give its intermediate features; choose another architecture")
    dtype = place.dtype_for(checkpoint.dtype())
    model = model.eval().requires_grad_(False).to(place.device, dtype)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    prefixed = "return_prefix_tokens" in inspect.signature(model.forward_intermediates).parameters
    prefix = int(getattr(model, "num_prefix_tokens", 0)) if prefixed else 0
    modules = [str(info["module"]) for info in getattr(model, "feature_info", ())]

    def prepare(image: Image.Image) -> Tensor:
        pixels: Tensor = transform(image)
        return pixels

    def states(pixels: Tensor) -> list[Tensor]:
        extra = {"return_prefix_tokens": True} if prefixed else {}
        found = model.forward_intermediates(pixels, intermediates_only=True, **extra)
        return [_tokens(*state) if isinstance(state, (tuple, list)) else state for state in found]

    return image_encoder(
        reference=reference,
        model=model,
        prepare=prepare,
        states=states,
        name=lambda count: modules if len(modules) == count else [f"layer.{i}" for i in range(count)],
        prefix=prefix,
        has_class_token=prefix > 0 and getattr(model, "cls_token", None) is not None,
        fingerprint=fingerprint(weights_digest(checkpoint.tensors()), checkpoint.facts()),
        device=place.device,
        dtype=dtype,
    )


def _refuse_commands(timm: Any, reference: str, architecture: str, args: dict[str, Any]) -> None:
    """Refuses a config.json that would have `timm.create_model` do more than build an architecture.

    Its own parameters name other files to load, pickles among them, so only the architecture's own may come from a
    config; and an architecture is one that timm has, not a place to fetch one from.

    Raises:
        ModelError: naming what the config must not say.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]+", architecture) or not timm.is_model(architecture):
        raise ModelError(f"{reference}: timm has no architecture {architecture!r}; give a folder that timm saved")
    own = set(inspect.signature(timm.create_model).parameters) | {"pretrained", "pretrained_strict", "features_only"}
    said = sorted(name for name in args if name in own or "checkpoint" in name)
    if said:
        raise ModelError(
            f"{reference}: config.json sets {', '.join(said)}, which is refused; remove it from model_args"
        )


def _fitting(checkpoint: Checkpoint, model: Any) -> dict[str, Tensor]:
    """Returns the stored weights that the model has a place of that shape for."""
    places = {name: tensor.shape for name, tensor in model.state_dict().items()}
    return {name: tensor for name, tensor in checkpoint.tensors() if places.get(name) == tensor.shape}


def _tokens(patches: Tensor, prefix: Tensor) -> Tensor:
    """Returns `[b, t, c]` tokens, the prefix first, of a map `[b, c, h, w]` and its prefix tokens."""
    return cat([prefix, patches.flatten(2).transpose(1, 2)], dim=1)
