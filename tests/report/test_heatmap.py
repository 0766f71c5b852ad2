"""The picture is the same bytes each time, valid XML, and shows what the grid says."""

import xml.etree.ElementTree as ET

import pytest

from alignment.report import Best, Grid, MetricResult, heatmap

SVG = "{http://www.w3.org/2000/svg}"
A, B = ("embeddings", "layer.0"), ("stem", "block.0", "head")
FULL: Grid = ((0.1, 0.2, 0.3), (0.2, 0.9, 0.4))


def result(grid: Grid = FULL, best: Best | None = None, low: float = 0.0) -> MetricResult:
    return MetricResult("cka:kernel=rbf", "cka", {"kernel": "rbf"}, (low, 1.0), grid, best=best)


def drawn(grid: Grid = FULL, best: Best | None = None, low: float = 0.0, a: str = "A", b: str = "B") -> ET.Element:
    layers = tuple(f"layer.{i}" for i in range(len(grid))), tuple(f"block.{i}" for i in range(len(grid[0])))
    if best is None and grid is FULL:
        layers = A, B
    return ET.fromstring(heatmap(result(grid, best, low), *layers, a, b))


def texts(svg: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in svg.iter(f"{SVG}text")]


def marks(svg: ET.Element) -> list[ET.Element]:
    return [group for group in svg.iter(f"{SVG}g") if group.get("id") == "best"]


def test_the_same_result_gives_the_same_bytes() -> None:
    best = Best("layer.0", "block.0", 0.9, null_mean=0.1, null_threshold=0.2, calibrated=0.8, p_value=0.005)
    first, second = (heatmap(result(best=best), A, B, "minilm", "effnet") for _ in range(2))
    assert first == second != heatmap(result(best=best), A, B, "minilm", "other")
    assert b"Date" not in first


def test_axes_layers_and_the_colour_bar_are_named() -> None:
    found = texts(drawn(a="builtin:minilm-l6", b="builtin:effnet"))
    for name in (*A, *B, "builtin:minilm-l6", "builtin:effnet", "cka:kernel=rbf"):
        assert name in found


def test_the_best_pair_is_marked_where_it_is() -> None:
    def middle(best: Best) -> tuple[float, float]:
        (mark,) = marks(ET.fromstring(heatmap(result(best=best), A, B, "A", "B")))
        (path,) = mark.iter(f"{SVG}path")
        numbers = [float(part) for part in str(path.get("d")).split() if part[0] not in "MLz"]
        return sum(numbers[0:8:2]) / 4, sum(numbers[1:8:2]) / 4

    low, high = middle(Best("embeddings", "stem", 0.1)), middle(Best("layer.0", "head", 0.4))
    assert low[0] < high[0]  # B's layers run to the right
    assert low[1] > high[1]  # and A's upwards: the y of an SVG runs down
    assert marks(drawn()) == []


def test_the_title_tells_the_score_and_its_null() -> None:
    best = Best("layer.0", "block.0", 0.9, null_mean=0.1, null_threshold=0.2, calibrated=0.8, p_value=0.005)
    title = " ".join(texts(ET.fromstring(heatmap(result(best=best), A, B, "A", "B"))))
    for part in ("0.900", "layer.0 × block.0", "0.100", "0.200", "0.005"):
        assert part in title
    assert "undefined in every cell" in " ".join(texts(drawn()))


@pytest.mark.parametrize(("grid", "hatched"), [(FULL, False), (((0.1, None, 0.3), (0.2, 0.9, 0.4)), True)])
def test_what_is_undefined_is_hatched(grid: Grid, hatched: bool) -> None:
    assert (list(drawn(grid).iter(f"{SVG}pattern")) != []) == hatched


def test_a_grid_without_any_score_is_drawn() -> None:
    svg = drawn(((None, None), (None, None)))
    assert list(svg.iter(f"{SVG}pattern"))
    assert marks(svg) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 1), (90, 90)])
def test_any_shape_is_drawn_with_ticks_that_can_be_read(shape: tuple[int, int]) -> None:
    grid = tuple(tuple(0.5 for _ in range(shape[1])) for _ in range(shape[0]))
    svg = drawn(grid)
    named = [text for text in texts(svg) if text.startswith(("layer.", "block."))]
    assert 2 <= len(named) <= 48
    assert {"layer.0", "block.0"} <= set(named)
    width, height = (float(str(svg.get(side)).removesuffix("pt")) / 72 for side in ("width", "height"))
    assert max(width, height) < 18  # inches


@pytest.mark.parametrize("value", [0.0, 1.0, -0.3])
def test_one_value_everywhere_is_drawn(value: float) -> None:
    assert texts(drawn(((value, value), (value, value)), low=-1.0))


@pytest.mark.parametrize("name", ["a<b>&\"'", "$x$", "$\\frac{", "a\x1b[2J\x00b", "层.0", "𝛼🙂", "_^{}", "x" * 300])
def test_any_name_is_drawn_as_it_is(name: str) -> None:
    best = Best(name, name, 0.5)
    svg = heatmap(MetricResult("cka", "cka", {}, (0.0, 1.0), ((0.5,),), best=best), (name,), (name,), name, name)
    found = texts(ET.fromstring(svg))
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    shown = shown if len(shown) <= 40 else "x" * 20 + "…" + "x" * 19  # the middle of a long name is left out
    assert found.count(shown) == 4  # two axes, two ticks
