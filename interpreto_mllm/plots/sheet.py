"""A prompt with images and clips as a matplotlib figure, in reading order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interpreto_mllm.media import Clip, Picture, Video
from interpreto_mllm.plots import clip as clips
from interpreto_mllm.plots import picture as pictures
from interpreto_mllm.plots.areas import caption
from interpreto_mllm.plots.colours import ink, tinted
from interpreto_mllm.plots.description import quantity
from interpreto_mllm.plots.flow import flow
from interpreto_mllm.plots.fonts import drawable, label
from interpreto_mllm.plots.pieces import Piece, pieces
from interpreto_mllm.plots.scores import TargetScores, shown_scores, target_scores
from interpreto_mllm.plots.strip import strip
from interpreto_mllm.results.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, MARGIN, GAP = 7.2, 0.12, 0.16
"""Of the sheet, around it, and between its blocks, in inches."""

TALLEST_IMAGE = 2.3
"""In inches."""

TEXT_POINTS, LINE_INCHES = 11.0, 0.26
"""Size of the running text, and distance between its lines."""

MOST_LINES = 120


@dataclass(frozen=True)
class Block:
    """A part of the sheet: its height, the function that draws it above a given height, and the gap below it."""

    height: float
    draw: Callable[[float], None]
    gap: float = GAP


class Sheet:
    """A figure under construction; heights are in inches from below."""

    def __init__(self, attribution: Record, row: TargetScores, numbers: bool, fonts: dict[str, str]):
        import matplotlib.pyplot as plt

        self.attribution, self.row, self.numbers, self.fonts = attribution, row, numbers, fonts
        self.figure = plt.figure(figsize=(WIDTH, 1))

    def blocks(self, heading: str) -> list[Block]:
        """From top to bottom."""
        found = [self.title(heading)]
        run: list[Piece] = []
        media: list[int] = []
        for piece in _readable(pieces(self.attribution)):
            if piece.medium is None:
                found += self.media(media)
                media = []
                run.append(piece)
            else:
                found += self.text(run)
                run = []
                if piece.heading:
                    found.append(self.heading(piece.heading))
                media.append(piece.medium)
        return [*found, *self.media(media), *self.text(run), self.legend()]

    def axes(self, left: float, bottom: float, width: float, height: float) -> Any:
        whole = self.figure.get_figheight()
        return self.figure.add_axes((left / WIDTH, bottom / whole, width / WIDTH, height / whole))

    def write(self, x: float, y: float, text: str, **named: Any) -> None:
        self.figure.text(x / WIDTH, y / self.figure.get_figheight(), text, parse_math=False, **named)

    def measure(self, text: str) -> float:
        """The width of running text in inches, measured between bars so that no letter is kerned away."""
        from matplotlib.font_manager import FontProperties
        from matplotlib.textpath import TextToPath

        font = FontProperties(family=list(self.fonts), size=TEXT_POINTS)
        ends = TextToPath().get_text_width_height_descent("||", font, False)[0]
        return (TextToPath().get_text_width_height_descent(f"|{text}|", font, False)[0] - ends) / 72

    def title(self, heading: str) -> Block:
        row = self.row
        subtitle = f"{quantity(self.attribution)}     {row.ends}"

        def draw(bottom: float) -> None:
            self.write(MARGIN, bottom + 0.27, heading, fontsize=12, fontweight="bold", va="bottom")
            self.write(MARGIN, bottom + 0.06, subtitle, fontsize=8.5, color="#6b7280", va="bottom")

        return Block(0.5, draw, 0.12)

    def heading(self, role: str) -> Block:
        def draw(bottom: float) -> None:
            self.write(MARGIN, bottom, role, fontsize=8.5, fontweight="bold", color="#6b7280", va="bottom")

        return Block(0.16, draw, 0.06)

    def text(self, run: list[Piece]) -> list[Block]:
        """The running text, each feature on its colour."""
        found: list[Block] = []
        while run:
            if run[0].heading:
                found.append(self.heading(run[0].heading))
            length = next((at for at, piece in enumerate(run) if at and piece.heading), len(run))
            stretches = [(drawable(piece.text, self.fonts), at) for at, piece in enumerate(run[:length])]
            placed = flow(stretches, WIDTH - 2 * MARGIN, self.measure)
            if placed:
                found.append(self.lines(run[:length], placed))
            run = run[length:]
        return found

    def lines(self, run: list[Piece], placed: list[Any]) -> Block:
        from matplotlib.patches import Rectangle

        count = min(placed[-1].line + 1, MOST_LINES)
        height = count * LINE_INCHES + (LINE_INCHES if placed[-1].line >= MOST_LINES else 0)

        def draw(bottom: float) -> None:
            axes = self.axes(0.0, bottom, WIDTH, height)
            axes.set(xlim=(0, WIDTH), ylim=(0, height))
            axes.set_axis_off()
            for bit in placed:
                left, base = MARGIN + bit.left, height - (bit.line + 1) * LINE_INCHES
                if bit.line >= MOST_LINES:
                    axes.text(MARGIN, 0.04, "… to_html() shows the rest", fontsize=9, color="#6b7280")
                    break
                feature = run[bit.tag].feature
                share = 0.0 if feature is None else self.row.share(feature)
                if feature is not None:
                    corner, size = (left - 0.01, base + 0.025), (bit.width + 0.02, LINE_INCHES - 0.05)
                    axes.add_patch(Rectangle(corner, *size, color=tinted(share), linewidth=0))
                colour = "#8b919b" if feature is None else ink(share)
                axes.text(left, base + 0.085, bit.text, fontsize=TEXT_POINTS, color=colour, va="baseline", parse_math=False)

        return Block(height, draw)

    def media(self, found: list[int]) -> list[Block]:
        """The images, as many per line as fit, and each clip on its own line."""
        blocks: list[Block] = []
        line: list[tuple[int, float, float]] = []
        room = 0.0
        for medium in found:
            shown = self.attribution.media[medium]
            if isinstance(shown, Clip):
                blocks, line, room = [*blocks, *self.pictures(line), self.clip(medium, shown)], [], 0.0
                continue
            if isinstance(shown, Video):
                blocks, line, room = [*blocks, *self.pictures(line), self.video(medium, shown)], [], 0.0
                continue
            width, height = _size(shown)
            if line and room + 2 * width + GAP > WIDTH - 2 * MARGIN:
                blocks, line, room = [*blocks, *self.pictures(line)], [], 0.0
            line.append((medium, width, height))
            room += 2 * width + 0.08 + 2 * GAP
        return [*blocks, *self.pictures(line)]

    def pictures(self, line: list[tuple[int, float, float]]) -> list[Block]:
        if not line:
            return []
        high = max(height for _, _, height in line)
        named = caption(self.attribution, line[0][0]) != "image"

        def draw(bottom: float) -> None:
            left = MARGIN
            for medium, width, height in line:
                at = bottom + high - height
                pair = self.axes(left, at, width, height), self.axes(left + width + 0.08, at, width, height)
                pictures.draw(self.attribution, medium, self.row, self.numbers, pair)
                if named:
                    self.write(left, bottom + high + 0.04, caption(self.attribution, medium), fontsize=8, color="#6b7280")
                left += 2 * width + 0.08 + 2 * GAP

        return [Block(high + (0.18 if named else 0), draw)]

    def clip(self, medium: int, shown: Clip) -> Block:
        width = WIDTH - 2 * MARGIN
        names = 0.155 * clips.tiers(shown, 5.4 / (width * 72) * shown.seconds)
        title, wave = caption(self.attribution, medium), 1.0 if self.numbers else 0.8

        def draw(bottom: float) -> None:
            axes = self.axes(MARGIN, bottom + 0.34, width, wave)
            clips.draw(self.attribution, medium, self.row, self.numbers, self.fonts, axes)
            if title != "clip":
                self.write(MARGIN, bottom + 0.39 + wave + names, title, fontsize=8, color="#6b7280")

        return Block(0.37 + wave + names + (0.16 if title != "clip" else 0), draw)

    def video(self, medium: int, shown: Video) -> Block:
        """Its frames, and below them their heat map."""
        image, _ = strip(shown)
        width = min(WIDTH - 2 * MARGIN, image.width / image.height * TALLEST_IMAGE)
        height, title = width * image.height / image.width, caption(self.attribution, medium)

        def draw(bottom: float) -> None:
            pair = self.axes(MARGIN, bottom + height + 0.06, width, height), self.axes(MARGIN, bottom, width, height)
            pictures.draw(self.attribution, medium, self.row, self.numbers, pair)
            self.write(MARGIN, bottom + 2 * height + 0.1, title, fontsize=8, color="#6b7280")

        return Block(2 * height + 0.24, draw)

    def legend(self) -> Block:
        """The colour scale that everything on the sheet shares."""

        def draw(bottom: float) -> None:
            bound = self.row.bound
            axes = self.axes((WIDTH - 2.6) / 2, bottom + 0.26, 2.6, 0.12)
            steps = [step / 128 - 1 for step in range(257)]
            from matplotlib.colors import to_rgb

            axes.imshow([[to_rgb(tinted(step)) for step in steps]], extent=(-1, 1, 0, 1), aspect="auto")
            axes.set_yticks([])
            ends = [f"−{bound:.3g}", "0", f"+{bound:.3g}"] if bound else ["", "0", ""]
            axes.set_xticks([-1, 0, 1], labels=ends, fontsize=8)
            axes.tick_params(length=2, pad=2)
            axes.spines[:].set_linewidth(0.5)
            for x, side, text in ((-1.06, "right", "against"), (1.06, "left", "towards")):
                axes.text(x, 0.5, text, ha=side, va="center_baseline", fontsize=8.5, color="#444444")

        return Block(0.46, draw)


def sheet(attribution: Record, target: int | None, numbers: bool, fonts: dict[str, str]) -> Figure:
    """Draw one target: the one given, else the whole answer, else the first."""
    every = shown_scores(attribution)
    shown = every[0] if target is None else target_scores(attribution, target)
    of = f"   (the first of {attribution.t} targets)" if target is None and len(every) == attribution.t > 1 else ""
    page = Sheet(attribution, shown, numbers, fonts)
    blocks = page.blocks(label(shown.label, fonts, 64) + of)
    height = sum(block.height + block.gap for block in blocks) - GAP + 2 * MARGIN
    page.figure.set_figheight(height)
    top = height - MARGIN
    for block in blocks:
        block.draw(top - block.height)
        top -= block.height + block.gap
    return page.figure


def _size(picture: Picture) -> tuple[float, float]:
    """Width and height of an image on the sheet, in inches."""
    ratio = picture.image.width / picture.image.height
    widest = (WIDTH - 2 * MARGIN - 0.08) / 2
    height = min(TALLEST_IMAGE, widest / ratio)
    return max(height * ratio, 0.3), height


def _readable(found: list[Piece]) -> Iterator[Piece]:
    """The pieces of a chat without the template's markup between the explained turns."""
    turns = [piece.turn for piece in found if piece.feature is not None or piece.medium is not None]
    chat = any(turn is not None for turn in turns)
    for place, piece in enumerate(found):
        if piece.feature is not None or piece.medium is not None or not chat:
            yield piece
            continue
        around = [next((p for p in side if p.feature is not None), None) for side in (found[:place][::-1], found[place + 1 :])]
        before, after = around
        if before and after and before.turn == after.turn:
            yield piece
        elif before and (rest := re.match(r"[^\n<\[|]+", piece.text)):
            yield Piece(rest.group(), None)
