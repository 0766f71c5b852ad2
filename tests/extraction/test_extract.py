"""Row i is item i, whatever the batches were."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from alignment.errors import ModelError, ProbeError, RequestError, UnknownNameError, WorkError
from alignment.extraction import check_fit, extract
from alignment.models import FakeEncoder
from alignment.probes import ImageItem, ProbeSet

TEXTS = st.lists(st.text(max_size=30), min_size=1, max_size=25)


def probe(texts: Sequence[str]) -> ProbeSet:
    return ProbeSet("p", tuple(map(str, range(len(texts)))), texts=tuple(texts))


@dataclass(frozen=True, kw_only=True, eq=False)
class BrokenEncoder(FakeEncoder):
    """A fake that gives back the wrong number of rows."""

    by: int = field(default=0)

    def encode(self, items: Sequence[Any], pooling: Any) -> list[Tensor]:
        return super().encode([*items, *items][: len(items) + self.by], pooling)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.integers(1, 30))
def test_row_i_is_item_i_whatever_the_batch_size(texts: list[str], size: int) -> None:
    found = extract(FakeEncoder.of(noise=0.5), probe(texts), batch_size=size)
    for row, text in enumerate(texts):
        alone = FakeEncoder.of(noise=0.5).encode([text], "mean")
        assert all(torch.equal(value[row], one[0]) for value, one in zip(found.values, alone, strict=True))
    assert found.ids == probe(texts).ids
    assert found.origin.fingerprint == FakeEncoder.of(noise=0.5).fingerprint


@settings(max_examples=25, deadline=None)
@given(TEXTS, st.integers(1, 8), st.integers(1, 40))
def test_a_full_memory_halves_the_batch_and_changes_nothing(texts: list[str], capacity: int, size: int) -> None:
    small = FakeEncoder.of(capacity=capacity)
    found = extract(small, probe(texts), batch_size=size)
    whole = extract(FakeEncoder.of(), probe(texts))
    assert all(torch.equal(a, b) for a, b in zip(found.values, whole.values, strict=True))
    assert sum(call for call in small.calls if call <= capacity) == len(texts)  # nothing was computed twice


def test_the_longest_texts_go_first_and_share_a_batch() -> None:
    seen: list[list[str]] = []

    def key(item: str) -> str:
        seen[-1].append(item)
        return item

    class Watched(FakeEncoder):
        def encode(self, items: Sequence[Any], pooling: Any) -> list[Tensor]:
            seen.append([])
            return super().encode(items, pooling)

    extract(Watched.of(key=key), probe(["a" * n for n in (3, 9, 1, 7)]), batch_size=2)
    assert [[len(text) for text in batch] for batch in seen] == [[9, 7], [3, 1]]


def test_an_item_that_does_not_fit_alone_is_said() -> None:
    with pytest.raises(WorkError, match="one item alone does not fit the memory of cpu"):
        extract(FakeEncoder.of(capacity=0), probe(["a", "b"]))


@pytest.mark.parametrize("by", [-1, 1])
def test_a_batch_with_a_row_too_many_or_too_few_is_caught(by: int) -> None:
    broken = BrokenEncoder(**{**vars(FakeEncoder.of()), "by": by})
    with pytest.raises(WorkError, match="rows that are not its items"):
        extract(broken, probe(["a", "b", "c"]))


def test_rows_are_placed_by_id_each_exactly_once() -> None:
    from alignment.extraction.extract import _Rows

    rows = _Rows(["a", "b", "c"], [1])
    rows.put(["c", "a"], [torch.tensor([[3.0], [1.0]])])  # a scrambled batch falls into place
    with pytest.raises(WorkError, match="have no activation"):
        list(rows.finished())
    with pytest.raises(WorkError, match="rows that are not its items"):
        rows.put(["b", "a"], [torch.tensor([[2.0], [1.0]])])  # a duplicate
    rows.put(["b"], [torch.tensor([[2.0]])])
    assert [value.flatten().tolist() for value in rows.finished()] == [[1.0, 2.0, 3.0]]
    with pytest.raises(KeyError):
        rows.put(["stranger"], [torch.tensor([[2.0]])])


def test_a_failure_of_the_model_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="told to fail at call 1"):
        extract(FakeEncoder.of(failing=frozenset({1})), probe(["a", "b", "c"]), batch_size=1)


def test_layers_are_kept_as_asked_and_progress_counts_items() -> None:
    steps: list[tuple[int, int]] = []
    found = extract(
        FakeEncoder.of(), probe("abcde"), layers=("layer.2", 0), batch_size=2, progress=lambda *step: steps.append(step)
    )
    assert found.layers == ("layer.2", "layer.0")
    everything = extract(FakeEncoder.of(), probe("abcde"))
    assert torch.equal(found.values[0], everything.values[2])
    assert steps == [(0, 5), (2, 5), (4, 5), (5, 5)]
    with pytest.raises(UnknownNameError):
        extract(FakeEncoder.of(), probe("abc"), layers=("layer.9",))


def test_each_side_takes_its_own_vectors() -> None:
    draw = np.random.default_rng(0).normal(size=(2, 4, 3))
    both = ProbeSet("v", tuple("abcd"), vectors={"a": draw[0], "b": draw[1]})
    fake = FakeEncoder.of(modality="array")
    for side, values in zip(("a", "b"), draw, strict=True):
        expected = fake.encode(list(values), "mean")
        assert torch.equal(extract(fake, both, side=side, batch_size=3).values[0], expected[0])  # type: ignore[arg-type]


def test_images_are_opened_as_they_are_needed(picture: Any) -> None:
    read: list[str] = []

    def image(name: str) -> ImageItem:
        return ImageItem(name, lambda: (read.append(name), picture(name))[1])

    images = tuple(image(name) for name in ("red", "blue", "green"))
    set_ = ProbeSet("i", ("1", "2", "3"), images=images)
    fake = FakeEncoder.of(modality="image")
    found = extract(fake, set_, batch_size=1)
    assert read == ["red", "blue", "green"]
    assert torch.equal(found.values[0][1:2], fake.encode([images[1].open()], "mean")[0])


def test_what_does_not_fit_is_refused_before_any_work(picture: Any) -> None:
    fake = FakeEncoder.of(modality="image", poolings=("mean",))
    good, broken = ImageItem("good.png", picture), ImageItem("broken.png", lambda: picture()[:40])
    with pytest.raises(ProbeError, match=r"has text but the model takes image"):
        check_fit(fake, probe(["a"]), "mean", "a")
    with pytest.raises(ModelError, match="cannot pool by 'cls'; it can by mean"):
        check_fit(fake, ProbeSet("i", ("1",), images=(good,)), "cls", "a")
    with pytest.raises(ProbeError, match=r"broken\.png"):
        check_fit(fake, ProbeSet("i", ("1", "2"), images=(good, broken)), "mean", "a")
    check_fit(fake, ProbeSet("i", ("1",), images=(good,)), "mean", "a")
    assert fake.calls == []
    assert issubclass(ProbeError, RequestError)


@dataclass(frozen=True, kw_only=True, eq=False)
class AskingEncoder(FakeEncoder):
    """A fake that writes down how convolutions would be formed."""

    seen: list[Any] = field(default_factory=list)

    def encode(self, items: Sequence[Any], pooling: Any) -> list[Tensor]:
        cudnn = torch.backends.cudnn
        self.seen.append((cudnn.conv.fp32_precision, cudnn.deterministic))
        return super().encode(items, pooling)


def test_convolutions_are_formed_in_float32_and_afterwards_as_before() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.conv.fp32_precision, cudnn.deterministic
    fake = FakeEncoder.of()
    asking = AskingEncoder(**{name: getattr(fake, name) for name in fake.__dataclass_fields__})
    extract(asking, probe(["one", "two"]))
    assert asking.seen == [("ieee", True)]
    assert (cudnn.conv.fp32_precision, cudnn.deterministic) == before


@dataclass(frozen=True, kw_only=True, eq=False)
class CrampedEncoder(FakeEncoder):
    """A fake whose libraries find no memory of their own for more than two items."""

    said: str = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"

    def encode(self, items: Sequence[Any], pooling: Any) -> list[Tensor]:
        if len(items) > 2:
            raise RuntimeError(self.said)
        return super().encode(items, pooling)


def test_a_batch_that_a_library_finds_no_memory_for_is_halved_and_other_errors_are_told() -> None:
    fake, texts = FakeEncoder.of(), probe([f"text {i}" for i in range(9)])
    given = {name: getattr(fake, name) for name in fake.__dataclass_fields__}
    found, whole = extract(CrampedEncoder(**given), texts, batch_size=8), extract(fake, texts)
    assert all(torch.equal(one, other) for one, other in zip(found.values, whole.values, strict=True))
    with pytest.raises(RuntimeError, match="device-side assert"):
        extract(CrampedEncoder(**given, said="CUDA error: device-side assert triggered"), texts, batch_size=8)
