"""The coloured prompt in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from interpreto_mllm.media import Clip
from interpreto_mllm.plots import clip, picture
from interpreto_mllm.plots.areas import name
from interpreto_mllm.plots.colours import AGAINST, TOWARDS, hexadecimal, style
from interpreto_mllm.plots.description import counted, facts
from interpreto_mllm.plots.pieces import pieces
from interpreto_mllm.plots.scores import TargetScores, shown_scores, target_scores
from interpreto_mllm.plots.text import printable, shortened, visible
from interpreto_mllm.results.folding import Folded, telling_folds
from interpreto_mllm.results.record import Record

TARGETS_SHOWN, FEATURES_SHOWN = 8, 10

BAR_COLUMNS = 24
"""Length of the bar of the strongest feature, in characters."""


def coloured(attribution: Record) -> Group:
    """The prompt coloured by score, its legend and the strongest features; several classes or values one after the other."""
    shown = shown_scores(attribution)
    parts: list[RenderableType] = [Text(" · ".join(facts(attribution)), style="dim")]
    whole = len(shown) > attribution.t
    for scores in shown[:1] if whole else shown[:TARGETS_SHOWN]:
        parts += [Text(), _heading(scores), Text(), _prompt(attribution, scores), Text(), _strongest(attribution, scores)]
    if whole:
        parts += [Text(), _tokens(attribution)]
    left = attribution.t - TARGETS_SHOWN
    if left > 0:
        parts.append(Text(f"… and {counted(left, 'target')} more; to_html() and plot() show all", style="dim"))
    parts += [_fold(folded) for folded in telling_folds(attribution)]
    parts += [Text(note, style="italic") for note in attribution.notes]
    return Group(*parts)


def _heading(scores: TargetScores) -> Text:
    bound = f"{scores.bound:.3g}"
    return Text.assemble(
        (visible(scores.label), "bold"),
        (f"   v(∅) {scores.empty:.4g} → v(N) {scores.full:.4g}   ", "dim"),
        (" against ", style(-0.7)),
        (f" −{bound} … +{bound} ", "dim"),
        (" towards ", style(0.7)),
    )


def _prompt(attribution: Record, scores: TargetScores) -> Group:
    """The running text, interrupted by the images and clips where they stand."""
    parts: list[RenderableType] = []
    text = Text()
    for piece in pieces(attribution):
        if piece.heading:
            text.append("" if not text or text.plain.endswith("\n") else "\n").append(f"{piece.heading} ▸ ", "bold")
        if piece.medium is not None:
            parts += [text, _medium(attribution, piece.medium, scores)]
            text = Text()
            continue
        if piece.feature is None:
            text.append(printable(piece.text), "bright_black")
        else:
            text.append(printable(f" {piece.text} " if piece.loose else piece.text), style(scores.share(piece.feature)))
        text.append(" " if piece.loose else "")
    text.rstrip()
    return Group(*(part for part in [*parts, text] if part))


def _medium(attribution: Record, medium: int, scores: TargetScores) -> RenderableType:
    drawn = clip.bar if isinstance(attribution.media[medium], Clip) else picture.cells
    return drawn(attribution, medium, scores)


def _strongest(attribution: Record, scores: TargetScores) -> Table:
    table = Table.grid(padding=(0, 2))
    for feature in scores.strongest(FEATURES_SHOWN):
        share = scores.share(feature)
        bar = Text("█" * round(abs(share) * BAR_COLUMNS) or "▏", hexadecimal(TOWARDS if share > 0 else AGAINST))
        table.add_row(Text(shortened(visible(name(attribution, feature)), 32)), Text(scores.text(feature)), bar)
    if attribution.n > FEATURES_SHOWN:
        table.add_row(Text(f"… {attribution.n - FEATURES_SHOWN} more", style="dim"))
    return table


def _fold(folded: Folded) -> Text:
    """The sums of scores of each source, role, …, the largest first."""
    sums = [f"{shortened(visible(folded.name(key)), 32)} {folded.text(key)}" for key in folded.ranked[:FEATURES_SHOWN]]
    left = len(folded) - FEATURES_SHOWN
    return Text.assemble((f"by {folded.by}  ", "bold"), " · ".join(sums), f" · … {left} more" if left > 0 else "")


def _tokens(attribution: Record) -> Table:
    """The strongest features of each token of the answer."""
    table = Table.grid(padding=(0, 2))
    for target in range(min(attribution.t, TARGETS_SHOWN)):
        scores = target_scores(attribution, target)
        cells = Text()
        for feature in scores.strongest(4):
            text = shortened(visible(name(attribution, feature)), 20)
            cells.append(f" {text} {scores.scores[feature]:+.2g} ", style(scores.share(feature))).append(" ")
        table.add_row(Text(shortened(visible(scores.label), 24), style="bold"), cells)
    return table
