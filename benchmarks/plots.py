"""Charts as SVG, the same bytes for the same chart: with matplotlib, of the benchmarks' environment.

The figures are narrow and their letters large, because on a phone they are shrunk to its width; the
ground is light in every theme of a page. Text is drawn as paths: no font is needed to read it.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot, ticker  # noqa: E402 - the backend is chosen before
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from .amounts import bar_value  # noqa: E402
from .charts import Bar, Bars, Chart, Lines, Panel  # noqa: E402
from .labels import is_floor, is_ours, label  # noqa: E402

_INK, _FAINT, _GROUND = "#1f2933", "#d5dae0", "#ffffff"
_OURS, _FLOOR, _OTHER = "#0b6b66", "#b4bac2", "#7f93a8"
# One colour each wherever it is drawn as a line; told apart by lightness and marker as well.
_COLOURS = {
    "aiohttp": "#d55e00",
    "uvicorn": "#e0a100",
    "granian-rsgi": "#56b4e9",
    "socketify": "#b0578d",
    "websockets": "#8c6bb1",
    "picows": "#2f4b7c",
}
_MARKERS = {
    "aiohttp": "s",
    "uvicorn": "^",
    "granian-rsgi": "D",
    "socketify": "v",
    "websockets": "P",
    "picows": "X",
}

# Inches, of which a browser makes 96 pixels each, and points.
_WIDTH = 5.0
_BAR, _MARGIN, _AXIS, _TITLE_LINE = 0.3, 0.12, 0.55, 0.25
_PLOT, _LEGEND_LINE = 2.9, 0.24
_LETTERS, _TITLE_LETTERS = 12, 13
_TITLE_CHARACTERS, _LABEL_CHARACTERS = 42, 23
_LEGEND_COLUMNS = 2

_STYLE: Mapping[Any, Any] = {
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": _LETTERS,
    "figure.facecolor": _GROUND,
    "font.family": "DejaVu Sans",
    "font.size": _LETTERS,
    "svg.fonttype": "path",
    "svg.hashsalt": "lowlevel",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def svg(chart: Chart) -> bytes:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = _bars(chart) if isinstance(chart, Bars) else _lines(chart)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    # matplotlib ends some lines with a blank.
    return b"\n".join(line.rstrip() for line in file.getvalue().splitlines()) + b"\n"


# ---- Bars ------------------------------------------------------------------------------------


def _bars(chart: Bars) -> Figure:
    title = _wrapped(chart.title)
    above = _MARGIN + _TITLE_LINE * len(title)
    heights = [_BAR * _rows(panel) for panel in chart.panels]
    names = [_wrapped(panel.title) for panel in chart.panels]
    titles = [_MARGIN + _TITLE_LINE * len(name) for name in names]
    titles[1:] = [inches + _MARGIN for inches in titles[1:]]
    height = above + sum(heights) + sum(titles) + _AXIS
    figure = _figure(title, height)
    left = _label_inches(chart) / _WIDTH
    furthest = max(_reach(bar) for panel in chart.panels for bar in panel.bars)
    edge = height - above
    for panel, name, of_bars, of_title in zip(chart.panels, names, heights, titles, strict=True):
        edge -= of_title
        figure.text(0.02, (edge + 0.06) / height, "\n".join(name), fontweight="bold")
        edge -= of_bars
        axes = figure.add_axes((left, edge / height, 0.97 - left, of_bars / height))
        _panel(axes, panel, chart.reference, furthest)
        is_last = panel is chart.panels[-1]
        axes.tick_params(labelbottom=is_last)
        if is_last:
            axes.set_xlabel(chart.axis)
    return figure


def _panel(axes: Axes, panel: Panel, reference: float | None, furthest: float) -> None:
    top = 0.0
    middles = []
    for bar in panel.bars:
        lines = _label_lines(bar)
        middle = top + lines / 2
        middles.append(middle)
        top += lines
        _bar(axes, bar, middle, furthest)
    axes.set_ylim(top, 0)
    axes.set_yticks(middles, ["\n".join(_label_wrapped(bar)) for bar in panel.bars])
    axes.tick_params(axis="y", length=0)
    # Room for the number behind the longest bar.
    axes.set_xlim(0, furthest * 1.18)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: _tick(value)))
    axes.grid(axis="x", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    if reference is not None:
        axes.axvline(reference, color=_INK, linewidth=0.9, linestyle=(0, (4, 3)))


def _bar(axes: Axes, bar: Bar, middle: float, furthest: float) -> None:
    value = bar.value
    axes.barh(middle, value.median, height=0.66, color=_bar_colour(bar.server))
    axes.hlines(middle, value.least, value.most, color=_INK, linewidth=1.1)
    axes.vlines((value.least, value.most), middle - 0.14, middle + 0.14, color=_INK, linewidth=1.1)
    if bar.target is not None:
        axes.vlines(bar.target, middle - 0.42, middle + 0.42, color="#c2185b", linewidth=2.2)
    weight = "bold" if is_ours(bar.server) else "normal"
    end = _reach(bar) + furthest * 0.015
    axes.text(
        end,
        middle,
        bar_value(value.median),
        va="center",
        fontweight=weight,
        bbox={"facecolor": _GROUND, "edgecolor": "none", "pad": 1.0},
    )


def _bar_colour(server: str) -> str:
    return _OURS if is_ours(server) else _FLOOR if is_floor(server) else _OTHER


def _reach(bar: Bar) -> float:
    return max(bar.value.most, bar.target or 0.0)


def _rows(panel: Panel) -> int:
    return sum(_label_lines(bar) for bar in panel.bars)


def _label_lines(bar: Bar) -> int:
    return len(_label_wrapped(bar))


def _label_wrapped(bar: Bar) -> Sequence[str]:
    return textwrap.wrap(bar.label, _LABEL_CHARACTERS) or [""]


def _label_inches(chart: Bars) -> float:
    """Room for the longest label: a letter is little more than half as wide as high, mostly."""
    longest = max(
        len(line) for panel in chart.panels for bar in panel.bars for line in _label_wrapped(bar)
    )
    return 0.2 + longest * 0.57 * _LETTERS / 72


# ---- Lines -----------------------------------------------------------------------------------


def _lines(chart: Lines) -> Figure:
    title = _wrapped(chart.title)
    legend_lines = -(-len(chart.lines) // _LEGEND_COLUMNS)
    above, below = _MARGIN + _TITLE_LINE * len(title), _AXIS + _LEGEND_LINE * legend_lines
    height = above + 0.3 + _PLOT + below + _MARGIN
    figure = _figure(title, height)
    axes = figure.add_axes((0.15, (below + _MARGIN) / height, 0.81, _PLOT / height))
    places = _places(chart)
    for order, line in enumerate(chart.lines):
        server = line.server
        colour = _line_colour(server)
        xs = [places[x] for x, _ in line.points]
        middles = [value.median for _, value in line.points]
        axes.plot(
            xs,
            middles,
            color=colour,
            label=label(server),
            linestyle="--" if is_floor(server) else "-",
            linewidth=2.6 if is_ours(server) else 1.6,
            marker="o" if is_ours(server) else _MARKERS.get(server, "."),
            markersize=6.5,
            zorder=10 - order,
        )
        axes.vlines(
            xs,
            [value.least for _, value in line.points],
            [value.most for _, value in line.points],
            color=colour,
            linewidth=1.2,
        )
    _scales(axes, chart)
    axes.set_xlabel(chart.x_axis)
    axes.set_title(chart.y_axis + (", logarithmic" if chart.y_scale == "log" else ""))
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(
        loc="lower left",
        bbox_to_anchor=(0.05, 0.0),
        ncols=_LEGEND_COLUMNS,
        frameon=False,
        labelspacing=0.25,
        columnspacing=1.4,
        handlelength=2.2,
    )
    return figure


def _scales(axes: Axes, chart: Lines) -> None:
    places = list(_places(chart).values())
    if chart.x_scale == "log":
        # Zero has a place of its own beside the smallest of the others.
        axes.set_xscale("symlog", linthresh=min(at for at in places if at), linscale=0.6)
        axes.set_xlim(left=0 if 0 in places else min(places) / 1.3)
    axes.set_xticks(places, [name for _, name in chart.ticks])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    if chart.y_scale == "log":
        axes.set_yscale("log")
        # Within a decade or two, powers of ten alone would leave the axis bare.
        least, most = axes.get_ylim()
        steps = (1, 2, 5) if most < 200 * least else (1,)
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=steps))
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: _tick(value)))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())


def _places(chart: Lines) -> Mapping[float, float]:
    """Where the points are on the x axis."""
    if chart.x_scale == "even":
        return {at: float(number) for number, (at, _) in enumerate(chart.ticks)}
    return {at: at for at, _ in chart.ticks}


def _line_colour(server: str) -> str:
    return (
        _OURS if is_ours(server) else _FLOOR if is_floor(server) else _COLOURS.get(server, _OTHER)
    )


# ---- Both ------------------------------------------------------------------------------------


def _figure(title: Sequence[str], height: float) -> Figure:
    figure = pyplot.figure(figsize=(_WIDTH, height))
    figure.text(
        0.02,
        1 - _MARGIN / 2 / height,
        "\n".join(title),
        va="top",
        fontsize=_TITLE_LETTERS,
        fontweight="bold",
    )
    return figure


def _wrapped(title: str) -> Sequence[str]:
    return textwrap.wrap(title, _TITLE_CHARACTERS)


def _tick(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
