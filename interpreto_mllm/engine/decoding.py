"""Decoding: which token comes next, and when a response ends."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.queries import Generate
from interpreto_mllm.prompts.model_input import ModelInput

SUPPORTED = {"max_new_tokens", "do_sample", "temperature", "top_k", "top_p", "min_p"}
"""Settings that `CausalGenerator` implements."""

WITHOUT_EFFECT = {
    "max_length",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "use_cache",
    "transformers_version",
}
"""Settings that change no response, or that are handled elsewhere."""

NEUTRAL = {
    **{"num_beams": 1, "num_return_sequences": 1, "num_beam_groups": 1},
    **{"repetition_penalty": 1, "encoder_repetition_penalty": 1, "length_penalty": 1, "typical_p": 1},
}
"""The values of other settings that change nothing; where one has another value, `model.generate` is used."""


@dataclass(frozen=True)
class Decoding:
    """The settings of a response, resolved once for a model.

    Args:
        arguments: of `model.generate`.
        limit: maximum number of new tokens.
        endings: ids that end a response and are no part of it.
        sampled: whether tokens are drawn; the most probable one is taken otherwise.
        plain: whether `CausalGenerator` implements every setting.
        warpers: transform the logits before a token is drawn, in order.
        seed: of the draws.
    """

    arguments: Mapping[str, Any]
    limit: int
    endings: tuple[int, ...]
    sampled: bool
    plain: bool
    warpers: tuple[Any, ...] = field(default=(), repr=False)
    seed: int = 0

    @classmethod
    def of(cls, model: Any, generate: Mapping[str, Any], padding: int, seed: int = 0) -> Decoding:
        """The model's own generation settings with these over them; greedy unless `do_sample` is given.

        Raises:
            ValueError: for settings that cannot be obeyed.
        """
        for name in ("max_length", "num_return_sequences"):
            if name in generate:
                raise ValueError(
                    f"generate={{{name!r}: …}} cannot be obeyed here: give max_new_tokens, and repeats for several answers."
                )
        limit = generate.get("max_new_tokens", getattr(model.generation_config, "max_new_tokens", None) or 32)
        if not is_whole(limit) or limit < 1:
            raise ValueError(f"max_new_tokens must be a positive int; got {shown(limit)}.")
        arguments = {"do_sample": False, "max_new_tokens": limit, "pad_token_id": padding, **generate}
        config = copy.deepcopy(model.generation_config)
        unknown = config.update(**arguments)
        endings = config.eos_token_id
        ids = () if endings is None else tuple(endings) if isinstance(endings, (list, tuple)) else (int(endings),)
        sampled = bool(arguments["do_sample"])
        plain = not unknown and not any(map(_sets_something, *zip(*config.to_dict().items(), strict=True)))
        return cls(arguments, int(limit), ids, sampled, plain, _warpers(config) if sampled else (), seed)

    def uniforms(self, query: Generate) -> Float[Tensor, "limit"]:
        """A number in [0, 1) for each new token, drawn from the seed and the query alone."""
        return torch.from_numpy(_source(self.seed, query.input, query.draw).random(self.limit))

    def choose(self, logits: Float[Tensor, "b v"], uniforms: Float[Tensor, "b"] | None) -> Int[Tensor, "b"]:
        """The next token of each row: the likeliest one, or the one that the row's uniform number falls on."""
        scores = logits.float()
        if uniforms is None:
            return scores.argmax(-1)
        for warper in self.warpers:
            scores = warper(None, scores)
        reached = scores.double().softmax(-1).cumsum(-1)
        return torch.searchsorted(reached, uniforms.to(reached.device)[:, None] * reached[:, -1:], right=True)[:, 0]


def draw_seed(seed: int, input: ModelInput) -> int:
    """A seed for torch's generator, drawn from the explainer's and the input alone."""
    return int(_source(seed, input, 0).integers(2**53))


def _source(seed: int, input: ModelInput, draw: int) -> np.random.Generator:
    digest = hashlib.blake2b(input.key, digest_size=16).digest()
    return np.random.default_rng([seed, draw, *np.frombuffer(digest, dtype=np.uint32).tolist()])


def _sets_something(name: str, value: Any) -> bool:
    if name.startswith(("_", "output_", "return_dict")) or name in SUPPORTED | WITHOUT_EFFECT:
        return False
    return not (value is None or value is False or value == 0 or value == [] or NEUTRAL.get(name) == value)


def _warpers(config: Any) -> tuple[Any, ...]:
    """Those of transformers, in its order; top_k is 50 unless set, as it is there."""
    from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    top_k = 50 if config.top_k is None else config.top_k
    chosen = [
        TemperatureLogitsWarper(float(config.temperature)) if config.temperature not in (None, 1.0) else None,
        TopKLogitsWarper(top_k) if top_k else None,
        TopPLogitsWarper(config.top_p) if config.top_p is not None and config.top_p < 1 else None,
        MinPLogitsWarper(config.min_p) if config.min_p else None,
    ]
    return tuple(warper for warper in chosen if warper is not None)
