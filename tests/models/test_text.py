"""Text encoders agree with a plain loop over single, unpadded texts."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as hf
from torch import Tensor

from alignment.errors import ModelError
from alignment.models import load_encoder
from alignment.references import ModelRef

Folder = Callable[..., Path]


def load(folder: Path, **options: object) -> object:
    return load_encoder(ModelRef("path", str(folder)), **options)


def plain(folder: Path, text: str, pooling: str, limit: int) -> list[Tensor]:
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text, truncation=True, max_length=limit)["input_ids"] or [tokenizer.eos_token_id]
    model = hf.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
    reduce = {
        "mean": lambda h: h.mean(0),
        "max": lambda h: h.max(0).values,
        "last": lambda h: h[-1],
        "cls": lambda h: h[0],
    }
    return [reduce[pooling](state[0]) for state in states]


@pytest.mark.parametrize("side", ["right", "left"])
def test_agrees_with_a_plain_loop_whatever_the_padding_side(
    text_folder: Folder, text_family: str, texts: list[str], side: str
) -> None:
    folder = text_folder(text_family, side)
    encoder = load(folder)
    limit = {"roberta": 22, "mamba": 4096}.get(text_family, 24)
    expected_poolings = ("mean", "last", "cls", "max") if "bert" in text_family else ("mean", "last", "max")
    assert encoder.tokenizer.limit == limit
    assert encoder.poolings == expected_poolings
    for pooling in encoder.poolings:
        found = encoder.encode(texts, pooling)
        rows = [plain(folder, text, pooling, limit) for text in texts]
        assert len(found) == len(encoder.layers)
        for depth, (layer, vectors) in enumerate(zip(encoder.layers, found, strict=True)):
            expected = torch.stack([row[depth] for row in rows])
            assert vectors.dtype == torch.float32
            assert vectors.shape == (len(texts), layer.width)
            torch.testing.assert_close(vectors, expected, rtol=1e-5, atol=1e-5)


def test_batching_changes_nothing(text_folder: Folder, text_family: str, texts: list[str]) -> None:
    encoder = load(text_folder(text_family))
    together = encoder.encode(texts, "mean")
    alone = [torch.cat(parts) for parts in zip(*(encoder.encode([text], "mean") for text in texts), strict=True)]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_names_the_layers(text_folder: Folder, text_family: str) -> None:
    names = [layer.name for layer in load(text_folder(text_family)).layers]
    # Mamba lists no embeddings, but its normalised end.
    assert names == (["layer.0", "layer.1", "norm"] if text_family == "mamba" else ["embeddings", "layer.0", "layer.1"])


def test_no_items_give_no_rows(text_folder: Folder) -> None:
    assert [tuple(x.shape) for x in load(text_folder("bert")).encode([], "mean")] == [(0, 16)] * 3


def test_results_are_ordinary_tensors(text_folder: Folder) -> None:
    found = load(text_folder("bert")).encode(["w9"], "mean")
    found[0] -= 1.0  # refused for a tensor made in inference mode


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_and_pools_in_float32(
    text_folder: Folder, texts: list[str], dtype: torch.dtype
) -> None:
    folder = text_folder("llama")
    half, full = load(folder, dtype=dtype), load(folder)
    assert half.dtype == dtype
    assert half.fingerprint == full.fingerprint
    assert half.model.rotary_emb.inv_freq.dtype == torch.float32  # positions are not rounded
    for a, b in zip(half.encode(texts, "mean"), full.encode(texts, "mean"), strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0.1, atol=0.1)


def test_a_half_checkpoint_computes_in_float32_on_the_cpu(text_folder: Folder, tmp_path: Path) -> None:
    model = hf.AutoModel.from_pretrained(text_folder("gpt2"), dtype=torch.bfloat16)
    shutil.copytree(text_folder("gpt2"), tmp_path / "half")
    model.save_pretrained(tmp_path / "half")
    assert load(tmp_path / "half").dtype == torch.float32


def test_gpu_agrees_with_cpu(text_folder: Folder, text_family: str, texts: list[str], gpu: torch.device) -> None:
    folder = text_folder(text_family)
    cpu, there = load(folder), load(folder, device=gpu)
    assert cpu.fingerprint == there.fingerprint
    for a, b in zip(cpu.encode(texts, "mean"), there.encode(texts, "mean"), strict=True):
        assert b.device.type == "cuda"
        torch.testing.assert_close(a, b.cpu(), rtol=1e-3, atol=1e-3)


def test_refuses_a_pooling_without_meaning(text_folder: Folder) -> None:
    with pytest.raises(ModelError, match="cannot pool by 'cls'; it can pool by: 'mean', 'last', 'max'"):
        load(text_folder("gpt2")).encode(["w9"], "cls")


def test_refuses_an_item_that_is_no_text(text_folder: Folder) -> None:
    with pytest.raises(ModelError, match="item 1 is a int"):
        load(text_folder("gpt2")).encode(["w9", 3], "mean")


def test_an_empty_text_without_any_special_token_says_what_to_do(text_folder: Folder, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(text_folder("gpt2"), folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    bare = {k: v for k, v in settings.items() if not k.endswith("_token")}
    (folder / "tokenizer_config.json").write_text(json.dumps(bare))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    encoder = load(folder)
    with pytest.raises(ModelError, match="item 1 of the batch has no tokens; leave empty texts out"):
        encoder.encode(["w9", ""], "mean")


def test_a_token_without_a_vector_is_named(text_folder: Folder, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(text_folder("gpt2"), folder)
    hf.AutoModel.from_config(hf.GPT2Config(vocab_size=32, n_embd=16, n_layer=1, n_head=2)).save_pretrained(folder)
    encoder = load(folder)
    with pytest.raises(ModelError, match="gives token 40, and the model has vectors for 32"):
        encoder.encode(["w40"], "mean")
