"""One player of the game: a piece of the prompt that gets a score."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Feature:
    """A piece of the prompt.

    Args:
        text: as the user wrote it.
        spans: where it lies in the prompt's text, as (start, end) characters; several for a group in pieces, none if unknown.
        positions: indices of its tokens in the prompt's token ids; none for a template's slot.
        role: of the chat message it belongs to, None outside chats.
        turn: index of that message, None outside chats.
        modality: "text", "image", "audio" or "video"; "mixed" for a group across them.
        pieces: for parts of images and clips: (index of the image or clip in the prompt, index of the piece in it), several
            for a group.
        box: for a part of an image, the smallest box around it: left, top, right, bottom in pixels.
        time: for a part of a clip, its start and end in seconds.
        label: the name that the user gave it, such as that of a source; None where there is none.
        source: what it is a piece of: the id of a tool, a tool result or a document, the name of a message, or the label of a
            source; None where it is of none.
        trusted: whether what brought it into the prompt is trusted; None where nobody has said.
        part: of the message, where it has several, such as "thoughts"; None for the text itself.

    Example:
        >>> Feature("Paris", spans=((4, 9),), positions=(2,)).text
        'Paris'
    """

    text: str
    spans: tuple[tuple[int, int], ...] = ()
    positions: tuple[int, ...] = ()
    role: str | None = None
    turn: int | None = None
    modality: str = "text"
    pieces: tuple[tuple[int, int], ...] = ()
    box: tuple[int, int, int, int] | None = None
    time: tuple[float, float] | None = None
    label: str | None = None
    source: str | None = None
    trusted: bool | None = None
    part: str | None = None

    @property
    def name(self) -> str:
        """The text, after the label where there is one."""
        return self.text if self.label is None else f"{self.label}: {self.text}"
