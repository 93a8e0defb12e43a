"""Reads texts and chats for a server."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from interpreto_mllm.adapters.remote.messages import Characters
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.remote.sent_chat import SentChat
from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.state import Medium
from interpreto_mllm.prompts.chat import Chat, check_chat, is_chat, texts_of
from interpreto_mllm.prompts.checks import check_characters, check_text
from interpreto_mllm.prompts.encoding import EncodedPrompt
from interpreto_mllm.prompts.known_markup import KNOWN, RENDERED_FOR_SERVER, RENDERED_WITHIN_MESSAGE
from interpreto_mllm.prompts.pair import Pair
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import Prompt, TokenPrompt
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.prompts.reading_size import within
from interpreto_mllm.prompts.retokenized import Retokenizer
from interpreto_mllm.prompts.splitter import Region
from interpreto_mllm.prompts.tokens import Tokens


@dataclass(frozen=True, eq=False)
class RemoteProcessing(Processing):
    """Characters as tokens, and clips at a rate that the caller chooses.

    Args:
        sampling_rate: samples per second of the clips that are sent.
    """

    sampling_rate: int = 16_000

    @classmethod
    def of(cls, remote: RemoteModel) -> RemoteProcessing:
        """The processing for a server; where it is sent something in place of an empty text, a space stands for that."""
        return cls(Characters(None if remote.stand_in is None else ord(" ")), None, sampling_rate=remote.sampling_rate)

    @cached_property
    def rate(self) -> int:
        return self.sampling_rate

    @cached_property
    def templater(self) -> Any:
        """Chats are rendered by the server."""
        return self.processor


@dataclass(frozen=True)
class RemoteReader(PromptReader):
    """Reads texts and chats for a server. Roles are never part of a feature.

    Args:
        bare: whether a plain text is sent as it is (completions) rather than as a message of the user.
        max_pixels: how many pixels of an image are sent at most, None for all.
    """

    bare: bool = False
    max_pixels: int | None = None
    rendered: ClassVar[str] = RENDERED_FOR_SERVER

    def _media(self, given: Sequence[tuple[str, Any]]) -> tuple[Medium, ...]:
        most, media = self.max_pixels, (self.media(kind, item) for kind, item in given)
        return tuple(within(one, most) if most is not None and isinstance(one, Picture) else one for one in media)

    def _one(self, one: Any) -> Prompt:
        if isinstance(one, str) and not self.bare:
            check_text(one, self.tokenizer, None)
            tokens = SentChat(Chat([{"role": "user", "content": one}]), self.processing, headed=False).tokens
            notes = () if KNOWN.messages(one) is None else (RENDERED_WITHIN_MESSAGE,)
            return replace(self._cut(tokens, [Region((0, len(tokens.text)))]), notes=notes)
        if isinstance(one, Pair):
            raise TypeError("A remote model takes texts and chats: a Pair is put together by a model's own tokenizer.")
        if (isinstance(one, Chat) or is_chat(one)) and self.bare:
            raise TypeError("The completion route takes texts; use RemoteModel(..., route='chat') for chats.")
        return super()._one(one)

    def _encoded(self, row: EncodedPrompt) -> Prompt:
        raise TypeError("A remote model takes texts and chats: only the server knows its token ids.")

    def _parts(self, one: Mapping[str, Any]) -> Prompt:
        raise TypeError(
            "A remote model takes images, clips and videos as parts of a chat: [{'role': 'user', 'content': [{'type': 'image', "
            "'image': picture}, {'type': 'text', 'text': 'Hello'}]}]."
        )

    def _retokenizer(self, prompt: TokenPrompt, special: bool | None) -> Retokenizer:
        raise ValueError("A server tokenises every text that it is sent: use Drop(), which leaves its words out.")

    def _messages(self, text: str) -> list[Region] | None:
        """The messages between the markers of widespread templates; the server's own is not known."""
        return None if isinstance(self.granularity, list) else KNOWN.messages(text)

    def _check_placeholders(self, tokens: Tokens, kinds: Collection[str]) -> None:
        """No character stands for an image or a clip."""

    def _check_chat(self, chat: Chat) -> None:
        check_chat(chat.messages, self.processing, chat.continue_final_message)
        live = next((message["role"] for message in chat.messages if not message["role"].isprintable()), None)
        if live is not None:
            raise ValueError(f"A role is a word such as 'user', without control characters; got {live!r}.")
        for part in texts_of(chat):
            check_characters(part.content, "prompt")

    def _of_chat(self, chat: Chat, media: tuple[Medium, ...]) -> SentChat:  # type: ignore[override]
        return SentChat(chat, self.processing)
