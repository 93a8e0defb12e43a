"""Line charts as SVG whose colours follow the page: light and dark, on a screen and in a file of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 30.0, 40.0

LONGEST_NAME = 30
"""Characters of a name beside its rank."""

COLOURS = ("#0b6fb8", "#d3541b", "#159570", "#b8559b", "#c48a00", "#4aa3df", "#8a5a2b", "#6f5fc7", "#c23b4f", "#5b8a1f")
STYLE = (
    "svg.chart { font: 12px system-ui, sans-serif; } .chart text { fill: var(--soft, #5f6672); } "
    ".chart .title { fill: var(--ink, #1c1e22); font-weight: 600; font-size: 13px; } "
    ".chart .grid { stroke: var(--line, #e3e5e9); } .chart .clique { stroke: #1c1e22; stroke-width: 5; } "
    ".chart polyline { fill: none; stroke-width: 2; }"
)
"""Of charts in files of their own; the page has the same colours as variables."""


@dataclass(frozen=True)
class Point:
    """A mean with its interval over a budget."""

    x: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    Args:
        label: of the method.
        points: by budget; a single one is drawn as a level across the chart.
        colour: an index; None for a baseline, grey and dashed.
    """

    label: str
    points: tuple[Point, ...]
    colour: int | None


def colour_of(index: int | None) -> str:
    """The colour with this index, as style sheets write it.

    Example:
        >>> colour_of(0), colour_of(None)
        ('#0b6fb8', '#8b919b')
    """
    return "#8b919b" if index is None else COLOURS[index % len(COLOURS)]


def chart(title: str, series: Sequence[Series], x_label: str) -> str:
    """A chart with budgets on a logarithmic axis, bands for intervals, and a legend in tooltips.

    Args:
        title: above it; text, not markup.
        series: its lines.
        x_label: below it.
    """
    xs = sorted({point.x for one in series for point in one.points if len(one.points) > 1})
    low, high = _ends([value for one in series for point in one.points for value in (point.low, point.high)])
    across, up = _Axis(math.log(xs[0]), math.log(xs[-1]), LEFT, WIDTH - RIGHT), _Axis(low, high, HEIGHT - BOTTOM, TOP)
    parts = [f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>']
    for tick in _ticks(low, high):
        y = up.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    for x in _budgets(xs[0], xs[-1]):
        parts.append(f'<text x="{across.at(math.log(x)):.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{x:,.0f}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    parts += [_drawn(one, across, up) for one in series if one.points]
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def ranks_chart(title: str, ranks: Mapping[str, float], cliques: Sequence[Sequence[str]]) -> str:
    """Names at their mean ranks, the best on top; a bar beside them joins those that do not differ (Demšar 2006).

    Args:
        title: above it; text, not markup.
        ranks: by name.
        cliques: groups of names.
    """
    order = sorted(ranks, key=lambda name: ranks[name])
    names, step, right = 210.0, 20.0, 14.0 * len(cliques) + 12
    axis = _Axis(1.0, float(max(len(order), 2)), names, WIDTH - right)
    rows = {name: TOP + 10 + step * place for place, name in enumerate(order)}
    parts = [f'<text class="title" x="8" y="16">{escape(title)}</text>']
    for name, y in rows.items():
        x = axis.at(ranks[name])
        parts.append(f'<text x="{names - 12:.0f}" y="{y + 4:.0f}" text-anchor="end">{escape(_cut(name))}</text>')
        parts.append(f'<line class="grid" x1="{names:.0f}" x2="{axis.end:.0f}" y1="{y:.0f}" y2="{y:.0f}"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.0f}" r="4" fill="{COLOURS[0]}"><title>{ranks[name]:.2f}</title></circle>')
    for place, clique in enumerate(cliques):
        ys, x = [rows[name] for name in clique], axis.end + 12 + 14 * place
        ends = f'y1="{min(ys) - 6:.0f}" y2="{max(ys) + 6:.0f}"'
        told = escape(", ".join(clique))
        parts.append(f'<line class="clique" x1="{x:.0f}" x2="{x:.0f}" {ends}><title>do not differ: {told}</title></line>')
    height = TOP + 10 + step * len(order) + 20
    for rank, told in ((1.0, "1"), ((1 + axis.high) / 2, "mean rank"), (axis.high, f"{axis.high:.0f}")):
        parts.append(f'<text x="{axis.at(rank):.0f}" y="{height - 8:.0f}" text-anchor="middle">{told}</text>')
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def standalone(svg: str) -> str:
    """A chart for a file of its own."""
    head, tail = svg.split(">", 1)
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return f"{head}><style>{STYLE}</style>{paper}{tail}\n"


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = 0.5 if self.high == self.low else (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def _drawn(one: Series, across: _Axis, up: _Axis) -> str:
    """The line of a series with its band; its tooltip says what it is."""
    colour, told = colour_of(one.colour), escape(one.label)
    if len(one.points) == 1:
        y, mean = up.at(one.points[0].mean), one.points[0].mean
        return (
            f'<g data-series="{told}"><title>{told}: {_number(mean)}</title><line x1="{across.start}" x2="{across.end}" '
            f'y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-dasharray="5 4" stroke-width="1.5"/></g>'
        )
    places = [(across.at(math.log(point.x)), point) for point in sorted(one.points, key=lambda point: point.x)]
    line = " ".join(f"{x:.1f},{up.at(point.mean):.1f}" for x, point in places)
    band = [f"{x:.1f},{up.at(point.high):.1f}" for x, point in places]
    band += [f"{x:.1f},{up.at(point.low):.1f}" for x, point in reversed(places)]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{up.at(point.mean):.1f}" r="3" fill="{colour}"><title>{told}, {point.x:,.0f}: '
        f"{_number(point.mean)} ({_number(point.low)} to {_number(point.high)})</title></circle>"
        for x, point in places
    )
    return (
        f'<g data-series="{told}"><polygon points="{" ".join(band)}" fill="{colour}" fill-opacity=".13"/>'
        f'<polyline points="{line}" stroke="{colour}"/>{dots}</g>'
    )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 0.5
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(times for times in (1, 2, 5, 10) if (high - low) / (step * times) <= 5)
    return [tick * step for tick in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _budgets(low: float, high: float) -> list[float]:
    """Round numbers on a logarithmic axis: powers of two, or of ten where these are many."""
    for base in (2, 10, 100):
        powers = range(math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9) + 1)
        if 2 <= len(powers) <= 7:
            return [float(base**power) for power in powers]
    return [low, high]


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−") if abs(value) < 1e5 else f"{value:,.0f}"
