"""Laws of ProbeSet: what its fingerprint sees, and what a sample keeps."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.errors import ProbeError
from alignment.probes import ImageItem, ProbeSet

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def a_set(count: int = 6) -> ProbeSet:
    return ProbeSet(
        "p",
        tuple(f"id{i}" for i in range(count)),
        texts=tuple(f"text {i}" for i in range(count)),
        images=tuple(ImageItem(f"{i}.png", partial(bytes, f"image {i}".encode())) for i in range(count)),
        vectors={"x": np.arange(count * 2.0).reshape(count, 2)},
        targets=tuple(map(float, range(count))),
    )


def flipped(values: tuple[object, ...]) -> tuple[object, ...]:
    return (values[1], values[0], *values[2:])


CHANGES: dict[str, Callable[[ProbeSet], ProbeSet]] = {
    "an id": lambda p: replace(p, ids=("other", *p.ids[1:])),
    "a text": lambda p: replace(p, texts=("other", *p.texts[1:])),
    "an image": lambda p: replace(p, images=(ImageItem("0.png", lambda: b"other"), *p.images[1:])),
    "a vector": lambda p: replace(p, vectors={"x": p.vectors["x"] + 1}),
    "a view's name": lambda p: replace(p, vectors={"a": p.vectors["x"], "b": p.vectors["x"]}),
    "a vector's type": lambda p: replace(p, vectors={"x": p.vectors["x"].astype(np.float32)}),
    "a vector's shape": lambda p: replace(p, vectors={"x": np.c_[p.vectors["x"], p.vectors["x"]]}),
    "a target": lambda p: replace(p, targets=(9.5, *p.targets[1:])),
    "a target's type": lambda p: replace(p, targets=tuple(map(str, p.targets))),
    "no texts": lambda p: replace(p, texts=None),
    "no images": lambda p: replace(p, images=None),
    "no targets": lambda p: replace(p, targets=None),
    "fewer items": lambda p: p.sample(5, 0),
    "the order of texts": lambda p: replace(p, texts=flipped(p.texts)),
    "the order of items": lambda p: replace(p, ids=flipped(p.ids), texts=flipped(p.texts)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_changes_with(change: str) -> None:
    assert CHANGES[change](a_set()).sha256 != a_set().sha256


def test_the_fingerprint_is_of_content_and_not_of_names() -> None:
    renamed = replace(a_set(), name="q", images=tuple(replace(i, name="elsewhere/" + i.name) for i in a_set().images))
    assert renamed.sha256 == a_set().sha256


@given(st.lists(WORDS, min_size=1, max_size=6, unique=True), st.lists(WORDS, min_size=1, max_size=6, unique=True))
@settings(max_examples=100, deadline=None)
def test_two_lists_of_texts_share_a_fingerprint_only_if_equal(one: list[str], other: list[str]) -> None:
    def of(texts: list[str]) -> str:
        return ProbeSet("p", tuple(texts), texts=tuple(texts)).sha256

    assert (of(one) == of(other)) == (one == other)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_a_sample_is_a_subset_in_order_with_everything_kept_together(items: int, count: int, seed: int) -> None:
    whole = a_set(items)
    sample = whole.sample(count, seed)
    rows = sample.rows or tuple(range(items))
    assert len(sample) == len(rows) == min(count, items)
    assert list(rows) == sorted(set(rows))
    for place, row in enumerate(rows):
        assert sample.ids[place] == whole.ids[row] == f"id{row}"
        assert sample.texts[place] == f"text {row}"
        assert sample.images[place].read() == f"image {row}".encode()
        assert sample.targets[place] == row
        assert (sample.vectors["x"][place] == whole.vectors["x"][row]).all()
    assert whole.sample(count, seed).sha256 == sample.sha256
    assert (sample.source_sha256 or sample.sha256) == whole.sha256


def test_another_seed_draws_another_sample() -> None:
    assert a_set(100).sample(50, 0).ids != a_set(100).sample(50, 1).ids


def test_every_item_is_drawn_as_often_as_the_others() -> None:
    drawn = np.bincount([row for seed in range(2000) for row in a_set(10).sample(3, seed).rows], minlength=10)
    assert abs(drawn / 2000 - 0.3).max() < 0.05  # five standard deviations of a proportion of 0.3


def test_a_sample_of_a_sample_knows_the_first_set() -> None:
    whole = a_set(30)
    twice = whole.sample(20, 0).sample(5, 1)
    assert [f"id{row}" for row in twice.rows] == list(twice.ids)
    assert twice.source_sha256 == whole.sha256


def test_all_items_are_the_set_itself() -> None:
    whole = a_set()
    assert whole.sample(None, 0) is whole
    assert whole.sample(6, 0) is whole
    assert whole.sample(7, 0) is whole


def test_less_than_one_item_is_refused() -> None:
    with pytest.raises(ProbeError, match="at least 1, not 0"):
        a_set().sample(0, 0)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"ids": ()}, "no items"),
        ({"ids": ("a",)}, "neither text, images nor vectors"),
        ({"ids": ("a", "b", "a"), "texts": ("1", "2", "3")}, "'a' more than once"),
        ({"ids": ("a", "b"), "texts": ("1",)}, "1 texts for 2 ids"),
        ({"ids": ("a",), "vectors": {"x": np.ones((2, 2))}}, "2 x for 1 ids"),
    ],
)
def test_a_set_that_is_none_is_refused(held: dict[str, object], message: str) -> None:
    with pytest.raises(ProbeError, match=message):
        ProbeSet("p", **held)


def test_kind_and_items() -> None:
    paired = replace(a_set(), vectors={})
    assert (paired.kind, paired.modalities) == ("paired", ("text", "image"))
    assert paired.items("text") == paired.texts
    assert paired.items("image") == paired.images
    with pytest.raises(ProbeError, match="has text and image but the model takes array"):
        paired.items("array")


def test_each_side_has_its_own_view() -> None:
    a, b = np.zeros((2, 3)), np.ones((2, 3))
    views = ProbeSet("p", ("0", "1"), vectors={"a": a, "b": b})
    assert views.kind == "array"
    assert (views.items("array", "b")[1] == b[1]).all()
    assert (ProbeSet("p", ("0", "1"), vectors={"x": b}).items("array", "b")[0] == b[0]).all()
    with pytest.raises(ProbeError, match="no vectors for side b"):
        ProbeSet("p", ("0", "1"), vectors={"a": a}).items("array", "b")


def test_check_decodes_images_only_for_a_model_of_images() -> None:
    a_set().check("text")
    with pytest.raises(ProbeError, match=r"'0\.png' cannot be decoded"):
        a_set().check("image")
