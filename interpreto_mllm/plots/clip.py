"""A clip of the prompt with the scores of its segments: in matplotlib, in HTML and in the terminal."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from rich.text import Text

from interpreto_mllm.media import Clip
from interpreto_mllm.media.audio_granularity import timed
from interpreto_mllm.plots.areas import caption, entries, name
from interpreto_mllm.plots.colours import hexadecimal, ink, mixed, tinted
from interpreto_mllm.plots.fonts import label
from interpreto_mllm.plots.scores import TargetScores
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.results.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 900
"""Of the waveform in a figure."""

BAR_COLUMNS = 64
"""Of the loudness bar in a terminal."""

MOST_TIERS = 3
"""Lines of names above a clip."""

LOUDEST_SHARE = 0.66
"""Height of the loudest sample between the middle and the border, so that the shading shows around every waveform."""

WIDTH, HEIGHT, TIER_HEIGHT = 720, 96, 18
"""Of the waveform and of a line of names on a page, in SVG units."""

BLOCKS = "▁▂▃▄▅▆▇█"


def draw(attribution: Record, medium: int, row: TargetScores, numbers: bool, fonts: dict[str, str], axes: Axes) -> None:
    """The waveform over its shaded segments, with their names if they have any, over seconds."""
    clip = _clip(attribution, medium)
    low, high = _envelope(clip, COLUMNS)
    seconds = np.linspace(0, clip.seconds, len(low))
    axes.set_xlim(0, clip.seconds)
    axes.set_ylim(-1.75 if numbers else -1.15, 1.15)
    found = []
    for (start, end, _), entry in zip(clip.areas, entries(attribution, medium), strict=True):
        if entry is not None:
            axes.axvspan(start / clip.rate, end / clip.rate, color=tinted(row.share(entry)), linewidth=0)
            found.append(((start + end) / 2 / clip.rate, (end - start) / clip.rate, entry))
    for edge in sorted({edge for segment in clip.segments for edge in segment}):
        axes.axvline(edge / clip.rate, color="#33373d", linewidth=0.6)
    axes.fill_between(seconds, LOUDEST_SHARE * low, LOUDEST_SHARE * high, color="#33373d", alpha=0.6, linewidth=0.3)
    axes.set_yticks([])
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.tick_params(labelsize=8, length=3)
    axes.set_xlabel("seconds", fontsize=8, labelpad=2)
    points = axes.get_window_extent().width / axes.figure.dpi * 72
    if numbers:
        longest = max((len(row.short(entry)) for _, _, entry in found), default=1)
        for middle, width, entry in found:
            text = row.short(entry)
            size = min(8.0, width / clip.seconds * points / (0.68 * longest))
            if size >= 4:
                axes.text(middle, -1.42, text, ha="center", va="center_baseline", fontsize=size, color=ink(row.share(entry)))
    for text, middle, tier in names(clip, 5.4 / points * clip.seconds):
        drawn = label(text, fonts, 40)
        axes.annotate(
            drawn,
            (middle, 1.15),
            (0, 2 + 11 * tier),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8.5,
            parse_math=False,
        )


def names(clip: Clip, character: float) -> list[tuple[str, float, int]]:
    """The names of segments, other than times: text, middle in seconds and tier, so that none overlaps another.

    Args:
        clip: the clip.
        character: the width of a character, in seconds.
    """
    ends, placed = [0.0] * MOST_TIERS, []
    for (start, end), text in zip(clip.segments, clip.labels, strict=True):
        shown = shortened(visible(text), 40)
        half = (len(shown) + 1) * character / 2
        middle = min(max((start + end) / 2 / clip.rate, half), max(clip.seconds - half, half))
        tier = next((tier for tier in range(MOST_TIERS) if ends[tier] <= middle - half + 1e-9), None)
        if tier is None or text in timed([(start, end)], clip.rate):
            continue
        ends[tier] = middle + half
        placed.append((shown, middle, tier))
    return placed


def tiers(clip: Clip, character: float) -> int:
    """How many lines the names need."""
    return max((tier + 1 for _, _, tier in names(clip, character)), default=0)


def html(attribution: Record, medium: int, row: TargetScores) -> str:
    """The waveform over its segments, each a separate shape whose title is its score, and the recording to play."""
    clip = _clip(attribution, medium)
    scale = WIDTH / len(clip.samples)
    named = names(clip, 7.5 / WIDTH * clip.seconds)
    top = TIER_HEIGHT * tiers(clip, 7.5 / WIDTH * clip.seconds)
    shapes = "".join(
        f'<rect class="area {row.classes(entry)}" data-feature="{entry}" '
        f'data-start="{start / clip.rate:.3f}" data-end="{end / clip.rate:.3f}" '
        f'style="--strength: {abs(row.share(entry)):.3f}" x="{start * scale:.1f}" y="{top}" '
        f'width="{(end - start) * scale:.1f}" height="{HEIGHT}">'
        f"<title>{escape(name(attribution, entry))}  {row.readable(entry)}</title></rect>"
        for (start, end, _), entry in zip(clip.areas, entries(attribution, medium), strict=True)
        if entry is not None
    )
    edges = sorted({edge for segment in clip.segments for edge in segment})
    borders = "".join(f"M{edge * scale:.1f} {top}V{top + HEIGHT}" for edge in edges)
    words = "".join(
        f'<text x="{middle / clip.seconds * WIDTH:.1f}" y="{top - 5 - TIER_HEIGHT * tier}">{escape(text)}</text>'
        for text, middle, tier in named
    )
    times = "".join(
        f'<text class="time" x="{time / clip.seconds * WIDTH:.1f}" y="{top + HEIGHT + 14}">{time:g} s</text>'
        for time in _ticks(clip)
    )
    title = escape(caption(attribution, medium))
    figcaption = "" if title == "clip" else f"<figcaption>{title}</figcaption>"
    box = f"-14 0 {WIDTH + 28} {top + HEIGHT + 20}"
    return (
        f'<figure class="clip" style="--inner: {WIDTH / (WIDTH + 28):.4f}">{figcaption}'
        f'<svg viewBox="{box}" role="img" aria-label="scores of {title}">{shapes}'
        f'<path class="border" d="{borders}"/><path class="wave" d="{_wave(clip, top)}"/>{words}{times}'
        f'<line class="playhead" data-width="{WIDTH}" y1="{top}" y2="{top + HEIGHT}" style="visibility: hidden"/></svg>'
        f'<audio controls preload="metadata" aria-label="{title}" src="data:audio/wav;base64,{_wav(clip)}"></audio></figure>'
    )


def bar(attribution: Record, medium: int, row: TargetScores) -> Text:
    """Loudness over time, coloured by score."""
    clip = _clip(attribution, medium)
    low, high = _envelope(clip, BAR_COLUMNS)
    text = Text().append(f"{caption(attribution, medium)} ", "dim")
    each = [(start, end, entry) for (start, end, _), entry in zip(clip.areas, entries(attribution, medium), strict=True)]
    for column, loudness in enumerate(np.maximum(-low, high)):
        middle = (column + 0.5) * len(clip.samples) / len(low)
        entry = next(entry for start, end, entry in each if start <= middle < end)
        block = BLOCKS[min(int(loudness * len(BLOCKS)), len(BLOCKS) - 1)]
        share = 0.0 if entry is None else row.share(entry)
        text.append(block, f"#111111 on {hexadecimal(mixed(share))}")
    return text.append(f" {clip.seconds:.2f} s", "dim")


def _clip(attribution: Record, medium: int) -> Clip:
    clip = attribution.media[medium]
    assert isinstance(clip, Clip)
    return clip


def _envelope(clip: Clip, columns: int) -> tuple[Float[np.ndarray, "columns"], Float[np.ndarray, "columns"]]:
    """Lowest and highest sample of each column, as shares of the loudest."""
    columns = min(columns, len(clip.samples))
    starts = np.arange(columns) * len(clip.samples) // columns
    loudest = float(np.abs(clip.samples).max()) or 1.0
    samples = clip.samples.astype(np.float64) / loudest
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def _wave(clip: Clip, top: int) -> str:
    low, high = _envelope(clip, COLUMNS)
    width, middle, half = WIDTH / len(low), top + HEIGHT / 2, HEIGHT / 2 * LOUDEST_SHARE
    upper = [f"{(column + 0.5) * width:.1f} {middle - half * value:.1f}" for column, value in enumerate(high.tolist())]
    lower = [f"{(column + 0.5) * width:.1f} {middle - half * value + 0.3:.1f}" for column, value in enumerate(low.tolist())]
    return f"M{'L'.join(upper + lower[::-1])}Z"


def _ticks(clip: Clip) -> Sequence[float]:
    """Round times, five to ten of them."""
    step = next(step * 10.0**power for power in range(-4, 9) for step in (1, 2, 5) if clip.seconds / (step * 10.0**power) <= 10)
    return [round(step * tick, 6) for tick in range(int(clip.seconds / step + 1e-6) + 1)]


def _wav(clip: Clip) -> str:
    """The recording in 16 bits, which every browser plays."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(clip.rate)
        sound.writeframes((np.clip(clip.samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    return base64.b64encode(file.getvalue()).decode()
