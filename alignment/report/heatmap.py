"""heatmap(): a metric's grid as a figure for a paper."""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING, Literal

from alignment.report.data import MetricResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELL, _LEAST, _MOST, _LEAST_BAR = 0.32, 1.6, 12.8, 0.7  # inches: a cell, the grid's longer side, the colour bar
_MOST_TICKS = 24  # a side; more layers than that are labelled every second, third, …
_MOST_LETTERS = 40  # of a name; the middle of a longer one is left out
_DOTS = 200  # an inch of a PNG
# What a file says of itself by default and that differs from day to day and from release to release.
_UNSAID: dict[str, dict[str, None]] = {"svg": {"Date": None}, "png": {"Software": None}}
_STYLE = {
    "svg.hashsalt": "accord",  # the ids in the file are the same each time
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,  # a `$` in a name is a `$`
}


def heatmap(
    result: MetricResult,
    layers_a: tuple[str, ...],
    layers_b: tuple[str, ...],
    a: str,
    b: str,
    form: Literal["svg", "png"] = "svg",
) -> bytes:
    """Returns a figure of the grid: layer ticks, axis names, a colour bar, the best pair marked, no score hatched.

    The same result gives the same bytes.

    Args:
        result: the metric's result.
        layers_a: A's layers, the rows, drawn from the bottom up as in a graph.
        layers_b: B's layers, the columns.
        a: A's name on its axis.
        b: B's name on its axis.
        form: `svg`, or `png` with 200 dots an inch.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    rows, columns = len(layers_a), len(layers_b)
    longest = max(rows, columns)
    cell = max(_CELL, _LEAST / longest) if longest * _CELL <= _MOST else _MOST / longest
    width, height = cell * columns, cell * rows
    values = [[math.nan if value is None else value for value in row] for row in result.grid]
    signed = result.range[0] < 0 and any(value is not None and value < -0.05 for row in result.grid for value in row)
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # it is the viewer's fonts that draw the text
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        axes = figure.add_axes((0, 0, 1, 1))  # the grid alone; what surrounds it is measured when it is saved
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
        axes.set_xlabel(_shown(b))
        axes.set_ylabel(_shown(a))
        axes.set_title(_title(result), fontsize=9, loc="left")  # clear of the name of A, beside it
        if result.best is not None:
            at = layers_b.index(result.best.layer_b), layers_a.index(result.best.layer_a)
            axes.add_patch(Rectangle((at[0] - 0.5, at[1] - 0.5), 1, 1, fill=False, edgecolor="white", linewidth=3.2))
            axes.add_patch(
                Rectangle((at[0] - 0.5, at[1] - 0.5), 1, 1, fill=False, edgecolor="crimson", linewidth=1.6, gid="best")
            )
        tall = max(height, _LEAST_BAR) / height
        bar = axes.inset_axes((1 + 0.14 / width, 1 - tall, 0.14 / width, tall))
        figure.colorbar(image, cax=bar, label=result.key)
        out = io.BytesIO()
        title = f"{result.key}: {_shown(a)} against {_shown(b)}"
        said = {"Title": title, **_UNSAID[form]}
        figure.savefig(out, format=form, dpi=_DOTS, bbox_inches="tight", metadata=said)
    return out.getvalue()


def _ticks(axes: Axes, layers_a: tuple[str, ...], layers_b: tuple[str, ...]) -> None:
    for layers, place in ((layers_b, axes.set_xticks), (layers_a, axes.set_yticks)):
        step = -(-len(layers) // _MOST_TICKS)
        place(range(0, len(layers), step), labels=[_shown(layer) for layer in layers[::step]])
    axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=2, labelsize=7)


def _shown(name: str) -> str:
    """Returns a name as a figure can hold it: XML has no control characters, and a side has no room without end."""
    name = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    half = _MOST_LETTERS // 2
    return name if len(name) <= _MOST_LETTERS else f"{name[:half]}…{name[1 - half :]}"


def _title(result: MetricResult) -> str:
    best = result.best
    if best is None:
        return f"{result.key}: undefined in every cell"
    text = f"{result.key}  best {best.score:.3f}  ({_shown(best.layer_a)} × {_shown(best.layer_b)})"
    if best.null_mean is None:
        return text
    return f"{text}\nshuffled best {best.null_mean:.3f}, 95% below {best.null_threshold:.3f}, p = {best.p_value:.2g}"
