"""What a prompt may hold, checked before anything is asked of the model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from interpreto_mllm.chats.chat import Chat
from interpreto_mllm.chats.parts import LISTED
from interpreto_mllm.core.shown import shown
from interpreto_mllm.media.state import Medium
from interpreto_mllm.prompts.chat import RESULTS
from interpreto_mllm.prompts.mapping import MEDIA
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.tokens import Tokens

ROLES = frozenset({"system", "developer", "user", "assistant", "model", *RESULTS, *LISTED})
"""Roles that a chat may have or not; another one in `roles` is misspelt unless the chat has it."""

TRIED = 8
"""Characters per position that are tokenised first of a long text."""


def check_roles(chat: Chat, roles: Collection[str]) -> None:
    """Raise a ValueError if no message has a role to explain, or if a role is none of a chat's and not in this one.

    Example:
        >>> check_roles(Chat([{"role": "user", "content": "hello"}]), ["user", "sytem"])
        Traceback (most recent call last):
        ValueError: roles names 'sytem', which no message has; the chat has ['user'].
    """
    listed = [name for name, entries in zip(LISTED, (chat.tools, chat.documents), strict=True) if entries]
    present = {*(str(message["role"]) for message in chat.messages), *listed}
    if not present & set(roles):
        raise ValueError(f"No message has a role to explain: roles={sorted(roles)}, the chat has {sorted(present)}.")
    strange = sorted(set(roles) - present - ROLES)
    if strange:
        raise ValueError(f"roles names {strange[0]!r}, which no message has; the chat has {sorted(present)}.")


def check_sizes(media: Sequence[Medium]) -> None:
    """Raise a ValueError if one of some images and clips can be left out, for a granularity under which tokens stay."""
    if not all(medium.keeps_size for medium in media):
        raise ValueError(
            "Under ALL_TOKENS an image, a clip or a video cannot be left out of the prompt, which changes the tokens around "
            "it: use Fill() for images and videos and Mute() for clips, or another granularity."
        )


def check_text(text: str, tokenizer: Any, positions: int | None) -> None:
    """Raise a ValueError for a text that is empty, cannot be read, or is much longer than the model reads.

    Args:
        text: a prompt.
        tokenizer: the model's own.
        positions: how many tokens the model reads, None for any number. Of a long text only the beginning is tokenised.
    """
    if not text.strip():
        raise ValueError("The prompt is empty: there is nothing to explain.")
    check_characters(text, "prompt")
    if positions is None or len(text) <= TRIED * (positions + 2):
        return
    beginning = text[: TRIED * (positions + 2)]
    tokens = len(tokenizer(beginning, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])
    if tokens - 1 > positions:  # the last token may be cut
        raise ValueError(
            f"The prompt has {len(text):,} characters; the first {len(beginning):,} are {tokens:,} tokens, and the model reads "
            f"{positions:,}: shorten it (nothing is truncated)."
        )


def check_characters(text: str, what: str) -> None:
    """Raise a ValueError for a text that holds half of a character.

    Example:
        >>> check_characters("a" + chr(0xD83D), "prompt")
        Traceback (most recent call last):
        ValueError: The prompt holds half of a character, '\\ud83d' at 1: text.encode('utf-16', ...
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The {what} holds half of a character, {text[error.start]!r} at {error.start}: text.encode('utf-16', "
            "'surrogatepass').decode('utf-16', 'replace') joins halves that belong together."
        ) from None


def check_modalities(kinds: Collection[str], processing: Processing) -> None:
    """Raise a ValueError for kinds of media that the processor does not read."""
    missing = sorted(set(kinds) - set(processing.modalities))
    if missing:
        name = type(processing.processor).__name__
        raise ValueError(
            f"The prompt has a part of the type {missing[0]}, which {name} does not read: give the model's processor as "
            "the second argument, or leave that part out."
        )


def check_placeholders(tokens: Tokens, kinds: Collection[str], processing: Processing) -> None:
    """Raise a ValueError for a placeholder without its image or clip."""
    filled = {index for modality in kinds for index in processing.stands(modality)}  # images and videos may share one
    for modality in set(processing.modalities) - set(kinds):
        standing = tokens.ids[np.isin(tokens.ids, list(processing.stands(modality) - filled))]
        if len(standing):
            written = processing.tokenizer.convert_ids_to_tokens(int(standing[0]))
            raise ValueError(
                f"The prompt has a placeholder {shown(written)} for {modality}, but comes with none: give "
                f'{{"text": ..., "{MEDIA[modality]}": ...}}, or take the placeholder out.'
            )
