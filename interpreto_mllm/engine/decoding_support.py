"""How a model can generate rows side by side: found out by trying."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from einops import repeat
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.batches import out_of_memory
from interpreto_mllm.engine.queries import Generate
from interpreto_mllm.engine.ragged_cache import holds_every_position
from interpreto_mllm.engine.rounding import tolerance
from interpreto_mllm.engine.row_decoder import RowDecoder
from interpreto_mllm.prompts.model_input import ModelInput

logger = logging.getLogger(__name__)

TRIAL_TOKENS = 3
"""Tokens that are read on at once to see whether a model can."""


@dataclass(frozen=True)
class DecodingSupport:
    """What a model generates exactly.

    Args:
        side_by_side: whether rows may read on together; `model.generate` is used otherwise.
        any_length: whether prompts of different lengths may be read together.
        scores_given_answers: whether rows may read several tokens at once, so that given answers are scored on the way.
    """

    side_by_side: bool
    any_length: bool = False
    scores_given_answers: bool = False


UNSUPPORTED = DecodingSupport(side_by_side=False)

SWITCHING = ("longrope", "dynamic")
"""Kinds of rotary embeddings under which a forward that goes beyond a length turns all of its rows in another way."""


class SupportProbe:
    """Tries on a few tokens how a model can generate.

    Args:
        decoder: reads rows side by side.
    """

    def __init__(self, decoder: RowDecoder):
        self.decoder, self.runner = decoder, decoder.runner

    def __call__(self, queries: Sequence[Generate]) -> DecodingSupport:
        """How rows of different lengths, read on side by side, give what each does alone; logged where they do not."""
        sample = max((query.input for query in queries), key=lambda input: (len(input.media), len(input.ids)))
        pair = [Generate(replace(sample, seen=None)), Generate(self._shortened(sample))]
        more = torch.from_numpy(sample.ids[self.runner.inputs.is_text(sample)][-TRIAL_TOKENS:])
        if not len(more):
            return UNSUPPORTED
        plain = [torch.cat([self._plain_logits(query, more[:count]) for query in pair]) for count in (1, len(more))]
        problem = ""
        for any_length in (self._keeps_every_position(sample), False):
            try:
                logits = self._side_by_side(pair, more, any_length)
            except Exception as error:  # a model may refuse a cache in any way it likes: generate is used then
                if out_of_memory(error):
                    raise
                problem = str(error)
                continue
            one_token, several_tokens = (self._close(*each) for each in zip(logits, plain, strict=True))
            if one_token:
                return DecodingSupport(True, any_length, several_tokens)
            problem = f"off by {(logits[0] - plain[0]).abs().max().item():.1e}"
        logger.info("%s cannot answer rows side by side (%s): using generate.", type(self.runner.model).__name__, problem)
        return UNSUPPORTED

    def _side_by_side(self, pair: Sequence[Generate], more: Int[Tensor, "_"], any_length: bool) -> list[Float[Tensor, "b v"]]:
        """Logits after one and after all of some more tokens, of both rows."""
        rows = self.decoder.begin(pair, [None, None], any_length)
        every = torch.arange(len(pair))
        after = repeat(more.to(self.runner.device), "l -> b l", b=len(pair))
        steps = [self.decoder.read_on(rows.select(every), after[:, :count])[0] for count in (1, len(more))]
        return [step.logits.float() for step in steps]

    def _plain_logits(self, query: Generate, more: Int[Tensor, "_"]) -> Float[Tensor, "1 v"]:
        """The logits of one plain forward after the prompt and some more tokens."""
        ids = torch.cat([torch.from_numpy(query.input.ids), more])[None]
        last = torch.tensor([ids.shape[1] - 1])
        return self.runner.forward([query], ids, [None], last, keep_cache=False).logits[:, -1].float()

    def _close(self, logits: Float[Tensor, "b v"], plain: Float[Tensor, "b v"]) -> bool:
        return bool((logits - plain).abs().max() <= tolerance(self.runner.model) * plain.abs().max().clamp_min(1))

    def _shortened(self, input: ModelInput) -> ModelInput:
        """An input without the first half of the longest text in it."""
        edges = np.flatnonzero(np.diff(self.runner.inputs.is_text(input).astype(np.int8), prepend=0, append=0))
        runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        start, end = max(runs, default=(0, 0), key=lambda run: run[1] - run[0])
        kept = np.ones(len(input.ids), dtype=bool)
        kept[start : (start + end) // 2] = False
        segments, positions = (None if part is None else part[kept] for part in (input.segments, input.positions))
        return ModelInput(input.ids[kept], None, segments, input.media, positions)

    def _keeps_every_position(self, input: ModelInput) -> bool:
        """Whether what is read beyond a row's end can be cut off this model's cache."""
        first = Generate(ModelInput(input.ids[self.runner.inputs.is_text(input)][:1]))
        ids = torch.from_numpy(first.input.ids)[None]
        try:
            output = self.runner.forward([first], ids, [None], torch.tensor([0]), keep_cache=True)
            return holds_every_position(output[self.runner.cache_name])
        except Exception as error:  # a model may have no such cache
            logger.info("%s gives no cache that can be cut (%s).", type(self.runner.model).__name__, error)
            return False


def crosses_switch(model: Any, queries: Sequence[Generate], limit: int) -> bool:
    """Whether some prompts lie below the length at which a model changes its positions, and others, or responses, beyond it."""
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") not in SWITCHING:
        return False
    known = rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
    switch = known or getattr(config, "max_position_embeddings", None) or float("inf")
    lengths = [len(query.input.ids) for query in queries]
    return min(lengths) <= switch < max(lengths) + limit
