"""What matters over many prompts, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from interpreto_mllm.plots.beeswarm import heights
from interpreto_mllm.plots.description import counted, unit
from interpreto_mllm.plots.html import stylesheet
from interpreto_mllm.plots.number_scale import NumberScale
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.results.summarised import Entry, SummarisedResults

MOST = 60
WIDTH, HEIGHT = 260, 24
"""Of the points of an entry, in pixels."""

STYLE = (
    ".swarm circle.towards { fill: rgb(var(--towards)) } .swarm circle.against { fill: rgb(var(--against)) } "
    ".swarm circle { opacity: .65 } .swarm line { stroke: currentColor } .share { display: inline-block; height: .7em; "
    "background: currentColor; opacity: .35 } .summary td, .summary th { white-space: nowrap; text-align: left }"
)


def summary_page(summary: SummarisedResults) -> str:
    """A line for each of the strongest entries: its share and interval, its mean, and a point for each prompt."""
    entries = summary.entries[:MOST]
    every = [score for entry in entries for score in entry.scores]
    left, right = min([*every, 0.0]), max([*every, 0.0])
    largest = max(entry.share for entry in entries) or 1.0
    scale = NumberScale(max(abs(left), abs(right)))
    lines = "".join(_line(entry, left, right, largest, scale) for entry in entries)
    what = "share of its prompt's Σ|φ|" if summary.relative else unit(summary.rows[0])
    rest = f", the strongest {MOST} of {len(summary.entries):,}" if len(summary.entries) > MOST else ""
    few = "" if entries[0].share_interval else "<p>Too few prompts for intervals.</p>"
    return (
        f'<div class="attribution summary">\n<style>{stylesheet()}{STYLE}</style>\n'
        f"<h2>{counted(len(summary.rows), 'prompt')} by {escape(summary.by)}{rest}</h2>{few}\n"
        f'<div class="wide"><table class="board"><thead><tr><th>{escape(summary.by)}</th><th>prompts</th>'
        f"<th>share of Σ|φ|</th><th>mean score ({escape(what)})</th><th>each prompt, "
        f"{scale.signed(left)} to {scale.signed(right)}</th></tr></thead>\n<tbody>{lines}</tbody></table></div></div>"
    )


def _line(entry: Entry, left: float, right: float, largest: float, scale: NumberScale) -> str:
    share, mean = f"{100 * entry.share:.1f} %", scale.signed(entry.mean)
    if entry.share_interval is not None and entry.mean_interval is not None:
        share += " [{:.1f}, {:.1f}]".format(*(100 * end for end in entry.share_interval))
        mean += f" [{', '.join(map(scale.signed, entry.mean_interval))}]"
    bar = f'<i class="share" style="width: {5 * entry.share / largest:.2f}em"></i>'
    return (
        f"<tr><th>{escape(shortened(visible(str(entry.name)), 40))}</th><td>{len(entry.scores)}</td><td>{bar} {share}</td>"
        f"<td>{mean}</td><td>{_points(entry.scores, left, right)}</td></tr>\n"
    )


def _points(scores: Sequence[float], left: float, right: float) -> str:
    """The scores as points on a line from the least to the largest of all entries."""

    def place(score: float) -> float:
        return 4 + (WIDTH - 8) * (score - left) / ((right - left) or 1.0)

    circles = "".join(
        f'<circle class="{"towards" if score > 0 else "against"}" cx="{place(score):.1f}" cy="{HEIGHT / 2 + HEIGHT * up:.1f}" '
        'r="2.5"/>'
        for score, up in zip(scores, heights(scores, left, right), strict=True)
    )
    middle = f"{place(0.0):.1f}"
    zero = f'<line x1="{middle}" x2="{middle}" y1="0" y2="{HEIGHT}" opacity=".4"/>'
    told = f"{counted(len(scores), 'prompt')}, from {min(scores):.3g} to {max(scores):.3g}"
    return f'<svg class="swarm" role="img" aria-label="{told}" width="{WIDTH}" height="{HEIGHT}">{zero}{circles}</svg>'
