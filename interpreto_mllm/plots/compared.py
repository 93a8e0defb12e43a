"""Several results that draw themselves side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

from interpreto_mllm.core.files import replace_file
from interpreto_mllm.core.labels import joined
from interpreto_mllm.results.comparison import ComparedResults
from interpreto_mllm.results.record import Record


class Comparison(ComparedResults):
    """Several results next to each other; see `ComparedResults`."""

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one self-contained page: the results side by side on one colour scale, their differences and agreement."""
        from interpreto_mllm.plots.html import document

        replace_file(path, document(f"Comparison: {', '.join(self.names)}", self._repr_html_()).encode())

    def _repr_html_(self) -> str:
        from interpreto_mllm.plots.comparison import comparison

        return comparison(self)


def compare(results: Sequence[Record] | Mapping[str, Record], names: Sequence[str] | None = None) -> Comparison:
    """Put results side by side: of several methods, models, answers or prompts.

    Args:
        results: two or more, or a mapping from names to them.
        names: what each is called. Unless given: the methods, or the answers where all are of one method.

    Raises:
        ValueError: for fewer than two results, or other than one name each.

    Example:
        >>> from interpreto_mllm import ExactShapley, KernelShap, compare
        >>> from interpreto_mllm.testbed import load_recall
        >>> model, tokenizer = load_recall()
        >>> [exact] = ExactShapley(model, tokenizer)("the apple is red .", " red")
        >>> [sampled] = KernelShap(model, tokenizer, budget=20)("the apple is red .", " red")
        >>> comparison = compare([exact, sampled])
        >>> comparison.names, tuple(comparison.rank_correlations().shape)
        (('ExactShapley', 'KernelShap'), (2, 2))
    """
    if isinstance(results, Mapping):
        return Comparison(tuple(results.values()), tuple(results) if names is None else tuple(names))
    methods, answers = [result.method for result in results], [joined(result.targets).strip() for result in results]
    usual = answers if len(set(methods)) == 1 and len(set(answers)) == len(answers) else methods
    return Comparison(tuple(results), tuple(usual if names is None else names))
