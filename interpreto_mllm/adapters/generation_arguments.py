"""Which arguments of `generate` a model takes."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.signature import forward_parameters


def check_generation(model: Any, arguments: Mapping[str, Any]) -> None:
    """Raise a ValueError for an argument that neither the model's settings nor its `generate` or `forward` have."""
    known = {*vars(model.generation_config), *inspect.signature(model.generate).parameters, *forward_parameters(model)}
    known |= {"tokenizer", "assistant_model", "negative_prompt_ids", "streamer", "prefix_allowed_tokens_fn", "synced_gpus"}
    unknown = next((name for name in arguments if name not in known), None)
    if unknown is not None:
        near = difflib.get_close_matches(str(unknown), known, 3, 0.5)
        raise ValueError(
            f"generate has {shown(unknown)}, which {type(model).__name__} does not take{': did you mean ' if near else ''}"
            f"{' or '.join(near)}{'?' if near else '.'}"
        )
