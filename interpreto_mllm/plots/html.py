"""The result as HTML: answer, prompt and scores on one page. All text is escaped, and nothing is downloaded."""

from __future__ import annotations

import math
from functools import cache
from html import escape
from importlib.resources import files

from interpreto_mllm.core.labels import joined
from interpreto_mllm.media import Clip
from interpreto_mllm.plots.answers import answers
from interpreto_mllm.plots.arcs import check_pairs, pairs_list
from interpreto_mllm.plots.areas import name
from interpreto_mllm.plots.certainty import warning
from interpreto_mllm.plots.description import counted, named_estimand, unit
from interpreto_mllm.plots.number_scale import NumberScale, duration
from interpreto_mllm.plots.page_data import page_data
from interpreto_mllm.plots.scores import QUANTILE, TargetScores, target_scores
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.plots.totals import totals
from interpreto_mllm.plots.track import Track
from interpreto_mllm.plots.transcript import transcript
from interpreto_mllm.results.fidelity import fidelity_sentence
from interpreto_mllm.results.interactions import SetValues
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.whole import whole_answer

FEATURES_SHOWN = 12
"""Of the list of features."""

LINE_END = "\n"
SUBJECTS = {"token": "Answer", "class": "Class", "response": "Original answer", "contrast": "Contrast", "value": "Value"}

FIDELITY_MEANING = (
    "R² of the coalitions that were held out, predicted by adding up the scores of the parts that are present. "
    "100 %: the parts act on their own. Far less: they act together, and single scores tell only part of it."
)


def page(attribution: Record, interactions: SetValues | None = None) -> str:
    """One self-contained page.

    Raises:
        ValueError: for interactions of other features, or of more than two.
    """
    if interactions is not None:
        check_pairs(interactions, attribution)
    title = f"{attribution.estimand}: {shortened(visible(joined(attribution.targets)), 60)}"
    return document(title, fragment(attribution, interactions))


def document(title: str, body: str) -> str:
    """A page of its own around what a notebook cell shows. Its title is for screen readers where the body shows none."""
    heading = "" if "<h1>" in body else f"<h1>{escape(title)}</h1>"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>body {{ margin: 0 auto; max-width: 76rem; background: #fff; }}\n"
        "@media (prefers-color-scheme: dark) { body { background: #15171b; } }\n"
        "main > h1 { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }</style>\n"
        f"</head>\n<body>\n<main>{heading}{body}</main>\n</body>\n</html>\n"
    )


def stylesheet() -> str:
    """The style of all pages."""
    return _asset("page.css")


def fragment(attribution: Record, interactions: SetValues | None = None) -> str:
    """The body of a page or a notebook cell. Without scripts it shows the first target, or the whole answer if there is one."""
    whole = whole_answer(attribution)
    row = target_scores(attribution if whole is None else whole, 0)
    what = "Prompt" if attribution.text or attribution.media else "Features"
    scripts = ["page.js", "page_tools.js"]
    scripts += [] if interactions is None else ["page_arcs.js"]
    scripts += ["page_sound.js"] if any(isinstance(medium, Clip) for medium in attribution.media) else []
    return (
        f'<div class="attribution">\n<style>{stylesheet()}</style>\n{_facts(attribution)}{_warning(attribution, row)}'
        f'<div class="answer"><h2>{_subject(attribution)}</h2>\n'
        f"{_targets(attribution, whole is not None)}{_reading(row)}</div>\n"
        f'<div class="columns"><div class="reading"><h2>{what}</h2>\n{_tools(attribution)}'
        f'<div class="prompt">{transcript(attribution, row)}</div></div>\n{_strongest(attribution, row)}'
        f'<div class="further">{"" if interactions is None else pairs_list(interactions, attribution)}'
        f"{totals(attribution)}{answers(attribution)}{_notes(attribution)}{_settings(attribution)}</div></div>\n"
        f'<script type="application/json">{page_data(attribution, whole)}</script>\n'
        f"<script>{''.join(map(_asset, scripts))}</script>\n</div>"
    )


@cache
def _asset(file: str) -> str:
    return files("interpreto_mllm.plots").joinpath(file).read_text(encoding="utf-8")


def _facts(attribution: Record) -> str:
    """What was estimated, of which model, how and at what cost."""
    counts, settings = attribution.counts, attribution.settings
    model = {} if settings is None else settings.model
    named = (model.get("name_or_path") or model.get("name") or model.get("class") or "").rstrip("/").rpartition("/")[2]
    told = [named, attribution.method, "exact" if attribution.exact else "", f"in {unit(attribution)}"]
    told += [counted(attribution.n, "feature"), counted(counts.evaluations, "evaluation"), counted(counts.forwards, "forward")]
    told += [counted(counts.tokens, "token") + " processed", duration(counts.seconds) if counts.seconds else ""]
    told += [counted(counts.answers_reused, "earlier answer") + " reused"]
    told += [counted(counts.answers_asked, "earlier answer") + " asked for"]
    further = "".join(f"<span>{escape(fact)}</span>" for fact in told if fact and not fact.startswith("0 "))
    return f'<div class="facts"><b>{escape(named_estimand(attribution))}</b>{further}</div>\n'


def _warning(attribution: Record, row: TargetScores) -> str:
    text = warning(attribution, row)
    return f'<p class="warning" role="note">{escape(text)}</p>\n' if text else ""


def _targets(attribution: Record, whole: bool) -> str:
    """The tokens of an answer as running text, other targets one beside the other; each can be picked."""
    running = attribution.unit == "token"
    everything = '<button type="button" class="whole" aria-pressed="true">whole answer</button>' if whole else ""
    buttons = "".join(
        f'{" " * (running and label[:1].isspace())}<button type="button" class="target" data-target="{index}" '
        f'aria-pressed="{"true" if whole or not index else "false"}">{escape(_shown(label, running))}</button>'
        f"{'<br>' * (running and label.endswith(LINE_END))}"
        for index, label in enumerate(attribution.targets)
    )
    hint = "Click a token, drag over several, or use the arrow keys." if running and attribution.t > 1 else ""
    hint = f'<span class="hint">{hint}</span>' if hint else ""
    kind = "running" if running else "choices"
    group = f'<div class="targets {kind}" role="group" aria-label="{_subject(attribution)}">{buttons}</div>'
    return f"{group}\n{everything}{hint}"


def _subject(attribution: Record) -> str:
    """What the targets are; a row for a whole answer is original where others are compared with it."""
    kept = attribution.unit == "response" and attribution.responses is None
    return "Answer" if kept else SUBJECTS[attribution.unit]


def _shown(label: str, running: bool) -> str:
    """A target on its button; the blank before a word stands between the buttons of running text."""
    return (label.strip(" ") if running else label).replace(LINE_END, "↵") or "␣"


def _reading(row: TargetScores) -> str:
    """The scale of the colours, and what the scores add up to."""
    scores = NumberScale(row.bound)
    bound, total = scores.plain(row.bound), scores.signed(sum(row.scores))
    return (
        f'<div class="for" aria-live="polite"><span class="subject"></span><span class="legend">against '
        f'<span>−{bound}</span><i></i><span>+{bound}</span> towards</span><span class="ends">{row.ends}</span>'
        f'<span class="sum">Σ {total}</span></div>\n'
    )


def _tools(attribution: Record) -> str:
    """What helps with long prompts and images; shown by the script, without which it does nothing."""
    heat = ""
    if any(not isinstance(medium, Clip) for medium in attribution.media):
        heat = (
            '<label>heat <input type="range" class="heat" min="0" max="1" step="0.05" value="1"></label>'
            '<label><input type="checkbox" class="outlines"> outlines</label>'
        )
    listens = any(isinstance(medium, Clip) for medium in attribution.media)
    listen = '<span class="hint">Click a segment to hear it.</span>' if listens else ""
    return (
        '<div class="tools" hidden>'
        '<input type="search" class="find" placeholder="find in the prompt" aria-label="find in the prompt">'
        '<button type="button" class="previous" title="stronger (k)">↑ stronger</button>'
        '<button type="button" class="next" title="next strongest (j)">↓ next strongest</button>'
        '<label><input type="checkbox" class="fold"> fold what did little</label>'
        '<label hidden><input type="checkbox" class="link" checked> pairs</label>'
        '<label class="markups" hidden><input type="checkbox" class="markup"> show markup</label>'
        f"{heat}{listen}</div>\n"
    )


def _strongest(attribution: Record, row: TargetScores) -> str:
    """The strongest features of one target; the script lists those of others."""
    strongest = row.strongest(FEATURES_SHOWN)
    track = Track.of((row.share(entry), _half(row, entry)) for entry in strongest)
    bars = "".join(_bar(name(attribution, entry), row, entry, track) for entry in strongest)
    some = attribution.n > FEATURES_SHOWN
    which = f"{FEATURES_SHOWN} strongest of {attribution.n:,} features" if some else "Features by strength"
    export = "".join(f'<button type="button" data-export="{kind}">{kind.upper()}</button>' for kind in ("png", "svg", "json"))
    return (
        f'<aside class="side"><h2 class="which">{which}</h2>\n<ol class="bars" style="{track.style}">{bars}</ol>\n'
        '<button type="button" class="all" hidden>show all</button>\n'
        f'<div class="export" hidden><span>save</span>{export}'
        '<button type="button" data-export="tex">LaTeX</button></div></aside>'
    )


def _half(row: TargetScores, entry: int) -> float:
    """Half the width of an interval, as a share of the scale."""
    error = 0.0 if row.errors is None else row.errors[entry]
    return QUANTILE * error / row.bound if row.bound and math.isfinite(error) else 0.0


def _bar(feature: str, row: TargetScores, entry: int, track: Track) -> str:
    return (
        f'<li><button type="button" data-jump="{entry}"><span class="name">{escape(shortened(visible(feature), 60))}</span>'
        f'<span class="score">{escape(row.readable(entry))}</span>'
        f"{track.bar(row.share(entry), _half(row, entry), row.classes(entry))}</button></li>"
    )


def _notes(attribution: Record) -> str:
    sentence = fidelity_sentence(attribution)
    fidelity = f'<p class="note"><abbr title="{FIDELITY_MEANING}">{escape(sentence)}</abbr></p>' if sentence else ""
    return fidelity + "".join(f'<p class="note">{escape(note)}</p>' for note in attribution.notes if note)


def _settings(attribution: Record) -> str:
    """With what the result was computed, folded."""
    if attribution.settings is None:
        return ""
    told = attribution.settings.readable().items()
    rows = "".join(f"<tr><th>{escape(key)}</th><td>{escape(shortened(value, 400))}</td></tr>" for key, value in told)
    return f'<details class="settings"><summary>Settings</summary><table>{rows}</table></details>'
