"""The documents of a chat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from interpreto_mllm.chats.parts import Part, trust
from interpreto_mllm.core.shown import shown

ID_KEYS = ("id", "doc_id")
ROLE = "documents"


def documents_of(given: Any) -> list[dict[str, Any]] | None:
    """The documents as mappings.

    Raises:
        TypeError: for what is no list of documents.
        ValueError: for a document without a text, and two with one id.

    Example:
        >>> documents_of(["Oslo is wet.", {"id": "a", "title": "Rome", "text": "Rome is dry."}])
        [{'text': 'Oslo is wet.'}, {'id': 'a', 'title': 'Rome', 'text': 'Rome is dry.'}]
    """
    if not given and (given is None or isinstance(given, Sequence)) and not isinstance(given, str):
        return None
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
        raise TypeError(f"documents is a list of texts, or of mappings with a 'text'; got {shown(given)}.")
    documents = [{"text": one} if isinstance(one, str) else dict(one) if isinstance(one, Mapping) else one for one in given]
    for number, one in enumerate(documents, 1):
        if not isinstance(one, dict):
            raise TypeError(f"Document {number} is a text, or a mapping with a 'text'; got {shown(one)}.")
        if not any(isinstance(value, str) and value.strip() for name, value in one.items() if name not in ID_KEYS):
            raise ValueError(f"Document {number} has no text: give {{'id': ..., 'title': ..., 'text': ...}}; got {shown(one)}.")
    counts = Counter(source(one, number) for number, one in enumerate(documents, 1))
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"{counts[twice]} documents have the id {twice!r}: their scores could not be told apart.")
    return documents


def source(document: Mapping[str, Any], number: int) -> str:
    """The id of a document, its number where it has none."""
    return str(next((document[key] for key in ID_KEYS if document.get(key) is not None), number))


def texts_of(documents: Sequence[Mapping[str, Any]]) -> Iterator[Part]:
    """The texts of documents in order: titles, texts, and others under whatever key."""
    for index, document in enumerate(documents):
        name = source(document, index + 1)
        for key, text in document.items():
            if key in ID_KEYS or not isinstance(text, str):
                continue
            yield Part(
                None,
                ROLE,
                "text",
                text,
                (ROLE, index, key),
                name,
                label=f"document {name}" if key == "text" else f"document {name} · {key}",
                trusted=trust(ROLE, document),
                entry=(ROLE, index),
            )
