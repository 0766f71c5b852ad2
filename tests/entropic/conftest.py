"""Tiny pretrained models with random weights, and items for them; the emoji that towers learn from."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image

from alignment.entropic.emoji_pairs import EmojiPairs
from alignment.entropic.recipes import transformer
from alignment.entropic.recipes.tower_shape import tower_config
from alignment.models.quiet import quiet
from tests.models.conftest import IMAGE, TEXT, WIDE, save, tokenizer

OWN: dict[str, Callable[[], hf.PretrainedConfig]] = {
    "bert-relu": lambda: hf.BertConfig(**WIDE, hidden_act="relu"),
    "roformer": lambda: hf.RoFormerConfig(**WIDE),
    "grouped": lambda: hf.LlamaConfig(**WIDE, num_key_value_heads=1),
}


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, str]]:
    """Makes a tiny model of a family, and a probe set for it: their references."""
    kept: dict[str, tuple[str, str]] = {}

    def make(family: str) -> tuple[str, str]:
        if family not in kept:
            with quiet():
                folder = save({**TEXT, **IMAGE, **OWN}[family](), tmp_path_factory.mktemp(family))
            if family in IMAGE:
                processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
                (folder / "preprocessor_config.json").write_text(json.dumps(processor))
                probe = tmp_path_factory.mktemp("pictures")
                draw = np.random.default_rng(0)
                for number in range(160):
                    Image.fromarray(draw.integers(0, 256, (32, 32, 3)).astype("uint8")).save(probe / f"{number:03}.png")
            else:
                tokenizer(family.split("-")[0], "right").save_pretrained(folder)
                probe = tmp_path_factory.mktemp("texts") / "texts.txt"
                words = torch.randint(5, 64, (200, 9), generator=torch.Generator().manual_seed(0))
                probe.write_text("".join(" ".join(f"w{n}" for n in row) + "\n" for row in words.tolist()))
            kept[family] = f"path:{folder}", str(probe)
        return kept[family]

    return make


@pytest.fixture(scope="session")
def emoji() -> EmojiPairs:
    return EmojiPairs.load(tower_config("a", "image"), tower_config("a", "text"), 5)


@pytest.fixture(scope="module")
def quick_towers(emoji: EmojiPairs) -> Iterator[None]:
    """The emoji of one seed, for drawing them takes longer than all steps here; and few rows to measure on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmojiPairs, "load", classmethod(lambda cls, image, text, seed: emoji))
        for name, value in (("_MEASURED", 8), ("_HISTORY", 2), ("_PROBES", 2), ("_LANCZOS", 3)):
            patch.setattr(transformer, name, value)
        yield
