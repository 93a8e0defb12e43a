"""Results of many prompts that draw themselves together."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from interpreto_mllm.core.files import replace_file
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.results.summarised import Entry, SummarisedResults

if TYPE_CHECKING:
    import pandas

LINES = 12


class Summary(SummarisedResults):
    """Which words, regions, roles, sources or modalities matter over many prompts; see `SummarisedResults`.

    Example:
        >>> from interpreto_mllm import ExactShapley, Summary
        >>> from interpreto_mllm.testbed import load_recall
        >>> explainer = ExactShapley(*load_recall(), pinned=["what", "is", "the", ".", "?"], progress=False)
        >>> prompts = [f"the {thing} is red . what is the {thing} ?" for thing in ("apple", "ball", "car", "cup", "hat")]
        >>> summary = Summary(explainer(prompts, " red"))
        >>> summary.entries[0].name, len(summary.entries[0].scores)
        ('red', 5)
    """

    def to_frame(self) -> pandas.DataFrame:
        """A pandas frame with one line for each entry.

        Raises:
            ImportError: without pandas.
        """
        from interpreto_mllm.results.frame import entries_frame

        return entries_frame(self)

    def plot(
        self,
        path: str | PathLike[str] | None = None,
        kind: str = "beeswarm",
        top: int = 20,
        width: int | float | None = None,
    ) -> Any:
        """A matplotlib figure: "beeswarm", a point for each prompt, or "bars", the shares with their intervals.

        Raises:
            ImportError: without matplotlib.
            ValueError: for another kind, or a width that is none.
        """
        from interpreto_mllm.plots.beeswarm import figure

        return figure(self, path, kind, top, width)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one self-contained page: each entry with its share, its interval, and a point for each prompt."""
        from interpreto_mllm.plots.html import document

        title = f"{len(self.rows)} prompts by {self.by}"
        replace_file(path, document(title, self._repr_html_()).encode())

    def __repr__(self) -> str:
        lines = [f"Summary: {len(self.rows)} prompts, {len(self.entries)} entries by {self.by}"]
        lines += [f"  {_line(entry)}" for entry in self.entries[:LINES]]
        return "\n".join(lines + (["  …"] if len(self.entries) > LINES else []))

    def _repr_html_(self) -> str:
        from interpreto_mllm.plots.summary_page import summary_page

        return summary_page(self)


def _line(entry: Entry) -> str:
    """An entry as text."""
    name, ends = shortened(visible(str(entry.name)), 32), entry.share_interval
    told = "" if ends is None else f" [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"
    return f"{name}: {100 * entry.share:.1f} %{told} of Σ|φ|, mean {entry.mean:+.3g}, in {len(entry.scores)}"
