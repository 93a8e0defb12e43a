"""A text and its token ids, aligned: which characters each token stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from interpreto_mllm.prompts.granularity import Span


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token ids exactly as the tokenizer gave them, the text they spell, and the characters of each.

    Args:
        text: the text; spans and offsets index into it.
        ids: token ids.
        offsets: (start, end) characters of each token; (0, 0) for those without, such as an added BOS.
        special: tokens that are not part of what was written.
    """

    text: str
    ids: Int[np.ndarray, "l"]
    offsets: tuple[Span, ...]
    special: Bool[np.ndarray, "l"]

    @classmethod
    def of_text(cls, text: str, tokenizer: Any, add_special_tokens: bool = True) -> Tokens:
        """Tokenise a text. Nothing is truncated."""
        fast = tokenizer.is_fast
        encoded = tokenizer(
            text, add_special_tokens=add_special_tokens, truncation=False, return_offsets_mapping=fast, verbose=False
        )
        ids = list(encoded["input_ids"])
        offsets = [tuple(o) for o in encoded["offset_mapping"]] if fast else decoded_offsets(ids, text, tokenizer)
        return cls(text, np.asarray(ids, dtype=np.int64), tuple(offsets), special_mask(ids, tokenizer))

    @classmethod
    def of_ids(cls, ids: Sequence[int], tokenizer: Any) -> Tokens:
        """Keep the ids as they are; the text is their decoding, for display."""
        ids = list(ids)
        text = str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
        return cls(
            text,
            np.asarray(ids, dtype=np.int64),
            tuple(decoded_offsets(ids, text, tokenizer, False)),
            special_mask(ids, tokenizer),
        )

    def owners(self, spans: Sequence[Span], regions: Sequence[Span]) -> Int[np.ndarray, "l"]:
        """For each token the index of the span it belongs to, or -1: the first one that it shares a visible character with.

        White space belongs to the span after it, within a region (what one person wrote in one go), so that a token holding
        only a space is dropped and kept with its word.
        """
        owner_of_char = np.full(len(self.text) + 1, -1, dtype=np.int64)
        starts = {start for start, _ in regions}
        for index, (start, end) in enumerate(spans):
            while start not in starts and start > 0 and self.text[start - 1].isspace() and owner_of_char[start - 1] < 0:
                start -= 1
            owner_of_char[start:end] = index
        owners = np.full(len(self.ids), -1, dtype=np.int64)
        for position, (start, end) in enumerate(self.offsets):
            visible = [c for c in range(start, end) if not self.text[c].isspace()] or list(range(start, end))
            owned = [owner_of_char[c] for c in visible if owner_of_char[c] >= 0]
            owners[position] = owned[0] if owned else -1
        return owners


def stand_in(tokenizer: Any) -> int | None:
    """The token given to a model when nothing else is left: the tokenizer's BOS, EOS or padding token, if any."""
    ids = () if tokenizer is None else (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return next((token for token in ids if token is not None), None)


def special_mask(ids: Sequence[int], tokenizer: Any) -> Bool[np.ndarray, "l"]:
    """Which tokens are special tokens of this tokenizer.

    The unknown token stands for something that was written, unless it also begins or ends texts, as Whisper's does.
    """
    special = special_ids(tokenizer)
    return np.asarray([token in special for token in ids], dtype=bool)


def special_ids(tokenizer: Any) -> set[int]:
    """The ids of this tokenizer's special tokens, the unknown one aside unless it also begins or ends texts."""
    written = {tokenizer.unk_token_id} - {tokenizer.bos_token_id, tokenizer.eos_token_id}
    return set(tokenizer.all_special_ids) - written


def decoded_offsets(ids: Sequence[int], text: str, tokenizer: Any, skip_special: bool = True) -> list[Span]:
    """Offsets for tokenizers without them, from decoding the tokens one after the other.

    Tokens that complete no character (bytes of an emoji) get the character they are part of; each token is matched as the
    tokenizer decodes it, and the text between matches (dropped spaces) belongs to no token.
    """
    special = special_mask(ids, tokenizer)
    offsets: list[Span] = []
    reached, pending, first_pending = 0, [], 0
    for position, token in enumerate(ids):
        if skip_special and special[position]:
            offsets.append((0, 0))
            continue
        if not pending:
            first_pending = position
        pending.append(token)
        piece = _piece(pending, tokenizer)
        if not piece or piece.endswith("\ufffd"):
            offsets.append((reached, reached))
            continue
        span = _locate(piece, text, reached)
        for index in range(first_pending, position):
            if offsets[index] == (reached, reached):
                offsets[index] = span
        offsets.append(span)
        reached, pending = span[1], []
    return offsets


def _piece(ids: Sequence[int], tokenizer: Any) -> str:
    piece = str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
    return piece[2:] if piece.startswith("##") else piece


def _locate(piece: str, text: str, start: int) -> Span:
    """Where the piece lies in the text from `start` on, spaces and case aside; an empty span at `start` if it is not near."""
    bare = piece.strip()
    if not bare:
        if text.startswith(piece, start):
            return (start, start + len(piece))
        end = start
        while end < len(text) and text[end].isspace():
            end += 1
        return (start, end)
    window = text[start : start + len(piece) + 64]
    found = window.find(bare)
    if found < 0:
        found = window.lower().find(bare.lower())
    if found < 0 or window[:found].strip():
        return (start, start)
    return (start + found, start + found + len(bare))
