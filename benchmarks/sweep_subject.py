"""One family's model as the sweep asks it: prompts, the answer that is explained, and weights under which both matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from sweep_configs import Family
from sweep_models import build
from sweep_reference import Plain, Row, Target

SHORT = "it was blue, and green sushi"
LONG = "it was the best of times, it was the worst of times, it was the best of times. What apple is a red apple?"
CONTEXT = {"it", "was", "the", "best", "of", "times", "worst", ",", ".", "?"}
"""Words that are always there: a beginning that the long prompt's coalitions share."""

ANSWER = " green apple"
CLASSES = (0, 1, 2)
NEW_TOKENS = 3
SCALES = (4.0, 8.0, 16.0, 32.0, 2.0, 1.0)
ENOUGH, MUCH = 1.0, 20.0
"""Nats between coalitions: by the weights' scale, a model's outputs differ enough to show errors, and not so much that rounding
decides what is attended to.
"""

SEEDS = 6
"""Random weights that are tried until a model's answers hold text."""

SEEN = 1e-4
"""Nats, or a share of the span: by more than this, an answer's later tokens change what is predicted before them."""


@dataclass
class Subject:
    """A family's model in a dtype, and the plain forwards that it is held to.

    `said` is None where the model's own answers hold text; else the answer that others are compared with.
    """

    family: Family
    model: Any
    tokenizer: Any
    plain: Plain
    dtype: str = "float32"
    scale: float = 1.0
    seed: int = 0
    span: float = 0.0
    future: bool = False
    said: str | None = ANSWER

    @classmethod
    def of(cls, family: Family, dtype: str) -> Subject:
        """Built with the first weights under which coalitions differ enough and answers hold text, or else the best ones."""
        made: list[Subject] = []
        for scale in SCALES:
            if found := cls._made(family, scale, 0):
                made.append(found)
                if ENOUGH <= found.span <= MUCH:
                    break
        if not made:
            raise FloatingPointError("its outputs are not finite")
        best = min(made, key=lambda one: max(one.span / MUCH, ENOUGH / max(one.span, 1e-9), 1.0))
        for seed in range(1, SEEDS):
            if best.said is None or family.kind == "classifier":
                break
            found = cls._made(family, best.scale, seed)
            best = found if found and found.said is None and min(best.span, ENOUGH) / 2 <= found.span <= 2 * MUCH else best
        best.model = best.model.to(getattr(torch, dtype))
        best.plain, best.dtype = Plain(best.model, family.kind, best.tokenizer), dtype
        best.plain.token_by_token = best.future
        if not best.plain.values(Row(tuple(best.tokenizer(SHORT)["input_ids"])), best.target(SHORT)).isfinite().all():
            raise FloatingPointError(f"its outputs are not finite in {dtype}")
        return best

    @classmethod
    def _made(cls, family: Family, scale: float, seed: int) -> Subject | None:
        """In float32; None where outputs are not finite."""
        model, tokenizer = build(family, scale, seed)
        subject = cls(family, model, tokenizer, Plain(model, family.kind, tokenizer), scale=scale, seed=seed)
        ids, target = tokenizer(SHORT)["input_ids"], subject.target(SHORT)
        rows = [Row(tuple(ids))] + [Row(tuple(ids[:place] + ids[place + 2 :])) for place in range(1, len(ids) - 2, 2)]
        values = torch.stack([subject.plain.values(row, target) for row in rows])
        if not values.isfinite().all():
            return None
        subject.span = float((values.max(0).values - values.min(0).values).max())
        subject.future = subject.plain.sees_the_future(rows, target, SEEN * max(1.0, subject.span))
        if family.kind != "classifier":
            subject.said = None if subject._answers_in_words() else ANSWER
        return subject

    def _answers_in_words(self) -> bool:
        """Whether it says some text to each prompt, as far as it can be asked at all."""
        if self.fails_to_answer():
            return False
        said = [self.plain.answer(Row(tuple(self.tokenizer(p)["input_ids"])), NEW_TOKENS) for p in (SHORT, LONG)]
        return all(self.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in said)

    def fails_to_answer(self) -> bool:
        """Whether `model.generate` cannot answer the prompts one by one."""
        try:
            for prompt in (SHORT, LONG):
                self.plain.answer(Row(tuple(self.tokenizer(prompt)["input_ids"])), NEW_TOKENS)
        except Exception:  # a model may fail in any way it likes
            return True
        return False

    def target(self, prompt: str) -> Target:
        """What is explained, in ids, read as anyone would read it."""
        if self.family.kind == "classifier":
            return Target(CLASSES, CLASSES)
        if self.family.kind == "seq2seq":
            ids = self.tokenizer(text_target=ANSWER)["input_ids"]
            scored = [place for place, token in enumerate(ids) if token not in self.tokenizer.all_special_ids]
            return Target(tuple(ids[: scored[-1] + 1]), tuple(scored))
        ids = self.tokenizer(prompt + ANSWER)["input_ids"][len(self.tokenizer(prompt)["input_ids"]) :]
        return Target(tuple(ids), tuple(range(len(ids))))
