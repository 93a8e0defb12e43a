"""What a coalition is worth by plain forwards alone: one row, no padding, no cache, nothing of the library.

What is left of a prompt comes from the tokenizer's ids and the positions of the features, as the results name them.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from sweep_configs import zoo
from torch import Tensor

COPIES = (2, 5)
"""Numbers of equal rows whose outputs tell how far a plain forward depends on what it is batched with."""


@dataclass(frozen=True)
class Row:
    """What the model reads: ids, and which of them attention may see (None: all)."""

    ids: tuple[int, ...]
    seen: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Target:
    """The answer's ids and which of them are scored; for a classifier, its classes."""

    ids: tuple[int, ...]
    scored: tuple[int, ...]


def left(tokenizer: Any, ids: list[int], features: list[Any], coalition: list[bool], occlusion: str) -> Row:
    """The row that a coalition leaves under "drop", "replace" (by the mask token) or "attend"."""
    if occlusion == "attend":
        absent = {p for feature, there in zip(features, coalition, strict=True) if not there for p in feature.positions}
        return Row(tuple(ids), tuple(int(position not in absent) for position in range(len(ids))))
    replacement = [replacing(tokenizer)] if occlusion == "replace" else None
    kept = zoo.plain_ids(ids, features, coalition, replacement)
    begins = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return Row(tuple(kept) or (next(token for token in begins if token is not None),))


def replacing(tokenizer: Any) -> int:
    """The id that stands for what is replaced."""
    return tokenizer.unk_token_id if tokenizer.mask_token_id is None else tokenizer.mask_token_id


class Plain:
    """Values and answers of rows by a copy of the model, so that nothing that is done to the model itself changes them.

    Args:
        model: the model.
        kind: "causal", "seq2seq" or "classifier".
        tokenizer: its tokenizer.
    """

    def __init__(self, model: Any, kind: str, tokenizer: Any):
        self.model, self.kind, self.tokenizer = copy.deepcopy(model), kind, tokenizer
        self.accepts = set(inspect.signature(model.forward).parameters)
        self.token_by_token = False
        self._special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        self._values: dict[Any, Tensor] = {}
        self._answers: dict[Any, tuple[int, ...]] = {}
        self._steps: dict[Any, list[Tensor]] = {}

    @property
    def start(self) -> int:
        """What the decoder of an encoder-decoder begins with."""
        start = getattr(self.model.config, "decoder_start_token_id", None)
        return int(self.model.generation_config.decoder_start_token_id if start is None else start)

    def values(self, row: Row, target: Target) -> Tensor:
        """Log-probabilities of the scored tokens, or logits of the classes, in float64."""
        key = (row, target, self.token_by_token)
        if key not in self._values:
            self._values[key] = self.fresh(row, target)
        return self._values[key]

    def fresh(self, row: Row, target: Target, copies: int = 1) -> Tensor:
        """The same, always computed, by a batch of equal rows."""
        if self.kind == "classifier":
            return self._logits(row, (), copies)[list(target.ids)].double()
        if self.token_by_token:
            steps = [self._logits(row, target.ids[:end], copies)[-1] for end in range(len(target.ids))]
            logits = torch.stack(steps)
        else:
            logits = self._logits(row, target.ids[:-1], copies)
        chosen = logits.log_softmax(-1)[range(len(target.ids)), list(target.ids)]
        return chosen[list(target.scored)].double()

    def sees_the_future(self, rows: Sequence[Row], target: Target, tolerance: float) -> bool:
        """Whether an answer's tokens change what is predicted before them; values must then be computed token by token."""
        if self.kind == "classifier":
            return False
        before, found = self.token_by_token, []
        for self.token_by_token in (False, True):
            found.append(torch.stack([self.fresh(row, target) for row in rows]))
        self.token_by_token = before
        return bool((found[0] - found[1]).abs().max() > tolerance)

    def masked_effect(self, row: Row, target: Target) -> float:
        """How far other ids where the mask is zero change the values; 0 where they are hidden."""
        seen = row.seen or ()
        other = tuple(token if there else (token + 17) % 300 + 20 for token, there in zip(row.ids, seen, strict=True))
        return float((self.values(row, target) - self.values(replace(row, ids=other), target)).abs().max())

    def noise(self, row: Row, target: Target) -> float:
        """How far the values of a row change when it is computed again, alone or beside copies of itself."""
        alone = self.values(row, target)
        again = [self.fresh(row, target, copies) for copies in (1, *COPIES)]
        return max(float((alone - other).abs().max()) for other in again)

    def precise(self) -> Plain:
        """The same weights in float32."""
        plain = Plain(self.model, self.kind, self.tokenizer)
        plain.model = plain.model.float()
        plain.token_by_token = self.token_by_token
        return plain

    def answer(self, row: Row, tokens: int) -> tuple[int, ...]:
        """What `model.generate` says to the row alone."""
        if row not in self._answers:
            ids = torch.tensor([row.ids])
            asked = dict(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens)
            asked |= dict(return_dict_in_generate=True, output_logits=True)
            with torch.no_grad():
                output = self.model.generate(**asked, pad_token_id=self.tokenizer.pad_token_id)
            said = output.sequences[0].tolist()
            self._answers[row] = tuple(said[1:] if self.kind == "seq2seq" else said[len(row.ids) :])
            self._steps[row] = [step[0].float() for step in output.logits]
        return self._answers[row]

    def words(self, said: Sequence[int]) -> tuple[int, ...]:
        """An answer without special tokens."""
        return tuple(token for token in said if token not in self._special)

    def gap(self, row: Row, said: Sequence[int], other: Sequence[int]) -> float:
        """How far the model was, in nats, from saying another answer's words than it `said`: 0 for equal ones.

        At the first word that differs, the other answer may also have held a special token, which its words do not show.
        """
        if self.words(said) == tuple(other):
            return 0.0
        places = [place for place, token in enumerate(said) if token not in self._special]
        same = next((i for i, (place, token) in enumerate(zip(places, other, strict=False)) if said[place] != token), None)
        if same is None:
            same = min(len(places), len(other))
        place = places[same] if same < len(places) else min(places[-1] + 1 if places else 0, len(said) - 1)
        if self._answers.get(row) == tuple(said) and place < len(self._steps[row]):
            logits = self._steps[row][place]  # which may be other than a forward's, as where a cache makes a model causal
        else:
            logits = self._logits(row, tuple(said[:place]), 1)[-1]
        others = {*self._special, *other[same : same + 1]} - {said[place]}
        return float(logits[said[place]] - logits[sorted(others)].max())

    def _logits(self, row: Row, answer: tuple[int, ...], copies: int) -> Tensor:
        """A classifier's logits; else those that predict the token after each of "nothing", the answer's first token, ….

        Positions and a mask are given only where something is masked; all else is the model's own default.
        """
        arguments: dict[str, Any] = {"input_ids": torch.tensor([row.ids])}
        if self.kind == "causal":
            arguments["input_ids"] = torch.tensor([row.ids + answer])
            if "use_cache" in self.accepts:
                arguments["use_cache"] = False
        if self.kind == "seq2seq":
            arguments["decoder_input_ids"] = torch.tensor([(self.start, *answer)])
        if row.seen is not None:
            length = arguments["input_ids"].shape[1]
            arguments["attention_mask"] = torch.tensor([row.seen + (1,) * (length - len(row.ids))])
            if self.kind == "causal" and "position_ids" in self.accepts:
                arguments["position_ids"] = torch.arange(length)[None]
        given = {name: part.repeat(copies, 1) if torch.is_tensor(part) else part for name, part in arguments.items()}
        with torch.no_grad():
            logits = self.model(**given).logits[-1].float()
        return logits[len(row.ids) - 1 :] if self.kind == "causal" else logits
