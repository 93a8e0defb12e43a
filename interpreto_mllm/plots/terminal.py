"""The coloured prompt in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from interpreto_mllm.attribution import Attribution
from interpreto_mllm.plots.colours import AGAINST, TOWARDS, hexadecimal, mixed
from interpreto_mllm.plots.reading import Row, pieces, row, rows, shortened, visible
from interpreto_mllm.plots.summary import counted, facts

ROWS_SHOWN, FEATURES_SHOWN, BAR = 8, 10, 24


def coloured(attribution: Attribution) -> Group:
    """The prompt coloured by score, its legend and the strongest features; several classes or values one after the other."""
    shown = rows(attribution)
    parts: list[RenderableType] = [Text(" · ".join(facts(attribution)), style="dim")]
    whole = len(shown) > attribution.t
    for scores in shown[:1] if whole else shown[:ROWS_SHOWN]:
        parts += [Text(), _heading(scores), Text(), _prompt(attribution, scores), Text(), _strongest(attribution, scores)]
    if whole:
        parts += [Text(), _tokens(attribution)]
    left = attribution.t - ROWS_SHOWN
    if left > 0:
        parts.append(Text(f"… and {counted(left, 'target')} more; to_html() and plot() show all", style="dim"))
    parts += [Text(note, style="italic") for note in attribution.notes]
    return Group(*parts)


def _heading(scores: Row) -> Text:
    bound = f"{scores.bound:.3g}"
    return Text.assemble(
        (visible(scores.label), "bold"),
        (f"   v(∅) {scores.empty:.4g} → v(N) {scores.full:.4g}   ", "dim"),
        (" against ", _ink(-0.7)),
        (f" −{bound} … +{bound} ", "dim"),
        (" towards ", _ink(0.7)),
    )


def _prompt(attribution: Attribution, scores: Row) -> Text:
    text = Text()
    for piece in pieces(attribution):
        if piece.heading:
            text.append("" if not text or text.plain.endswith("\n") else "\n").append(f"{piece.heading} ▸ ", "bold")
        if piece.feature is None:
            text.append(_safe(piece.text), "bright_black")
        else:
            text.append(_safe(f" {piece.text} " if piece.loose else piece.text), _ink(scores.share(piece.feature)))
        text.append(" " if piece.loose else "")
    text.rstrip()
    return text


def _strongest(attribution: Attribution, scores: Row) -> Table:
    table = Table.grid(padding=(0, 2))
    for feature in scores.strongest(FEATURES_SHOWN):
        share = scores.share(feature)
        bar = Text("█" * round(abs(share) * BAR) or "▏", hexadecimal(TOWARDS if share > 0 else AGAINST))
        table.add_row(Text(shortened(visible(attribution.features[feature].text), 28)), Text(scores.told(feature)), bar)
    if attribution.n > FEATURES_SHOWN:
        table.add_row(Text(f"… {attribution.n - FEATURES_SHOWN} more", style="dim"))
    return table


def _tokens(attribution: Attribution) -> Table:
    """For each token of the answer, what it rests on."""
    table = Table.grid(padding=(0, 2))
    for target in range(min(attribution.t, ROWS_SHOWN)):
        scores = row(attribution, target)
        cells = Text()
        for feature in scores.strongest(4):
            text = shortened(visible(attribution.features[feature].text), 20)
            cells.append(f" {text} {scores.scores[feature]:+.2g} ", _ink(scores.share(feature))).append(" ")
        table.add_row(Text(shortened(visible(scores.label), 24), style="bold"), cells)
    return table


def _ink(share: float) -> Style:
    if abs(share) < 0.02:
        return Style()
    return Style(color="#111111" if abs(share) < 0.75 else "#ffffff", bgcolor=hexadecimal(mixed(share)))


def _safe(text: str) -> str:
    """Without control characters, which a terminal would obey."""
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)
