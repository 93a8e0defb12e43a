"""Scoring under models that read the whole prompt first: classifiers and encoder-decoders."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.plain_generation import generate, seeded, without_ending
from interpreto_mllm.engine.probes import ignores_padding
from interpreto_mllm.engine.queries import Classify, Generate, Generated, Mode, Score, Scored, pad
from interpreto_mllm.engine.whole_prompts import WholePrompts

logger = logging.getLogger(__name__)


class ClassifierScorer:
    """Scores classes under a classifier.

    A classifier whose output depends on the padding after a text (tried on the first use), as one does that pools the last
    token and has no padding token, is given one text at a time.

    Args:
        prompts: batches prompts for the model.
        mode: from logits and class indices to values.
    """

    def __init__(self, prompts: WholePrompts, mode: Mode):
        self.prompts, self.mode = prompts, mode
        self._tried = False

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.prompts.counter

    def score(self, queries: Sequence[Classify]) -> Iterator[Scored]:
        """Values of the classes of each query, batch by batch."""
        texts = [query.input.ids for query in queries if not query.input.media]
        if texts and not self._tried and self.prompts.batches.size > 1:
            self._tried = True
            model = self.prompts.model
            if not ignores_padding(model, torch.from_numpy(min(texts, key=len)), self.prompts.padding):
                logger.info("The output of %s depends on padding: scoring one text at a time.", type(model).__name__)
                self.prompts.batches = Batches(1)
        yield from self.prompts.run(queries, self._score_batch)

    def _score_batch(self, queries: list[Classify]) -> Float[Tensor, "b t"]:
        logits = self.prompts.model(**self.prompts.inputs([query.input for query in queries])).logits.float()
        classes = pad([query.classes for query in queries]).to(logits.device)
        return self.mode(repeat(logits, "b v -> b t v", t=classes.shape[1]), classes).float().cpu()


class Seq2SeqScorer:
    """Scores answers under an encoder-decoder; its decoder reads the answer so far, after its start token.

    Args:
        prompts: batches prompts for the encoder.
        mode: from logits and target ids to values.

    Raises:
        ValueError: for a model without a start token.
    """

    def __init__(self, prompts: WholePrompts, mode: Mode):
        self.prompts, self.mode = prompts, mode
        self._start = decoder_start(prompts.model)

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.prompts.counter

    def score(self, queries: Sequence[Score]) -> Iterator[Scored]:
        """Values of the target tokens of each query, batch by batch."""
        yield from self.prompts.run(queries, self._score_batch)

    def _score_batch(self, queries: list[Score]) -> Float[Tensor, "b t"]:
        starts = [self._start if query.start is None else query.start for query in queries]
        rows = [[start, *query.continuation] for start, query in zip(starts, queries, strict=True)]
        answers = pad(rows, self.prompts.padding).to(self.prompts.device)
        self.counter.add(answers.numel(), forwards=0)
        inputs = self.prompts.inputs([query.input for query in queries])
        logits = self.prompts.model(**inputs, decoder_input_ids=answers).logits.float()
        return self.mode(logits, pad([query.target for query in queries]).to(logits.device)).float().cpu()


class Seq2SeqGenerator:
    """Generates with an encoder-decoder by `model.generate`, prompts of similar length together.

    Args:
        prompts: batches prompts for the encoder; one at a time where responses are sampled, since these share a generator.
        decoding: how tokens are chosen.
    """

    def __init__(self, prompts: WholePrompts, decoding: Decoding):
        self.prompts, self.decoding = prompts, decoding

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.prompts.counter

    def generate(self, queries: Sequence[Generate]) -> Iterator[tuple[list[int], Generated]]:
        """Responses, batch by batch."""
        yield from self.prompts.run(queries, self._generate_batch)

    def _generate_batch(self, queries: list[Generate]) -> Generated:
        with seeded(self.decoding, queries[0], self.prompts.device):
            inputs = self.prompts.inputs([query.input for query in queries])
            ids, start = generate(self.prompts.model, {**inputs, **self.decoding.arguments})
        new = ids[:, start:]
        self.counter.add(new.numel(), forwards=new.shape[1])
        return Generated(without_ending(new, self.decoding), [()] * len(queries), tuple(ids[0, :start].tolist()))


def decoder_start(model: Any) -> int:
    """The token that an encoder-decoder's answers begin with.

    Raises:
        ValueError: where the model's settings name none.
    """
    for config in (model.config, model.generation_config):
        start = getattr(config, "decoder_start_token_id", None)
        if start is not None:
            return int(start)
    raise ValueError("The model's config has no decoder_start_token_id, so its decoder cannot be started.")
