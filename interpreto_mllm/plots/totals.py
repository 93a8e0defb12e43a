"""Scores added up by source, trust, part, role and modality, as bars; the script adds up those of what is selected."""

from __future__ import annotations

import math
from collections.abc import Hashable
from html import escape

from interpreto_mllm.plots.number_scale import NumberScale
from interpreto_mllm.plots.scores import QUANTILE
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.plots.track import Track
from interpreto_mllm.results.folding import Folded, telling_folds
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.shares import modality_shares


def totals(attribution: Record) -> str:
    """A list for each way of adding up that tells something apart which another does not, and the shares of modalities."""
    return "".join(map(_list, telling_folds(attribution))) + _shares(attribution)


def _list(folded: Folded) -> str:
    bound = max(map(abs, folded.sums.values())) or 1.0
    track = Track.of((total / bound, _half(folded, key, bound)) for key, total in folded.sums.items())
    lines = "".join(_line(folded, key, bound, track) for key in folded.ranked)
    return f'<h2>By {folded.by}</h2>\n<ol class="bars totals" style="{track.style}">{lines}</ol>\n'


def _error(folded: Folded, key: Hashable) -> float:
    return 0.0 if folded.standard_errors is None else folded.standard_errors[key]


def _half(folded: Folded, key: Hashable, bound: float) -> float:
    """Half the width of an interval, as a share of the largest sum."""
    error = _error(folded, key)
    return QUANTILE * error / bound if math.isfinite(error) else 0.0


def _line(folded: Folded, key: Hashable, bound: float, track: Track) -> str:
    total, error, scale = folded.sums[key], _error(folded, key), NumberScale(bound)
    shown, most = scale.error(error), "≤ " if folded.bounds else ""
    text = scale.signed(total) + ("" if error == 0 else f" ± {shown if shown.startswith('<') else most + shown}")
    kind = "against" if total < 0 else "towards"
    kind = f"unsettled {kind}" if error and not abs(total) > QUANTILE * error else kind
    return (
        f'<li data-members="{" ".join(map(str, folded.members[key]))}">'
        f'<span class="name">{escape(shortened(visible(folded.name(key)), 60))}</span>'
        f'<span class="score">{escape(text)}</span>{track.bar(total / bound, _half(folded, key, bound), kind)}</li>'
    )


def _shares(attribution: Record) -> str:
    """How much of Σ|φ| falls on each modality, where there are several."""
    if len({feature.modality for feature in attribution.features}) < 2 or not bool(attribution.attributions.any()):
        return ""
    parts = "".join(
        f'<span style="--share: {share:.4f}" class="{escape(modality)}" data-members="{_members(attribution, modality)}">'
        f"{escape(modality)} <strong>{100 * share:.0f} %</strong></span>"
        for modality, share in modality_shares(attribution, None).shares.items()
        if share
    )
    return f'<h2>Share of Σ|φ|</h2>\n<div class="shares">{parts}</div>\n'


def _members(attribution: Record, modality: str) -> str:
    return " ".join(str(index) for index, feature in enumerate(attribution.features) if feature.modality == modality)
