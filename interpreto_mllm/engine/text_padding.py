"""Texts filled up to one length, for models that read the padding because they were trained with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from interpreto_mllm.prompts.model_input import ModelInput


@dataclass(frozen=True)
class TextPadding:
    """How a tokenizer fills up texts.

    Args:
        length: of every text.
        token: the id that fills up.
        left: whether it stands before the text.
        masked: whether the model is given a mask of it.
    """

    length: int
    token: int
    left: bool = False
    masked: bool = False

    def inputs(self, inputs: Sequence[ModelInput]) -> dict[str, Int[Tensor, "b l"]]:
        """The ids of these inputs, and their mask where the model is given one.

        Example:
            >>> import numpy as np
            >>> TextPadding(4, token=9).inputs([ModelInput(np.array([5, 6]))])["input_ids"].tolist()
            [[5, 6, 9, 9]]
        """
        ids = torch.full((len(inputs), self.length), self.token)
        mask = torch.zeros_like(ids)
        for row, input in enumerate(inputs):
            start = self.length - len(input.ids) if self.left else 0
            ids[row, start : start + len(input.ids)] = torch.from_numpy(input.ids)
            mask[row, start : start + len(input.ids)] = 1 if input.seen is None else torch.from_numpy(input.seen)
        return {"input_ids": ids, "attention_mask": mask} if self.masked else {"input_ids": ids}
