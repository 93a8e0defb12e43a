"""Whether prompts have the same values with images and clips encoded by themselves as plainly: tried on the first use."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.prompts.model_input import ModelInput

logger = logging.getLogger(__name__)


class MergingCheck:
    """Whether a model can be given encodings of images and clips; tried on the first prompt of each kind.

    Args:
        model: for the log.
        enabled: False where it must not.
        agrees: whether two tensors are equal up to rounding; logs where not.
    """

    def __init__(self, model: Any, enabled: bool, agrees: Callable[[Tensor, Tensor, str], bool]):
        self.model, self.enabled, self._agrees = model, enabled, agrees
        self._exact: dict[tuple[str, ...], bool] = {}

    def __call__(
        self, input: ModelInput, plain: Callable[[], Float[Tensor, "..."]], merging: Callable[[], Float[Tensor, "..."]]
    ) -> bool:
        """Whether prompts with as many images and clips as this one have the same values with encodings as plainly.

        Args:
            input: a prompt.
            plain: computes its values by one call of the processor and one forward of the model.
            merging: computes them from encodings.
        """
        if not input.media:
            return True
        kind = tuple(state.medium.modality for state in input.media)
        if kind not in self._exact:
            self._exact[kind] = self.enabled and self._try(plain(), merging)
        return self._exact[kind]

    def _try(self, plain: Float[Tensor, "..."], merging: Callable[[], Float[Tensor, "..."]]) -> bool:
        try:
            values = merging()
        except Exception as error:  # a model may refuse embeddings in any way it likes
            name = type(self.model).__name__
            logger.info("%s cannot be given encoded media (%s): using plain forwards.", name, error)
            return False
        return self._agrees(values, plain, "takes encoded media")
