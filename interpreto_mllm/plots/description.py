"""A result in a few lines of plain text."""

from __future__ import annotations

from interpreto_mllm.plots.areas import name
from interpreto_mllm.plots.number_scale import duration
from interpreto_mllm.plots.scores import target_scores
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.results.gradients import completeness_gap, conservation_gap
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.settings import Settings, in_words

TARGETS_SHOWN, FEATURES_SHOWN = 6, 4
UNTOLD = ("inference_mode", "batch_size", "share_prefixes", "progress", "perturbator", "aggregator")
"""Settings that are no news in a short text, or told elsewhere in it."""


def description(attribution: Record) -> str:
    """What was estimated and how, then the strongest features of the first targets."""
    lines = [f"Attribution: {', '.join(facts(attribution))}"]
    for target in range(min(attribution.t, TARGETS_SHOWN)):
        scores = target_scores(attribution, target)
        strongest = scores.strongest(FEATURES_SHOWN)
        named = [f"{shortened(visible(name(attribution, i)), 32)} {scores.text(i)}" for i in strongest]
        strongest_text = ", ".join(named) + (", …" if attribution.n > FEATURES_SHOWN else "")
        lines.append(f"  {scores.label!r}  v(∅) {scores.empty:.4g} → v(N) {scores.full:.4g}:  {strongest_text}")
    if attribution.t > TARGETS_SHOWN:
        lines.append(f"  … and {counted(attribution.t - TARGETS_SHOWN, 'target')} more")
    if attribution.settings is not None:
        lines.append(f"  {brief_settings(attribution.settings)}")
    return "\n".join(lines)


def facts(attribution: Record) -> list[str]:
    """What was estimated, how, for what and at what cost, each in a few words."""
    counts = attribution.counts
    parts = [named_estimand(attribution), "exact" if attribution.exact else "", attribution.method, f"mode {attribution.mode}"]
    parts += [counted(attribution.n, "feature"), counted(attribution.t, "target")]
    parts += [counted(counts.evaluations, "evaluation"), counted(counts.points, "point")]
    parts += [counted(counts.forwards, "forward"), counted(counts.backwards, "backward")]
    parts += [counted(counts.tokens, "token") + " processed", duration(counts.seconds)]
    parts += [counted(counts.answers_reused, "earlier answer") + " reused"]
    parts += [counted(counts.answers_asked, "earlier answer") + " asked for"]
    for what, gap in (("completeness", completeness_gap(attribution)), ("conservation", conservation_gap(attribution))):
        parts += [] if gap is None else [f"{what} gap {float(gap.abs().max()):.1e}"]
    return [fact for fact in parts if fact and not fact.startswith("0 ")]


def brief_settings(settings: Settings) -> str:
    """What was given, in a line, and the model."""
    usual = ("None", "{}", "()")
    given = {name: in_words(value) for name, value in {**settings.arguments, **settings.options}.items()}
    told = [f"{name}={shortened(value, 40)}" for name, value in given.items() if value not in usual and name not in UNTOLD]
    name = settings.model.get("class") or settings.model.get("name", "")
    return f"settings: {', '.join(told)}; {name}"


def named_estimand(attribution: Record) -> str:
    """What the scores estimate, and which effects these are where the question has two."""
    return attribution.estimand + (f", {attribution.effect} effects" if attribution.effect else "")


def quantity(attribution: Record) -> str:
    """What the numbers are, and their unit."""
    return f"{named_estimand(attribution)} ({unit(attribution)})"


def unit(attribution: Record) -> str:
    """Of the numbers."""
    units = {"log_softmax": "nats", "softmax": "probability", "logits": "logits", "game": "units of the game"}
    units |= {
        "entropy": "nats",
        "kl": "nats",
        "perplexity": "perplexity",
        "answer_logit": "logits",
        "mean_log_softmax": "nats per token",
    }
    return "relative" if attribution.normalisation else units.get(attribution.mode, attribution.mode)


def counted(number: int, noun: str) -> str:
    """A number and its noun.

    Example:
        >>> counted(1, "target"), counted(1200, "target")
        ('1 target', '1,200 targets')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
