"""heatmap(): a metric's grid as a figure for a paper."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from alignment.report.data import MetricResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_TICKS = 24  # a side; more layers than that are labelled every second, third, …


def heatmap(result: MetricResult, layers_a: tuple[str, ...], layers_b: tuple[str, ...], a: str, b: str) -> bytes:
    """Returns an SVG of the grid: layer ticks, axis names, a colour bar, the best pair marked, undefined cells hatched.

    The same result gives the same bytes.

    Args:
        result: the metric's result.
        layers_a: A's layers, the rows, drawn from the bottom up as in a graph.
        layers_b: B's layers, the columns.
        a: A's name on its axis.
        b: B's name on its axis.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    rows, columns = len(layers_a), len(layers_b)
    cell = 0.32
    width = max(3.0, cell * min(columns, 40)) + 2.6
    height = max(2.4, cell * min(rows, 40)) + 2.0
    values = [[math.nan if value is None else value for value in row] for row in result.grid]
    signed = result.range[0] < 0 and any(value is not None and value < -0.05 for row in result.grid for value in row)
    with mpl.rc_context(
        {"svg.hashsalt": "accord", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
    ):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.set_facecolor("white")
        present = [value for row in values for value in row if not math.isnan(value)]
        if len(present) < rows * columns:  # what is undefined is drawn as nothing, so that this shows through
            area = Rectangle((-0.5, -0.5), columns, rows, fill=False, hatch="////", edgecolor="0.7", linewidth=0)
            area.set_zorder(-1)
            axes.add_patch(area)
        top = max((abs(value) for value in present), default=1.0) or 1.0
        low = -top if signed else min(0.0, *present) if present else 0.0
        image = axes.imshow(
            values,
            origin="lower",
            aspect="equal",
            interpolation="nearest",
            cmap="RdBu_r" if signed else "viridis",
            vmin=low,
            vmax=top,
        )
        _ticks(axes, layers_a, layers_b)
        axes.set_xlabel(b)
        axes.set_ylabel(a)
        axes.set_title(_title(result), fontsize=9)
        if result.best is not None:
            at = layers_b.index(result.best.layer_b), layers_a.index(result.best.layer_a)
            axes.add_patch(Rectangle((at[0] - 0.5, at[1] - 0.5), 1, 1, fill=False, edgecolor="white", linewidth=3.2))
            axes.add_patch(
                Rectangle((at[0] - 0.5, at[1] - 0.5), 1, 1, fill=False, edgecolor="crimson", linewidth=1.6, gid="best")
            )
        inch = 1 / (width - 2.6)
        figure.colorbar(image, cax=axes.inset_axes((1 + 0.12 * inch, 0, 0.14 * inch, 1)), label=result.key)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Title": f"{result.key}: {a} against {b}"})
    return out.getvalue()


def _ticks(axes: Axes, layers_a: tuple[str, ...], layers_b: tuple[str, ...]) -> None:
    for layers, place in ((layers_b, axes.set_xticks), (layers_a, axes.set_yticks)):
        step = -(-len(layers) // _MOST_TICKS)
        place(range(0, len(layers), step), labels=layers[::step])
    axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=2, labelsize=7)


def _title(result: MetricResult) -> str:
    best = result.best
    if best is None:
        return f"{result.key}: undefined in every cell"
    text = f"{result.key}  best {best.score:.3f}  ({best.layer_a} × {best.layer_b})"
    if best.null_mean is None:
        return text
    return f"{text}\nshuffled best {best.null_mean:.3f}, 95% below {best.null_threshold:.3f}, p = {best.p_value:.2g}"
