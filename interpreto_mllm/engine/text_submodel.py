"""The part of a model that responds in text."""

from __future__ import annotations

from typing import Any

from torch import nn


def text_submodel(model: Any) -> Any:
    """The model itself, or of one that responds in speech the part that writes the words, such as Qwen2.5-Omni's thinker.

    Raises:
        TypeError: for a model that responds in sounds or images and writes no text that could be explained.
    """
    answers = getattr(model, "output_modalities", ("text",))
    thinker = getattr(model, "thinker", None)
    if "audio" in answers and isinstance(thinker, nn.Module):
        return thinker
    if "audio" in answers or "text" not in answers:
        raise TypeError(
            f"{type(model).__name__} answers in {' and '.join(answers)}, and no part of it is known to write the answer down: "
            "give a model, or the part of this one, that answers in text."
        )
    return model
