"""Models whose images are more than tokens of the prompt: their processors make further inputs of text and images together."""

from __future__ import annotations

from typing import Any

from interpreto_mllm.engine.signature import forward_parameters
from interpreto_mllm.prompts.processing import TYPES, Processing

KNOWN = {"qformer_input_ids", "cross_attention_mask"}
"""Arguments of InstructBLIP and Mllama that are made of the whole text, which an image by itself does not have."""


def made_of_both(model: Any, processing: Processing) -> str | None:
    """An argument of the model that its processor makes of a text and its images together; None where there is none.

    Tried on a blank image and two texts: what has other sizes for them, besides the tokens, an image alone does not decide.
    """
    if not processing.modalities:
        return None
    taken = forward_parameters(model)
    if known := sorted(KNOWN & taken):
        return known[0]
    if "image" not in processing.modalities or not processing.soft_ids:
        return None
    from PIL import Image

    shapes = []
    for words in ("a", "a b c d e f"):
        try:
            text, images = f"{processing.placeholder('image')}{words}", [Image.new("RGB", (32, 32))]
            made = dict(processing.processor(text=[text], images=[images], return_tensors="pt"))
        except Exception:  # a processor may refuse a blank image in any way it likes
            return None
        shapes.append({name: tuple(tensor.shape) for name, tensor in made.items() if hasattr(tensor, "shape")})
    short, long = shapes
    of_tokens = {"input_ids", "attention_mask", "labels", *TYPES}
    return next((name for name in sorted(taken - of_tokens) if short.get(name) != long.get(name)), None)
