"""Fingerprints of games: a name and a short text for everything that decides the values, made of content alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from interpreto_mllm.core.content import digest

Fingerprint = Mapping[str, str]
"""What decides the values of a game, by name. Texts hold `#` and a digest, or `#?` where the content cannot be compared."""

UNKNOWN = "#?"
UNCHECKED = (
    "Earlier evaluations were taken over that do not say which game they are of (they come from an older file or were made by "
    "hand): only what they hold, such as their numbers of features and targets, was compared."
)

_DIGEST = re.compile(r"#(?:[0-9a-f]{16}|\?)")


def hashed(*parts: bytes | str | int) -> str:
    """A digest of these parts, as fingerprints hold it.

    Example:
        >>> hashed("ab", "c") == hashed("a", "bc"), len(hashed("ab"))
        (False, 17)
    """
    return "#" + digest(*parts)[:8].hex()


def quoted(text: str, length: int = 60) -> str:
    """A text in quotation marks; of a long one the beginning and a digest.

    Example:
        >>> quoted("red")
        "'red'"
    """
    return repr(text) if len(text) <= length else f"{text[: length - 20]!r}… {hashed(text)}"


def differences(there: Fingerprint, here: Fingerprint, free: Collection[str] = ()) -> list[str]:
    """What differs between two games, as "name: one there, other here"; names in `free` may differ.

    Example:
        >>> differences({"occlusion": "Drop()", "text": "'a'"}, {"occlusion": "Attend()", "text": "'a'"})
        ['occlusion: Drop() there, Attend() here']
    """
    names = [name for name in dict.fromkeys((*here, *there)) if name not in free]
    pairs = [(name, there.get(name, "none"), here.get(name, "none")) for name in names]
    return [f"{name}: {one} there, {other} here" for name, one, other in pairs if not _agree(one, other)]


def incomparable(there: Fingerprint, here: Fingerprint) -> list[str]:
    """The names of what cannot be compared, such as a callable without Python code."""
    return [name for name in here if UNKNOWN in here[name] or UNKNOWN in there.get(name, "")]


def _agree(one: str, other: str) -> bool:
    """Whether two texts are equal, digests that are not known aside."""
    if one == other:
        return True
    digests = zip(_DIGEST.findall(one), _DIGEST.findall(other), strict=False)
    return _DIGEST.sub("#", one) == _DIGEST.sub("#", other) and all(a == b or UNKNOWN in (a, b) for a, b in digests)
