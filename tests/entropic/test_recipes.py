"""The table of recipes: what each says that it takes it takes, and nothing else; what it fills in it takes again."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch

from alignment.entropic.recipes import OBJECTIVES, OPTIMIZERS, RECIPES, TrainingRequest
from alignment.entropic.recipes.request import ESTIMATORS, LABELS, TASKS
from alignment.entropic.views import KINDS
from alignment.errors import RequestError, TrainingError


def asked(name, **changes):
    return RECIPES[name].of(TrainingRequest(recipe=name, **changes)).request


def takes(name, **changes):
    """Whether a recipe takes something, with either objective and any of its own data."""
    for objective in OBJECTIVES:
        for data in RECIPES[name].facts.data:
            with suppress(RequestError):
                asked(name, objective=objective, data=data, **changes)
                return True
    return False


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_takes_what_it_says_and_nothing_else(name: str) -> None:
    facts = RECIPES[name].facts
    assert {o for o in OPTIMIZERS if o != "auto" and takes(name, optimizer=o)} == set(facts.optimizers)
    assert {label for label in LABELS if takes(name, labels=label)} == set(facts.labels)
    assert {kind for kind in ESTIMATORS if takes(name, estimator=kind)} == set(facts.estimators)
    assert asked(name).estimator == facts.estimators[0]
    assert {task for task in TASKS if takes(name, task=task)} == set(facts.tasks)
    assert asked(name).task == facts.tasks[0]
    assert {view for view in {*KINDS, *facts.views} if takes(name, view_a=view)} == set(facts.views)
    assert asked(name).data == facts.data[0]
    assert all(len(text) > 20 for text in (facts.title + facts.summary, facts.evidence))


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_fills_in_is_whole_and_it_takes_it_again(name: str) -> None:
    for objective in OBJECTIVES:
        for optimizer in ("auto", *RECIPES[name].facts.optimizers):
            try:
                filled = asked(name, objective=objective, optimizer=optimizer)
            except TrainingError:
                continue
            assert asked(name, **{k: v for k, v in filled.to_dict().items() if k != "recipe"}) == filled
            missing = [field for field, value in filled.to_dict().items() if value is None]
            assert set(missing) <= (set() if objective == "entropic" else {"strength", "estimator"})
            assert objective == "entropic" or "strength" in missing
            assert replace(filled, optimizer="auto") != filled


def rows(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def test_labels_are_classes_in_alphabetical_order(tmp_path) -> None:
    x = np.random.default_rng(0).normal(size=(48, 9))
    numbers = np.arange(48) % 3
    found = [
        RECIPES["mlp"].of(TrainingRequest(recipe="mlp", data=rows(tmp_path / f"{kind}.npz", x=x, target=target))).room
        for kind, target in (("labels", np.array(["ant", "bee", "cat"])[numbers]), ("numbers", numbers))
    ]
    assert torch.equal(found[0].targets, found[1].targets)
    assert found[0].classes


def test_safetensors_are_read_as_npz_are(tmp_path) -> None:
    from safetensors.numpy import save_file

    from alignment.entropic.rows import read_rows

    random = np.random.default_rng(0)
    arrays = {"a": random.normal(size=(48, 4)), "b": random.normal(size=(48, 5)), "y": random.normal(size=(48, 2))}
    save_file(arrays, tmp_path / "rows.safetensors")
    rows(tmp_path / "rows.npz", **arrays)
    for side in "ab":
        one, other = (read_rows(tmp_path / f"rows.{ending}", side) for ending in ("npz", "safetensors"))
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)


@pytest.mark.parametrize(
    ("shape", "targets", "changes", "match"),
    [
        ((48, 15), np.zeros(48), {"view_b": "rotation"}, "no square images"),
        ((39, 4), np.zeros(39), {}, "too few to hold some out"),
        ((48, 4), np.full(48, -1), {}, "classes below 0"),
        ((48, 4), np.arange(48) * 1_000_000, {}, "without gaps"),
        ((48, 4), np.arange(48), {}, "fewer classes"),
        ((48, 4), np.zeros((48, 5000)), {}, "targets of width 5000"),
        ((48, 5000), np.zeros(48), {}, "project them first"),
        ((48, 4), None, {}, "no targets"),
    ],
)
def test_rows_that_cannot_be_learnt_are_refused_before_anything_runs(tmp_path, shape, targets, changes, match) -> None:
    arrays = {} if targets is None else {"target" if targets.ndim == 1 else "y": targets}
    path = rows(tmp_path / "rows.npz", x=np.random.default_rng(0).normal(size=shape), **arrays)
    with pytest.raises(TrainingError, match=match):
        asked("mlp", data=path, **changes)


def test_the_evidence_of_real_descent_says_what_it_is_and_is_not() -> None:
    evidence = RECIPES["linear"].facts.evidence
    for part in ("stayed finite", "wherever plain descent left as much to gain", "never becomes perfect"):
        assert part in evidence
