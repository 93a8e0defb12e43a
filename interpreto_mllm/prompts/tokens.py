"""A text and its token ids, aligned: which characters each token stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from interpreto_mllm.prompts.alignment import Piece, align, align_words, filled
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
        """Tokenise a text. Nothing is truncated; a BOS or EOS that the text holds is not added a second time."""
        fast = tokenizer.is_fast
        encoded = tokenizer(
            text, add_special_tokens=add_special_tokens, truncation=False, return_offsets_mapping=fast, verbose=False
        )
        ids = list(encoded["input_ids"])
        offsets = [tuple(o) for o in encoded["offset_mapping"]] if fast else decoded_offsets(ids, text, tokenizer)
        once = _once(ids, text, tokenizer) if add_special_tokens else slice(None)
        return cls._checked(text, ids[once], offsets[once], tokenizer)

    @classmethod
    def of_ids(cls, ids: Sequence[int], tokenizer: Any) -> Tokens:
        """Keep the ids as they are; the text is their decoding, for display."""
        ids = list(ids)
        text = str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
        return cls._checked(text, ids, decoded_offsets(ids, text, tokenizer, False), tokenizer)

    @classmethod
    def _checked(cls, text: str, ids: list[int], offsets: list[Span], tokenizer: Any) -> Tokens:
        """Every written token owns text."""
        special = special_mask(ids, tokenizer)
        offsets = filled(offsets, (~special).tolist(), text)
        empty = [index for index, (start, end) in enumerate(offsets) if end <= start and not special[index]]
        if empty:
            raise ValueError(_unaligned(tokenizer.convert_ids_to_tokens(ids[empty[0]]), tokenizer))
        return cls(text, np.asarray(ids, dtype=np.int64), tuple(offsets), special)

    @classmethod
    def of_processor(
        cls, text: str, ids: Sequence[int], offsets: Sequence[Span], inserted: Sequence[bool], tokenizer: Any
    ) -> Tokens:
        """What a processor made of a text; the tokens that it put in count as special."""
        special = special_mask(ids, tokenizer) | np.asarray(inserted, dtype=bool)
        found = filled(list(offsets), (~special).tolist(), text)
        return cls(text, np.asarray(ids, dtype=np.int64), tuple(found), special)

    def without_gaps(self) -> Tokens:
        """White space between two special tokens that are written next to each other counts as special."""
        special = self.special.copy()
        marks = [index for index, (start, end) in enumerate(self.offsets) if self.special[index] and end > start]
        for before, after in pairwise(marks):
            gap = self.text[self.offsets[before][1] : self.offsets[after][0]]
            special[before:after] |= gap.isspace()
        return replace(self, special=special)

    def owners(self, spans: Sequence[Span], regions: Sequence[Span]) -> Int[np.ndarray, "l"]:
        """For each token the index of the span it belongs to, or -1: the first one that it shares a visible character with.

        White space belongs to the span after it, within a region (what one person wrote in one go), so that a token holding
        only a space is dropped and kept with its word. White space at the end of a region belongs to the span before it.
        """
        owner_of_char = np.full(len(self.text) + 1, -1, dtype=np.int64)
        starts = {start for start, _ in regions}
        for index, (start, end) in enumerate(spans):
            while start not in starts and start > 0 and self.text[start - 1].isspace() and owner_of_char[start - 1] < 0:
                start -= 1
            owner_of_char[start:end] = index
        for start, end in regions:
            last = start + len(self.text[start:end].rstrip())
            if last > start:
                blank = owner_of_char[last:end]
                owner_of_char[last:end] = np.where(blank < 0, owner_of_char[last - 1], blank)
        owners = np.full(len(self.ids), -1, dtype=np.int64)
        for position, (start, end) in enumerate(self.offsets):
            visible = [c for c in range(start, end) if not self.text[c].isspace()] or list(range(start, end))
            owned = [owner_of_char[c] for c in visible if owner_of_char[c] >= 0]
            owners[position] = owned[0] if owned else -1
        return owners


def _once(ids: Sequence[int], text: str, tokenizer: Any) -> slice:
    """The tokens without a BOS or EOS that the tokenizer has added to one that the text holds."""
    bos, eos = tokenizer.bos_token, tokenizer.eos_token
    first = bos is not None and text.startswith(bos) and list(ids[:2]) == [tokenizer.bos_token_id] * 2
    last = eos is not None and text.endswith(eos) and list(ids[-2:]) == [tokenizer.eos_token_id] * 2
    return slice(int(first), len(ids) - last)


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
    """Offsets for tokenizers without them: the tokens' texts, one after the other, aligned with the text.

    Tokens that complete no character (bytes of an emoji) get the character they are part of. The tokenizer may have changed
    case, accents and compatibility forms, and written unknown tokens.

    Args:
        ids: the tokens.
        text: what they were made of, or their decoding.
        tokenizer: the tokenizer.
        skip_special: whether special tokens are no part of the text.

    Raises:
        ValueError: when it cannot be known which words a token stands for.
    """
    special = special_mask(ids, tokenizer) if skip_special else np.zeros(len(ids), dtype=bool)
    groups = _characters([index for index in range(len(ids)) if not special[index]], ids, tokenizer)
    spans = _concatenated(groups, ids, text, tokenizer)
    spans = _aligned(groups, ids, text, tokenizer, skip_special) if spans is None else spans
    offsets: list[Span] = [(0, 0)] * len(ids)
    for group, span in zip(groups, spans, strict=True):
        for index in group:
            offsets[index] = span
    return offsets


def _concatenated(groups: Sequence[Sequence[int]], ids: Sequence[int], text: str, tokenizer: Any) -> list[Span] | None:
    """Spans of tokens whose own texts, one after the other, are the text; None where they are not."""
    texts = [_decoded([ids[index] for index in group], tokenizer) for group in groups]
    ends = list(accumulate(map(len, texts)))
    return list(zip([0, *ends[:-1]], ends, strict=True)) if "".join(texts) == text else None


def _aligned(groups: Sequence[Sequence[int]], ids: Sequence[int], text: str, tokenizer: Any, skip_special: bool) -> list[Span]:
    """Spans of tokens of a text that the tokenizer may have rewritten."""
    unknown = tokenizer.unk_token_id if skip_special else None
    pieces = [_piece([ids[index] for index in group], unknown, tokenizer) for group in groups]
    if skip_special and all(len(group) == 1 for group in groups):
        written = [ids[index] for [index] in groups]
        aligned = align_words(pieces, written, text, lambda word: tokenizer.encode(word, add_special_tokens=False))
    else:
        aligned = align(pieces, text)
    if not all(aligned.certain):
        doubtful = tokenizer.convert_ids_to_tokens(ids[groups[aligned.certain.index(False)][0]])
        raise ValueError(_unaligned(doubtful, tokenizer))
    return aligned.spans


def _characters(written: Sequence[int], ids: Sequence[int], tokenizer: Any) -> list[list[int]]:
    """Indices of tokens, those that make up a character together."""
    groups: list[list[int]] = []
    pending: list[int] = []
    for index in written:
        pending.append(index)
        decoded = _decoded([ids[place] for place in pending], tokenizer)
        blank = not (tokenizer.convert_ids_to_tokens(ids[index]) or "").strip(" ▁Ġ")
        if (decoded or blank) and not decoded.endswith("\ufffd"):
            groups.append(pending)
            pending = []
    return groups + [[index] for index in pending]


def _piece(ids: Sequence[int], unknown: int | None, tokenizer: Any) -> Piece:
    decoded = _decoded(ids, tokenizer)
    token = tokenizer.convert_ids_to_tokens(ids[0]) if len(ids) == 1 else decoded
    return Piece.of(token, decoded, len(ids) == 1 and ids[0] == unknown)


def _decoded(ids: Sequence[int], tokenizer: Any) -> str:
    return str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))


def _unaligned(token: str, tokenizer: Any) -> str:
    return (
        f"{type(tokenizer).__name__} rewrites this text, and it cannot be known which words its token {token!r} stands for: "
        "use the model's fast tokenizer if it has one (AutoTokenizer.from_pretrained(..., use_fast=True)), or give "
        "the encoding tokenizer(text, return_tensors='pt'), whose features are its own tokens and words."
    )
