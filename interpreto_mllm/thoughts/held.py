"""Prompts with thoughts after them that are held fixed, as further features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media.state import State
from interpreto_mllm.prompts.blanks import Blanks
from interpreto_mllm.prompts.filters import Pins
from interpreto_mllm.prompts.granularity import BY_TOKEN, Granularity, Span, Splitter
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import TokenPrompt
from interpreto_mllm.prompts.splitter import Region, TextSplitter
from interpreto_mllm.thoughts.written import Written

PART = "thoughts"
DIRECT = (
    "Direct effects: the model's thoughts are held fixed, as further features. What the prompt does through them is theirs; "
    "effect='total' counts it to the prompt."
)


@dataclass(frozen=True, eq=False)
class HeldThoughts:
    """The thoughts of a response, cut into features, up to the token that is asked about.

    Args:
        written: the response.
        stop: its first token that is no part of the prompt any more.
        by: what a feature is.
        pinned: those that are always present: a filter; lists name features of the prompt alone.
        processing: the model's own tokenizer or processor.
    """

    written: Written
    stop: int
    by: Granularity | Splitter
    pinned: Pins
    processing: Processing

    def after(self, prompt: TokenPrompt) -> TokenPrompt:
        """The prompt that goes on with them."""
        owner, features = self._features(prompt)
        ids, n = self.written.tokens.ids[: self.stop].tolist(), len(prompt.features)
        shift, text = len(prompt.text), prompt.text + self.written.text[: self._end]
        layouts = prompt.layouts
        blanks = self._blanks(prompt)

        def extended(
            states: Sequence[State], every: Sequence[Feature], unlisted: tuple[int, ...]
        ) -> tuple[ModelInput, np.ndarray, Blanks | None]:
            assert layouts is not None
            whole, owners, before = layouts(states, every[:n], unlisted)
            return whole.continued(ids), _owners(owners, owner, n), _both(before, blanks, len(whole.ids), len(ids))

        start, end = self._region
        regions = (*prompt.regions, *([(shift + start, shift + end)] if start < end else []))
        retokenizer = None if prompt.retokenizer is None else replace(prompt.retokenizer, text=text, regions=regions)
        return replace(
            prompt,
            text=text,
            whole=prompt.whole.continued(ids),
            owner=_owners(prompt.owner, owner, n),
            features=[*prompt.features, *features],
            regions=regions,
            layouts=None if layouts is None else extended,
            blanks=_both(prompt.blanks, blanks, len(prompt.whole.ids), len(ids)),
            retokenizer=retokenizer,
            notes=(*prompt.notes, DIRECT),
            effect="direct",
        )

    @property
    def _end(self) -> int:
        """Where the text ends that is part of the prompt."""
        return self.written.tokens.offsets[self.stop - 1][1] if self.stop else 0

    @property
    def _region(self) -> Span:
        """The characters of the thoughts that come before what is asked about."""
        start, end = self.written.thoughts
        return start, max(start, min(end, self._end))

    def _features(self, prompt: TokenPrompt) -> tuple[Int[np.ndarray, "l"], list[Feature]]:
        """The feature of each token of the thoughts, or -1, and the features, which lie in the whole text."""
        turn = None if prompt.conversation is None else len(prompt.conversation.messages)
        region = Region(self.written.thoughts, "assistant", turn)
        owner, found = TextSplitter(self.processing, self.by).split(self.written.tokens, [region])
        before = [one for one, feature in enumerate(found) if max(feature.positions) < self.stop]
        kept = [one for one in before if not (callable(self.pinned) and self.pinned(found[one]))]
        number = {old: new for new, old in enumerate(kept)}
        owner = np.asarray([number.get(int(one), -1) for one in owner[: self.stop]], dtype=np.int64)
        return owner, [self._placed(found[one], one + 1, prompt) for one in kept]

    @staticmethod
    def _placed(feature: Feature, number: int, prompt: TokenPrompt) -> Feature:
        text, ids = len(prompt.text), len(prompt.whole.ids)
        return replace(
            feature,
            spans=tuple((start + text, end + text) for start, end in feature.spans),
            positions=tuple(position + ids for position in feature.positions),
            label=f"thought {number}",
            part=PART,
        )

    def _blanks(self, prompt: TokenPrompt) -> Blanks | None:
        """Tokens of white space in the thoughts, where those of the prompt are left out with what is before them."""
        if prompt.blanks is None or self.by in BY_TOKEN:
            return None
        found = Blanks.of(self.written.tokens, [self.written.thoughts], self.processing.tokenizer)
        return None if found is None else Blanks(found.alone[: self.stop], found.region[: self.stop])


def _owners(prompt: Int[np.ndarray, "l"], thoughts: Int[np.ndarray, "_"], n: int) -> Int[np.ndarray, "_"]:
    """Owners of the tokens of both, where the features of the thoughts come after those of the prompt."""
    return np.concatenate([prompt, np.where(thoughts >= 0, thoughts + n, -1)])


def _both(prompt: Blanks | None, thoughts: Blanks | None, before: int, after: int) -> Blanks | None:
    """The blanks of both, each among so many tokens."""
    if prompt is None and thoughts is None:
        return None
    first = prompt or Blanks(np.zeros(before, dtype=bool), np.full(before, -1))
    then = thoughts or Blanks(np.zeros(after, dtype=bool), np.full(after, -1))
    region = np.where(then.region >= 0, then.region + first.region.max(initial=-1) + 1, -1)
    return Blanks(np.concatenate([first.alone, then.alone]), np.concatenate([first.region, region]))
