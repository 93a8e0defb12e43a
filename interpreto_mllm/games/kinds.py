"""Kinds of model: what each is asked, how its targets are read, and which engine scores it."""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.encoder import ClassifierEngine, Seq2SeqEngine
from interpreto_mllm.engine.multimodal import MultimodalEngine
from interpreto_mllm.engine.packed import PackedEngine
from interpreto_mllm.engine.query import Engine, Mode
from interpreto_mllm.games.borrowed import borrowed
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.modes import InferenceModes
from interpreto_mllm.games.targets import Answer, is_ids
from interpreto_mllm.prompts.occlusion import Attend, Drop, Occlusion, Reading, Replace
from interpreto_mllm.prompts.processing import TYPES, Processing
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.prompts.tokens import Tokens, special_mask

CLASSIFIERS = ("ForSequenceClassification", "ForImageClassification", "ForAudioClassification")
"""How the names of classifiers end."""


class ModelKind(ABC):
    """What the explainer must know of a kind of model.

    `unit` names what its targets are made of, `ids_are_one` tells whether a list of ints is a single target, `tells_positions`
    whether the engine tells the model which positions are read; `draws` is how often a coalition is asked, and `answer_tokens`
    the most that is said to it.
    """

    unit = "token"
    ids_are_one = True
    tells_positions = False
    draws = 1
    answer_tokens = 0

    def __init__(self, model: Any, processing: Processing):
        self.model, self.processing, self.tokenizer = model, processing, processing.tokenizer

    def default_occlusion(self) -> Occlusion:
        """How a part is taken out when the caller does not say."""
        return Drop()

    @abstractmethod
    def engine(self, mode: Mode, batch_size: int, share_prefixes: bool) -> Engine:
        """The engine that scores this kind of model."""

    @abstractmethod
    def answer(self, target: Any, text: str, reading: Reading) -> Answer:
        """A target as ids, given the prompt that it answers; a ValueError or TypeError tells what is accepted."""

    @abstractmethod
    def own_answer(self, reading: Reading, generate: Mapping[str, Any]) -> Answer:
        """What the model itself answers to the whole prompt."""

    def read_tokens(self, reading: Reading) -> int:
        """Tokens in a reading."""
        return len(reading.ids)

    def room(self) -> int | None:
        """How many positions the model can read, if it has a limit."""
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return int(limit) if isinstance(limit, int) and limit > 0 else None

    def length(self, reading: Reading, answer: Answer) -> int:
        """Positions that a reading and an answer take together."""
        return len(reading.ids) + len(answer.ids)

    def check_occlusion(self, occlusion: Occlusion) -> None:
        """Raise a ValueError where this model cannot play with the occlusion."""
        if not (self.processing.reads_text or isinstance(occlusion, Drop)):
            raise ValueError(
                "This model reads no text, and `occlusion` is of texts: use image_occlusion or audio_occlusion instead."
            )
        if isinstance(occlusion, Attend) and self._counts_by_mask():
            raise ValueError(
                f"{type(self.model).__name__} counts positions by the attention mask, so what Attend() masks would close up "
                "instead of keeping its place: use Drop() or Replace(...)."
            )

    def _counts_by_mask(self) -> bool:
        """Whether a masked token takes no position: under ALiBi of BLOOM and Falcon, in OPT unless it is told positions."""
        names = {type(part).__module__ for part in self.model.modules()}
        families = [sys.modules[name] for name in names if name.startswith("transformers")]
        alibi = any(hasattr(family, "build_alibi_tensor") for family in families) and getattr(self.model.config, "alibi", True)
        counted = any("cumsum(attention_mask" in inspect.getsource(family) for family in families)
        return bool(alibi) or (counted and not self.tells_positions)

    def check_tokenizer(self) -> None:
        """Raise a TypeError or ValueError where the tokenizer is not the model's."""
        tokenizer = self.tokenizer
        if tokenizer is None:
            if not self.processing.modalities:
                given = type(self.processing.processor).__name__
                raise TypeError(f"tokenizer must be the model's tokenizer, or its processor; got {given}.")
            return
        known, vocabulary = len(tokenizer), self.model.get_input_embeddings().weight.shape[0]
        if known - sum(soft >= vocabulary for soft in self.processing.soft_ids.values()) > vocabulary:
            raise ValueError(
                f"The tokenizer has {known} tokens but the model's embedding only {vocabulary}: it is not this model's "
                "tokenizer. (If you added tokens, resize the model's embedding.)"
            )
        for config in (self.model.config, getattr(self.model, "generation_config", None)):
            ends = getattr(config, "eos_token_id", None)
            for end in ends if isinstance(ends, (list, tuple)) else [ends]:
                if end is not None and known <= end < vocabulary and end not in tokenizer.all_special_ids:
                    raise ValueError(
                        f"The model ends its answers with token id {end}, which the tokenizer ({known} tokens) does not "
                        "have: it is not this model's tokenizer."
                    )

    def check_ids(self, reading: Reading) -> None:
        """Raise a ValueError where the model does not have these ids."""
        written = reading.ids[~np.isin(reading.ids, list(self.processing.soft_ids.values()))]
        if not len(written):
            return
        vocabulary = len(self.model.get_input_embeddings().weight)
        if int(written.max()) >= vocabulary:
            raise ValueError(f"The prompt has token id {int(written.max())}, the model's ids lie in [0, {vocabulary}).")

    def reader(self, *parts: Any) -> PromptReader:
        """What reads inputs, from the parts of `PromptReader` after the processing."""
        return PromptReader(self.processing, *parts)

    def lent(self) -> AbstractContextManager[None]:
        """While it is used, the model is borrowed."""
        return borrowed(self.model, self.tokenizer)

    def game(self, prompt: Prompt, *parts: Any) -> ModelGame:
        """The game of a prompt, from the parts of `ModelGame`."""
        return ModelGame(prompt, *parts)

    def forget(self) -> None:
        """Begin anew: nothing of an earlier call is remembered."""


class GeneratingKind(ModelKind):
    """Models that answer in tokens."""

    def _ids(self, target: Any) -> list[int]:
        values = target.tolist() if hasattr(target, "tolist") else list(target)
        vocabulary = self.model.get_input_embeddings().weight.shape[0]
        wrong = [value for value in values if not 0 <= value < vocabulary]
        if wrong:
            raise ValueError(f"Target id {wrong[0]} is out of range: the model's ids lie in [0, {vocabulary}).")
        return values

    def _answer(self, ids: list[int], scored: list[int]) -> Answer:
        if not scored:
            raise ValueError(
                "The target is empty: give a text or ids with at least one token, or None to let the model answer."
            )
        texts = _token_texts([ids[index] for index in scored], self.tokenizer)
        return Answer(tuple(ids), tuple(scored), tuple(texts))

    @abstractmethod
    def spoken(self, ids: list[int]) -> Answer:
        """What the model has said, special tokens included, as a target; a ValueError where there is nothing in it."""

    def _generate(self, reading: Reading, generate: Mapping[str, Any]) -> list[int]:
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


class CausalKind(GeneratingKind):
    """Decoder-only language models. An absent part is dropped by default, as if it had not been written."""

    tells_positions = True

    def engine(self, mode: Mode, batch_size: int, share_prefixes: bool) -> Engine:
        if self.processing.modalities:
            return MultimodalEngine(self.model, mode, batch_size, share_prefixes, processing=self.processing)
        return PackedEngine(self.model, mode, batch_size, share_prefixes)

    def answer(self, target: Any, text: str, reading: Reading) -> Answer:
        if is_ids(target):
            ids = self._ids(target)
        elif isinstance(target, str):
            ids = self._continuation(target, text, reading)
        else:
            raise TypeError(f"A target of a language model is a text, token ids, a Contrast or None; got {target!r}.")
        return self._answer(ids, list(range(len(ids))))

    def own_answer(self, reading: Reading, generate: Mapping[str, Any]) -> Answer:
        return self.spoken(self._generate(reading, generate)[len(reading.ids) :])

    def spoken(self, ids: list[int]) -> Answer:
        ids = self._without_ending(ids)
        return self._answer(ids, list(range(len(ids))))

    def check_occlusion(self, occlusion: Occlusion) -> None:
        super().check_occlusion(occlusion)
        config = self.model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ())
        recurrent = bool(kinds - {"full_attention", "sliding_attention", "chunked_attention"})
        stateful = getattr(self.model, "_is_stateful", False)
        if isinstance(occlusion, Attend) and (recurrent or stateful):
            raise ValueError(
                f"{type(self.model).__name__} has layers without attention, which read a token whatever the attention mask "
                "says: use Drop() or Replace(...)."
            )

    def _continuation(self, target: str, text: str, reading: Reading) -> list[int]:
        """The target's ids as they continue the prompt: tokenised with it where that leaves the prompt's ids as they are."""
        for special in (False, True):
            joint = Tokens.of_text(text + target, self.tokenizer, add_special_tokens=special).ids
            if len(joint) > len(reading.ids) and (joint[: len(reading.ids)] == reading.ids).all():
                tail = joint[len(reading.ids) :].tolist()
                if not special_mask(tail, self.tokenizer).any():
                    return tail
        return self.tokenizer.encode(target, add_special_tokens=False)


class Seq2SeqKind(GeneratingKind):
    """Encoder-decoders. The encoder reads the prompt, absent parts dropped by default; the decoder is fed the answer."""

    def engine(self, mode: Mode, batch_size: int, share_prefixes: bool) -> Engine:
        return Seq2SeqEngine(self.model, self.processing, mode, batch_size)

    def answer(self, target: Any, text: str, reading: Reading) -> Answer:
        if is_ids(target):
            ids = self._ids(target)
            return self._answer(ids, list(range(len(ids))))
        if not isinstance(target, str):
            raise TypeError(f"A target of an encoder-decoder is a text, token ids, a Contrast or None; got {target!r}.")
        return self.spoken(list(self.tokenizer(text_target=target)["input_ids"]))

    def own_answer(self, reading: Reading, generate: Mapping[str, Any]) -> Answer:
        return self.spoken(self._generate(reading, generate)[1:])

    def length(self, reading: Reading, answer: Answer) -> int:
        return max(len(reading.ids), len(answer.ids))

    def spoken(self, ids: list[int]) -> Answer:
        """The special tokens that the model was trained to say around an answer are read, not scored."""
        if ids and ids[0] == self.model.generation_config.decoder_start_token_id:
            ids = ids[1:]
        special = special_mask(ids, self.tokenizer)
        scored = [index for index in range(len(ids)) if not special[index]]
        return self._answer(ids[: scored[-1] + 1] if scored else [], scored)


class ClassifierKind(ModelKind):
    """Sequence classifiers. An absent part is replaced by the mask token where there is one, else dropped, by default."""

    unit = "class"
    ids_are_one = False

    def default_occlusion(self) -> Occlusion:
        return Drop() if getattr(self.tokenizer, "mask_token_id", None) is None else Replace()

    def engine(self, mode: Mode, batch_size: int, share_prefixes: bool) -> Engine:
        if self.model.config.num_labels == 1 and mode in (InferenceModes.SOFTMAX, InferenceModes.LOG_SOFTMAX):
            raise ValueError(
                "This model gives one number, whose probability is always 1: use inference_mode=InferenceModes.LOGITS."
            )
        return ClassifierEngine(self.model, self.processing, mode, batch_size)

    def answer(self, target: Any, text: str, reading: Reading) -> Answer:
        names = {int(index): str(name) for index, name in self.model.config.id2label.items()}
        target = target.item() if hasattr(target, "item") else target
        if isinstance(target, str):
            index = next((index for index, name in names.items() if name == target), None)
            if index is None:
                raise ValueError(f"There is no class named {target!r}; the model's classes are {list(names.values())}.")
        elif isinstance(target, int) and not isinstance(target, bool):
            index = target
        else:
            raise TypeError(f"A target of a classifier is a class index, a class name, a Contrast or None; got {target!r}.")
        if not 0 <= index < self.model.config.num_labels:
            raise ValueError(f"Class {index} is out of range: the model has {self.model.config.num_labels} classes, from 0.")
        return Answer((index,), (0,), (names.get(index, str(index)),))

    def own_answer(self, reading: Reading, generate: Mapping[str, Any]) -> Answer:
        inputs = ClassifierEngine(self.model, self.processing, InferenceModes.LOGITS, 1).inputs([reading])
        return self.answer(int(self.model(**inputs).logits[0].argmax()), "", reading)

    def length(self, reading: Reading, answer: Answer) -> int:
        return len(reading.ids)


def model_kind(model: Any, processing: Processing) -> ModelKind:
    """The kind of a transformers model.

    Raises:
        TypeError: for a model that neither generates nor classifies.
    """
    name = type(model).__name__
    if not hasattr(model, "config") or not callable(getattr(model, "get_input_embeddings", None)):
        raise TypeError(f"model must be a transformers model; got {name}.")
    if name.endswith(CLASSIFIERS):
        return ClassifierKind(model, processing)
    if getattr(model.config, "is_encoder_decoder", False):
        return Seq2SeqKind(model, processing)
    if model.get_output_embeddings() is not None and model.can_generate():
        return CausalKind(model, processing)
    raise TypeError(f"{name} neither generates text nor classifies; load it with an AutoModelFor… class that does.")


def _token_texts(ids: list[int], tokenizer: Any) -> list[str]:
    """The text that each token adds to those before it."""
    texts, before = [], ""
    for end in range(1, len(ids) + 1):
        now = str(tokenizer.decode(ids[:end], clean_up_tokenization_spaces=False))
        texts.append(now[len(before) :] if now.startswith(before) else str(tokenizer.decode(ids[end - 1 : end])))
        before = now
    return texts
