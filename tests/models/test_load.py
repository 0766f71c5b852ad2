"""What cannot be loaded is refused before it runs, in a sentence that says what would work."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as hf
from huggingface_hub.utils import are_progress_bars_disabled
from safetensors.torch import load_file, save_file
from transformers.utils import logging as hf_logging

from alignment.errors import ModelError, UnknownNameError
from alignment.models import load_encoder
from alignment.models.quiet import quiet
from alignment.references import ModelRef

Folder = Callable[..., Path]


def load(folder: Path) -> object:
    return load_encoder(ModelRef("path", str(folder)))


def edit(source: Path, target: Path, **changes: object) -> Path:
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, **changes}))
    return target


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    weights = change(load_file(folder / "model.safetensors"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_features_file_is_no_model() -> None:
    with pytest.raises(ModelError, match="a file of activations already"):
        load_encoder(ModelRef.parse("features:x.npz"))


def test_an_unknown_builtin_is_told_the_choices() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'minilm-l6'"):
        load_encoder(ModelRef.parse("builtin:minilm-16"))


def test_a_device_that_is_not_here() -> None:
    ref = ModelRef.parse("builtin:minilm-l6")
    with pytest.raises(ModelError, match="there is no device 'cuda:99' here"):
        load_encoder(ref, device="cuda:99")
    with pytest.raises(ModelError, match="is not a device"):
        load_encoder(ref, device="toaster")
    with pytest.raises(ModelError, match=r"cannot compute in torch\.int8"):
        load_encoder(ref, dtype=torch.int8)


def test_folders_that_hold_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        load(tmp_path / "absent")
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="is not readable JSON"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="holds a list"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match=r"lacks model\.safetensors"):
        load(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="only as pickles, which can run code"):
        load(tmp_path)


def test_a_torn_file_of_weights(text_folder: Folder, tmp_path: Path) -> None:
    folder = edit(text_folder("bert"), tmp_path / "torn")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        load(folder)


def test_an_index_may_not_point_outside_its_folder(text_folder: Folder, tmp_path: Path) -> None:
    folder = edit(text_folder("bert"), tmp_path / "index")
    index = {"weight_map": {"a": "../other/model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks model\.safetensors"):
        load(folder)


def test_sharded_weights_are_the_same_model(text_folder: Folder, tmp_path: Path) -> None:
    whole = text_folder("bert")
    hf.AutoModel.from_pretrained(whole).save_pretrained(tmp_path / "cut", max_shard_size="8KB")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(whole / file, tmp_path / "cut" / file)
    assert len(list((tmp_path / "cut").glob("*.safetensors"))) > 1
    assert load(tmp_path / "cut").fingerprint == load(whole).fingerprint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "mine", "auto_map": {"AutoModel": "mine.Mine"}}, "needs code of its own, which is never run"),
        ({"model_type": "mine"}, "is unknown to transformers here; Accord runs text encoders"),
        ({"quantization_config": {"quant_method": "gptq"}}, "is quantised"),
        ({"_attn_implementation": "someone/kernel"}, "remote code is never run"),
        ({"hidden_size": 32}, "cannot be loaded"),
        ({"num_hidden_layers": 3}, r"lacks 16 of the weights of BertModel \(encoder\.layer\.2\."),
    ],
)
def test_configs_that_are_refused(text_folder: Folder, tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        load(edit(text_folder("bert"), tmp_path / "changed", **changes))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (hf.T5Config(), "is an encoder-decoder"),
        (hf.WhisperConfig(), "is an encoder-decoder"),
        (hf.CLIPConfig(), "holds several models in one"),
        (hf.SiglipConfig(), "holds several models in one"),
        (hf.Wav2Vec2Config(), "takes neither text nor images"),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_families_that_are_not_supported(tmp_path: Path, config: hf.PretrainedConfig, words: str) -> None:
    config.save_pretrained(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=f"{words}.*Accord runs text encoders"):
        load(tmp_path)


def test_missing_weights_are_never_random(text_folder: Folder, tmp_path: Path) -> None:
    folder = edit(text_folder("gpt2"), tmp_path / "less")
    rewrite(folder, lambda weights: {k: v for k, v in weights.items() if "ln_f" not in k})
    with pytest.raises(ModelError, match="lacks 2 of the weights of GPT2Model"):
        load(folder)


def test_a_missing_pooler_and_a_head_to_spare_do_not_matter(text_folder: Folder, tmp_path: Path) -> None:
    folder = edit(text_folder("bert"), tmp_path / "headed")
    whole = load(folder).encode(["w9 w10"], "mean")
    rewrite(
        folder,
        lambda weights: {
            **{f"bert.{k}": v for k, v in weights.items() if "pooler" not in k},
            "classifier.weight": torch.ones(2, 16),
        },
    )
    for a, b in zip(load(folder).encode(["w9 w10"], "mean"), whole, strict=True):
        assert torch.equal(a, b)


def test_a_folder_without_a_tokenizer(text_folder: Folder, tmp_path: Path) -> None:
    folder = edit(text_folder("bert"), tmp_path / "mute")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="has no vocabulary"):
        load(folder)


def test_the_fingerprint_tells_weights_config_and_tokenizer_apart(text_folder: Folder, tmp_path: Path) -> None:
    source = text_folder("bert")
    found = {load(source).fingerprint, load(edit(source, tmp_path / "same", transformers_version="0")).fingerprint}
    assert len(found) == 1
    found.add(load(edit(source, tmp_path / "heads", num_attention_heads=4)).fingerprint)
    weights = edit(source, tmp_path / "weights")
    rewrite(weights, lambda held: {k: v + (k == "embeddings.LayerNorm.bias") for k, v in held.items()})
    found.add(load(weights).fingerprint)
    words = edit(source, tmp_path / "words")
    text = (words / "tokenizer.json").read_text()
    (words / "tokenizer.json").write_text(text.replace('"w9"', '"word9"'))
    found.add(load(words).fingerprint)
    assert len(found) == 4


def test_loading_is_silent_and_restores_every_state(
    text_folder: Folder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = edit(text_folder("bert"), tmp_path / "chatty")
    rewrite(folder, lambda weights: {**weights, "cls.predictions.bias": torch.ones(3)})
    torch.manual_seed(5)
    before = (hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled(), are_progress_bars_disabled())
    state = torch.get_rng_state()
    capfd.readouterr()
    load(folder)
    assert capfd.readouterr() == ("", "")
    assert before == (hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled(), are_progress_bars_disabled())
    assert torch.equal(state, torch.get_rng_state())


def test_quiet_restores_after_an_error() -> None:
    before = hf_logging.get_verbosity()
    inside = []

    def fails() -> None:
        with quiet():
            inside.append(hf_logging.get_verbosity())
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fails()
    assert inside == [logging.ERROR]
    assert hf_logging.get_verbosity() == before
