"""Vision: Hugging Face vision models, as image encoders."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from alignment.errors import ModelError
from alignment.models.checkpoint import Checkpoint
from alignment.models.fingerprint import fingerprint, weights_digest
from alignment.models.image import ImageEncoder, image_encoder
from alignment.models.placement import Placement
from alignment.models.pretrained import depth_names, first_line, load_pretrained

PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
# Parameters of shape [1, tokens, width] that are set before the patches.
CLASS_PARAMETER = "cls_token"
_PREFIXES = (CLASS_PARAMETER, "distillation_token", "register_tokens")


def load_vision(checkpoint: Checkpoint, config: Any, cls: Any, place: Placement) -> ImageEncoder:
    """Returns the image encoder that a checkpoint holds.

    Images are prepared by the model's own processor on PIL: the result is the same with and without torchvision.

    Raises:
        ModelError: if its processor or its weights cannot be used, or it gives no hidden states.
    """
    dtype = place.dtype_for(checkpoint.dtype())
    processor = _processor(checkpoint)
    model = load_pretrained(checkpoint, config, cls, place.device, dtype)
    prefixes = {n.split(".")[-1]: p for n, p in model.named_parameters() if n.split(".")[-1] in _PREFIXES}

    def prepare(image: Image.Image) -> Tensor:
        # The channels are named: of an image three pixels high they could not be guessed.
        made = processor(images=[image], return_tensors="pt", input_data_format="channels_last")
        pixels: Tensor = made["pixel_values"][0]
        return pixels

    def states(pixels: Tensor) -> list[Tensor]:
        output = model(pixel_values=pixels, output_hidden_states=True, return_dict=True)
        # Swin and its kin also give their tokens as maps; the tokens' own widths differ by stage in either form.
        found = getattr(output, "reshaped_hidden_states", None) or getattr(output, "hidden_states", None)
        return list(found or ())

    def names(count: int) -> list[str]:
        depth = len(getattr(config, "depths", None) or ()) or getattr(config, "num_hidden_layers", count - 1)
        return depth_names(count, config, embedded=count == depth + 1)

    return image_encoder(
        reference=checkpoint.reference,
        model=model,
        prepare=prepare,
        states=states,
        name=names,
        prefix=sum(p.shape[1] for p in prefixes.values()),
        has_class_token=CLASS_PARAMETER in prefixes,
        fingerprint=fingerprint(weights_digest(checkpoint.tensors()), checkpoint.facts(*PROCESSOR_FILES)),
        device=torch.device(place.device),
        dtype=dtype,
    )


def _processor(checkpoint: Checkpoint) -> Any:
    # From its own module: without torchvision, transformers 5.17 exports only a stand-in that asks for it, though the
    # PIL processors need none.
    from transformers.models.auto.image_processing_auto import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(
            checkpoint.folder, backend="pil", trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise ModelError(
            f"{checkpoint.reference}: how its images are prepared cannot be read ({first_line(error)}); "
            "the folder must hold preprocessor_config.json"
        ) from error
