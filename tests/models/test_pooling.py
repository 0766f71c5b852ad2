"""The laws of pooling."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.models.pooling import pool_image, pool_text


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.booleans(), st.integers(0, 99))
def test_padding_never_matters_on_either_side(lengths: list[int], left: bool, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    rows = [torch.randn(length, 3, generator=draw) for length in lengths]
    states = torch.full((len(rows), max(lengths) + 1, 3), torch.nan)  # what padding holds may be anything
    mask = torch.zeros(states.shape[:2], dtype=torch.bool)
    for i, row in enumerate(rows):
        place = slice(-len(row), None) if left else slice(0, len(row))
        states[i, place], mask[i, place] = row, True
    expected = {
        "mean": [r.mean(0) for r in rows],
        "max": [r.amax(0) for r in rows],
        "last": [r[-1] for r in rows],
        "cls": [r[0] for r in rows],
    }
    for pooling, vectors in expected.items():
        torch.testing.assert_close(pool_text(states, mask, pooling), torch.stack(vectors))


def test_halves_are_pooled_in_float32() -> None:
    states = torch.full((1, 3000, 1), 1.001, dtype=torch.bfloat16)
    assert pool_text(states, torch.ones(1, 3000, dtype=torch.bool), "mean") == states[0, 0, 0].float()
    assert pool_image(states, 0, "mean").dtype == torch.float32


def test_a_map_is_its_tokens() -> None:
    maps = torch.randn(2, 3, 4, 5)
    tokens = maps.flatten(2).transpose(1, 2)
    for pooling in ("mean", "max"):
        torch.testing.assert_close(pool_image(maps, 0, pooling), pool_image(tokens, 0, pooling))
    with pytest.raises(ValueError, match="has no pooling 'cls'"):
        pool_image(maps, 0, "cls")
    with pytest.raises(ValueError, match="has no pooling 'last'"):
        pool_image(tokens, 1, "last")


def test_the_class_token_and_registers_are_no_patches() -> None:
    tokens = torch.tensor([[[9.0], [50.0], [1.0], [3.0]]])
    assert [pool_image(tokens, 2, p).item() for p in ("mean", "max", "cls")] == [2.0, 3.0, 9.0]
