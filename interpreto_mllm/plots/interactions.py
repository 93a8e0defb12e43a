"""The interactions that users see: each method calls the module that draws or writes them."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from interpreto_mllm.core.files import replace_file
from interpreto_mllm.results.frame import interactions_frame
from interpreto_mllm.results.interaction_archive import load, save
from interpreto_mllm.results.interactions import SetValues

if TYPE_CHECKING:
    import pandas


class Interactions(SetValues):
    """What pairs or triples of features are worth together beyond what they are worth apart; see `SetValues`.

    Example:
        >>> from interpreto_mllm import ExactShapley, testbed
        >>> explainer = ExactShapley(*testbed.load_recall(), pinned=[".", "the", "is"])
        >>> [explanation] = explainer("the apple is red . what is the apple ?", "red")
        >>> for pair in explanation.interactions().top(2):
        ...     print(pair)
        apple × red  +...
        apple × apple  +...
    """

    def show(self, top: int = 10) -> None:
        """Show the strongest: in a notebook as HTML, elsewhere as a table in the terminal."""
        from interpreto_mllm.plots.interaction_table import show

        show(self, top)

    def plot(
        self,
        path: str | PathLike[str] | None = None,
        target: int = 0,
        kind: str | None = None,
        top: int = 20,
    ) -> Any:
        """A matplotlib figure: "matrix" of pairs, or of the `top` strongest "bars" with their errors, or the "network" over the
        sentence and the image. Unless given, "matrix" for pairs and "bars" for triples.

        Raises:
            ImportError: without matplotlib.
            ValueError: when there is no such target or kind of plot.
        """
        from interpreto_mllm.plots.interaction_figure import figure

        return figure(self, path, target, kind, top)

    def to_html(self, path: str | PathLike[str], top: int = 30) -> None:
        """Write one self-contained HTML page with the strongest of each target."""
        from interpreto_mllm.plots.interaction_table import page

        replace_file(path, page(self, top).encode())

    def to_frame(self) -> pandas.DataFrame:
        """A pandas frame with one line per target and set of features.

        Raises:
            ImportError: without pandas.
        """
        return interactions_frame(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one JSON file, from which `load` gives back exactly the same numbers."""
        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Interactions:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when the file is something else, damaged, or was written by a newer version.
        """
        return load(path, cls)

    def _repr_html_(self) -> str:
        from interpreto_mllm.plots.interaction_table import fragment

        return fragment(self, 10)
