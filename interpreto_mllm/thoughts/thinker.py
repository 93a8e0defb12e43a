"""Thoughts that a model writes after an input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from interpreto_mllm.core.fingerprint import hashed
from interpreto_mllm.core.progress import progress_bar
from interpreto_mllm.engine.queries import END_PADDING, Generate, Generator
from interpreto_mllm.engine.turns import in_turns
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.tokens import Tokens, special_ids
from interpreto_mllm.thoughts.marks import ThoughtMarks


@dataclass(frozen=True)
class Thought:
    """What a model thought: its tokens without marks, and whether it was cut at the limit."""

    ids: tuple[int, ...]
    cut: bool


class Thinker(ABC):
    """Lets a model think about inputs that end where thoughts begin. Each is thought about once.

    Args:
        tokenizer: the model's own.
        marks: around thoughts.
        limit: the most tokens of a thought.
        settings: of generation, as text.
        repeats: thoughts drawn for each input.
        progress: show a progress bar when that takes longer than a moment.

    Attributes:
        known: the thoughts about each input, by its key; new ones are added as they come.
    """

    unit: ClassVar[str] = "tokens"
    """Of which thoughts consist here."""

    def __init__(self, tokenizer: Any, marks: ThoughtMarks, limit: int, settings: str, repeats: int = 1, progress: bool = True):
        self.tokenizer, self.marks = tokenizer, marks
        self.limit, self.settings, self.repeats, self.progress = limit, settings, repeats, progress
        self.known: dict[bytes, tuple[Thought, ...]] = {}

    @property
    def content(self) -> str:
        """How it thinks, equal for equal thoughts."""
        how = hashed(self.marks.start, self.marks.end, self.settings)
        return f"anew, up to {self.limit} tokens, {self.repeats} times, {how}"

    @property
    def cut(self) -> int:
        """How many thoughts reached the limit."""
        return sum(thought.cut for thoughts in self.known.values() for thought in thoughts)

    @property
    def count(self) -> int:
        """How many thoughts there were."""
        return sum(map(len, self.known.values()))

    @property
    def tokens(self) -> int:
        """How many tokens they have together."""
        return sum(len(thought.ids) for thoughts in self.known.values() for thought in thoughts)

    def about(self, inputs: Sequence[ModelInput]) -> list[tuple[Thought, ...]]:
        """The thoughts about each input, `repeats` of them."""
        missing = {input.key: input for input in inputs if input.key not in self.known}
        if missing:
            self._think(list(missing.values()))
        return [self.known[input.key] for input in inputs]

    def text(self, thought: Thought) -> str:
        """What a thought says."""
        return str(self.tokenizer.decode(list(thought.ids), skip_special_tokens=True)).strip()

    def _think(self, inputs: list[ModelInput]) -> None:
        queries = [Generate(input, draw) for input in inputs for draw in range(self.repeats)]
        drawn: dict[bytes, dict[int, Thought]] = {}
        with progress_bar(len(queries), self.progress, f"thought of up to {self.limit:,} tokens") as advance:
            for indices, found in self._thoughts(queries):
                for index, thought in zip(indices, found, strict=True):
                    thoughts = drawn.setdefault(queries[index].input.key, {})
                    thoughts[queries[index].draw] = thought
                    if len(thoughts) == self.repeats:
                        self.known[queries[index].input.key] = tuple(thoughts[draw] for draw in range(self.repeats))
                advance(len(indices))

    @abstractmethod
    def _thoughts(self, queries: Sequence[Generate]) -> Iterator[tuple[Sequence[int], list[Thought]]]:
        """Thoughts as they come, with the indices of their queries."""


class ModelThinker(Thinker):
    """Thoughts of a model of transformers.

    Args:
        generator: generates up to the limit; it may stop at the end of thoughts.
        model: which it runs.
        given: further arguments of `Thinker`.
    """

    def __init__(self, generator: Generator, model: Any, *given: Any):
        super().__init__(*given)
        self.generator, self.model = generator, model

    def _thoughts(self, queries: Sequence[Generate]) -> Iterator[tuple[Sequence[int], list[Thought]]]:
        for indices, generated in in_turns(self.model, self.generator.generate(queries)):
            rows = generated.ids.tolist()
            yield indices, [self._thought([token for token in row if token != END_PADDING]) for row in rows]

    def _thought(self, ids: list[int]) -> Thought:
        """What was generated, up to the end of the thoughts."""
        text = str(self.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
        end = text.find(self.marks.end)
        if end >= 0:
            tokens = Tokens.of_ids(ids, self.tokenizer)
            written = tokens.text[: tokens.text.find(self.marks.end)].rstrip()
            ids = [ids[index] for index, (_, stop) in enumerate(tokens.offsets) if stop <= len(written)]
            return Thought(tuple(ids), False)
        special = special_ids(self.tokenizer)
        bare = ids
        while bare and (bare[-1] in special or not str(self.tokenizer.decode(bare[-1:])).strip()):
            bare = bare[:-1]
        return Thought(tuple(bare), len(ids) >= self.limit)


def joined(*parts: Sequence[int]) -> list[int]:
    """Token ids one after the other."""
    return np.concatenate([np.asarray(part, dtype=np.int64) for part in parts]).tolist()
