"""`accord train`, `balance` and `rebalance`: what they print, what they leave behind, what they refuse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Accord = Callable[[str], Any]
KEYS = {"models", "alignment", "balance", "prediction", "task", "provenance"}


def test_a_pair_is_trained_saved_and_compared(accord: Accord, tmp_path: Path) -> None:
    answer = accord("train --recipe linear --seed 7 --out pair --json")
    assert (answer.status, answer.err) == (0, "")
    result = json.loads(answer.out)
    assert set(result) >= KEYS
    assert result["models"] == {"a": "pair/a", "b": "pair/b"}
    assert result["alignment"]["min"] > 0.9999
    assert result["alignment"]["history"][0]["min"] < 0.9 < result["alignment"]["history"][-1]["min"]
    assert set(result["balance"]) == {"neuron", "layer", "matrix", "attention", "history"}
    assert result["prediction"]["kernel_error"] < 1e-3
    assert set(result["task"]["a"]) == {"loss", "accuracy"}
    assert result == json.loads((tmp_path / "pair" / "training.json").read_text())
    left = sorted(str(p.relative_to(tmp_path / "pair")) for p in (tmp_path / "pair").rglob("*") if p.is_file())
    models = [f"{m}/{f}" for m in "ab" for f in ("config.json", "data.npz", "model.safetensors", "theory.npz")]
    assert left == sorted(["alignment.svg", "probe.npz", "training.json", *models])

    compared = accord(
        "compare path:pair/a path:pair/b --probe pair/probe.npz --metric cka --no-clip --no-normalize --json"
    )
    assert compared.status == 0
    grid = np.array(json.loads(compared.out)["metrics"][0]["grid"])
    assert grid.shape == (2, 3)
    assert grid.min() >= 0.9999

    balance = json.loads(accord("balance path:pair/a --json").out)
    assert balance["neuron"] < 1e-2
    assert "units: mass" in accord("balance path:pair/a").out
    done = json.loads(accord("rebalance path:pair/a --out balanced --json").out)
    assert done["after"]["neuron"] < 1e-10
    assert done["function_change"] < 1e-10
    again = json.loads(accord("balance path:balanced --json").out)
    assert again["neuron"] < 1e-10
    assert "rebalanced in" in accord("rebalance path:pair/a --out anew").out


def test_what_a_person_reads(accord: Accord) -> None:
    answer = accord("train --recipe linear --objective plain --steps 50 --seed 1")
    assert answer.status == 0
    assert answer.err.startswith("accord: warning: training ended before it had converged: ")
    assert answer.err.endswith("take more than 50 steps (not_converged)\n")
    assert answer.err.count("\n") == 1
    assert max(map(len, answer.out.splitlines()[:-1])) <= 80
    for part in (
        "normalised kernel alignment",
        "lowest alignment",
        "matrix imbalance",
        "over theory",
        "linear-plain-1/a",
    ):
        assert part in answer.out
    assert accord(answer.out.splitlines()[-1].removeprefix("accord ")).status == 0  # the command that it shows


def test_a_killed_run_goes_on(accord: Accord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alignment.entropic.training import keeper

    line = "train --recipe linear --steps 100 --seed 2 --out pair"
    save, saves = keeper.FileKeeper.save, []

    def stop(self: Any, *arguments: Any) -> None:
        save(self, *arguments)
        saves.append(arguments)
        if len(saves) == 2:
            raise KeyboardInterrupt

    whole = json.loads(accord(f"{line[:-4]}whole --json").out)
    with monkeypatch.context() as patched:
        patched.setattr(keeper.FileKeeper, "save", stop)
        assert accord(line).status == 130
    assert (tmp_path / "pair" / "unfinished.safetensors").is_file()
    other = accord(f"{line} --seed 3")
    assert (other.status, other.out) == (2, "")
    assert "another seed" in other.err
    resumed = json.loads(accord(f"{line} --json").out)
    assert resumed["alignment"] == whole["alignment"]
    assert (tmp_path / "pair/a/model.safetensors").read_bytes() == (tmp_path / "whole/a/model.safetensors").read_bytes()
    assert not (tmp_path / "pair" / "unfinished.safetensors").exists()


@pytest.mark.parametrize(
    "line",
    [
        "train --seed 3 --steps 2 --out full",
        "rebalance path:full/a --out full",
        "rebalance path:full/a --out full/a",
        "finetune builtin:minilm-l3 --towards builtin:minilm-l6 --probe texts.txt --out full",
    ],
)
def test_a_folder_that_is_not_empty_stays_as_it_is(accord: Accord, tmp_path: Path, line: str) -> None:
    (tmp_path / "full" / "a").mkdir(parents=True)
    for name in ("training.json", "a/config.json"):
        (tmp_path / "full" / name).write_text("mine")
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    before = sorted(tmp_path.rglob("*"))
    answer = accord(line)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == f"accord: {line.rpartition(' ')[2]} is not empty: name another folder, or remove it\n"
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "full" / "training.json").read_text() == "mine"


def test_a_diverged_training_leaves_nothing(accord: Accord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alignment.entropic.training import trainee
    from alignment.errors import DivergenceError

    advance, pieces = trainee.Trainee.advance, []

    def diverge(self: Any, *arguments: Any) -> Any:
        pieces.append(self.member)
        if len(pieces) > 4:
            raise DivergenceError("the loss is no longer a number")
        return advance(self, *arguments)

    monkeypatch.setattr(trainee.Trainee, "advance", diverge)
    assert accord("train --recipe linear --out pair").status == 1
    assert len(pieces) == 5  # two pieces were kept by then
    assert not list(tmp_path.iterdir())


def test_a_strength_that_loses_rank_is_warned_about(accord: Accord) -> None:
    answer = accord("train --strength 0.5 --steps 20 --seed 7")
    assert answer.status == 0
    assert "(rank_collapse)" in answer.err


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("train --recipe cubic", "there is no recipe 'cubic'"),
        ("train --objective entropy", "did you mean 'entropic'"),
        ("train --out missing/pair", "there is no folder"),
        ("train --optimizer adam", "take the optimizer lbfgs"),
        ("balance builtin:minilm-l6", "name texts or images with --data"),
        ("balance path:nowhere", "no such folder"),
        ("rebalance path:nowhere --out x", "no such folder"),
        ("balance nonsense", "does not name a model"),
        ("balance builtin:minilm-l3 --data builtin:language-reference --side zzz", "side is 'a' or 'b', not 'zzz'"),
        ("balance path:nowhere --side c", "side is 'a' or 'b', not 'c'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(accord: Accord, tmp_path: Path, line: str, match: str) -> None:
    answer = accord(line)
    assert (answer.status, answer.out) == (2, "")
    assert match in answer.err
    assert answer.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_not_finite_are_null(accord: Accord, tmp_path: Path) -> None:
    x = np.zeros((60, 3))
    x[:, 0] = np.arange(60) == _learnt_row()  # all held-out items are the same point, where no alignment has a meaning
    np.savez("flat.npz", x=x, y=np.random.default_rng(0).normal(size=(60, 1)))
    answer = accord("train --recipe mlp --data flat.npz --steps 5 --out pair --json")
    assert answer.status == 0
    assert answer.err.count("(constant_layer)\n") == answer.err.count("\n") == 2  # of either network
    result = json.loads(answer.out, parse_constant=pytest.fail)
    assert [warning["code"] for warning in result["warnings"]] == ["constant_layer"] * 2
    assert result["alignment"]["min"] is None
    assert result == json.loads((tmp_path / "pair" / "training.json").read_text(), parse_constant=pytest.fail)
    assert not (tmp_path / "pair" / "unfinished.safetensors").exists()
    for_people = accord("train --recipe mlp --data flat.npz --steps 5 --out other")
    assert for_people.status == 0
    assert "undefined" in for_people.out
    assert "nan" not in for_people.out


def _learnt_row() -> int:
    from alignment.entropic.classroom import classroom

    np.savez("any.npz", x=np.random.default_rng(0).normal(size=(60, 3)), y=np.ones((60, 1)))
    return int(classroom("any.npz", 0).held.int().argmin())


def test_items_that_are_all_the_same_are_refused(accord: Accord, tmp_path: Path) -> None:
    np.savez("const.npz", x=np.zeros((60, 3)), y=np.random.default_rng(0).normal(size=(60, 1)))
    answer = accord("train --recipe mlp --data const.npz --steps 5 --out pair")
    assert (answer.status, answer.out) == (2, "")
    assert "const.npz has the same input in every row" in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "pair").exists()


@pytest.mark.parametrize("factor", [1e60, 1e200])  # the fourth powers are too large, or the squares are
@pytest.mark.parametrize(
    "command", ["balance path:pair/a", "balance path:pair/a --json", "rebalance path:pair/a --out r"]
)
def test_gradients_that_are_not_finite_are_one_sentence(
    accord: Accord, tmp_path: Path, command: str, factor: float
) -> None:
    assert accord("train --recipe linear --steps 2 --out pair").status == 0
    rows = dict(np.load(tmp_path / "pair" / "a" / "data.npz"))
    np.savez("huge.npz", **{**rows, "x": rows["x"] * factor})
    answer = accord(f"{command} --data huge.npz")
    assert (answer.status, answer.out) == (1, "")
    assert "the gradients are not finite" in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "r").exists()
