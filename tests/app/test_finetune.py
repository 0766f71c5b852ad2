"""`accord finetune`, and `balance` and `rebalance` of Hugging Face models: what they print, leave behind and refuse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.entropic.conftest import pretrained  # noqa: F401 - a fixture

Accord = Callable[[str], Any]
Pretrained = Callable[[str], tuple[str, str]]


def test_a_fine_tuned_model_is_compared_like_any_other(accord: Accord, pretrained: Pretrained) -> None:  # noqa: F811
    (model, probe), (other, _) = pretrained("bert"), pretrained("distilbert")
    line = f"finetune {model} --towards {other} --probe {probe} --steps 2 --batch 4 --out tuned"
    answer = accord(line)
    assert (answer.status, answer.err) == (0, "")
    assert "50 held-out items" in answer.out
    assert {file.name for file in Path("tuned").iterdir()} >= {"model.safetensors", "config.json", "finetuning.json"}
    assert not Path("tuned/unfinished.safetensors").exists()
    report = json.loads(accord(f"{line[:-5]}again --json").out)
    assert report == json.loads(Path("again/finetuning.json").read_text())
    compared = accord(
        f"compare path:tuned {other} --probe tuned/held-out.jsonl --metric cka --layers last --permutations 0 "
        "--resamples 0 --json"
    )
    score = json.loads(compared.out)["metrics"][0]["grid"][-1][-1]
    assert score == pytest.approx(report["after"]["metrics"]["cka"]["score"][-1][-1], abs=1e-6)


def test_items_that_are_all_the_same_have_no_alignment(accord: Accord, pretrained: Pretrained) -> None:  # noqa: F811
    model, _ = pretrained("bert")
    Path("same.txt").write_text("the cat sat on the mat\n" * 160)
    line = f"finetune {model} --towards {model} --probe same.txt --steps 1 --batch 4"
    answer = accord(f"{line} --out tuned --json")
    assert answer.status == 0, answer.err
    report = json.loads(answer.out, parse_constant=pytest.fail)
    assert report["after"]["metrics"]["cka"]["score"][-1][-1] is None
    assert not Path("tuned/unfinished.safetensors").exists()
    for_people = accord(f"{line} --out other").out
    assert "undefined" in for_people
    assert "nan" not in for_people


def test_a_pretrained_model_is_balanced_and_rebalanced(accord: Accord, pretrained: Pretrained) -> None:  # noqa: F811
    model, probe = pretrained("bert")
    line = f"{model} --data {probe} --samples 32 --batch 4"
    answer = accord(f"balance {line}")
    assert answer.status == 0
    words = " ".join(answer.out.split())
    assert "without labels" in words
    assert "gelu is not homogeneous" in words
    assert "0 is equipartition" in words
    found = json.loads(accord(f"balance {line} --json").out)
    assert [len(head["each"]) for head in found["heads"]] == [2, 2, 2, 2]
    done = json.loads(accord(f"rebalance {line} --out balanced --json").out)
    assert done["after"]["attention"] < 1e-6 < done["before"]["attention"]
    again = json.loads(accord(f"balance path:balanced --data {probe} --samples 32 --batch 4 --json").out)
    assert again["attention"] < 1e-2


def test_what_has_no_law_is_refused_with_the_reason(
    accord: Accord,
    pretrained: Pretrained,  # noqa: F811
) -> None:
    model, probe = pretrained("llama")
    answer = accord(f"rebalance {model} --data {probe} --samples 32 --batch 4 --out balanced")
    assert (answer.status, answer.out) == (2, "")
    assert "rotary_emb stands between queries and keys" in answer.err
    assert not Path("balanced").exists()
    assert "No law of balance holds" in accord(f"balance {model} --data {probe} --samples 32 --batch 4").out


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("finetune builtin:nothing --towards builtin:minilm-l6 --probe x.txt", "is no Hugging Face model"),
        ("finetune builtin:minilm-l3 --towards nonsense --probe x.txt", "does not name a model"),
        ("finetune builtin:minilm-l3 --towards builtin:minilm-l6 --probe x.txt --part half", "is no part of a model"),
        ("finetune builtin:minilm-l3 --towards builtin:minilm-l6 --probe x.txt --out no/where", "there is no folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(accord: Accord, tmp_path: Path, line: str, match: str) -> None:
    answer = accord(line)
    assert (answer.status, answer.out) == (2, "")
    assert match in answer.err
    assert answer.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
