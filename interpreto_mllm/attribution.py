"""The result of every explainer: each method calls the module that computes or draws it.

Modules that draw are imported on use, because they import rich or matplotlib.
"""

from __future__ import annotations

import warnings
from os import PathLike
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.core.counts import Counts
from interpreto_mllm.core.files import replace_file
from interpreto_mllm.plots.compared import Comparison, compare
from interpreto_mllm.plots.description import description
from interpreto_mllm.plots.interactions import Interactions
from interpreto_mllm.plots.summarised import Summary
from interpreto_mllm.results.archive import load, save
from interpreto_mllm.results.exchange import to_captum, to_shap
from interpreto_mllm.results.fidelity import Fidelity, fidelity
from interpreto_mllm.results.folding import Folded, folded
from interpreto_mllm.results.frame import frame
from interpreto_mllm.results.gradients import completeness_gap, conservation_gap
from interpreto_mllm.results.interactions import SetValues, set_values
from interpreto_mllm.results.intervals import interval
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.rescore import rescored
from interpreto_mllm.results.shares import Shares, modality_shares
from interpreto_mllm.results.synergy import synergy
from interpreto_mllm.results.tokens import token_rows

if TYPE_CHECKING:
    import pandas

    from interpreto_mllm.games.modes import InferenceModes
    from interpreto_mllm.similarity.response_similarity import ResponseSimilarity

__all__ = ["Attribution", "Comparison", "Counts", "Interactions", "Summary", "compare"]


class Attribution(Record):
    """Scores of `n` features for `t` targets, with all that is needed to check, re-cut, show and save them.

    What it holds is described in `Record`. Nothing here calls a model.

    Example:
        >>> from interpreto_mllm import KernelShap, testbed
        >>> [explanation] = KernelShap(*testbed.load_recall())("the apple is red . what is the apple ?", " red")
        >>> explanation.n, float(explanation.efficiency_gap.abs().max()) < 1e-9
        (10, True)
    """

    completeness_gap = property(completeness_gap)
    conservation_gap = property(conservation_gap)

    def rescore(self, mode: ResponseSimilarity | InferenceModes) -> Attribution:
        """The same answers under another value function; the model that answered is not called.

        A result of log-probabilities, probabilities or perplexities under another of these, the mean log-probability
        (MEAN_LOG_SOFTMAX) or the answer's logit (ANSWER_LOGIT). Or a similarity game under another embedding or measure.
        Embeddings by a model are given it here: `Static(model, tokenizer)`. `InferenceModes.LOG_SOFTMAX` and `SOFTMAX` explain
        how likely the original answer was, where the game was played with `log_probability=True`.

        Raises:
            ValueError: when the result holds no answers, or does not keep what the value function needs.

        Example:
            >>> from interpreto_mllm import ExactShapley, Granularity, InferenceModes, testbed
            >>> from interpreto_mllm.similarity import ResponseSimilarity, TfIdf
            >>> explainer = ExactShapley(
            ...     *testbed.load_recall(), granularity=Granularity.SENTENCE, inference_mode=InferenceModes.SIMILARITY
            ... )
            >>> [explanation] = explainer("the apple is red . the sky is blue . what is the apple ?")
            >>> explanation.rescore(ResponseSimilarity(similarity=TfIdf())).full.tolist()
            [1.0]
        """
        return rescored(self, mode)

    def tokens(self) -> Attribution:
        """A row for each token, of a result whose rows are whole answers (`rows="answer"`).

        Raises:
            ValueError: for a result that has no tokens.

        Example:
            >>> from interpreto_mllm import KernelShap, testbed
            >>> explainer = KernelShap(*testbed.load_recall(), rows="answer")
            >>> [explanation] = explainer("the apple is red . what is the apple ?", " red .")
            >>> explanation.targets, explanation.tokens().targets
            (['red .'], ['red', ' .'])
        """
        return token_rows(self)

    def interval(self, level: float = 0.95) -> tuple[Float[Tensor, "t n"], Float[Tensor, "t n"]]:
        """Lower and upper ends of the confidence intervals of the scores, from their standard errors and the normal quantile.

        Raises:
            ValueError: for a level outside (0, 1), or a result without standard errors.
        """
        return interval(self, level)

    def interactions(self, order: int = 2, index: str = "SII", top: int | None = None) -> Interactions:
        """What pairs or triples of features are worth together beyond what they are worth apart, from the stored evaluations.

        Args:
            order: 2 for pairs, 3 for triples.
            index: "SII" (or "k-SII"), "FSII", "STII", "BII" (or "FBII") or "Möbius"; see docs/interactions.md.
            top: only so many of each target, the strongest, found without keeping all. None: all.

        Raises:
            ValueError: for another order or index, `top` beyond the number of sets, more sets than can be held, or evaluations
                that do not determine them.
        """
        return set_values(self, order, index, top, Interactions)

    def modality_shares(self, target: int | None = None) -> Shares:
        """The share of Σ|φ| that falls on text, images and audio, for one target or all together.

        Raises:
            ValueError: when there is no such target, or every score is zero.
        """
        return modality_shares(self, target)

    def by(self, what: str, target: int | None = None) -> Folded:
        """The scores added up over the features of each source, turn, role, modality, trust or part, with standard errors.

        Args:
            what: "source" (tool, tool result, document), "turn", "role", "modality", "trust" or "part" (thoughts).
            target: a row; None for the whole answer.

        Raises:
            ValueError: for something that no feature has, no such target, or several classes without a target.

        Example:
            >>> from interpreto_mllm import ExactShapley, Sources, testbed
            >>> sources = Sources({"market": "the apple is red .", "sailor": "the sky is blue ."})
            >>> explainer = ExactShapley(*testbed.load_recall(), granularity=sources)
            >>> [explanation] = explainer("the apple is red . the sky is blue . what is the apple ?", " red")
            >>> explanation.by("source").ranked
            ['market', 'sailor']
        """
        return folded(self, what, target)

    def synergy(self, *modalities: str) -> Float[Tensor, "t"]:
        """What modalities are worth together beyond what each is worth alone: v(T∪I) − v(T) − v(I) + v(∅) for two of them.

        Positive: together worth more than apart. All modalities of the prompt unless some are named.

        Raises:
            ValueError: for fewer than two modalities, unknown ones, or coalitions that were not evaluated.
        """
        return synergy(self, modalities)

    def fidelity(self) -> Fidelity:
        """How well the scores, read as sums, predict coalitions that were held out, without and with interactions.

        Raises:
            ValueError: with too few coalitions to hold any out.
        """
        return fidelity(self)

    def certificate(self) -> Fidelity:
        """The former name of `fidelity`."""
        warnings.warn("Attribution.certificate() is now called fidelity().", DeprecationWarning, stacklevel=2)
        return self.fidelity()

    def show(self) -> None:
        """Show the coloured prompt: in a notebook as HTML, elsewhere in the terminal."""
        from interpreto_mllm.plots.show import show

        show(self)

    def plot(
        self,
        path: str | PathLike[str] | None = None,
        target: int | None = None,
        numbers: bool = False,
        kind: str | None = None,
        width: int | float | None = None,
    ) -> Any:
        """A matplotlib figure, saved when `path` is given.

        Args:
            path: PNG, or PDF and SVG with text as text.
            target: None for the whole answer, where a kind shows one.
            numbers: "prompt" writes the scores where they fit.
            kind: "bars" (of one target), "heat map" (of several), "prompt" (with images and clips as they are read),
                "waterfall", "force", or "budget" (how scores settled). None: one of the first three that suits the result.
            width: in inches; 3.4 for a column of a paper.

        Raises:
            ImportError: without matplotlib.
            ValueError: when there is no such target or kind, and for "budget" of a result that was not drawn.
        """
        from interpreto_mllm.plots.figure import figure

        return figure(self, path, target, numbers, kind, width)

    def to_html(self, path: str | PathLike[str], interactions: SetValues | None = None) -> None:
        """Write one self-contained HTML page with the coloured prompt; hovering shows scores, clicking a segment plays it.

        Args:
            path: of the page.
            interactions: pairs that are drawn as arcs over the prompt, such as `explanation.span().interactions()`.

        Raises:
            ValueError: for interactions of other features, or of more than two.
        """
        from interpreto_mllm.plots.html import page

        replace_file(path, page(self, interactions).encode())

    def to_latex(self, path: str | PathLike[str] | None = None, target: int | None = None) -> str:
        """The prompt as a LaTeX paragraph with each feature on its colour, for one target or for the whole answer.

        Needs the package `xcolor`. Written to `path` where one is given.

        Raises:
            ValueError: when there is no such target.
        """
        from interpreto_mllm.plots.latex import latex

        text = latex(self, target)
        if path is not None:
            replace_file(path, text.encode())
        return text

    def to_frame(self) -> pandas.DataFrame:
        """A pandas frame with one line per target and feature.

        Raises:
            ImportError: without pandas.
        """
        return frame(self)

    def to_shap(self, image: int | None = None) -> Any:
        """A `shap.Explanation` of the features, for `shap.plots.text`; or of the pixels of an image, for `shap.plots.image`.

        Over pixels, the score of a feature is spread evenly, so that sums stay what they are.

        Raises:
            ImportError: without shap.
            ValueError: when there is no such image.
        """
        return to_shap(self, image)

    def to_captum(self, target: int | None = None) -> Any:
        """A `captum.attr.LLMAttributionResult` with its plots: of the whole answer and its tokens, or of one target.

        Raises:
            ImportError: without captum.
            ValueError: for several classes or answers without a `target`, or when there is no such one.
        """
        return to_captum(self, target)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one JSON file, from which `load` gives back exactly the same numbers."""
        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str], aggregator: Aggregator | None = None) -> Attribution:
        """Read what `save` wrote. An aggregator of your own must be imported already, or be given here.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when the file is something else, or was written by a newer version.
        """
        return load(path, aggregator, cls)

    def __repr__(self) -> str:
        return description(self)

    def _repr_html_(self) -> str:
        from interpreto_mllm.plots.html import fragment

        return fragment(self)
