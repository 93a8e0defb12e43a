"""Reading prompts and then generated tokens, row by row side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.cache import CacheRow, cached_length
from interpreto_mllm.engine.decoding_state import DecodingRows, visible_entries
from interpreto_mllm.engine.queries import Row, pad
from interpreto_mllm.engine.ragged_cache import join_left_padded, join_right_padded
from interpreto_mllm.engine.runner import CausalRunner


class RowDecoder:
    """Puts rows side by side in one cache and lets them read on together, with positions of their own.

    Args:
        runner: runs the model.
    """

    def __init__(self, runner: CausalRunner):
        self.runner = runner

    def begin(self, rows: Sequence[Row], cached: Sequence[CacheRow | None], any_length: bool) -> DecodingRows:
        """Read the prompts and put the rows side by side.

        Args:
            rows: the prompts.
            cached: for each the cache of a prefix that it goes on from.
            any_length: whether prompts of different lengths may be read together.
        """
        same_lengths: dict[tuple[int, int], list[int]] = {}
        for index, (row, cache) in enumerate(zip(rows, cached, strict=True)):
            length = 0 if any_length else len(row.input.ids)
            same_lengths.setdefault((cached_length(cache), length), []).append(index)
        logits: list[Tensor] = []
        ends: dict[int, CacheRow] = {}
        for (start, _), group in same_lengths.items():
            last, cache = self._read([rows[index] for index in group], [cached[index] for index in group], start)
            logits.append(last)
            ends |= {index: CacheRow(cache, place, len(rows[index].input.ids)) for place, index in enumerate(group)}
        order = torch.tensor([*ends]).argsort()
        joined = (join_right_padded if any_length else join_left_padded)([ends[index] for index in range(len(rows))])
        seen = visible_entries([row.input for row in rows], padding_right=any_length).to(self.runner.device)
        ordered = torch.cat(logits)
        return DecodingRows(ordered[order.to(ordered.device)], joined, seen, self.runner.inputs.next_positions(rows))

    def _read(self, rows: Sequence[Row], cached: Sequence[CacheRow | None], start: int) -> tuple[Float[Tensor, "b v"], Any]:
        """The logits after each prompt, and the cache of all of them."""
        lasts = torch.tensor([len(row.input.ids) - 1 - start for row in rows])
        kept = lasts.unique()
        ids = pad([torch.from_numpy(row.input.ids[start:]) for row in rows])
        output = self.runner.forward(rows, ids, cached, kept, keep_cache=True)
        at = torch.searchsorted(kept, lasts) if self.runner.keeps_logits else lasts + output.logits.shape[1] - ids.shape[1]
        every = torch.arange(len(rows), device=output.logits.device)
        return output.logits[every, at.to(output.logits.device)], output[self.runner.cache_name]

    def read_on(self, rows: DecodingRows, tokens: Int[Tensor, "b l"]) -> tuple[DecodingRows, Float[Tensor, "b l v"]]:
        """Every row some tokens further, and the logits after each of these."""
        runner = self.runner
        seen = torch.nn.functional.pad(rows.seen, (0, tokens.shape[1]), value=True)
        arguments: dict[str, Any] = {"input_ids": tokens, "use_cache": True, str(runner.cache_name): rows.cache}
        if runner.takes_positions:
            steps = torch.arange(tokens.shape[1], device=runner.device)
            arguments["position_ids"] = rows.next_positions[..., None] + steps
        if not seen.all():
            arguments["attention_mask"] = seen.long()
        runner.counter.add(tokens.numel())
        output = runner.model(**arguments)
        further = DecodingRows(output.logits[:, -1], output[runner.cache_name], seen, rows.next_positions + tokens.shape[1])
        return further, output.logits
