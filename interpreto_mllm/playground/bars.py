"""The scores so far, as bars that are drawn again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from interpreto_mllm.aggregators.aggregator import Estimate
from interpreto_mllm.plots.number_scale import NumberScale
from interpreto_mllm.plots.scores import QUANTILE
from interpreto_mllm.plots.text import shortened, visible

SHOWN = 14


def bars(names: Sequence[str], estimate: Estimate) -> str:
    """The strongest features with their 95 % intervals, of all targets added up.

    Example:
        >>> import torch
        >>> "apple" in bars(["apple"], Estimate(torch.tensor([[2.0]]), torch.tensor([[0.5]])))
        True
    """
    scores = estimate.attributions.double().sum(0).tolist()
    errors = [math.nan] * len(scores)
    if estimate.standard_errors is not None:
        errors = estimate.standard_errors.double().square().sum(0).sqrt().tolist()
    strongest = sorted(range(len(scores)), key=lambda index: -abs(scores[index]))[:SHOWN]
    bound = max((abs(score) for score in scores), default=0.0) or 1.0
    scale = NumberScale(bound)
    return f'<div class="live">{"".join(_bar(names[index], scores[index], errors[index], scale) for index in strongest)}</div>'


def _bar(name: str, score: float, error: float, scale: NumberScale) -> str:
    share, half = 50 * score / scale.bound, 50 * QUANTILE * error / scale.bound if error == error else 0.0
    told = scale.signed(score) + (f" ± {scale.plain(error)}" if error == error and error else "")
    low, high, sign = max(share - half, -50), min(share + half, 50), "towards" if score > 0 else "against"
    return (
        f'<div class="line"><span class="name">{escape(shortened(visible(name), 28))}</span><span class="track">'
        f'<i class="{sign}" style="left: {50 + min(share, 0):.1f}%; width: {abs(share):.1f}%"></i>'
        f'<s style="left: {50 + low:.1f}%; width: {high - low:.1f}%"></s></span><span class="score">{told}</span></div>'
    )


STYLE = """
.live .line { display: grid; grid-template-columns: 9rem 1fr 8rem; gap: .6rem; align-items: center; font-size: .9rem; }
.live .name { text-align: right; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.live .track { position: relative; height: 1.1rem; background: linear-gradient(#8888, #8888) 50% / 1px 100% no-repeat; }
.live i { position: absolute; top: .2rem; bottom: .2rem; background: #ce3a2e; transition: all .2s; }
.live i.against { background: #2667be; }
.live s { position: absolute; top: 50%; height: 1px; background: currentColor; transition: all .2s; }
.live .score { font-variant-numeric: tabular-nums; white-space: nowrap; }
"""
