"""Reads the inputs that users give into prompts: strings, chats, mappings, encodings and templates, cut into features."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from interpreto_mllm.chats.parts import Path
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.shown import shown
from interpreto_mllm.core.which import about
from interpreto_mllm.media.cuts import Cuts
from interpreto_mllm.media.state import Medium, State, features_of, notes_of
from interpreto_mllm.prompts.blanks import Blanks
from interpreto_mllm.prompts.chat import Chat, check_chat, check_template, is_chat, parts_of
from interpreto_mllm.prompts.checks import check_modalities, check_placeholders, check_roles, check_sizes, check_text
from interpreto_mllm.prompts.clip_length import check_clips
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.encoding import EncodedPrompt, encoded_prompts
from interpreto_mllm.prompts.filters import Pins
from interpreto_mllm.prompts.granularity import BY_TOKEN, Granularity, Span, Splitter
from interpreto_mllm.prompts.mapping import (
    accepted,
    between,
    in_text_order,
    is_picture,
    is_prompt_mapping,
    media_forms,
    media_of,
    places_of,
    without,
)
from interpreto_mllm.prompts.markup import RENDERED, Markup, message_around, no_role, within
from interpreto_mllm.prompts.media_markup import MediaMarkup
from interpreto_mllm.prompts.media_only import media_only, with_something_left
from interpreto_mllm.prompts.mixed import Mixed
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Drop, TextOcclusion
from interpreto_mllm.prompts.pair import Pair
from interpreto_mllm.prompts.parts import plain
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import Layouts, Prompt, TokenPrompt
from interpreto_mllm.prompts.reading_size import as_read
from interpreto_mllm.prompts.regions import owned
from interpreto_mllm.prompts.rendering import Rendering
from interpreto_mllm.prompts.retokenized import Retokenizer
from interpreto_mllm.prompts.selection import Cut, Groups, selected
from interpreto_mllm.prompts.sender import Sender
from interpreto_mllm.prompts.splitter import Region, TextSplitter, placed
from interpreto_mllm.prompts.template import Template
from interpreto_mllm.prompts.template_chat import ChatFrame, joined, templates_of, with_texts
from interpreto_mllm.prompts.template_prompt import NoFrame, TemplatePrompt
from interpreto_mllm.prompts.tokens import Tokens
from interpreto_mllm.prompts.watching import as_watched
from interpreto_mllm.prompts.written_chat import WrittenChat


@dataclass(frozen=True)
class PromptReader:
    """Reads inputs into prompts: which parts are features, and how an absent one disappears.

    Args:
        processing: the model's own tokenizer or processor.
        granularity: what a feature of a text is.
        occlusion: how it disappears, already prepared for this tokenizer.
        roles: chat roles whose messages are explained.
        pinned: features that are always present, by text, index or a filter; they get no score.
        groups: one label per feature, or a callable that returns them; features with equal labels become one.
        media: from a modality and what the user gave to an image or a clip cut into pieces.
        fixed: indices of a chat's messages that are not explained, regardless of their roles.
        generation_prompt: whether a chat is read up to where the model's answer begins; a classifier reads the messages alone.
        may_be_answered: whether a chat may end with a message of the assistant.
        positions: how many tokens the model reads, None where there is no limit.
    """

    processing: Processing
    granularity: Granularity | Splitter | list[Span]
    occlusion: TextOcclusion
    roles: Collection[str]
    pinned: Pins
    groups: Groups | None
    media: Callable[[str, Any], Medium] = field(default_factory=Cuts)
    fixed: Collection[int] = ()
    generation_prompt: bool = True
    may_be_answered: bool = False
    positions: int | None = None
    rendered: ClassVar[str] = RENDERED

    @property
    def tokenizer(self) -> Any:
        return self.processing.tokenizer

    def read(self, inputs: Any) -> list[Prompt]:
        """One prompt per input; a `Prompt` is returned unchanged.

        Raises:
            TypeError: for an input of an unknown kind.
            ValueError: for an empty input, or one without anything to explain.
        """
        if isinstance(inputs, Mapping) and not is_prompt_mapping(inputs):
            return [self._encoded(row) for row in encoded_prompts(inputs, self.processing)]
        if isinstance(inputs, (str, Template, Pair, Mapping, Chat)) or is_chat(inputs) or is_picture(inputs):
            return [self._one(inputs)]
        if isinstance(inputs, (list, tuple)):
            if not inputs:
                raise ValueError("There are no inputs: the list is empty.")
            return [self._listed(one, index, len(inputs)) for index, one in enumerate(inputs)]
        return [self._one(inputs)]

    def _listed(self, one: Any, index: int, count: int) -> Prompt:
        with about("inputs", index, count):
            return self._one(one)

    def _one(self, one: Any) -> Prompt:
        if isinstance(one, Prompt):
            return one
        if isinstance(one, dict) and is_prompt_mapping(one):
            return self._parts(one)
        if is_picture(one):
            return self._parts({"images": one})
        if not self.processing.reads_text:
            raise TypeError(f"This model reads no text: give {media_forms(self.processing.modalities)}; got {shown(one)}.")
        if self.processing.side_by_side or (isinstance(one, (str, Template)) and self.processing.needs_image):
            raise TypeError(f'This model reads an image beside a text: give {{"text": ..., "images": ...}}; got {shown(one)}.')
        if isinstance(one, Template):
            return self._selected(TemplatePrompt.of(one, NoFrame(one, self.tokenizer)))
        if isinstance(one, Pair):
            tokens, types, regions = one.read(self.tokenizer, self.positions)
            return self._cut(tokens, regions, types)
        if isinstance(one, str):
            check_text(one, self.tokenizer, self.positions)
            return self._text(Tokens.of_text(one, self.tokenizer), special=True)
        if isinstance(one, Chat) or is_chat(one):
            return self._chat(Chat.of(one))
        raise TypeError(accepted(one))

    def _chat(self, given: Chat) -> Prompt:
        given = given.saying(plain(given.messages))
        templates = templates_of(given.messages)
        chat = given.saying(with_texts(given.messages, [template.written(template.values)[0] for template in templates]))
        self._check_chat(chat)
        media = [part for part in parts_of(chat.messages) if part.kind != "text"]
        read = self._media([(part.kind, part.content) for part in media])
        conversation = Conversation.of(chat, read)
        if templates:
            frame = ChatFrame(given, lambda filled: self._of_chat(filled, read).of_texts(read), read, conversation)
            return self._selected(TemplatePrompt.of(joined(templates), frame))
        check_roles(chat, self.roles)
        written = self._of_chat(chat, read)
        written.check(self.roles)
        of_media, regions = [Sender.of(part) for part in media], written.regions(self.granularity)
        prompt = self._mixed(written.mixed(read, regions), regions, of_media, written.entries)
        return replace(prompt, conversation=conversation, notes=(*prompt.notes, *written.notes))

    def _check_chat(self, chat: Chat) -> None:
        check_chat(chat.messages, self.processing, self.may_be_answered or chat.continue_final_message)
        check_template(chat, self.processing)
        check_modalities([part.kind for part in parts_of(chat.messages) if part.kind != "text"], self.processing)

    def _of_chat(self, chat: Chat, media: tuple[Medium, ...]) -> WrittenChat:
        """A chat as the model reads it."""
        rendering = Rendering(chat, self.processing, (), (), self.fixed, self.generation_prompt).with_calls_read()
        check_text(rendering.text, self.tokenizer, self.positions)
        return WrittenChat(rendering)

    def _parts(self, one: Mapping[str, Any]) -> Prompt:
        """A text with placeholders, and the images and clips that they stand for."""
        given = media_of(one)
        check_modalities([kind for kind, _ in given], self.processing)
        media = self._media(given)
        text = one.get("text") or ""
        if not self.processing.reads_text:
            if text:
                raise ValueError("This model reads no text: leave 'text' out.")
            return self._media_only(media)
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"The prompt needs its 'text', with a placeholder for each image and clip; got {shown(text)}.")
        holders = self.processing.placeholders(text, [kind for kind, _ in given])
        order = in_text_order(text, holders) if holders else range(len(media))
        media, kinds = tuple(media[m] for m in order), [given[m][0] for m in order if holders]
        places, messages = places_of(text, [holders[m] for m in order if holders]), self._messages(text)
        markup = MediaMarkup(self.processing)
        gaps = between(text, markup.blocks(text, places, kinds))
        written = [part for region in messages or [Region((0, len(text)))] for part in within(region, gaps)]
        spans, held = [region.span for region in written], markup.left_out(text, places, kinds, messages or [])
        special = None if media and not held else True
        mixed = Mixed(self.processing, lambda dropped, _: without(text, held, spans, dropped if held else ()), media, special)
        around = [Sender(*message_around(place, messages or [])) for place in places] or [Sender()] * len(media)
        prompt = self._mixed(mixed, written, around)
        return prompt if messages is None else replace(prompt, notes=(*prompt.notes, self.rendered))

    def _media(self, given: Sequence[tuple[str, Any]]) -> tuple[Medium, ...]:
        """These images and clips in their pieces."""
        media = [self.media(kind, item) for kind, item in given]
        check_clips(media, self.processing)
        return as_read(as_watched(media, self.processing), self.processing)

    def _media_only(self, media: tuple[Medium, ...]) -> Prompt:
        """A prompt of a single image or clip, without text."""
        return with_something_left(self._selected(media_only(media, self.occlusion, self.processing.modalities)))

    def _mixed(
        self, mixed: Mixed, written: Sequence[Region | None], of_media: Sequence[Sender], entries: Sequence[Path] = ()
    ) -> TokenPrompt:
        """The prompt of a text with images and clips, of its parts that may be features, and of role and turn of the media."""
        whole = [State.whole(medium) for medium in mixed.media]
        tokens, types, spans = mixed.tokens(whole)
        regions = [one for one in placed(written, spans, tokens.text) if self._plays(one.role, one.turn)]
        pieces = [
            feature
            for index, (medium, sender) in enumerate(zip(mixed.media, of_media, strict=True))
            if self._plays(sender.role, sender.turn)
            for feature in sender.marked(medium.features(index, sender.role, sender.turn))
        ]
        if not regions and not pieces:
            raise ValueError("The messages to explain are empty: there is nothing to explain.")
        if self.granularity is Granularity.ALL_TOKENS:
            check_sizes(mixed.media)
        layouts = mixed.layout if mixed.media or entries else None
        return self._cut(tokens, regions, types, pieces, mixed.media, layouts, mixed.special, entries)

    def _plays(self, role: str | None, turn: int | None) -> bool:
        """Whether messages of this role and turn are explained."""
        return role is None or (role in self.roles and turn not in self.fixed)

    def _check_placeholders(self, tokens: Tokens, kinds: Collection[str]) -> None:
        check_placeholders(tokens, kinds, self.processing)

    def _encoded(self, row: EncodedPrompt) -> Prompt:
        """A row of an encoding; the ids are used as they are."""
        if not len(row.ids):
            return self._media_only(row.media)
        tokens, soft = Tokens.of_ids(row.ids.tolist(), self.tokenizer), np.isin(row.ids, [*self.processing.soft_ids.values()])
        tokens = replace(tokens, special=tokens.special | soft | (False if row.seen is None else ~row.seen))
        prompt = self._text(tokens, row.types, media=row.media)
        return replace(prompt, whole=replace(prompt.whole, seen=row.seen, positions=row.positions))

    def _text(
        self, tokens: Tokens, types: np.ndarray | None = None, special: bool | None = None, media: tuple[Medium, ...] = ()
    ) -> TokenPrompt:
        """The prompt of a whole text; if it is a rendered chat, of the messages in it that are explained."""
        messages = self._messages(tokens.text)
        regions = [region for region in messages or () if self._plays(region.role, region.turn)]
        if messages is None:
            tokens, regions = tokens.without_gaps(), [Region((0, len(tokens.text)))]
        elif not (regions or media):
            raise ValueError(no_role(self.roles, messages))
        if media:
            tokens, gaps = MediaMarkup(self.processing).told_apart(tokens)
            regions = [part for region in regions for part in within(region, gaps) if tokens.text[slice(*part.span)].strip()]
        prompt = self._cut(tokens, regions, types, features_of(media), media, special=special)
        return prompt if messages is None else replace(prompt, notes=(*prompt.notes, self.rendered))

    def _messages(self, text: str) -> list[Region] | None:
        """The messages of a text that is a rendered chat; None for others, and where the user says where features are."""
        return None if isinstance(self.granularity, list) else self._markup.messages(text)

    @cached_property
    def _markup(self) -> Markup:
        return Markup.of(self.processing)

    def _cut(
        self,
        tokens: Tokens,
        regions: list[Region],
        segments: np.ndarray | None = None,
        pieces: Sequence[Feature] = (),
        media: tuple[Medium, ...] = (),
        layouts: Layouts | None = None,
        special: bool | None = None,
        entries: Sequence[Path] = (),
    ) -> TokenPrompt:
        """The prompt whose features are the pieces of its images and clips, and those of these regions of its text."""
        self._check_placeholders(tokens, {medium.modality for medium in media})
        owner, features = TextSplitter(self.processing, self.granularity).split(tokens, regions)
        owner = np.where(owner >= 0, owner + len(pieces), owner)
        spans = tuple(region.span for region in regions)
        whole, every = ModelInput(tokens.ids, None, segments), [*pieces, *features]
        drops_blanks = isinstance(self.occlusion, Drop) and self.granularity not in BY_TOKEN
        blanks = Blanks.of(tokens, spans, self.tokenizer) if drops_blanks else None
        prompt = TokenPrompt(tokens.text, whole, owner, every, self.occlusion, spans, media, layouts, blanks=blanks)
        prompt = replace(prompt, notes=notes_of(media))
        if isinstance(self.occlusion, Drop) and self.occlusion.retokenize:
            prompt = replace(prompt, retokenizer=self._retokenizer(prompt, None if media else special))
        elif isinstance(self.occlusion, Drop) and self.granularity is not Granularity.ALL_TOKENS:
            prompt = replace(prompt, entries=owned(entries, regions, tokens, owner))
        return self._selected(prompt)

    def _selected(self, prompt: Cut) -> Cut:
        return selected(prompt, self.pinned, self.groups)

    def _retokenizer(self, prompt: TokenPrompt, special: bool | None) -> Retokenizer:
        return Retokenizer.of(prompt.text, prompt.regions, prompt.features, self.tokenizer, special)
