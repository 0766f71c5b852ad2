"""Image encoders agree with a plain loop over single images."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as hf
from PIL import Image
from torch import Tensor

from alignment.errors import ModelError
from alignment.models import load_encoder
from alignment.models.image import ImageEncoder
from alignment.references import ModelRef

Folder = Callable[[str], Path]
PREFIX = {"vit": 1, "dinov2": 1, "dinov2_with_registers": 5}
NAMES = {
    "vit": ["embeddings", "layer.0", "layer.1"],
    "dinov2": ["embeddings", "layer.0", "layer.1"],
    "dinov2_with_registers": ["embeddings", "layer.0", "layer.1"],
}


def load(folder: Path) -> ImageEncoder:
    encoder = load_encoder(ModelRef("path", str(folder)))
    assert isinstance(encoder, ImageEncoder)
    return encoder


def plain(folder: Path, picture: Image.Image, pooling: str, prefix: int) -> list[Tensor]:
    # The preparation written out: 32 by 32 bilinear, then (x / 255 - 0.5) / 0.5.
    small = picture.resize((32, 32), Image.Resampling.BILINEAR)
    pixels = torch.tensor(list(small.tobytes())).reshape(32, 32, 3).permute(2, 0, 1).float() / 127.5 - 1.0
    model = hf.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(pixels[None], output_hidden_states=True).hidden_states
    vectors = []
    for state in states:
        tokens = state[0].flatten(1).T if state.ndim == 4 else state[0]
        patches = tokens[prefix:]
        vectors.append({"mean": patches.mean(0), "max": patches.max(0).values, "cls": tokens[0]}[pooling])
    return vectors


def test_agrees_with_a_plain_loop(image_folder: Folder, image_family: str, pictures: list[Image.Image]) -> None:
    folder = image_folder(image_family)
    encoder = load(folder)
    prefix = PREFIX.get(image_family, 0)
    assert encoder.poolings == (("mean", "cls", "max") if prefix else ("mean", "max"))
    assert [la.name for la in encoder.layers] == NAMES.get(image_family, ["embeddings", "stage.0", "stage.1"])
    for pooling in encoder.poolings:
        found = encoder.encode(pictures, pooling)
        rows = [plain(folder, picture, pooling, prefix) for picture in pictures]
        for depth, (layer, vectors) in enumerate(zip(encoder.layers, found, strict=True)):
            assert vectors.shape == (len(pictures), layer.width)
            torch.testing.assert_close(vectors, torch.stack([r[depth] for r in rows]), rtol=1e-5, atol=1e-5)


def test_images_of_unequal_size_after_preparation(image_folder: Folder, pictures: list[Image.Image]) -> None:
    folder = image_folder("resnet")
    ratio = {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 32}, "do_center_crop": False}
    (folder / "preprocessor_config.json").write_text(json.dumps(ratio))
    encoder = load(folder)
    together = encoder.encode([pictures[0], pictures[2]], "mean")
    alone = encoder.encode([pictures[2]], "mean")
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:], b)


def test_refuses_what_has_no_meaning(image_folder: Folder, pictures: list[Image.Image]) -> None:
    encoder = load(image_folder("resnet"))
    with pytest.raises(ModelError, match="cannot pool by 'last'; it can pool by: 'mean', 'max'"):
        encoder.encode(pictures, "last")
    with pytest.raises(ModelError, match="encodes image items"):
        encoder.encode(["a picture"], "mean")
    assert [tuple(x.shape) for x in encoder.encode([], "mean")] == [(0, 8), (0, 8), (0, 16)]


def test_a_folder_without_a_processor_says_so(image_folder: Folder) -> None:
    folder = image_folder("vit")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"must hold preprocessor_config\.json"):
        load(folder)


def test_a_model_that_masks_at_random_is_refused(image_folder: Folder, tmp_path: Path) -> None:
    config = hf.ViTMAEConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
    )
    hf.ViTMAEModel(config).save_pretrained(tmp_path)
    source = image_folder("vit") / "preprocessor_config.json"
    (tmp_path / "preprocessor_config.json").write_text(source.read_text())
    with pytest.raises(ModelError, match="answers at random"):
        load(tmp_path)
