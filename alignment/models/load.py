"""Loading: from a reference to an encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from alignment.errors import ModelError
from alignment.models.builtin import builtin_model
from alignment.models.checkpoint import Checkpoint
from alignment.models.encoder import Encoder
from alignment.models.hub import Hub, HuggingFaceHub
from alignment.models.placement import Placement
from alignment.models.pretrained import family
from alignment.models.quiet import quiet
from alignment.models.text import load_text
from alignment.models.timm import hub_id, load_timm
from alignment.models.towers import is_tower, load_tower
from alignment.models.vectors import is_dense, load_dense
from alignment.models.vision import load_vision
from alignment.references import ModelRef


def resolve(ref: ModelRef, hub: Hub) -> ModelRef:
    """Returns the reference with a hub model's revision as a commit of 40 hex digits, before anything runs.

    A timm name is completed by the tag of its default weights. References that name no hub model come back as they are.

    Raises:
        ModelError: if the hub has no such model or revision, or cannot be reached.
    """
    if ref.scheme == "hf":
        return replace(ref, revision=hub.commit(ref.name, ref.revision))
    if ref.scheme == "timm":
        model = hub_id(ref.name)
        return replace(ref, name=model.removeprefix("timm/"), revision=hub.commit(model, ref.revision))
    return ref


def load_encoder(
    ref: ModelRef,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    cache: Path | None = None,
    hub: Hub | None = None,
) -> Encoder:
    """Returns the model that `ref` names, loaded, in evaluation mode, on its device.

    Args:
        ref: a built-in, Hugging Face or timm model, or a local folder of either format or of Accord's own.
        device: where to run it.
        dtype: what to compute in; None is float32, or on a GPU the checkpoint's own dtype if that is a half.
        cache: where built-in models are kept once converted, and downloads (in `hub/`) if `hub` is None; nothing is
            written elsewhere. None converts anew, and downloads to huggingface_hub's own cache.
        hub: where models are downloaded from; None is the Hugging Face hub.

    Raises:
        ModelError: if the model cannot be loaded as asked, which it then says how to.
        UnknownNameError: if there is no built-in model of that name.
    """
    if ref.scheme == "features":
        raise ModelError(
            f"{ref} is a file of activations already: there is no model to run on it; score the file itself"
        )
    place = Placement.of(device, dtype)
    # Architectures are built with random weights before theirs are read: the caller's own random state stays untouched.
    with quiet(), torch.random.fork_rng(devices=[]):
        if ref.scheme == "builtin":
            return builtin_model(ref.name).load(place, cache)
        if ref.scheme == "path":
            return _load_folder(Path(ref.name), str(ref), place)
        hub = hub or HuggingFaceHub(folder=cache / "hub" if cache else None)
        found = resolve(ref, hub)
        model = hub_id(found.name) if ref.scheme == "timm" else found.name
        return _load_folder(hub.download(model, str(found.revision)), str(found), place)


def _load_folder(folder: Path, reference: str, place: Placement) -> Encoder:
    checkpoint = Checkpoint.open(folder, reference)
    if is_dense(checkpoint):
        return load_dense(checkpoint, place)
    if is_tower(checkpoint):
        return load_tower(checkpoint, place)
    if "architecture" in checkpoint.config:
        return load_timm(checkpoint, place)
    modality, config, cls = family(checkpoint)
    return (load_text if modality == "text" else load_vision)(checkpoint, config, cls, place)
