"""Which sources an answer came from, and which sentences of them: two explanations in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.chats.chat import Chat
from interpreto_mllm.chats.documents import ROLE as DOCUMENTS
from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.explainers.auto import AutoShapley
from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.prompts.granularity import Granularity
from interpreto_mllm.prompts.sources import Source, Sources
from interpreto_mllm.results.ranking import RankedPiece, ranking

TAKEN = ("granularity", "pinned", "groups", "roles")
"""Options that say what a feature is, which sources do here."""


@dataclass(frozen=True, eq=False)
class SourceRanking:
    """The sources of an answer, and the sentences of the strongest ones, by what they did for it.

    Args:
        sources: all sources, the strongest first.
        sentences: those of the strongest sources, the strongest first.
        of_sources: the explanation behind `sources`: each source is a feature, everything else is always present.
        of_sentences: the one behind `sentences`: each sentence of the strongest sources is a feature, everything else,
            the other sources among it, is always present.
        strongest: the labels of the sources that were cut into sentences.
    """

    sources: list[RankedPiece]
    sentences: list[RankedPiece]
    of_sources: Attribution
    of_sentences: Attribution
    strongest: tuple[str, ...]

    @property
    def fixed(self) -> str:
        """What was always present."""
        others = len(self.sources) - len(self.strongest)
        beside = "" if not others else f", and beside the sentences also the {others} other source{'' if others == 1 else 's'}"
        return f"always present: everything but the sources{beside}"

    def __repr__(self) -> str:
        answer = "".join(self.of_sources.targets).strip()
        lines = [f"Sources of {answer!r} ({self.of_sources.estimand}, {self.of_sources.mode}; {self.fixed})"]
        lines += [f"  {piece}" for piece in self.sources]
        lines += [f"Sentences of {', '.join(self.strongest)}", *(f"  {piece}" for piece in self.sentences)]
        return "\n".join(lines)


def rank_sources(
    model: Any,
    tokenizer: Any = None,
    inputs: Any = None,
    sources: Mapping[str, Source] | Sequence[Source] | None = None,
    target: Any = None,
    *,
    within: int = 1,
    level: float = 0.95,
    method: type[AttributionExplainer] = AutoShapley,
    **options: Unpack[Options],
) -> SourceRanking:
    """Which sources an answer came from, then which sentences of the strongest, each ranked with intervals.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        inputs: a text or a chat that holds the sources; or a question, before which they are written.
        sources: texts, or a mapping from labels to them; unless given, the documents of the chat.
        target: what is explained; the model's own answer unless given.
        within: how many of the strongest sources are cut into sentences.
        level: of the confidence intervals.
        method: of both explanations.

    Raises:
        TypeError, ValueError: for no sources, sources of which only some are in the prompt, options that say what a feature is,
            and whatever the explainer refuses.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> pages = {"market": "hello . the apple is red .", "logbook": "the sky is blue . it rains today ."}
        >>> found = rank_sources(*load_recall(), "what is the sky ?", pages, " blue", progress=False)
        >>> found.sources[0].label, found.sentences[0].text
        ('logbook', 'the sky is blue .')
    """
    taken = next((name for name in TAKEN if name in options), None)
    if taken is not None:
        raise ValueError(f"rank_sources says itself what a feature is, so it takes no {taken}: the sources are the features.")
    if not is_whole(within) or within < 1:
        raise ValueError(
            f"within is how many sources are cut into sentences, a whole number of at least 1; got {shown(within)}."
        )
    if sources is None:
        stages: _Stages = _OfDocuments.of(inputs)
    else:
        stages = _OfTexts.of(inputs, Sources(sources), tokenizer)
    [of_sources] = method(model, tokenizer, **stages.whole(), **options)(stages.inputs, target)  # pyright: ignore
    if target is None and isinstance(model, RemoteModel):  # which may answer differently when it is asked again
        target = "".join(of_sources.targets)
    ranked = ranking(of_sources, level)
    strongest = tuple(piece.label for piece in ranked[:within])
    [of_sentences] = method(model, tokenizer, **stages.cut(strongest), **options)(stages.inputs, target)  # pyright: ignore
    return SourceRanking(ranked, ranking(of_sentences, level), of_sources, of_sentences, strongest)


@dataclass(frozen=True, eq=False)
class _OfTexts:
    """Pieces of a text, or of messages."""

    inputs: Any
    named: Mapping[str, Source]
    roles: tuple[str, ...]

    @classmethod
    def of(cls, inputs: Any, sources: Sources, tokenizer: Any) -> _OfTexts:
        chat = inputs if isinstance(inputs, Chat) else None
        messages = chat.messages if chat is not None else inputs if isinstance(inputs, list) else []
        roles = tuple(dict.fromkeys(message["role"] for message in messages if isinstance(message, Mapping)))
        texts = [source for source in sources.named.values() if isinstance(source, str)]
        if isinstance(inputs, str) and len(texts) == len(sources.named) and not any(text in inputs for text in texts):
            inputs = "\n\n".join([*texts, inputs])
            templated = tokenizer is not None and getattr(tokenizer, "chat_template", None)
            inputs = [{"role": "user", "content": inputs}] if templated else inputs
        return cls(inputs, sources.named, roles or ("user",))

    def whole(self) -> dict[str, Any]:
        """Options under which each source is a feature."""
        return {"granularity": Sources(self.named), "roles": self.roles}

    def cut(self, strongest: Sequence[str]) -> dict[str, Any]:
        """Options under which each sentence of some sources is a feature."""
        kept = {label: self.named[label] for label in self.named if label in strongest}
        return {"granularity": Sources(kept, by=Granularity.SENTENCE), "roles": self.roles}


@dataclass(frozen=True, eq=False)
class _OfDocuments:
    """The documents of a chat."""

    inputs: Chat

    @classmethod
    def of(cls, inputs: Any) -> _OfDocuments:
        if not isinstance(inputs, Chat) or not inputs.documents:
            raise ValueError("There are no sources: give texts of the prompt, or a Chat with documents.")
        return cls(inputs)

    def whole(self) -> dict[str, Any]:
        """Options under which each document is a feature."""
        groups = {"groups": lambda features: [feature.source for feature in features]}
        return {"granularity": Granularity.TURN, "roles": (DOCUMENTS,), **groups}

    def cut(self, strongest: Sequence[str]) -> dict[str, Any]:
        """Options under which each sentence of some documents is a feature."""
        others = {"pinned": lambda feature: feature.source not in strongest}
        return {"granularity": Granularity.SENTENCE, "roles": (DOCUMENTS,), **others}


_Stages = _OfTexts | _OfDocuments
