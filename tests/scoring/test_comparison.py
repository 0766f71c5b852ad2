"""The work of a comparison: the science's own numbers, from activations that are made once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alignment.comparison import compare
from tests.scoring.conftest import Desk


def test_its_numbers_are_those_of_compare_to_the_last_bit(
    desk: Desk, folders: dict[str, Path], no_leak: Callable[..., None]
) -> None:
    a, b = f"path:{folders['bert']}", f"path:{folders['gpt2']}"
    row = desk.compare(desk.side(a, "first"), desk.side(b, "second"))
    direct = compare(desk.request(a, b)).to_dict()
    assert row["state"] == "succeeded", row["error"]
    found: dict[str, Any] = row["result"]
    assert found["metrics"] == direct["metrics"]
    assert {**found, "provenance": None} == {**direct, "provenance": None}
    for name in ("probe_sha256", "items_sha256", "device", "dtype", "versions", "seed", "limits"):
        assert found["provenance"][name] == direct["provenance"][name]
    for side, name in (("model_a", "first"), ("model_b", "second")):
        told = found["provenance"][side]
        assert told["fingerprint"] == direct["provenance"][side]["fingerprint"]
        assert (told["id"], told["name"], told["reference"]) == (f"mdl_{name}", name, f"path:{name}")
    assert found["provenance"]["request"] == {"as": "shown"}
    no_leak(row)
