"""What is known of a model before it is loaded is what the loaded model says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from alignment.models import builtin_models, load_encoder, outline
from alignment.models.checkpoint import Checkpoint
from alignment.references import ModelRef


def agrees(folder: Path) -> None:
    encoder, found = load_encoder(ModelRef("path", str(folder))), outline(Checkpoint.open(folder, "it"))
    assert (found.modality, found.poolings) == (encoder.modality, encoder.poolings)


def test_of_texts(text_folder: Callable[[str], Path], text_family: str) -> None:
    agrees(text_folder(text_family))


def test_of_images(image_folder: Callable[[str], Path], image_family: str) -> None:
    agrees(image_folder(image_family))


def test_a_folder_that_lacks_its_tokenizer_is_left_to_who_loads_it(text_folder: Callable[[str], Path]) -> None:
    folder = text_folder("bert")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert outline(Checkpoint.open(folder, "it")).poolings is None


@pytest.mark.weights
@pytest.mark.parametrize("name", [model.name for model in builtin_models()])
def test_of_builtin_models(name: str) -> None:
    encoder = load_encoder(ModelRef("builtin", name))
    (known,) = (model for model in builtin_models() if model.name == name)
    assert (known.layers, known.poolings) == (encoder.layers, encoder.poolings)
