"""The fake encoder keeps the promises of an encoder, and fails when told to."""

import numpy as np
import pytest
import torch
from PIL import Image

from alignment.errors import ModelError
from alignment.models import Encoder, FakeEncoder

ITEMS = {
    "text": ["one", "two", "one"],
    "image": [Image.new("RGB", (4, 4), c) for c in ("red", "blue", "red")],
    "array": [np.arange(3.0), np.ones(3), np.arange(3.0)],
}


@pytest.mark.parametrize("modality", ["text", "image", "array"])
def test_content_alone_decides(modality: str) -> None:
    fake: Encoder = FakeEncoder.of(modality=modality, noise=0.3)
    items = ITEMS[modality]
    together = fake.encode(items, "mean")
    for depth, layer in enumerate(fake.layers):
        assert together[depth].shape == (3, layer.width)
        assert together[depth].dtype == torch.float32
        assert torch.equal(together[depth][0], together[depth][2])
        assert not torch.equal(together[depth][0], together[depth][1])
        assert torch.equal(together[depth][1:2], fake.encode(items[1:2], "mean")[depth])
    assert [tuple(x.shape) for x in fake.encode([], "mean")] == [(0, 16)] * 3


def test_a_shared_latent_aligns_and_another_does_not() -> None:
    items = [f"item {i}" for i in range(60)]

    def kernel(**options: int) -> torch.Tensor:
        x = FakeEncoder.of(width=64, **options).encode(items, "mean")[0]
        return torch.nn.functional.normalize(x @ x.T - (x @ x.T).mean(0), dim=None)

    a, b, other = kernel(seed=1), kernel(seed=2), kernel(seed=2, latent=1)
    assert (a * b).sum() > (a * other).sum() + 0.1


def test_a_key_pairs_items_across_modalities() -> None:
    names = {"red": ITEMS["image"][0]}
    text = FakeEncoder.of(key=lambda item: item)
    image = FakeEncoder.of(modality="image", key=lambda item: next(n for n, i in names.items() if i is item))
    assert torch.equal(text.encode(["red"], "mean")[0], image.encode([names["red"]], "mean")[0])


def test_it_fails_when_told_to() -> None:
    fake = FakeEncoder.of(capacity=2, failing=frozenset({1}), poolings=("mean",))
    fake.encode(["a"], "mean")
    with pytest.raises(RuntimeError, match="told to fail at call 1"):
        fake.encode(["a"], "mean")
    with pytest.raises(torch.OutOfMemoryError, match="room for 2 items, not 3"):
        fake.encode(["a", "b", "c"], "mean")
    with pytest.raises(ModelError, match="cannot pool by 'cls'"):
        fake.encode(["a"], "cls")
    assert fake.calls == [1, 1, 3]
