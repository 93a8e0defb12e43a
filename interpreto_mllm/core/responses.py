"""What a model answered: to each coalition, and the answers that these are compared with."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from einops import reduce
from jaxtyping import Float
from torch import Tensor, stack


@dataclass(frozen=True)
class Response:
    """An answer: its text without surrounding space, and where they are known its token ids and its log-probability.

    `thoughts` are those that were written before it, where a target was a part of an answer with thoughts.
    """

    text: str
    ids: tuple[int, ...] = ()
    log_probability: float | None = None
    thoughts: str | None = None


@dataclass(frozen=True, eq=False)
class Responses:
    """The answers behind the evaluations of a similarity game, in the order of its coalitions.

    Args:
        answers: those to each coalition, `repeats` for each of its model inputs (a template has several, others one).
        originals: the answers that these are compared with.
        columns: an index of `originals` for each target, or a pair (target, foil) for the difference of two.
        repeats: how many answers were drawn for each model input.
        generation: the settings under which the model answered, as text.
        original_log_probabilities: where they were asked for, the log-probability of each original after each coalition, one
            for each of its `w` model inputs. That of an answer itself is `Response.log_probability`.
        inputs_drawn: whether its model inputs are some that were drawn of many, as with baselines of a template.
        history: where the conversation was extended, the answers to each coalition in the turns before, in their order.

    Example:
        >>> responses = Responses((Response("no"),), (0,), ((Response("yes"),), (Response("no"),)))
        >>> responses.texts, len(responses)
        (['yes', 'no'], 2)
    """

    originals: tuple[Response, ...]
    columns: tuple[int | tuple[int, int], ...]
    answers: tuple[tuple[Response, ...], ...]
    repeats: int = 1
    generation: Mapping[str, Any] = field(default_factory=dict)
    original_log_probabilities: Float[Tensor, "p o w"] | None = None
    history: tuple[tuple[Response, ...], ...] = ()
    inputs_drawn: bool = False

    def __len__(self) -> int:
        return len(self.answers)

    def __getitem__(self, coalition: int) -> tuple[Response, ...]:
        return self.answers[coalition]

    @property
    def said(self) -> tuple[tuple[Response, ...], ...]:
        """The former name of `answers`."""
        warnings.warn("Responses.said is now called answers.", DeprecationWarning, stacklevel=2)
        return self.answers

    @property
    def texts(self) -> list[str]:
        """The text of the first answer to each coalition."""
        return [answers[0].text for answers in self.answers]

    @property
    def labels(self) -> list[str]:
        """One text per target."""
        pairs = [column if isinstance(column, tuple) else (column,) for column in self.columns]
        return [" − ".join(self.originals[index].text for index in pair) for pair in pairs]

    def values(self, similarities: Sequence[Float[Tensor, "p answers"]]) -> Float[Tensor, "r p t"]:
        """The game's values under each of the repeats, from the similarity of every answer to each original.

        Where model inputs are drawn, the repeats are these: answers to each of them are as many draws of both.
        """
        pattern = "p (w repeat) -> w p" if self.inputs_drawn else "p (w repeat) -> repeat p"
        each = [reduce(one, pattern, "mean", repeat=self.repeats) for one in similarities]
        pairs = [column if isinstance(column, tuple) else (column, None) for column in self.columns]
        return stack([each[a] if b is None else each[a] - each[b] for a, b in pairs], dim=-1)
