"""One family's model through the library's public interface, every number compared with plain forwards."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from sweep_configs import Family
from sweep_reference import Row, Target, left, replacing
from sweep_subject import ANSWER, CLASSES, CONTEXT, LONG, NEW_TOKENS, SHORT, Subject

from interpreto_mllm import Attend, Drop, ExactShapley, InferenceModes, KernelShap, Replace, ResponseSimilarity
from interpreto_mllm.engine.batch_trial import ADVICE
from interpreto_mllm.similarity import ExactMatch

BUDGET = 32
SHARE, LEAST = 1e-3, 1e-4
"""Of float32: a number may err by this share of the span of its game's values, and by so many nats in any case.

Attributions are differences of values, so an error below a thousandth of the span moves no score that anyone would read. A
log-probability of ten nats has roundings of 1e-6, and the small models' sums of some dozen terms stay a hundred times below.
"""

EXACT = 1e-5
ULPS = 2 * 2.0**-8
"""Of bfloat16: two units in the last place of the largest logit, which is what writing a logit down can cost twice."""

DUPLICATED, ROUNDED, OWN = 4.0, 4.0, 2.0
"""Errors are noise up to so many times the spread of duplicated rows; rounding, up to so many times the distance of bfloat16 to
float32: its median over rows, or that of the row itself.
"""

TIE = {"float32": 1e-3, "bfloat16": 0.25}
"""Nats between the two tokens, below which another answer is a tie: two steps of a bfloat16 logit beyond 16."""

ROWS = 4
"""Rows on which the noise of plain forwards is measured."""

FEW = 0.15
"""The share of rows that may be further off where a note on the result says so, as of a mixture of experts that flips."""


@dataclass(frozen=True)
class Check:
    """One way of asking: under a name, an explainer's class and options, and prompts."""

    name: str
    explainer: Any
    prompts: tuple[str, ...]
    occlusion: str = "drop"
    batch_size: int = 32
    answers: bool = False


CHECKS = (
    Check("exact", ExactShapley, (SHORT,)),
    Check("together", KernelShap, (LONG, SHORT)),
    Check("other order", KernelShap, (SHORT, LONG)),
    Check("batches of 3", KernelShap, (LONG, SHORT), batch_size=3),
    Check("batches of 1", KernelShap, (LONG,), batch_size=1),
    Check("replace", KernelShap, (SHORT, LONG), occlusion="replace"),
    Check("attend", KernelShap, (SHORT, LONG), occlusion="attend"),
    Check("answers", KernelShap, (LONG, SHORT), answers=True),
    Check("answers in batches of 3", ExactShapley, (SHORT,), batch_size=3, answers=True),
)
FEWER = {"bfloat16": {"exact", "together", "batches of 3", "attend", "answers"}}
"""By dtype, the checks that are made; all of them in float32."""

Report = dict[str, Any]


def chosen(family: Family, dtype: str) -> list[Check]:
    """The checks of a family."""
    fits = [check for check in CHECKS if not (check.answers and family.kind == "classifier")]
    return [check for check in fits if dtype not in FEWER or check.name in FEWER[dtype]]


def run(subject: Subject, check: Check) -> Report:
    """One check: its status, the greatest error, in how many rows of how many, and what was said or what seems to cause it."""
    report = _run(subject, check)
    if report["status"] == "WRONG" and "said" not in report:
        report["cause"] = _cause(subject, check)
    return report


def _cause(subject: Subject, check: Check) -> str:
    """What must be left out for the numbers to be right."""
    if subject.future:
        return "sees the future"
    if _run(subject, check, batch_size=1, share_prefixes=False)["status"] in BAD:
        return "one plain row at a time"
    alone = _run(subject, check, batch_size=1)["status"] in BAD
    batched = _run(subject, check, share_prefixes=False)["status"] in BAD
    if alone and batched:
        return "caches, and rows side by side"
    return "caches" if alone else "rows side by side" if batched else "caches of several rows, or packed rows"


def _run(subject: Subject, check: Check, **options: Any) -> Report:
    try:
        explanations = _explained(subject, check, options)
        comparisons = [_compared(subject, check, *pair) for pair in zip(explanations, check.prompts, strict=True)]
    except Exception as error:  # whatever it is, the sweep writes it down
        crash = "fails alone" if check.answers and subject.fails_to_answer() else "crash"
        return {"status": "refused" if _ours(error) else crash, "said": _first_line(error)}
    worst = max(comparisons, key=lambda report: (ORDER.index(report["status"]), report["error"]))
    return worst | {
        "rows": sum(report["rows"] for report in comparisons),
        "wrong rows": sum(report["wrong rows"] for report in comparisons),
        "forwards": explanations[0].counts.forwards,
    }


ORDER = ("exact", "noise", "rounding", "noted", "refused", "fails alone", "crash", "WRONG")
"""Statuses, better ones first. "fails alone" is where `model.generate` itself cannot answer one prompt.
"rounding" is of bfloat16 alone: as far from the plain forward as that is from float32. "noted" is where a few rows are further
off, and a note on the result says so: in mixtures of experts, where rounding decides which are chosen.
"""

BAD = ("WRONG", "crash")


def _explained(subject: Subject, check: Check, other: dict[str, Any]) -> list[Any]:
    kind = subject.family.kind
    occlusions = {"drop": Drop(), "replace": Replace(replacing(subject.tokenizer)), "attend": Attend()}
    mode: Any = InferenceModes.LOGITS if kind == "classifier" else InferenceModes.LOG_SOFTMAX
    if check.answers:
        mode = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": NEW_TOKENS})
    options = {"batch_size": check.batch_size} | ({"budget": BUDGET} if check.explainer is KernelShap else {}) | other
    explainer = check.explainer(
        subject.model,
        subject.tokenizer,
        inference_mode=mode,
        occlusion=occlusions[check.occlusion],
        pinned=lambda feature: feature.text.strip().lower().strip(",.?") in CONTEXT | {""},
        progress=False,
        **options,
    )
    target: Any = subject.said if check.answers else list(CLASSES) if kind == "classifier" else ANSWER
    several = [target] * len(check.prompts) if kind == "classifier" else target
    return explainer(list(check.prompts), several)


def _compared(subject: Subject, check: Check, explanation: Any, prompt: str) -> Report:
    ids = subject.tokenizer(prompt)["input_ids"]
    coalitions = explanation.coalitions.tolist()
    rows = [left(subject.tokenizer, ids, explanation.features, coalition, check.occlusion) for coalition in coalitions]
    if check.answers:
        report = _compared_answers(subject, explanation, rows)
    else:
        report = _compared_values(subject, explanation.values, rows, subject.target(prompt))
    said = [note for note in explanation.notes if ADVICE in note]
    if report["status"] == "WRONG" and said and report["wrong rows"] <= FEW * len(rows):
        report |= {"status": "noted", "said": said[0]}
    return report


def _compared_values(subject: Subject, values: torch.Tensor, rows: list[Row], target: Target) -> Report:
    plain = subject.plain
    expected = torch.stack([plain.values(row, target) for row in rows])
    errors = (values - expected).abs().max(1).values.nan_to_num(float("inf")).tolist()
    span = float((expected.max(0).values - expected.min(0).values).max())
    noise = max(plain.noise(row, target) for row in rows[:ROWS])
    tolerance = max(_floor(subject, expected, span), DUPLICATED * noise)
    report = {"error": max(errors), "span": span, "noise": noise, "tolerance": tolerance, "rows": len(rows)}
    masked = next((row for row in rows if row.seen and 0 in row.seen and row.seen[-1]), None)
    effect = plain.masked_effect(masked, target) if masked else 0.0
    if effect > tolerance:
        said = "the model reads what is masked"
        return report | {"status": "WRONG", "error": max(effect, *errors), "wrong rows": len(rows), "said": said}
    status = "exact" if max(errors) <= EXACT * max(1.0, span) else "noise"
    allowed = [tolerance] * len(rows)
    if max(errors) > tolerance and subject.dtype != "float32":
        precise = plain.precise()
        distances = [float((precise.values(row, target) - plain.values(row, target)).abs().max()) for row in rows]
        report["rounding"] = median(distances)
        status = "rounding"
        allowed = [max(tolerance, ROUNDED * report["rounding"], OWN * distance) for distance in distances]
    wrong = sum(error > most for error, most in zip(errors, allowed, strict=True))
    return report | {"status": "WRONG" if wrong else status, "wrong rows": wrong}


def _compared_answers(subject: Subject, explanation: Any, rows: list[Row]) -> Report:
    plain, tokenizer = subject.plain, subject.tokenizer
    report: Report = {"error": 0.0, "rows": len(rows), "wrong rows": 0, "status": "exact"}
    texts = [explanation.responses[index][0].text for index in range(len(rows))]
    original = explanation.responses.originals[0].text
    if subject.said is None and original != texts[1]:
        return report | {
            "status": "WRONG",
            "wrong rows": 1,
            "said": f"answers are compared with {original!r}, not {texts[1]!r}",
        }
    for index, row in enumerate(rows):
        said, expected = plain.words(explanation.responses[index][0].ids), plain.answer(row, NEW_TOKENS)
        worth = float(bool(texts[index].strip()) and texts[index] == original)
        gap = plain.gap(row, expected, said)
        if abs(worth - float(explanation.values[index, 0])) > EXACT:
            gap = float("inf")
        report["error"] = max(report["error"], gap)
        if TIE[subject.dtype] < gap < float("inf") and subject.dtype != "float32":
            distance = abs(plain.precise().gap(row, expected, said) - gap)
            report["rounding"] = max(report.get("rounding", 0.0), distance)
            gap = 0.0 if gap <= OWN * distance else gap
        if gap > TIE[subject.dtype]:
            report["wrong rows"] += 1
            report.setdefault("said", f"{tokenizer.decode(said)!r} ({len(said)}) for {tokenizer.decode(expected)!r}")
    report["different"] = len(set(texts))
    right = "rounding" if "rounding" in report else "noise" if report["error"] else "exact"
    return report | {"status": "WRONG" if report["wrong rows"] else right}


def _floor(subject: Subject, expected: torch.Tensor, span: float) -> float:
    if subject.dtype == "float32":
        return max(LEAST, SHARE * span)
    return ULPS * max(1.0, float(expected.abs().max()))


def _ours(error: Exception) -> bool:
    """Whether the library itself refuses, in its own words."""
    raised = traceback.extract_tb(error.__traceback__)[-1]
    said = (raised.line or "").startswith("raise")
    return isinstance(error, (ValueError, TypeError)) and said and "/interpreto_mllm/" in raised.filename


def _first_line(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = "" if _ours(error) else f" ({'/'.join(last.filename.split('/')[-2:])}:{last.lineno})"
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}{place}"


def swept(family: Family, dtype: str, note: Callable[[str, Report], None]) -> Iterator[tuple[str, Report]]:
    """All checks of a family in a dtype; `note` is told what it is about to do, and what it is that was built."""
    subject = Subject.of(family, dtype)
    parameters = sum(weight.numel() for weight in subject.model.parameters())
    weights = {"scale": subject.scale, "seed": subject.seed, "span": subject.span, "parameters": parameters}
    note("built", weights | {"sees the future": subject.future, "answers in words": subject.said is None})
    for check in chosen(family, dtype):
        note("begins", {"check": check.name})
        yield check.name, run(subject, check)
