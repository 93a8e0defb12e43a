"""Pairs that act together, listed on the page of a result; its script draws them as arcs over the prompt."""

from __future__ import annotations

from html import escape

from interpreto_mllm.plots.areas import name
from interpreto_mllm.plots.number_scale import NumberScale
from interpreto_mllm.plots.scores import QUANTILE
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.results.interactions import NAMES, Interaction, SetValues
from interpreto_mllm.results.record import Record

PAIRS, FAINTEST = 12, 0.1
"""Pairs on a page, and the share of the strongest one below which they are left out."""


def check_pairs(interactions: SetValues, attribution: Record) -> None:
    """Raise a ValueError for interactions of other features, or of more than two."""
    if interactions.order != 2:
        raise ValueError("Arcs join two features: give interactions of order 2.")
    if interactions.features != attribution.features:
        raise ValueError("These interactions are of other features than this result: take those of explanation.interactions().")


def pairs_list(interactions: SetValues, attribution: Record) -> str:
    """The strongest pairs of the first target, each with what the script needs of it."""
    strongest = interactions.top(PAIRS)
    bound = max((abs(pair.value) for pair in strongest), default=0.0)
    shown = [pair for pair in strongest if bound and abs(pair.value) >= FAINTEST * bound]
    lines = "".join(_line(number, pair, attribution, NumberScale(bound)) for number, pair in enumerate(shown))
    label = escape(shortened(visible(interactions.targets[0]), 48))
    about = f"{NAMES[interactions.index]}: worth more (red) or less (blue) together than apart; dashed where the sign is open"
    return f'<h2>Pairs, for {label}</h2>\n<p class="hint">{escape(about)}</p>\n<ol class="pairs">{lines}</ol>\n'


def _line(number: int, pair: Interaction, attribution: Record, scale: NumberScale) -> str:
    sign, strength = "towards" if pair.value > 0 else "against", abs(pair.value) / scale.bound
    names = " × ".join(shortened(visible(name(attribution, member)), 30) for member in pair.members)
    error = f" ± {scale.error(pair.standard_error)}" if pair.standard_error else ""
    unsettled = pair.standard_error is None or not abs(pair.value) > QUANTILE * pair.standard_error
    drawn = f'data-sign="{"unsettled " if unsettled else ""}{sign}" data-strength="{strength:.3f}"'
    return (
        f'<li><button type="button" data-pair="{number}" data-first="{pair.first}" data-second="{pair.second}" {drawn}>'
        f'<span class="name">{escape(names)}</span> '
        f'<span class="score {sign}">{escape(scale.signed(pair.value) + error)}</span></button></li>'
    )
