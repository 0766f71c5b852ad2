"""Fine-tuning: what moves and what does not, resuming to the bit, divergence, and the folder that is left."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers as hf

from alignment.entropic.finetuning import FinetuneRequest, FinetuneResult, finetune
from alignment.entropic.finetuning.part import Part
from alignment.errors import DivergenceError, RequestError, TrainingError, UnknownNameError
from alignment.models import load_encoder
from alignment.models.trainable import open_trainable
from alignment.references import ModelRef
from tests.entropic.broken_off import broken_off

Pretrained = Callable[[str], tuple[str, str]]


@pytest.fixture(scope="module")
def request_(pretrained: Pretrained) -> FinetuneRequest:
    ref, probe = pretrained("bert")
    other, _ = pretrained("distilbert")
    return FinetuneRequest(ref, other, probe, steps=30, batch=4, rate=1e-3, strength=0.1)


@pytest.fixture(scope="module")
def entropic(request_: FinetuneRequest) -> FinetuneResult:
    return finetune(request_)


def weights(result: FinetuneResult) -> dict[str, torch.Tensor]:
    return dict(result.model.model.state_dict())


def original(request: FinetuneRequest) -> dict[str, torch.Tensor]:
    return dict(open_trainable(ModelRef.parse(request.model)).model.state_dict())


def test_only_the_part_moves_and_the_task_gets_easier(request_: FinetuneRequest, entropic: FinetuneResult) -> None:
    before = original(request_)
    moved = {name for name, value in weights(entropic).items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("encoder.layer.1.") for name in moved)
    assert entropic.after.task < entropic.before.task
    assert len(entropic.held_out) == 50
    assert entropic.provenance["learnt"] == 150
    assert [point["step"] for point in entropic.history] == [0, 20, 30]
    assert set(entropic.after.scores) == {"cka", "mutual_knn"}
    assert len(entropic.after.scores["cka"].calibrated) == len(entropic.layers_a) == 3
    assert 0 < entropic.moved["cka"] < 1


def test_the_objectives_differ_by_the_entropy_alone(request_: FinetuneRequest, entropic: FinetuneResult) -> None:
    plain = finetune(replace(request_, objective="plain", strength=None))
    assert plain.before == entropic.before
    assert plain.history[0] == entropic.history[0]
    assert plain.after != entropic.after
    assert plain.held_out == entropic.held_out


def test_a_stopped_run_goes_on_to_the_same_bits(request_: FinetuneRequest, entropic: FinetuneResult) -> None:
    done = broken_off(lambda keeper: finetune(request_, keeper))
    assert done.history == entropic.history
    for name, value in weights(done).items():
        assert torch.equal(value, weights(entropic)[name]), name


def test_progress_and_divergence(request_: FinetuneRequest) -> None:
    seen = []
    with pytest.raises(DivergenceError, match=r"network model diverged at step \d+: .* lower --rate or --strength"):
        finetune(replace(request_, rate=1e30), progress=lambda *now: seen.append(now))
    assert seen == [("train", 0, 30)]


def test_adapters_change_nothing_at_first_and_are_merged_at_the_end(request_: FinetuneRequest) -> None:
    done = finetune(replace(request_, part="lora:2", steps=3))
    before, after = original(request_), weights(done)
    assert set(after) == set(before)
    change = (
        after["encoder.layer.0.attention.self.query.weight"] - before["encoder.layer.0.attention.self.query.weight"]
    )
    assert int(torch.linalg.matrix_rank(change, rtol=1e-3)) == 2
    assert torch.equal(after["embeddings.word_embeddings.weight"], before["embeddings.word_embeddings.weight"])
    assert done.history[0]["cka"] == finetune(replace(request_, steps=1)).history[0]["cka"]


def test_the_folder_loads_as_it_was_trained(entropic: FinetuneResult, tmp_path: Path) -> None:
    for name, content in entropic.model.files().items():
        (tmp_path / name).write_bytes(content)
    loaded = load_encoder(ModelRef("path", str(tmp_path)))
    for one, other in zip(
        loaded.encode(entropic.held_out, "mean"), entropic.model.encoder.encode(entropic.held_out, "mean"), strict=True
    ):
        assert torch.equal(one, other)
    assert hf.AutoConfig.from_pretrained(tmp_path).dtype == torch.float32


@pytest.mark.parametrize("kept", [torch.bfloat16, torch.float16, torch.float64])
def test_a_model_that_was_kept_in_another_precision_is_saved_as_it_was_measured(
    pretrained: Pretrained, tmp_path: Path, kept: torch.dtype
) -> None:
    first = Path(pretrained("bert")[0].removeprefix("path:"))
    shutil.copytree(first, tmp_path / "half")
    hf.AutoModel.from_pretrained(first).to(kept).save_pretrained(tmp_path / "half")
    trained = open_trainable(ModelRef("path", str(tmp_path / "half")))
    assert trained.stored == kept
    with torch.no_grad():
        for parameter in trained.model.parameters():
            parameter.mul_(1.001)
    (tmp_path / "saved").mkdir()
    for name, content in trained.files().items():
        (tmp_path / "saved" / name).write_bytes(content)
    loaded = load_encoder(ModelRef("path", str(tmp_path / "saved")))
    texts = ["w10 w11 w12"]
    for one, other in zip(loaded.encode(texts, "mean"), trained.encoder.encode(texts, "mean"), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("text", ["last", "last:0", "lora:x", "none", "last:-1"])
def test_a_part_without_meaning_is_refused(text: str) -> None:
    with pytest.raises(TrainingError, match="is no part of a model; write last:N, all or lora:R"):
        Part.parse(text)


def test_what_cannot_be_done_is_said_before_any_step(request_: FinetuneRequest) -> None:
    with pytest.raises(TrainingError, match="more than the model's 2 blocks"):
        finetune(replace(request_, part="last:3"))
    with pytest.raises(TrainingError, match="give at least 160"):
        finetune(replace(request_, samples=100))
    with pytest.raises(UnknownNameError, match="did you mean 'entropic'"):
        replace(request_, objective="entropi")
    with pytest.raises(TrainingError, match="plain has no strength"):
        replace(request_, objective="plain")
    with pytest.raises(RequestError, match="is no Hugging Face model"):
        finetune(replace(request_, model="timm:resnet18"))
    for name, value in (("rate", 0.0), ("batch", 1), ("steps", 0), ("weight_decay", -1.0), ("seed", -1)):
        with pytest.raises(TrainingError, match=name):
            replace(request_, **{name: value})


def test_a_model_of_images_is_trained_on_crops(pretrained: Pretrained) -> None:
    (ref, probe), (other, _) = pretrained("vit"), pretrained("dinov2")
    done = finetune(FinetuneRequest(ref, other, probe, steps=3, batch=4, rate=1e-3, part="all"))
    assert done.after.task != done.before.task
    assert done.layers_a == ["embeddings", "layer.0", "layer.1"]
    assert "preprocessor_config.json" in done.model.files()
