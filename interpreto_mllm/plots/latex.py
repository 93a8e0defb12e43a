"""A result as LaTeX: the prompt with each feature on its colour."""

from __future__ import annotations

import re

from interpreto_mllm.plots.areas import caption
from interpreto_mllm.plots.colours import AGAINST, STRENGTH, TOWARDS
from interpreto_mllm.plots.pieces import pieces
from interpreto_mllm.plots.scores import target_scores
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.whole import whole_answer

SPECIAL = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}


def latex(attribution: Record, target: int | None) -> str:
    """A paragraph to be set where `xcolor` is loaded; images and clips stand as their names.

    Text outside ASCII stays as it is, which XeLaTeX, LuaLaTeX and today's pdfLaTeX read.

    Raises:
        ValueError: when there is no such target.
    """
    if target is not None:
        attribution.require_target(target)
    whole = whole_answer(attribution) if target is None else None
    row = target_scores(whole or attribution, target or 0)
    colours = "".join(
        f"\\definecolor{{{name}}}{{RGB}}{{{','.join(map(str, rgb))}}}"
        for name, rgb in (("towards", TOWARDS), ("against", AGAINST))
    )
    words = []
    for piece in pieces(attribution):
        if piece.heading:
            words.append(f"\\par\\textbf{{{escaped(piece.heading)}}} ")
        if piece.medium is not None:
            words.append(f"[{escaped(caption(attribution, piece.medium))}] ")
        elif piece.feature is None:
            words.append(escaped(piece.text))
        else:
            share = row.share(piece.feature)
            shade = f"{'towards' if share > 0 else 'against'}!{100 * STRENGTH * abs(share):.0f}"
            words.append(f"\\colorbox{{{shade}}}{{\\strut {escaped(piece.text)}}}\\allowbreak{{}}")
    return f"% \\usepackage{{xcolor}}\n{colours}\n{{\\setlength{{\\fboxsep}}{{0pt}}\\raggedright\n{''.join(words)}\n}}\n"


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is.

    Example:
        >>> print(escaped("50 % of $x_1$"))
        50 \\% of \\$x\\_1\\$
    """
    return re.sub(r"[\\{}$&#^_%~]", lambda found: SPECIAL.get(found.group(), "\\" + found.group()), text)
