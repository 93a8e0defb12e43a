"""Several results side by side on one page: methods, models, answers or prompts."""

from __future__ import annotations

from dataclasses import replace
from html import escape

import torch

from interpreto_mllm.core.labels import joined
from interpreto_mllm.plots.areas import name
from interpreto_mllm.plots.html import stylesheet
from interpreto_mllm.plots.number_scale import NumberScale
from interpreto_mllm.plots.scores import TargetScores, target_scores
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.plots.transcript import transcript
from interpreto_mllm.results.comparison import TOP, ComparedResults
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.whole import whole_answer

FEATURES_SHOWN = 25


def comparison(compared: ComparedResults) -> str:
    """Each result in a column, all on one colour scale; where the features are the same, their scores in one table."""
    rows = [target_scores(whole_answer(result) or result, 0) for result in compared.results]
    largest = max(row.bound for row in rows)
    rows = [replace(row, scale=largest) for row in rows]
    columns = "".join(
        _column(result, named, row) for result, named, row in zip(compared.results, compared.names, rows, strict=True)
    )
    tables = _features(compared, rows) + _agreement(compared) if compared.same_features else ""
    return f'<div class="attribution">\n<style>{stylesheet()}</style>\n<div class="compared">{columns}</div>\n{tables}</div>'


def _column(result: Record, named: str, row: TargetScores) -> str:
    bound = NumberScale(row.bound).plain(row.bound)
    return (
        f'<section><h2>{escape(named)}</h2><p class="said">{escape(visible(joined(result.targets)))}</p><div class="for">'
        f'<span class="legend">against <span>−{bound}</span><i></i><span>+{bound}</span> towards</span>'
        f"<span>{row.ends}</span></div>\n"
        f'<div class="prompt">{transcript(result, row)}</div></section>'
    )


def _features(compared: ComparedResults, rows: list[TargetScores]) -> str:
    """The strongest features under each result, and how far the results are apart."""
    scores, scale = compared.scores, NumberScale(rows[0].bound)
    shown = scores.abs().amax(0).argsort(descending=True, stable=True)[:FEATURES_SHOWN].tolist()
    spread = (scores.amax(0) - scores.amin(0)).tolist()
    lines = [
        [
            f"<th>{escape(shortened(visible(name(compared.results[0], feature)), 40))}</th>",
            *(_cell(row, feature) for row in rows),
            f"<td>{scale.plain(spread[feature])}</td>",
        ]
        for feature in shown
    ]
    return _table("Strongest features", [*compared.names, "range"], lines)


def _cell(row: TargetScores, feature: int) -> str:
    style = f"--strength: {abs(row.share(feature)):.3f}"
    return f'<td class="shaded {row.classes(feature)}" style="{style}">{row.readable(feature)}</td>'


def _agreement(compared: ComparedResults) -> str:
    correlations, top = compared.rank_correlations(), compared.shared_top()
    pairs = torch.stack([correlations, top.double()], -1).tolist()
    lines = [
        [f"<th>{escape(named)}</th>", *("<td>—</td>" if one == two else _pair(*pairs[one][two]) for two in range(len(pairs)))]
        for one, named in enumerate(compared.names)
    ]
    return _table(f"Agreement: rank correlation · share of the {TOP} strongest in common", list(compared.names), lines)


def _pair(correlation: float, share: float) -> str:
    told = "?" if correlation != correlation else f"{correlation:.2f}".replace("-", "−")
    return f"<td>{told} · {100 * share:.0f} %</td>"


def _table(title: str, heads: list[str], lines: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(line)}</tr>" for line in lines)
    return (
        f'<h2>{escape(title)}</h2>\n<div class="wide"><table class="board"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>\n"
    )
