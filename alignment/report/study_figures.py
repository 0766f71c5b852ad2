"""matrix_figure() and trend_figure(): a study's matrix and its trend as figures for a paper."""

from __future__ import annotations

import io
import math
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from alignment.report.study import MatrixResult, Trend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WRITTEN = 12  # models: with more, scores would not be legible in their cells
FOUND = 0.05  # a q-value above this is not told from chance
_LETTERS = 40  # of a name; the middle of a longer one is left out
_STYLE = {
    "svg.hashsalt": "accord",  # the ids in the file are the same each time
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,  # a `$` in a name is a `$`
}


def matrix_figure(result: MatrixResult, models: tuple[str, ...]) -> bytes:
    """Returns an SVG of a metric's matrix: models in the order of its clusters, groups framed, scores in their cells.

    A score that is not told from chance (q above 0.05) stands in brackets; a cell without a score is hatched. The same
    result gives the same bytes.

    Args:
        result: the metric's result.
        models: the models, in the matrix's order.
    """
    from matplotlib.patches import Rectangle

    count, order = len(models), [models.index(name) for name in result.clusters.order]
    values = [[_number(result.matrix[a][b]) for b in order] for a in order]
    present = [value for row in values for value in row if not math.isnan(value)]
    signed = any(value < -0.05 for value in present)
    top = max((abs(value) for value in present), default=1.0) or 1.0
    low = -top if signed else min(0.0, *present) if present else 0.0
    side = max(2.2, 0.46 * min(count, 40))
    with _figure(side + 3.2, side + 2.4) as (figure, out):
        axes = figure.add_subplot()
        axes.add_patch(
            Rectangle((-0.5, -0.5), count, count, fill=False, hatch="////", edgecolor="0.7", linewidth=0, zorder=-1)
        )
        image = axes.imshow(
            values, aspect="equal", interpolation="nearest", cmap="RdBu_r" if signed else "viridis", vmin=low, vmax=top
        )
        called = short_names(models)
        names = [called[models[place]] for place in order]
        axes.set_xticks(range(count), labels=names, rotation=90)
        axes.set_yticks(range(count), labels=names)
        axes.tick_params(length=2, labelsize=7)
        if count <= WRITTEN:
            _write(axes, result, order, values, (low, top))
        start = 0
        for group in result.clusters.groups if len(result.clusters.groups) > 1 else ():
            place, size = (start - 0.5, start - 0.5), len(group)
            axes.add_patch(Rectangle(place, size, size, fill=False, edgecolor="crimson", linewidth=1.6, gid="group"))
            start += size
        axes.set_title(f"{result.key}: best pair of layers of each two models", fontsize=9)
        if not result.symmetric:
            axes.set_xlabel("B")
            axes.set_ylabel("A")
        figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, label=result.key)
        _save(figure, out, f"{result.key}: {count} models")
    return out.getvalue()


def trend_figure(trend: Trend, key: str, models: tuple[str, ...]) -> bytes:
    """Returns an SVG of mean alignment over capability, a labelled point a model, rho and p in the title.

    The same trend gives the same bytes.

    Args:
        trend: what was found.
        key: the metric's key.
        models: the models, in the trend's order.
    """
    with _figure(5.0, 3.8) as (figure, out):
        axes = figure.add_subplot()
        means = [_number(value) for value in trend.mean_alignment]
        axes.scatter(trend.capability, means, s=18, color="C0", zorder=3)
        middle = (min(trend.capability) + max(trend.capability)) / 2
        called = short_names(models)
        points = sorted(zip(trend.capability, means, models, strict=True))
        for place, (x, y, name) in enumerate(points):
            left = x <= middle  # a label runs towards the middle, where there is room for it
            axes.annotate(
                called[name],
                (x, y),
                xytext=(5 if left else -5, -3 if place % 2 else 3),  # so that labels of near points stay apart
                textcoords="offset points",
                ha="left" if left else "right",
                va="top" if place % 2 else "bottom",
                fontsize=7,
            )
        axes.margins(0.12)
        axes.set_xlabel("capability")
        axes.set_ylabel(f"mean {'calibrated ' if trend.alignment == 'calibrated' else ''}{key} to the others")
        axes.set_title(
            f"Spearman's ρ = {trend.rho:.2f}, one-sided p = {trend.p_value:.2g} ({orders(trend)})", fontsize=9
        )
        axes.grid(alpha=0.25)
        _save(figure, out, f"{key}: alignment and capability of {len(models)} models")
    return out.getvalue()


def orders(trend: Trend) -> str:
    """Returns what the p-value comes from, for people."""
    return f"{'all' if trend.method == 'exact' else 'of'} {trend.orders:,} orders"


def short(model: str) -> str:
    """Returns a model's name without what all names begin with.

    >>> short("builtin:minilm-l6"), short("hf:org/name@main"), short("features:out/a.npz")
    ('minilm-l6', 'org/name@main', 'a.npz')
    >>> short("a name of a team's own")
    "a name of a team's own"
    """
    scheme, colon, name = model.partition(":")
    name = name if colon else model
    name = name.rstrip("/").rpartition("/")[2] if scheme in ("features", "path") else name
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS // 2]}…{name[1 - _LETTERS // 2 :]}"


def short_names(models: Iterable[str]) -> dict[str, str]:
    """Returns each model's short name, and the whole name where two have the same short one.

    >>> short_names(["path:q/a", "path:p/a", "path:p/b"])
    {'path:q/a': 'path:q/a', 'path:p/a': 'path:p/a', 'path:p/b': 'b'}
    """
    made = {model: short(model) for model in models}
    often = Counter(made.values())
    return {model: name if often[name] == 1 else model for model, name in made.items()}


def _write(
    axes: Axes, result: MatrixResult, order: list[int], values: list[list[float]], limits: tuple[float, float]
) -> None:
    for row, a in enumerate(order):
        for column, b in enumerate(order):
            value = values[row][column]
            if math.isnan(value):
                continue
            q = None if result.q_value is None else result.q_value[a][b]
            text = f"{value:.2f}" if q is None or q <= FOUND else f"({value:.2f})"
            share = (value - limits[0]) / (limits[1] - limits[0])
            dark = 0.2 < share < 0.8 if limits[0] < 0 else share > 0.6  # where the colours of the map are light
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color="black" if dark else "white")


def _number(value: float | None) -> float:
    return math.nan if value is None else value


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Figure, io.BytesIO]]:
    """Yields a figure that draws to nothing but an SVG, the same on every run, and where to write it."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # it is the viewer's fonts that draw the text
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, io.BytesIO()


def _save(figure: Figure, out: io.BytesIO, title: str) -> None:
    figure.savefig(out, format="svg", metadata={"Date": None, "Title": title})
