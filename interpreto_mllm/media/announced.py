"""How much of a recording is there, by its own header."""

from __future__ import annotations

ENDLESS = (0, 0x7FFFFFFF, 0xFFFFFFFF)
"""Lengths that writers put down while they do not know the length yet."""

SAMPLES = {b"RIFF": b"data", b"RIFX": b"data", b"FORM": b"SSND"}
"""The part of a WAV or AIFF file that holds the samples, by how the file begins."""


def held_fraction(content: bytes) -> float:
    """The share of the samples announced by a WAV or AIFF file that it holds; 1 for other files.

    Example:
        >>> import io, wave
        >>> file = io.BytesIO()
        >>> with wave.open(file, "wb") as recording:
        ...     recording.setparams((1, 2, 8000, 0, "NONE", ""))
        ...     recording.writeframes(bytes(8000))
        >>> held_fraction(file.getvalue()), held_fraction(file.getvalue()[:-6000])
        (1.0, 0.25)
    """
    order, place = ("little" if content.startswith(b"RIFF") else "big"), 12
    while content[:4] in SAMPLES and place + 8 <= len(content):
        announced, held = int.from_bytes(content[place + 4 : place + 8], order), len(content) - place - 8
        if content[place : place + 4] == SAMPLES[content[:4]]:
            return 1.0 if announced in ENDLESS else min(1.0, held / announced)
        place += 8 + announced + announced % 2
    return 1.0
