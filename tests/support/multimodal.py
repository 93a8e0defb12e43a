"""Prompts with images and clips, and what they are worth to a family: shared by the tests of several rooms."""

from __future__ import annotations

from typing import Any

import torch
from support.by_hand import answered, ids_of, without_words
from support.family_parts import Family

from interpreto_mllm import KernelShap, Patches, Windows
from interpreto_mllm.games.game import ModelGame

QUESTION = "What colour is the circle ?"
ANSWER = " red square"
BOXES = [(0, 0, 16, 16), (16, 0, 32, 16), (0, 16, 16, 32), (16, 16, 32, 32)]
TIMES = [(0.0, 0.2), (0.2, 0.4), (0.4, 0.6)]
CUTS: dict[str, Any] = {"image_granularity": Patches(2, 2), "audio_granularity": Windows(200), "progress": False}
CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}
NEW_TOKENS = 5


def game(subject: Family, messages: Any, target: Any = ANSWER, **options: Any) -> ModelGame:
    """The game of a prompt on a family."""
    return KernelShap(subject.model, subject.processor, **{**CUTS, **options}).game(messages, target)


def drawn(n: int, count: int = 6, seed: int = 0) -> torch.Tensor:
    """The empty coalition, the full one, and some others."""
    some = torch.rand(count, n, generator=torch.Generator().manual_seed(seed)) < 0.6
    return torch.cat([torch.tensor([[False] * n, [True] * n]), some])


def text(said: str) -> dict[str, str]:
    """A part of a message."""
    return {"type": "text", "text": said}


def user(*content: dict[str, Any]) -> dict[str, Any]:
    """A message of the user's."""
    return {"role": "user", "content": list(content)}


def whole(subject: Family, messages: list[dict]) -> torch.Tensor:
    """The value of a whole chat."""
    return answered(subject, without_words(subject, messages, []), ids_of(subject, ANSWER))


def worth(played: Any, *absent: int) -> torch.Tensor:
    """The value with these features absent."""
    coalition = torch.ones(1, played.n, dtype=torch.bool)
    coalition[0, list(absent)] = False
    return played(coalition)[0].double()


def bare(ids: list[int], tokenizer: Any) -> tuple[int, ...]:
    """An answer up to its end, without special tokens around it."""
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    ids = ids[: ids.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in ids else ids
    while ids and ids[-1] in special:
        ids = ids[:-1]
    while ids and ids[0] in special:
        ids = ids[1:]
    return tuple(ids)


def generated(subject: Family, encoding: dict, **generate: Any) -> tuple[int, ...]:
    """What the raw model says to an encoding."""
    arguments = {"max_new_tokens": NEW_TOKENS, "do_sample": False, "pad_token_id": 0, **generate}
    with torch.no_grad():
        said = subject.model.generate(**encoding, **arguments)[0].tolist()
    return bare(said[encoding["input_ids"].shape[1] :], subject.processor.tokenizer)
