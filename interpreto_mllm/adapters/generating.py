"""What the adapters of models that answer in tokens have in common."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.engine.device import input_device
from interpreto_mllm.games.targets import TokenTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.processing import TYPES
from interpreto_mllm.prompts.tokens import special_mask


class GeneratingAdapter(ModelAdapter):
    """Models that answer in tokens."""

    def _ids(self, target: Any) -> list[int]:
        values = target.tolist() if hasattr(target, "tolist") else list(target)
        vocabulary = self.model.get_input_embeddings().weight.shape[0]
        wrong = [value for value in values if not 0 <= value < vocabulary]
        if wrong:
            raise ValueError(f"Target id {wrong[0]} is out of range: the model's ids lie in [0, {vocabulary}).")
        return values

    def _answer(self, ids: list[int], scored: list[int]) -> TokenTarget:
        if not scored:
            raise ValueError(
                "The target is empty: give a text or ids with at least one token, or None to let the model answer."
            )
        texts = _token_texts([ids[index] for index in scored], self.tokenizer)
        return TokenTarget(tuple(ids), tuple(scored), tuple(texts))

    @abstractmethod
    def answer(self, target: Any, text: str, reading: ModelInput) -> TokenTarget: ...

    @abstractmethod
    def spoken(self, ids: list[int]) -> TokenTarget:
        """What the model has said, special tokens included, as a target; a ValueError where there is nothing in it."""

    def _generate(self, reading: ModelInput, generate: Mapping[str, Any]) -> list[int]:
        """Ids that follow the prompt under greedy decoding, overridable by `generate`."""
        device = input_device(self.model)
        given: dict[str, Any] = {}
        if len(reading.ids):
            ids = torch.from_numpy(reading.ids)[None].to(device)
            given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if reading.media:
            given |= self.processing.media([reading.media])
            name = next((name for name in TYPES if name in inspect.signature(self.model.forward).parameters), None)
            if name and reading.segments is not None:
                given[name] = torch.from_numpy(reading.segments)[None].to(device)
        limit = getattr(self.model.generation_config, "max_new_tokens", None) or 32
        padding = self.tokenizer.pad_token_id
        if padding is None:
            padding = self.tokenizer.eos_token_id if self.tokenizer.eos_token_id is not None else 0
        arguments = {"do_sample": False, "max_new_tokens": limit, "pad_token_id": padding, **generate}
        arguments["return_dict_in_generate"] = True
        if "force_unique_generate_call" in inspect.signature(self.model.generate).parameters:
            arguments["force_unique_generate_call"] = True  # Whisper's, else it keeps to itself what it began to say with
        return self.model.generate(**given, **arguments).sequences[0].tolist()

    def _without_ending(self, ids: list[int]) -> list[int]:
        special = special_mask(ids, self.tokenizer)
        while ids and special[len(ids) - 1]:
            ids = ids[:-1]
        if not ids:
            raise ValueError("The model answered nothing to this prompt: give a target to explain.")
        return ids


def _token_texts(ids: list[int], tokenizer: Any) -> list[str]:
    """The text that each token adds to those before it."""
    texts, before = [], ""
    for end in range(1, len(ids) + 1):
        now = str(tokenizer.decode(ids[:end], clean_up_tokenization_spaces=False))
        texts.append(now[len(before) :] if now.startswith(before) else str(tokenizer.decode(ids[end - 1 : end])))
        before = now
    return texts
