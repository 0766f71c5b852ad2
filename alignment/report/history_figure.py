"""history_figure(): alignment over the steps of trainings, as a figure for a paper."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

_STYLE = {
    "svg.hashsalt": "accord",  # the ids in the file are the same each time
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,
}
_COLOURS = ("#3b528b", "#d1495b", "#5ec962", "#8c8c8c")
Curve = Sequence[tuple[float, float, float]]  # share of the training done, lowest and mean alignment


def history_figure(curves: Mapping[str, Sequence[Curve]], title: str, label: str) -> bytes:
    """Returns an SVG: one colour a kind of training, one line each training, lowest alignment of all pairs of layers.

    Beside it 1 - alignment on a logarithmic scale, which shows how near to perfect it comes. The same curves give the
    same bytes.

    Args:
        curves: by the kind's name, the trainings of that kind.
        title: of the figure.
        label: what the alignment is.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        FigureCanvasSVG(figure)
        plain, logarithmic = figure.subplots(1, 2)
        for (name, runs), colour in zip(curves.items(), _COLOURS, strict=False):
            for number, run in enumerate(runs):
                done = [100 * point[0] for point in run]
                lowest = [point[1] for point in run]
                legend = name if number == 0 else None
                plain.plot(done, lowest, color=colour, linewidth=1.2, alpha=0.8, label=legend)
                logarithmic.plot(done, [max(1 - a, 1e-12) for a in lowest], color=colour, linewidth=1.2, alpha=0.8)
        logarithmic.set_yscale("log")
        # In plain letters: the usual labels are formulas, which titles and names here must not be read as.
        logarithmic.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}"))
        plain.set_ylim(0, 1.02)
        plain.set_ylabel(f"lowest {label}")
        logarithmic.set_ylabel(f"1 - lowest {label}")
        for axes in (plain, logarithmic):
            axes.set_xlabel("% of steps")
            axes.spines[["top", "right"]].set_visible(False)
        plain.legend(frameon=False)
        figure.suptitle(title, fontsize=9, x=0.01, ha="left")
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Title": title})
    return out.getvalue()
