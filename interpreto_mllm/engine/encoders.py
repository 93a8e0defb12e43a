"""Scoring under models that read the whole prompt first: classifiers and encoder-decoders."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.findings import Longest, finding
from interpreto_mllm.engine.plain_generation import generate, seeded, without_ending
from interpreto_mllm.engine.prompt_trials import try_batches, try_masks
from interpreto_mllm.engine.queries import Classify, Generate, Generated, Mode, Query, Score, Scored, pad
from interpreto_mllm.engine.reading_ahead import check_reads_on, reads_ahead
from interpreto_mllm.engine.vocabulary import vocabulary_size
from interpreto_mllm.engine.whole_prompts import WholePrompts

TAIL, TAILS = 8, 5
"""Least tokens after the first one of an answer that are changed to see whether a decoder reads ahead, and in how many ways."""


class ClassifierScorer:
    """Scores classes under a classifier; all classes that are asked about an input in one forward.

    Texts whose outputs depend on the batch (tried on the first use), as where the last token is pooled and no padding token is
    known, go together by length, or one by one.

    Args:
        prompts: batches prompts for the model.
        mode: from logits and class indices to values.
        logits: of the model's output.
    """

    def __init__(self, prompts: WholePrompts, mode: Mode, logits: Callable[[Any], Float[Tensor, "b v"]] = attrgetter("logits")):
        self.prompts, self.mode, self.logits = prompts, mode, logits

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.prompts.counter

    def score(self, queries: Sequence[Classify]) -> Iterator[Scored]:
        """Values of the classes of each query, batch by batch."""
        same_input: dict[Hashable, list[int]] = {}
        for index, query in enumerate(queries):
            same_input.setdefault(query.input.key, []).append(index)
        asked = list(same_input.values())
        merged = [
            Classify(queries[group[0]].input, tuple(label for index in group for label in queries[index].classes))
            for group in asked
        ]
        try_masks(self.prompts, "classifier", merged, self._logits)
        try_batches(self.prompts, "classifier", merged, self._logits)
        for places, values in self.prompts.run(merged, self._score_batch):
            indices = [index for place in places for index in asked[place]]
            split = [
                part
                for place, row in zip(places, values, strict=True)
                for part in row[: len(merged[place].classes)].split([len(queries[index].classes) for index in asked[place]])
            ]
            yield indices, torch.nn.utils.rnn.pad_sequence(split, batch_first=True)

    def _score_batch(self, queries: list[Classify]) -> Float[Tensor, "b t"]:
        logits = self._logits(queries)
        classes = pad([query.classes for query in queries]).to(logits.device)
        return self.mode(repeat(logits, "b v -> b t v", t=classes.shape[1]), classes).float().cpu()

    def _logits(self, queries: Sequence[Classify]) -> Float[Tensor, "b v"]:
        return self.logits(self.prompts.model(**self.prompts.inputs([query.input for query in queries]))).float()


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
        """Values of the target tokens of each query, batch by batch.

        Raises:
            ValueError: for a model whose decoder reads an answer's later tokens before it predicts the earlier ones.
        """
        if queries:
            self._check_ahead(max(queries, key=lambda query: query.length))
            first = first_logits(self.prompts, self._start)
            try_masks(self.prompts, "encoder-decoder", queries, first)
            try_batches(self.prompts, "encoder-decoder", queries, first)
        yield from self.prompts.run(queries, self._score_batch)

    def _score_batch(self, queries: list[Score]) -> Float[Tensor, "b t"]:
        logits = self._logits(queries)
        return self.mode(logits, pad([query.target for query in queries]).to(logits.device)).float().cpu()

    def _logits(self, queries: Sequence[Score]) -> Float[Tensor, "b t v"]:
        starts = [self._start if query.start is None else query.start for query in queries]
        rows = [[start, *query.continuation] for start, query in zip(starts, queries, strict=True)]
        answers = pad(rows, self.prompts.padding).to(self.prompts.device)
        self.counter.add(answers.numel(), forwards=0)
        inputs = self.prompts.inputs([query.input for query in queries])
        return self.prompts.model(**inputs, decoder_input_ids=answers).logits.float()

    def _check_ahead(self, query: Score) -> None:
        """See that the answer's later tokens do not change the predictions before them; longer ones are tried again."""
        model = self.prompts.model
        known = finding(model, "decoder reads ahead", Longest)
        if query.length > known.length:
            check_reads_on(model, self._reads_ahead(query), len(query.input.ids))
            known.length = query.length

    def _reads_ahead(self, query: Score) -> bool:
        model = self.prompts.model
        known = list(dict.fromkeys([*query.target, *query.input.ids.tolist(), self._start]))
        if len(known) < TAILS:
            known += [token for token in range(vocabulary_size(model) or 0) if token not in known][:TAILS]
        after = range(max(TAIL, len(query.target) - 1))
        tails = [[known[(place + shift) % len(known)] for place in after] for shift in range(min(TAILS, len(known)))]
        rows = [replace(query, target=(query.target[0], *tail)) for tail in tails]
        with self.counter.trying():
            return reads_ahead(model, rows, lambda rows: self._logits(rows)[:, :2].log_softmax(-1))


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
        try_batches(self.prompts, "encoder-decoder", queries, first_logits(self.prompts, decoder_start(self.prompts.model)))
        yield from self.prompts.run(queries, self._generate_batch)

    def _generate_batch(self, queries: list[Generate]) -> Generated:
        with seeded(self.decoding, queries[0], self.prompts.device):
            inputs = self.prompts.inputs([query.input for query in queries])
            ids, start = generate(self.prompts.model, {**inputs, **self.decoding.arguments})
        new = ids[:, start:]
        self.counter.add(new.numel(), forwards=new.shape[1])
        return Generated(without_ending(new, self.decoding), [()] * len(queries), tuple(ids[0, :start].tolist()))


def first_logits(prompts: WholePrompts, start: int) -> Callable[[Sequence[Query]], Float[Tensor, "b v"]]:
    """Computes the logits of the first token of answers."""

    def logits(queries: Sequence[Query]) -> Float[Tensor, "b v"]:
        inputs = prompts.inputs([query.input for query in queries])
        begins = torch.full((len(queries), 1), start, device=prompts.device)
        return prompts.model(**inputs, decoder_input_ids=begins).logits[:, 0].float()

    return logits


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
