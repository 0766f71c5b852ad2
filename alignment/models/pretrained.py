"""Pretrained: the Hugging Face model that a checkpoint holds, loaded whole or not at all."""

from __future__ import annotations

import inspect
import re
from typing import Any, Literal

import torch
from torch import nn

from alignment.errors import ModelError
from alignment.models.checkpoint import Checkpoint

SUPPORTED = "Accord runs text encoders (the BERT family), causal language models, vision models, and timm models"
_FAMILIES: dict[str, Literal["text", "image"]] = {"input_ids": "text", "pixel_values": "image"}
# Weights that no hidden state depends on: the pooler is never read, and the mask token is for training.
_UNREAD = re.compile(r"(^|\.)(pooler|mask_token)(\.|$)")


def family(checkpoint: Checkpoint) -> tuple[Literal["text", "image"], Any, type[nn.Module]]:
    """Returns what the model encodes, its config and its class, having run nothing.

    Raises:
        ModelError: if it is of a family that is not supported, or would need code from outside transformers.
    """
    from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig

    raw, reference = checkpoint.config, checkpoint.reference
    kind = raw.get("model_type")
    if kind not in CONFIG_MAPPING:
        why = "needs code of its own, which is never run" if "auto_map" in raw else "is unknown to transformers here"
        raise ModelError(f"{reference}: the model type {kind!r} {why}; {SUPPORTED}")
    if "quantization_config" in raw:
        raise ModelError(f"{reference} is quantised; give the same model in float32, bfloat16 or float16")
    if any("attn_implementation" in key and "/" in str(value) for key, value in raw.items()):
        raise ModelError(f"{reference} names an attention kernel to download, and remote code is never run")
    try:
        config = AutoConfig.from_pretrained(checkpoint.folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{reference}: its config cannot be used ({first_line(error)})") from error
    if config.is_encoder_decoder:
        raise ModelError(f"{reference} is an encoder-decoder ({kind}); {SUPPORTED}")
    if config.sub_configs:
        raise ModelError(f"{reference} holds several models in one ({kind}); {SUPPORTED}")
    found = MODEL_MAPPING.get(type(config), None)
    cls = found[0] if isinstance(found, (tuple, list)) else found
    modality = _FAMILIES.get(getattr(cls, "main_input_name", ""))
    if cls is None or modality is None:
        raise ModelError(f"{reference} takes neither text nor images ({kind}); {SUPPORTED}")
    return modality, config, cls


def load_pretrained(
    checkpoint: Checkpoint, config: Any, cls: type[nn.Module], device: torch.device, dtype: torch.dtype
) -> Any:
    """Returns the model in evaluation mode on its device, every weight that a hidden state depends on from the file.

    Raises:
        ModelError: if the weights do not fit or do not suffice.
    """
    if hasattr(config, "use_cache"):
        config.use_cache = False  # one forward a batch: a cache of keys and values would only take memory
    extra = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(cls.__init__).parameters else {}
    try:
        # The dtype is given here and not by .to(): the buffers that positions are computed from stay in float32.
        model, report = cls.from_pretrained(  # type: ignore[attr-defined]
            checkpoint.folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **extra,
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        raise ModelError(f"{checkpoint.reference} cannot be loaded: {first_line(error)}") from error
    missing = sorted(name for name in report["missing_keys"] if not _UNREAD.search(name))
    missing += sorted(str(row[0]) for row in report["mismatched_keys"])
    if missing:
        raise ModelError(
            f"{checkpoint.reference} lacks {len(missing)} of the weights of {cls.__name__} "
            f"({', '.join(missing[:3])}, …), which would be random; give the folder of the whole model"
        )
    return model.eval().requires_grad_(False).to(device)


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def depth_names(count: int, config: Any, *, embedded: bool) -> list[str]:
    """Returns names for `count` hidden states.

    Args:
        count: how many there are.
        config: the model's, which says how many layers or stages it has.
        embedded: whether the first is the input embedding.
    """
    depths = getattr(config, "depths", None)
    word, depth = ("stage", len(depths)) if depths else ("layer", getattr(config, "num_hidden_layers", None))
    names = ["embeddings"] if embedded else []
    names += [f"{word}.{i}" for i in range(count - len(names))]
    if not embedded and depth is not None and count == depth + 1:
        names[-1] = "norm"  # Mamba lists its layers' outputs, then their normalised end
    return names
