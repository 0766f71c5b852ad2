"""Hugging Face models: balance head by head, rebalancing that keeps the function, refusals, and the task itself."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as hf
from torch import nn

from alignment.entropic.balance import balance
from alignment.entropic.chance import generator, normal
from alignment.entropic.estimators import row_gradients
from alignment.entropic.moments import entropy
from alignment.entropic.noether import noether
from alignment.entropic.pretrained.contrastive import Contrastive
from alignment.entropic.pretrained.subject import Subject, open_subject
from alignment.entropic.problem import Problem, square_error
from alignment.entropic.rebalance import rebalance
from alignment.entropic.sampling import Sampling
from alignment.entropic.symmetry import symmetries
from alignment.entropic.verify import verified
from alignment.errors import TrainingError
from alignment.models import load_encoder
from alignment.models.quiet import quiet
from alignment.models.trainable import open_trainable
from alignment.references import ModelRef
from tests.entropic.networks import Attention, seeded

Pretrained = Callable[[str], tuple[str, str]]


def subject(made: tuple[str, str], dtype: torch.dtype = torch.float64) -> Subject:
    return open_subject(*made, batch=4, samples=32, dtype=dtype)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "bert-relu", "vit", "dinov2"])
def test_attention_is_rebalanced_and_the_folder_has_the_same_function(
    pretrained: Pretrained, family: str, tmp_path: Path
) -> None:
    made = pretrained(family)
    opened = subject(made)
    done = rebalance(opened.problem, opened.sampling, opened.found)
    assert {pair.kind for pair in done.before.heads} == {"query_key", "value_output"}
    assert done.before.attention > 0.1
    assert done.after.attention < 1e-6
    assert done.function_change < 1e-9
    assert done.after.square < done.before.square
    assert not done.skipped
    if family == "bert-relu":
        assert done.before.neuron > 0.1
        assert done.after.neuron < 1e-9
    else:
        assert done.after.neuron is None
    folder = tmp_path / "balanced"
    folder.mkdir()
    for name, content in opened.files().items():
        (folder / name).write_bytes(content)
    old, new = (load_encoder(ModelRef.parse(ref)) for ref in (made[0], f"path:{folder}"))
    items = [" ".join(f"w{n}" for n in range(10, 20))] if old.modality == "text" else _pictures(made[1])
    for before, after in zip(old.encode(items, "mean"), new.encode(items, "mean"), strict=True):
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert new.fingerprint != old.fingerprint
    assert any(not torch.equal(a, b) for a, b in zip(old.model.parameters(), new.model.parameters(), strict=True))


def test_a_head_as_wide_as_its_block_is_left_where_its_gradients_lack_a_direction(pretrained: Pretrained) -> None:
    opened = subject(pretrained("swin"))  # the norm before it takes one direction away
    done = rebalance(opened.problem, opened.sampling, opened.found)
    assert "do not span the head's 8 dimensions" in done.skipped[0]
    assert done.function_change < 1e-9
    assert done.after.square < done.before.square


def _pictures(folder: str) -> list:
    from PIL import Image

    return [Image.open(next(Path(folder).glob("*.png"))).convert("RGB")]


def test_every_head_has_a_number_and_gelu_has_none_for_units(pretrained: Pretrained) -> None:
    opened = subject(pretrained("bert"), torch.float32)
    found = balance(opened.problem, opened.sampling, found=opened.found)
    assert [len(pair.each) for pair in found.heads] == [2, 2, 2, 2]
    assert all(0 < value < 1 for pair in found.heads for value in pair.each)
    assert [a.reason.split()[0] for a in found.absent] == ["gelu", "gelu"]
    assert (found.neuron, found.layer) == (None, None)
    assert "without labels" in opened.task
    exact = subject(pretrained("bert"))
    again = balance(exact.problem, exact.sampling, found=exact.found)
    for one, other in zip(found.heads, again.heads, strict=True):
        assert one.each == pytest.approx(other.each, rel=1e-3)


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("llama", "rotary_emb stands between"),
        ("mistral", "rotary_emb stands between"),
        ("qwen3", "stands between"),
        ("grouped", "not of the same heads"),
        ("gpt2", "packed into one weight"),
        ("gpt_neox", "packed into one weight"),
    ],
)
def test_where_the_law_does_not_hold_the_reason_is_given(pretrained: Pretrained, family: str, reason: str) -> None:
    opened = subject(pretrained(family))
    found = balance(opened.problem, opened.sampling, found=opened.found)
    assert (found.attention, found.neuron) == (None, None)
    assert any(reason in absent.reason for absent in found.absent)
    before = {name: p.detach().clone() for name, p in opened.problem.parameters.items()}
    with pytest.raises(TrainingError, match="nothing in this model can be rebalanced"):
        rebalance(opened.problem, opened.sampling, opened.found)
    assert all(torch.equal(p, before[name]) for name, p in opened.problem.parameters.items())


class Turning(Attention):
    """Attention whose queries and keys are scaled unlike, coordinate by coordinate, in code that no name tells of."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        q, k = nn.functional.normalize(q, dim=-1), nn.functional.normalize(k, dim=-1)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.output(mixed.transpose(1, 2).flatten(2))


def test_what_names_do_not_tell_is_found_by_trying() -> None:
    random = generator(0, "rows")
    model = seeded(nn.Sequential(Turning(), nn.Flatten(), nn.Linear(24, 3)))
    made = Problem(model, square_error, normal(random, 8, 4, 6), normal(random, 8, 3))
    assert {pair.kind for pair in symmetries(model).heads} == {"query_key", "value_output"}
    before = {name: p.detach().clone() for name, p in made.parameters.items()}
    found = verified(made)
    assert [pair.kind for pair in found.heads] == ["value_output"]
    assert "was tried" in found.absent[-1].reason
    assert all(torch.equal(p, before[name]) for name, p in made.parameters.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_rotation_that_no_name_tells_of_is_found_in_every_dtype(
    pretrained: Pretrained, tmp_path: Path, dtype: torch.dtype
) -> None:
    ref, probe = pretrained("roformer")
    shutil.copytree(ref.removeprefix("path:"), tmp_path / "first")
    with quiet(), torch.random.fork_rng():  # first weights as they come: turning moves the outputs by 1e-4 or less
        torch.manual_seed(0)
        hf.AutoModel.from_config(hf.AutoConfig.from_pretrained(tmp_path / "first")).save_pretrained(tmp_path / "first")
    opened = subject((f"path:{tmp_path / 'first'}", probe), dtype)
    assert {pair.kind for pair in symmetries(opened.problem.model).heads} == {"query_key", "value_output"}
    assert {pair.kind for pair in opened.found.heads} == {"value_output"}
    assert opened.found.absent[-1].reason.startswith("turning queries and keys together was tried")
    assert {p.dtype for p in opened.problem.parameters.values()} == {dtype}


def test_symmetries_that_a_model_rounds_within_itself_are_kept() -> None:
    class Rounding(Attention):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).float().double()

    random = generator(0, "rows")
    model = seeded(nn.Sequential(Rounding(), nn.Flatten(), nn.Linear(24, 3)))
    found = verified(Problem(model, square_error, normal(random, 8, 4, 6), normal(random, 8, 3)))
    assert {pair.kind for pair in found.heads} == {"query_key", "value_output"}


def test_symmetries_are_tried_in_float64_alone() -> None:
    made = Problem(nn.Linear(2, 2), square_error, torch.ones(1, 2), torch.ones(1, 2))
    with pytest.raises(TrainingError, match="float64 alone"):
        verified(made)


def test_tied_projections_are_no_symmetry() -> None:
    model = Attention()
    model.key.weight = model.query.weight
    assert "another place" in symmetries(model).absent[0].reason


def test_a_texts_halves_share_no_word_and_hold_them_all(pretrained: Pretrained) -> None:
    ref, _ = pretrained("bert")
    trainable = open_trainable(ModelRef.parse(ref))
    words = " ".join(f"w{n}" for n in range(10, 19))
    task = Contrastive(trainable, [words, "w10"])
    (ids, single) = trainable.prepare([words, "w10"])
    for key in range(5):
        one, other = task._dealt(ids, generator(key, "views"))
        assert one[[0, -1]].tolist() == other[[0, -1]].tolist() == [2, 3]
        assert len(one) - 2 == 4
        assert sorted([*one[1:-1].tolist(), *other[1:-1].tolist()]) == ids[1:-1].tolist()
    assert torch.equal(*task._dealt(single, generator(0, "views")))


def test_words_that_a_tokenizer_does_not_know_are_dealt_like_others(pretrained: Pretrained) -> None:
    trainable = open_trainable(ModelRef.parse(pretrained("bert")[0]))
    task = Contrastive(trainable, ["w10 neverseen w11 unheardof w12 unread"])
    (ids,) = trainable.prepare(["w10 neverseen w11 unheardof w12 unread"])
    assert ids.tolist() == [2, 10, 0, 11, 0, 12, 0, 3]
    for key in range(5):
        one, other = task._dealt(ids, generator(key, "views"))
        assert sorted([*one[1:-1].tolist(), *other[1:-1].tolist()]) == sorted(ids[1:-1].tolist())


def test_a_batch_has_the_same_loss_each_time_and_its_gradient_is_the_loops(pretrained: Pretrained) -> None:
    opened = subject(pretrained("bert"))
    made = opened.problem
    first, second = (made.losses(made.model(made.inputs), made.targets).detach() for _ in range(2))
    assert torch.equal(first, second)
    assert len(set(first.tolist())) == len(first) == 8
    rows = row_gradients(made)
    whole = torch.autograd.grad(
        made.losses(made.model(made.inputs), made.targets).mean(), list(made.parameters.values())
    )
    for (name, found), gradient in zip(rows.items(), whole, strict=True):
        torch.testing.assert_close(found.mean(0), gradient, rtol=1e-9, atol=1e-12, msg=name)
    assert entropy(made, Sampling()) == pytest.approx(
        float(sum(r.square().sum() for r in rows.values()) / len(first)), rel=1e-9
    )


def test_the_noether_identity_holds_in_bert(pretrained: Pretrained) -> None:
    opened = subject(pretrained("bert"))
    checks = noether(opened.problem, 0.05)
    assert len(checks) == 4
    assert all(check.error < 1e-8 for check in checks)


def test_what_cannot_be_asked_is_said(pretrained: Pretrained) -> None:
    ref, probe = pretrained("bert")
    with pytest.raises(TrainingError, match="name texts or images with --data"):
        open_subject(ref)
    with pytest.raises(TrainingError, match="at least two items"):
        open_subject(ref, probe, batch=1)
    with pytest.raises(TrainingError, match="fill no batch of 16"):
        open_subject(ref, probe, samples=8)
