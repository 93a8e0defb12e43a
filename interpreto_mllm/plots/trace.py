"""An answer traced through its thoughts, as a figure of its flow, a page and a few lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from io import BytesIO
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from interpreto_mllm.core.labels import joined
from interpreto_mllm.plots.colours import AGAINST, TOWARDS, hexadecimal
from interpreto_mllm.plots.description import unit
from interpreto_mllm.plots.figure import save
from interpreto_mllm.plots.fonts import drawable
from interpreto_mllm.plots.html import document
from interpreto_mllm.plots.number_scale import NumberScale
from interpreto_mllm.plots.paper import drawing
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.results.trace import Link, ThoughtFlow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIRST, STEP, LAST, BAR, GAP = 1.0, 0.45, 1.0, 0.02, 0.06
"""How far the first thought stands from the prompt, a thought from the one before it and the answer from the last, how wide
bars are, and the gap between two bars as a share of the height."""

FAINTEST, MOST_PARTS = 0.02, 14
"""Links below this share of the strongest are not drawn, and so many parts of the prompt at most."""

LETTERS, POINTS = 44, 9.5
"""Of a label, and the size of these."""


@dataclass(frozen=True)
class _Bar:
    """A node of the flow: where it stands."""

    left: float
    bottom: float
    height: float


def figure(flow: ThoughtFlow, path: str | PathLike[str] | BytesIO | None = None, **options: Any) -> Figure:
    """Draw, and save when a path is given; the format is the path's suffix.

    Raises:
        ImportError: without matplotlib.
    """
    with drawing(None, POINTS) as paper:
        import matplotlib.pyplot as plt

        shown, links = _drawn(flow)
        size = (min(10.5 + 1.4 * flow.k, 30), 1.6 + 0.6 * max(3, len(shown), flow.k))
        drawn, axes = plt.subplots(figsize=size, layout="constrained")
        bars, scale = _bars(flow, shown, links)
        for link, a, b, width in _attached(bars, links, scale):
            _ribbon(axes, link, (bars[link.start].left + BAR, a), (bars[link.end].left, b), width)
        _labels(axes, flow, bars, paper.fonts)
        axes.set_xlim(-0.9, bars[flow.answer.n].left + 0.5)
        axes.set_ylim(-0.08, 1.12)
        axes.set_axis_off()
        if path is not None:
            save(drawn, path, **{"dpi": 160, "facecolor": "white", **options})
    return drawn


def page(flow: ThoughtFlow) -> str:
    """One self-contained page: the flow, and a table of its parts."""
    file = BytesIO()
    figure(flow, file, format="svg")
    drawing = re.sub(r"^.*?(?=<svg)", "", file.getvalue().decode(), flags=re.DOTALL)
    scale = NumberScale(max(float(flow.answer.attributions.abs().max()), 1e-300))
    body = "".join(
        f"<tr><td>{escape(visible(feature.name))}</td>"
        + "".join(f"<td>{_told(flow, scale, name, part)}</td>" for name in ("direct", "through", "total"))
        + "</tr>"
        for part, feature in enumerate(flow.features)
    )
    kept = f"<tr><td>the thoughts themselves</td><td></td><td></td><td>{_told_kept(flow, scale)}</td></tr>"
    notes = "".join(f"<p>{escape(note)}</p>" for note in (*flow.answer.notes, *_about_errors(flow)) if note)
    head = "<tr><th>part of the prompt</th><th>directly</th><th>through thoughts</th><th>in all</th></tr>"
    style = (
        "<style>.trace { font: 15px/1.5 system-ui, sans-serif; padding: 1rem; color: #111; background: #fff; } .trace svg { "
        "width: 100%; height: auto; } .trace td, .trace th { padding: .2rem .8rem; text-align: right; } .trace td:first-child, "
        ".trace th:first-child { text-align: left; } .trace p { color: #555; }</style>"
    )
    title = f"Trace: {shortened(visible(_answer(flow)), 60)}"
    return document(
        title, f'<div class="trace">{style}<h2>{escape(title)}</h2>{drawing}<table>{head}{body}{kept}</table>{notes}</div>'
    )


def summary(flow: ThoughtFlow) -> str:
    """What the strongest parts of the prompt did, directly and in all, in a few lines."""
    scale = NumberScale(max(float(flow.answer.attributions.abs().max()), 1e-300))
    order = flow.total.abs().argsort(descending=True).tolist()
    head = f"Trace: {flow.n} parts of the prompt → {flow.k} thoughts → {_answer(flow)!r}, in {unit(flow.answer)}"
    lines = [
        f"  {shortened(visible(flow.features[part].name), 40)}  directly {_told(flow, scale, 'direct', part)}, "
        f"through thoughts {_told(flow, scale, 'through', part)}"
        for part in order[:4]
    ]
    return "\n".join([head, *lines, f"  the thoughts themselves  {_told_kept(flow, scale)}"])


def _told(flow: ThoughtFlow, scale: NumberScale, name: Literal["direct", "through", "total", "carried"], part: int) -> str:
    """A number of the flow with its standard error, where it has one."""
    errors = flow.standard_errors
    return scale.signed(float(getattr(flow, name)[part])) + _beside(
        scale, None if errors is None else float(getattr(errors, name)[part])
    )


def _told_kept(flow: ThoughtFlow, scale: NumberScale) -> str:
    errors = flow.standard_errors
    return scale.signed(float(flow.kept.sum())) + _beside(scale, None if errors is None else errors.kept_sum)


def _beside(scale: NumberScale, error: float | None) -> str:
    """A standard error behind its number; nothing where there is none."""
    return "" if error is None or error == 0 else f" ± {scale.plain(error)}"


def _about_errors(flow: ThoughtFlow) -> Iterator[str]:
    """What the numbers behind ± are."""
    if flow.standard_errors is None:
        yield "The scores behind this flow have no standard errors, so that it has none: a larger budget gives some."
    elif bool(flow.standard_errors.total.any()):
        yield "Behind ± stand standard errors, from those of the answer's and of each thought's scores and their covariance."


def _answer(flow: ThoughtFlow) -> str:
    return joined(flow.answer.targets).strip()


def _drawn(flow: ThoughtFlow) -> tuple[list[int], list[Link]]:
    """The strongest parts of the prompt in their order, and the links to be seen between what is shown."""
    links = flow.links()
    bound = max((abs(link.value) for link in links), default=1.0)
    links = [link for link in links if abs(link.value) >= FAINTEST * bound]
    amounts = {part: sum(abs(link.value) for link in links if link.start == part) for part in range(flow.n)}
    shown = sorted(sorted(amounts, key=lambda part: -amounts[part])[:MOST_PARTS])
    return shown, [link for link in links if link.start >= flow.n or link.start in shown]


def _bars(flow: ThoughtFlow, shown: list[int], links: list[Link]) -> tuple[dict[int, _Bar], float]:
    """The bars of all nodes, as high as what goes out of them or into them, and the height of a unit of the value."""
    end = flow.answer.n

    def amount(node: int) -> float:
        out, into = (sum(abs(one.value) for one in links if getattr(one, side) == node) for side in ("start", "end"))
        return float(max(out, into))

    columns = [shown, list(range(flow.n, end)), [end]]
    most = max(sum(map(amount, column)) for column in columns) or 1.0
    room = 1.0 - GAP * max(len(column) - 1 for column in columns)
    bars: dict[int, _Bar] = {}
    lefts = {node: FIRST + STEP * (node - flow.n) for node in columns[1]}
    lefts[end] = max(lefts.values(), default=0.0) + LAST
    for column in columns:
        heights = [max(amount(node) / most * room, 0.004) for node in column]
        gap = (1.0 - sum(heights)) / (len(column) + 1)
        top = 1.0
        for node, height in zip(column, heights, strict=True):
            top -= gap + height
            bars[node] = _Bar(lefts.get(node, 0.0), top, height)
    return bars, room / most


def _attached(bars: dict[int, _Bar], links: list[Link], scale: float) -> Iterator[tuple[Link, float, float, float]]:
    """Each link with the tops of its ends and its width: on every bar in the order of the bars at their other ends."""
    tops: dict[tuple[str, int], float] = {}
    placed: dict[tuple[str, Link], float] = {}
    for side, other in (("start", "end"), ("end", "start")):
        for link in sorted(links, key=lambda link: -bars[getattr(link, other)].bottom):
            node = getattr(link, side)
            top = tops.get((side, node), bars[node].bottom + bars[node].height)
            placed[side, link], tops[side, node] = top, top - scale * abs(link.value)
    for link in links:
        yield link, placed["start", link], placed["end", link], scale * abs(link.value)


def _ribbon(axes: Axes, link: Link, start: tuple[float, float], end: tuple[float, float], width: float) -> None:
    """A link, from the right of a bar to the left of another."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    (x0, a), (x1, b) = start, end
    middle = (x0 + x1) / 2
    there, back = [(middle, a), (middle, b), (x1, b)], [(middle, b - width), (middle, a - width), (x0, a - width)]
    points = [(x0, a), *there, (x1, b - width), *back, (x0, a)]
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    colour = hexadecimal(TOWARDS if link.value > 0 else AGAINST)
    axes.add_patch(PathPatch(Path(points, codes), facecolor=colour, alpha=0.32, edgecolor="none"))


def _labels(axes: Axes, flow: ThoughtFlow, bars: dict[int, _Bar], fonts: dict[str, str]) -> None:
    """The bars, what they stand for, and what they did to the answer."""
    from matplotlib.patches import Rectangle

    numbers = NumberScale(max(float(flow.answer.attributions.abs().max()), 1e-300))
    whole = numbers.signed(float(flow.answer.attributions.sum()))
    amounts = [_told(flow, numbers, "total", part) for part in range(flow.n)]
    amounts += [_told(flow, numbers, "carried", thought) for thought in range(flow.k)]
    for node, bar in bars.items():
        axes.add_patch(Rectangle((bar.left, bar.bottom), BAR, bar.height, facecolor="#3b3f46", edgecolor="none"))
        middle, side = bar.bottom + bar.height / 2, "left" if node >= flow.n else "right"
        text = _answer(flow) if node == flow.answer.n else flow.answer.features[node].text
        text = drawable(shortened(visible(text), LETTERS), fonts)
        place = bar.left + BAR + 0.015 if node >= flow.n else bar.left - 0.015
        box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.0}
        axes.text(place, middle, text, ha=side, va="bottom", parse_math=False, bbox=box, zorder=4)
        told = [*amounts, whole][node]
        axes.text(place, middle, told, ha=side, va="top", color="#555", fontsize=8, parse_math=False, zorder=4)
    columns = {"prompt": 0.0, "thoughts": FIRST + STEP * (flow.k - 1) / 2, "answer": bars[flow.answer.n].left}
    for name, left in columns.items():
        if name != "thoughts" or flow.k:
            axes.text(left + BAR / 2, 1.08, name, ha="center", va="bottom", color="#555", parse_math=False)
