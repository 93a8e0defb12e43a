"""A similarity game of a tiny model, and the cosine of two vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from support.zoo import build, byte_bpe

from interpreto_mllm import Attribution, ExactShapley, ResponseSimilarity

PROMPT = "the sky is blue"
SHORT = {"max_new_tokens": 4}
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def play(family: str = "llama", prompt: Any = PROMPT, target: Any = None, mode: Any = None, **options: Any) -> Attribution:
    model, tokenizer = build(family), byte_bpe()
    mode = ResponseSimilarity(generate=SHORT) if mode is None else mode
    [result] = ExactShapley(model, tokenizer, inference_mode=mode, progress=False, **options)(prompt, target)
    return result


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt(a @ a * (b @ b)))
