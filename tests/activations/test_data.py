"""Layers are selected, rows are taken, and two sides are told apart by their items."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.activations import Activations, Layers, Origin, require_same_items, select_layers
from alignment.errors import MismatchError, RequestError, UnknownNameError

NAMES = ("embeddings", "layer.0", "layer.1", "layer.2")


def made(ids: tuple[str, ...] | None = None, rows: int = 3) -> Activations:
    values = tuple(torch.full((rows, 2), float(i)) + torch.arange(rows).unsqueeze(1) for i in range(4))
    return Activations(NAMES, values, ids, Origin("model", "0"))


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("all", [0, 1, 2, 3]),
        ("last", [3]),
        (("layer.1", "embeddings"), [2, 0]),
        ((0, -1), [0, 3]),
        ((-4, "layer.2"), [0, 3]),
    ],
)
def test_selection(wanted: Layers, index: list[int]) -> None:
    assert select_layers(NAMES, wanted) == index
    chosen = made().select(wanted)
    assert chosen.layers == tuple(NAMES[i] for i in index)
    assert [float(value[0, 0]) for value in chosen.values] == index


@pytest.mark.parametrize("wanted", [(4,), (-5,), (0, -4), (0, "embeddings"), ("layer.1", "layer.1"), ()])
def test_what_cannot_be_selected(wanted: Layers) -> None:
    with pytest.raises(RequestError, match=r"there is no layer|none twice"):
        select_layers(NAMES, wanted)


def test_a_near_layer_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match=r"there is no layer 'layr\.1'; did you mean 'layer\.1'\?"):
        select_layers(NAMES, ("layr.1",))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1))
def test_rows_and_their_ids_are_taken_together(rows: list[int]) -> None:
    taken = made(tuple("abcdefg"), 7).take(rows)
    assert taken.ids == tuple("abcdefg"[i] for i in rows)
    assert [float(v) for v in taken.values[0][:, 0]] == rows


def test_the_same_items_are_recognised() -> None:
    require_same_items(made(("a", "b", "c")), made(("a", "b", "c")))
    require_same_items(made(("a", "b", "c")), made())
    require_same_items(made(), made())


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (made(), made(rows=4), "have 3 and 4 rows"),
        (made(("a", "b", "c")), made(("a", "c", "b")), r"same ids in another order.*row 1 is 'b' and 'c'"),
        (made(("a", "b", "c")), made(("a", "b", "d")), r"other ids: extract both from one probe set \(row 2"),
        (made(("a", "a", "b")), made(("a", "b", "b")), "other ids"),
    ],
)
def test_other_items_are_refused(a: Activations, b: Activations, message: str) -> None:
    for sides in ((a, b), (b, a)):
        with pytest.raises(MismatchError, match=message.split(" (")[0] if sides[0] is a else "rows|ids"):
            require_same_items(*sides)
