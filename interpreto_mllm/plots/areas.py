"""Which features cover each part of an image or clip. Where several overlap, their scores are summed."""

from __future__ import annotations

import numpy as np

from interpreto_mllm.media import Picture
from interpreto_mllm.media.state import NAMES
from interpreto_mllm.results.record import Record

Cover = tuple[int, ...]
"""Indices of the features that cover an area, in order."""


def covers(attribution: Record, medium: int) -> list[Cover]:
    """For each area of an image or clip the features that cover it."""
    owners: dict[int, list[int]] = {}
    for index, feature in enumerate(attribution.features):
        for owned, piece in dict.fromkeys(feature.pieces):
            if owned == medium:
                owners.setdefault(piece, []).append(index)
    shown = attribution.media[medium]
    if isinstance(shown, Picture):
        pieces = [tuple(np.flatnonzero(cover).tolist()) for cover in shown.areas[1]]
    else:
        pieces = [cover for *_, cover in shown.areas]
    return [tuple(sorted({index for piece in cover for index in owners.get(piece, ())})) for cover in pieces]


def overlaps(attribution: Record) -> list[Cover]:
    """Each set of two or more features that overlap somewhere in an image or clip."""
    found = (cover for medium in range(len(attribution.media)) for cover in covers(attribution, medium))
    return list(dict.fromkeys(cover for cover in found if len(cover) > 1))


def entries(attribution: Record, medium: int) -> list[int | None]:
    """The entry of `TargetScores` that colours each area: a feature, an overlap (numbered after the features), or None."""
    shared = {cover: attribution.n + place for place, cover in enumerate(overlaps(attribution))}
    each = covers(attribution, medium)
    return [None if not cover else cover[0] if len(cover) == 1 else shared[cover] for cover in each]


def name(attribution: Record, entry: int) -> str:
    """The name of a feature or an overlap. Parts of a clip, or of one of several images, name their medium too."""
    if entry >= attribution.n:
        return " + ".join(name(attribution, feature) for feature in overlaps(attribution)[entry - attribution.n])
    feature = attribution.features[entry]
    of = {medium for medium, _ in feature.pieces}
    if len(of) != 1 or not attribution.media or feature.modality == "mixed":
        return feature.name
    title = caption(attribution, of.pop())
    return feature.text if title in ("image", feature.text) else f"{title}, {feature.text}"


def caption(attribution: Record, medium: int) -> str:
    """ "image", "clip" or "video", numbered where there are several of them."""
    kinds = [type(shown) for shown in attribution.media]
    noun = NAMES.get(attribution.media[medium].modality, attribution.media[medium].modality)
    return noun if kinds.count(kinds[medium]) == 1 else f"{noun} {kinds[: medium + 1].count(kinds[medium])}"
