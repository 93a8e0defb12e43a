"""The figure "which method when" of docs/methods.md, with figures of the published tables: `make tables`.

Each arrow rests on a table of docs/benchmarks.md. The script reads the figures there, and stops where they do not bear it out.
"""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FIGURE = HERE.parent / "docs" / "images" / "choosing.svg"
WIDTH, LEFT, RIGHT, GAP, LINE, PAD = 400, 172, 184, 26, 18, 11
"""Of the drawing, of questions, of methods, between rows, of a line of text, around text."""
STYLE = """
text { font: 14px system-ui, sans-serif; fill: #1c1e22; } .name { font-weight: 700; }
.small { font-size: 12.5px; fill: #4b5058; }
rect { rx: 7px; stroke-width: 1.2; } .asked { fill: #f4f5f7; stroke: #9aa1ab; } .found { fill: #e4edf8; stroke: #2f6fc4; }
.first { fill: #fbe7e5; stroke: #d63e32; } path { stroke: #6b727c; stroke-width: 1.4; fill: none; marker-end: url(#tip); }
#tip path { fill: #6b727c; stroke: none; marker-end: none; }
@media (prefers-color-scheme: dark) {
text { fill: #e8eaed; } .small { fill: #b9bfc8; } .asked { fill: #24272d; stroke: #7d848e; }
.found { fill: #1c2f4a; stroke: #6ea3e8; }
.first { fill: #48211e; stroke: #ee7a70; } path { stroke: #9aa1ab; } #tip path { fill: #9aa1ab; } }
"""


@dataclass(frozen=True)
class Step:
    """A question, and the method for those who say yes.

    Args:
        question: its lines; none for the last step, where all others end.
        method: the method.
        why: lines with the figures that speak for it.
    """

    question: tuple[str, ...]
    method: str
    why: tuple[str, ...]

    @property
    def height(self) -> int:
        """Of the row."""
        return LINE * max(len(self.question), 1 + len(self.why)) + 2 * PAD


def steps() -> list[Step]:
    """The questions in their order.

    Raises:
        ValueError: where a table does not bear out an arrow.
    """
    tables: dict[str, dict[str, Any]] = runpy.run_path(str(HERE / "fill_tables.py"))["published"]()

    def cell(table: str, row: str, column: str) -> str:
        columns, rows = tables[table]["columns"], tables[table]["rows"]
        return next(one for one in rows if one[0] == row)[columns.index(column)].strip("*")

    def borne_out(table: str, column: str, better: str, worse: str, part: int = 0) -> tuple[str, str]:
        """Two cells, the first of which is lower, or their parts between dots."""
        low, high = (cell(table, row, column).split(" · ")[part] for row in (better, worse))
        if not float(low.rstrip(" s")) < float(high.rstrip(" s")):
            raise ValueError(f"{table}, {column}: {better} has {low}, {worse} {high}.")
        return low, high

    exact = cell("speed/speed", "exact, 12 features, one-token answer", "ours")
    sparse = "sparse/five strong sets", "384 evaluations"
    borne_out(*sparse, "ScreenedShapley", "KernelShap")
    found = cell(sparse[0], "ScreenedShapley", sparse[1]).split(" · ")[1]
    left_out = cell("screening/signals", "each word left out", "of 3")
    gradient = cell("screening/signals", "norm of the gradient", "of 3")
    if float(left_out.rstrip("%")) <= float(gradient.rstrip("%")):
        raise ValueError(f"screening/signals: words left out find {left_out}, gradients {gradient}.")
    quick, slow = borne_out(
        "long/random sets of any size", "seconds at 20n", "n = 32, KernelShap", "n = 32, GaussianProcessShapley"
    )
    for times in ("5n", "10n", "20n"):
        least, more = borne_out("claims/judging: error", times, "GaussianProcessShapley", "KernelShap")
    return [
        Step(
            ("Can all 2ⁿ coalitions", "be evaluated?", "(up to 12 features)"),
            "ExactShapley",
            ("no error;", f"4,096 evaluations: {exact}"),
        ),
        Step(
            ("Hundreds of features,", "few of which matter?"),
            "ScreenedShapley",
            (f"finds {found} of the causes", "in 384 evaluations"),
        ),
        Step(("Only a first look?",), "Occlusion", (f"finds {left_out} of the causes", "in n + 2 evaluations")),
        Step(
            ("Is the model done in", "a few milliseconds?"),
            "KernelShap",
            (f"its own work takes {float(quick):.2f} s,", f"that of the one below {float(slow):.0f} s"),
        ),
        Step(
            (),
            "GaussianProcessShapley",
            ("lowest error on games of real models:", f"{least} at 20 evaluations a feature, KernelShap {more}"),
        ),
    ]


def drawing() -> str:
    """The figure as SVG."""
    parts, top, everything = [], 8, steps()
    column = WIDTH - RIGHT - 4
    for step in everything:
        middle, centre = top + step.height / 2, 4 + LEFT / 2
        kind = "found" if step.question else "first"
        left, wide = (column, RIGHT) if step.question else (4, WIDTH - 8)
        parts.append(f'<rect class="{kind}" x="{left}" y="{top}" width="{wide}" height="{step.height}"/>')
        lines = [("name", step.method), *(("small", line) for line in step.why)]
        parts += _lines(lines, left + PAD, middle)
        if step.question:
            parts.append(f'<rect class="asked" x="4" y="{top}" width="{LEFT}" height="{step.height}"/>')
            parts += _lines([("", line) for line in step.question], 4 + PAD, middle)
            parts.append(f'<path d="M{4 + LEFT} {middle}H{column - 3}"/>')
            parts.append(f'<text class="small" x="{4 + LEFT + 9}" y="{middle - 7}">yes</text>')
            under = top + step.height
            parts.append(f'<path d="M{centre} {under}V{under + GAP - 3}"/>')
            parts.append(f'<text class="small" x="{centre + 7}" y="{under + GAP / 2 + 3}">no</text>')
        top += step.height + GAP
    told = " ".join(f"{' '.join(one.question) or 'Otherwise:'} {one.method}, {' '.join(one.why)}." for one in everything)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top - GAP + 8}" role="img" aria-labelledby="name told">'
        f'<title id="name">Which method when</title><desc id="told">{told}</desc><style>{STYLE}</style>'
        '<marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z"/></marker>{"".join(parts)}</svg>\n'
    )


def _lines(lines: list[tuple[str, str]], left: float, middle: float) -> list[str]:
    """Lines of text around a height."""
    first = middle - LINE * len(lines) / 2 + LINE - 5
    return [f'<text class="{kind}" x="{left}" y="{first + LINE * i}">{text}</text>' for i, (kind, text) in enumerate(lines)]


def main() -> None:
    FIGURE.write_text(drawing(), encoding="utf-8")


if __name__ == "__main__":
    main()
