"""Tiny models with random weights, saved as their users would save them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

SIZES = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
WIDE = {**SIZES, "intermediate_size": 32, "max_position_embeddings": 24}
VISION = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 2]}

TEXT: dict[str, Callable[[], hf.PretrainedConfig]] = {
    "bert": lambda: hf.BertConfig(**WIDE),
    "roberta": lambda: hf.RobertaConfig(**WIDE, pad_token_id=1),
    "distilbert": lambda: hf.DistilBertConfig(
        vocab_size=64, dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=24
    ),
    "gpt2": lambda: hf.GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=24),
    "gpt_neox": lambda: hf.GPTNeoXConfig(**WIDE),
    "llama": lambda: hf.LlamaConfig(**WIDE, num_key_value_heads=2),
    "mistral": lambda: hf.MistralConfig(**WIDE, num_key_value_heads=2),
    "qwen3": lambda: hf.Qwen3Config(**WIDE, num_key_value_heads=2, head_dim=8),
    "gemma3_text": lambda: hf.Gemma3TextConfig(**WIDE, num_key_value_heads=2, head_dim=8),
    "mamba": lambda: hf.MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=2, state_size=4),
}
IMAGE: dict[str, Callable[[], hf.PretrainedConfig]] = {
    "vit": lambda: hf.ViTConfig(**VISION, intermediate_size=32),
    "dinov2": lambda: hf.Dinov2Config(**VISION),
    "dinov2_with_registers": lambda: hf.Dinov2WithRegistersConfig(**VISION),
    "swin": lambda: hf.SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 2], num_heads=[1, 2], window_size=4
    ),
    "resnet": lambda: hf.ResNetConfig(embedding_size=8, layer_type="basic", **STAGES),
    "convnext": lambda: hf.ConvNextConfig(num_stages=2, image_size=32, **STAGES),
}
BIDIRECTIONAL = ("bert", "roberta", "distilbert")
# Unequal lengths, one cut at the model's limit, one empty.
TEXTS = ["w10 w11 w12", "w20", "w13 w14 w15 w16 w17 w18 w19", "", " ".join(f"w{10 + i % 40}" for i in range(50))]


def tokenizer(family: str, side: str) -> hf.PreTrainedTokenizerFast:
    """A word-level tokenizer: [CLS] a b [SEP] for the BERT family, bare words without a padding token otherwise."""
    special = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "<eos>"]
    vocabulary = {word: i for i, word in enumerate([*special, *(f"w{i}" for i in range(5, 64))])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if family not in BIDIRECTIONAL:
        return hf.PreTrainedTokenizerFast(
            tokenizer_object=backend, unk_token="[UNK]", eos_token="<eos>", padding_side=side
        )
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        padding_side=side,
    )


def save(config: hf.PretrainedConfig, folder: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = hf.AutoModel.from_config(config)
        # Freshly made biases are zero and some scales tiny: spread every weight, so that a mistake shows.
        for weight in model.parameters():
            weight.data.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a folder with a tiny text model of a family."""

    def make(family: str, side: str = "right") -> Path:
        folder = save(TEXT[family](), tmp_path_factory.mktemp(family))
        tokenizer(family, side).save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a folder with a tiny vision model of a family."""

    def make(family: str) -> Path:
        folder = save(IMAGE[family](), tmp_path_factory.mktemp(family))
        processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
        return folder

    return make


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Four random pictures of unequal sizes, one of them three pixels high."""
    draw = np.random.default_rng(0)
    sizes = [(40, 40), (50, 3), (31, 64), (32, 32)]
    return [Image.fromarray(draw.integers(0, 256, (h, w, 3)).astype("uint8")) for w, h in sizes]


@pytest.fixture(params=list(TEXT))
def text_family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=list(IMAGE))
def image_family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return TEXTS
