"""The answers of a similarity game as a table: what was present, what the model answered, and its value."""

from __future__ import annotations

from html import escape

from interpreto_mllm.core.responses import Response
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.results.record import Record

FEATURE_CHARACTERS = 60
"""How much of a feature the table shows."""

THOUGHT_CHARACTERS = 300
"""How much of the thoughts before an answer."""


def answers(attribution: Record) -> str:
    """The table, best answers first, or nothing for other games. A click on a heading sorts, and the search box narrows."""
    responses = attribution.responses
    if responses is None:
        return ""
    values = attribution.values.tolist()
    order = sorted(range(len(responses)), key=lambda row: -values[row][0])
    heads = ["present", *(f"value: {shortened(visible(label), 40)}" for label in responses.labels)]
    heads += [f"answer {turn}" for turn in range(1, 1 + len(responses.history[0]))] if responses.history else []
    heads += ["answer", "present features"]
    head = "".join(f'<th><button type="button">{escape(one)}</button></th>' for one in heads)
    body = "".join(_row(attribution, row, values[row]) for row in order)
    return (
        f"<details><summary>Answers to {len(responses):,} coalitions</summary>\n"
        '<input type="search" class="narrow" placeholder="only those with …" aria-label="only coalitions with">'
        f'<table class="answers"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></details>\n'
    )


def _row(attribution: Record, row: int, values: list[float]) -> str:
    present = attribution.coalitions[row].tolist()
    texts = [
        shortened(visible(f.text), FEATURE_CHARACTERS) for f, there in zip(attribution.features, present, strict=True) if there
    ]
    assert attribution.responses is not None
    before = attribution.responses.history[row] if attribution.responses.history else ()
    text = "<br>".join(_answer(answer) for answer in attribution.responses[row])
    cells = [f'<td data-by="{sum(present)}">{sum(present)} of {len(present)}</td>']
    cells += [f'<td data-by="{value:.6g}">{value:.3g}</td>' for value in values]
    cells += [f"<td>{_answer(answer)}</td>" for answer in before]
    cells += [f"<td>{text}</td>", f"<td>{escape(' '.join(texts)) or '∅'}</td>"]
    return f"<tr>{''.join(cells)}</tr>\n"


def _answer(answer: Response) -> str:
    text = escape(visible(answer.text)) if answer.text else "<i>nothing</i>"
    if answer.thoughts:
        text = f"<small>{escape(shortened(visible(answer.thoughts), THOUGHT_CHARACTERS))}</small><br>{text}"
    return text if answer.log_probability is None else f"{text} <small>(log p {answer.log_probability:.3g})</small>"
