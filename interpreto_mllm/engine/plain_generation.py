"""Generating by `model.generate`, for settings and models that no faster way serves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.batch_trial import BatchTrial
from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.decoding_state import visible_entries
from interpreto_mllm.engine.queries import END_PADDING, Generate, Generated, pad
from interpreto_mllm.engine.runner import CausalRunner
from interpreto_mllm.engine.signature import unwrapped

_GENERATOR = RLock()

STEPS, COMPARED = 2, 8
"""Tokens that are generated in a trial of batches, and logits that are compared for each."""


class PlainGenerator:
    """Generates with a causal language model by `model.generate`, prompts of equal lengths together.

    Sampled responses, which share torch's generator, and those of a runner that shares no prefixes are generated one by one.

    Args:
        runner: of the model.
        decoding: how tokens are chosen.
    """

    def __init__(self, runner: CausalRunner, decoding: Decoding):
        self.runner, self.decoding = runner, decoding

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.runner.counter

    def generate(self, queries: Sequence[Generate]) -> Iterator[tuple[list[int], Generated]]:
        """Responses, batch by batch."""
        alone = self.decoding.sampled or not self.runner.shares_prefixes
        same_size: dict[Any, list[int]] = {}
        for index, query in enumerate(queries):
            sizes = tuple(state.size for state in query.input.media)
            same_size.setdefault((index if alone else len(query.input.ids), sizes), []).append(index)
        batches = Batches(self.runner.batches.size)
        for (_, sizes), group in same_size.items():
            if len(group) > 1:
                rows = [queries[index] for index in group]
                BatchTrial(self.runner.model, ("generate", sizes), batches, self.counter, lambda _: 0, self._first_logits)(rows)
            yield from batches.run(group, lambda batch: self.generate_batch([queries[index] for index in batch]))

    def generate_batch(self, queries: Sequence[Generate]) -> Generated:
        """The responses to prompts of equal lengths."""
        with seeded(self.decoding, queries[0], self.runner.device):
            whole = self._generated(queries, self.decoding.arguments)
        length = len(queries[0].input.ids)
        new = whole[:, length:]
        self.counter.add(len(queries) * length + new.numel(), forwards=new.shape[1])
        return Generated(without_ending(new, self.decoding), [()] * len(queries))

    def _first_logits(self, queries: Sequence[Generate]) -> Float[Tensor, "b k"]:
        """The greatest logits of the first tokens of greedy responses, by which a batch is compared with rows alone."""
        steps = {"max_new_tokens": STEPS, "min_new_tokens": STEPS, "do_sample": False, "num_beams": 1}
        asked = {
            "output_logits": True,
            "return_dict_in_generate": True,
            "pad_token_id": self.decoding.arguments["pad_token_id"],
        }
        logits = torch.stack(self._generated(queries, {**steps, **asked}).logits, dim=1).float()
        return rearrange(logits.topk(min(COMPARED, logits.shape[-1])).values, "b step k -> b (step k)").cpu()

    def _generated(self, queries: Sequence[Generate], arguments: Mapping[str, Any]) -> Any:
        """What `generate` gives for prompts of equal lengths."""
        runner = self.runner
        ids = pad([torch.from_numpy(query.input.ids) for query in queries]).to(runner.device)
        seen = visible_entries([query.input for query in queries]).long().to(runner.device)
        given: dict[str, Tensor] = {}
        if runner.takes_positions and not (seen.all() and all(query.input.positions is None for query in queries)):
            given["position_ids"] = torch.from_numpy(np.stack([query.input.places() for query in queries])).to(runner.device)
        given |= runner.inputs.for_generate(queries, ids)
        return runner.model.generate(input_ids=ids, attention_mask=seen, **given, **arguments)


def without_ending(ids: Int[Tensor, "b _"], decoding: Decoding) -> Int[Tensor, "b limit"]:
    """What `generate` gave, on the CPU and as wide as responses can be, with `END_PADDING` from each row's end on."""
    ids = ids.cpu()
    over = torch.isin(ids, torch.tensor(decoding.endings, dtype=torch.int64)).cumsum(1) > 0
    responses = torch.full((len(ids), max(decoding.limit, ids.shape[1])), END_PADDING)
    responses[:, : ids.shape[1]] = ids.masked_fill(over, END_PADDING)
    return responses


@contextmanager
def seeded(decoding: Decoding, query: Generate, device: torch.device) -> Iterator[None]:
    """Within, torch's own generator, from which `generate` draws, is seeded by the query; afterwards it is as it was."""
    if not decoding.sampled:
        yield
        return
    with seeded_by(int(decoding.uniforms(query)[0] * 2**53), device):
        yield


@contextmanager
def seeded_by(seed: int, device: torch.device) -> Iterator[None]:
    """Within, torch's own generator is seeded; afterwards it is as it was. One thread at a time: all share that generator."""
    with _GENERATOR, torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def generate(model: Any, arguments: Mapping[str, Any]) -> tuple[Int[Tensor, "b l"], int]:
    """The sequences of `model.generate`, and how many tokens each of them was given to start with.

    A decoder starts with a prompt, or with its start token and what comes after that: a language, a task, a forced beginning.
    """
    from transformers import LogitsProcessor, LogitsProcessorList

    class FirstStep(LogitsProcessor):
        """Remembers how many tokens there are before the first is generated."""

        length: int | None = None

        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            self.length = input_ids.shape[1] if self.length is None else self.length
            return scores

    first = FirstStep()
    processors = LogitsProcessorList([first, *(arguments.get("logits_processor") or ())])
    given = {**arguments, "logits_processor": processors, "return_dict_in_generate": True}
    if "force_unique_generate_call" in inspect.signature(unwrapped(model).generate).parameters:
        given["force_unique_generate_call"] = True  # Whisper's, which else leaves out the tokens that it starts with
    return model.generate(**given).sequences, first.length or 0
