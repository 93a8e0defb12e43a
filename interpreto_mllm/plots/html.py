"""The result as HTML: the coloured prompt, with a choice of targets. All text is escaped, and nothing is downloaded."""

from __future__ import annotations

import json
from html import escape
from itertools import groupby

from interpreto_mllm.core.labels import joined
from interpreto_mllm.media import Picture
from interpreto_mllm.plots import clip, picture
from interpreto_mllm.plots.answers import answers
from interpreto_mllm.plots.areas import name
from interpreto_mllm.plots.assets import SCRIPT, STYLE
from interpreto_mllm.plots.pieces import Piece, pieces
from interpreto_mllm.plots.scores import TargetScores, shown_scores
from interpreto_mllm.plots.summary import facts
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.results.fidelity import fidelity_sentence
from interpreto_mllm.results.record import Record

FEATURES_SHOWN = 12


def page(attribution: Record) -> str:
    """One self-contained page."""
    title = escape(f"{attribution.estimand}: {shortened(visible(joined(attribution.targets)), 60)}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>body {{ margin: 0 auto; max-width: 62rem; background: #fff; }}\n"
        "@media (prefers-color-scheme: dark) { body { background: #15171b; } }</style>\n"
        f"</head>\n<body>\n{fragment(attribution)}\n</body>\n</html>\n"
    )


def fragment(attribution: Record) -> str:
    """The body of a page or a notebook cell. Without scripts it shows the first target, or the whole answer if there is one."""
    shown = shown_scores(attribution)
    whole = len(shown) > attribution.t
    first, *rest = facts(attribution)
    further = "".join(f"<span>{escape(fact)}</span>" for fact in rest)
    running = "".join(_run(attribution, media, list(run), shown[0]) for media, run in groupby(pieces(attribution), _is_medium))
    what = "Prompt" if attribution.text or attribution.media else "Features"
    panels = "".join(_panel(attribution, scores, index) for index, scores in enumerate(shown))
    notes = "".join(
        f'<p class="note">{escape(note)}</p>' for note in (fidelity_sentence(attribution), *attribution.notes) if note
    )
    return (
        f'<div class="attribution">\n<style>{STYLE}</style>\n'
        f'<div class="facts"><b>{escape(first)}</b>{further}</div>\n'
        f"<h2>{_subject(attribution)}</h2>\n{_targets(shown, whole)}\n"
        f'<h2>{what}</h2>\n<div class="prompt">{running}</div>\n{panels}{answers(attribution)}{notes}{_settings(attribution)}\n'
        f'<script type="application/json">{_data(attribution, shown)}</script>\n<script>{SCRIPT}</script>\n</div>'
    )


def _subject(attribution: Record) -> str:
    names = {"token": "Answer", "class": "Class", "response": "Original answer", "contrast": "Contrast", "value": "Value"}
    return names[attribution.unit] + (" · select one" if attribution.t > 1 else "")


def _targets(shown: list[TargetScores], whole: bool) -> str:
    labels = [row.label.replace("\n", "↵") or "␣" for row in shown]
    if whole:
        labels[0] = "whole answer"
    buttons = (
        f'<button type="button" aria-pressed="{"false" if index else "true"}">{escape(label)}</button>'
        for index, label in enumerate(labels)
    )
    return f'<div class="targets">{"".join(buttons)}</div>'


def _is_medium(piece: Piece) -> bool:
    return piece.medium is not None


def _run(attribution: Record, media: bool, run: list[Piece], row: TargetScores) -> str:
    """Text as running text; consecutive images and clips side by side where they fit."""
    if not media:
        return "".join(_piece(piece, row) for piece in run)
    return f'<div class="media">{"".join(_medium(attribution, piece, row) for piece in run)}</div>'


def _medium(attribution: Record, piece: Piece, row: TargetScores) -> str:
    assert piece.medium is not None
    drawn = picture if isinstance(attribution.media[piece.medium], Picture) else clip
    return _heading(piece) + drawn.html(attribution, piece.medium, row)


def _heading(piece: Piece) -> str:
    return f'<span class="heading">{escape(piece.heading)}</span>' if piece.heading else ""


def _piece(piece: Piece, row: TargetScores) -> str:
    if piece.feature is None:
        return f'<span class="gap">{escape(piece.text)}</span>'
    text = piece.text.replace("\n", "↵\n") or "∅"
    loose, share = "loose " if piece.loose else "", row.share(piece.feature)
    return (
        f'{_heading(piece)}<mark class="{loose}{_side(share)}" data-feature="{piece.feature}" '
        f'style="--strength: {abs(share):.3f}" title="{escape(row.text(piece.feature))}">{escape(text)}</mark>'
    )


def _panel(attribution: Record, row: TargetScores, index: int) -> str:
    """The values, legend and strongest features of one row."""
    strongest = row.strongest(FEATURES_SHOWN)
    bars = "".join(_bar(name(attribution, feature), row.text(feature), row.share(feature)) for feature in strongest)
    some = attribution.n > FEATURES_SHOWN
    which = f"{FEATURES_SHOWN} strongest of {attribution.n} features" if some else "Features by strength"
    return (
        f'<section class="row"{" hidden" if index else ""}>\n<div class="for">'
        f'<span class="legend">against −{row.bound:.3g}<i></i>+{row.bound:.3g} towards</span>'
        f"<span>v(∅) {row.empty:.4g} → v(N) {row.full:.4g}</span><span>Σ {sum(row.scores):+.4g}</span></div>\n"
        f'<h2>{which}</h2>\n<div class="bars">{bars}</div>\n</section>\n'
    )


def _bar(feature: str, score: str, share: float) -> str:
    return (
        f"<span>{escape(shortened(visible(feature), 60))}</span><span>{score}</span>"
        f'<div class="track"><i class="{_side(share)}" style="--strength: {abs(share):.3f}"></i></div>'
    )


def _side(share: float) -> str:
    return "against" if share < 0 else "towards"


def _settings(attribution: Record) -> str:
    """With what the result was computed, folded."""
    if attribution.settings is None:
        return ""
    told = attribution.settings.readable().items()
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(shortened(value, 400))}</td></tr>" for name, value in told)
    return f'<details class="settings"><summary>Settings</summary><table>{rows}</table></details>'


def _data(attribution: Record, shown: list[TargetScores]) -> str:
    """Share and text of every entry for each target, as JSON that cannot close its script element."""
    entries = range(attribution.n + len(shown[0].sums))
    table = [[[round(row.share(entry), 3), row.text(entry)] for entry in entries] for row in shown]
    return json.dumps(table, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
