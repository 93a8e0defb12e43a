"""Tracing an answer through the thoughts before it."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.files import replace_file
from interpreto_mllm.core.shown import shown
from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.games.modes import check_mode, mode_name
from interpreto_mllm.results.trace import ThoughtFlow
from interpreto_mllm.results.trace_archive import load, save
from interpreto_mllm.thoughts.target import Reasoned

if TYPE_CHECKING:
    import pandas

MODES = ("log_softmax", "softmax")
"""Value functions under which sentences of thoughts can be traced."""


class Trace(ThoughtFlow):
    """An answer traced through the thoughts before it: prompt → thoughts → answer; see `ThoughtFlow` for what it adds up.

    Example:
        >>> from interpreto_mllm import KernelShap, Granularity, trace
        >>> from interpreto_mllm.testbed import load_thoughts, sample_chain_prompts
        >>> [prompt] = sample_chain_prompts(1, seed=1)
        >>> found = trace(KernelShap(*load_thoughts(), granularity=Granularity.SENTENCE, budget=64), prompt.messages)
        >>> [thought.text for thought in found.thoughts]
        ['the house is like the cat .', 'the cat is red .']
        >>> sorted(found.features[part].text for part in found.total.topk(3).indices)
        ['the cat is red .', 'the house is like the cat .', 'what colour is the house ?']
    """

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """A matplotlib figure of the flow, saved when `path` is given.

        Raises:
            ImportError: without matplotlib.
        """
        from interpreto_mllm.plots.trace import figure

        return figure(self, path)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one self-contained HTML page with the flow and a table of its parts."""
        from interpreto_mllm.plots.trace import page

        replace_file(path, page(self).encode())

    def to_frame(self) -> pandas.DataFrame:
        """A pandas frame with a line for each part of the prompt and each thought.

        Raises:
            ImportError: without pandas.
        """
        from interpreto_mllm.results.frame import trace_frame

        return trace_frame(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one JSON file, from which `load` gives back exactly the same numbers."""
        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Trace:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when the file is something else, damaged, or written by a newer version.
        """
        return cls(*load(path, Attribution))

    def __repr__(self) -> str:
        from interpreto_mllm.plots.trace import summary

        return summary(self)


def trace(
    explainer: AttributionExplainer | Any,
    inputs: Any,
    target: Reasoned | Any = None,
    *,
    checkpoint: str | PathLike[str] | None = None,
) -> Trace:
    """Trace an answer with thoughts: which parts of the prompt led to which thoughts, and these to the answer.

    Each sentence of the thoughts is explained by the parts of the prompt and the sentences before it, and the answer by all of
    them: one game for each, in one call.

    Args:
        explainer: of a language model, under LOG_SOFTMAX or SOFTMAX.
        inputs: one text or chat.
        target: `Reasoned(...)` with thoughts, answer, marks or the part of the answer; the model's own answer when None.
        checkpoint: see `AttributionExplainer.explain`.

    Raises:
        TypeError, ValueError: for a model that does not think, another value function, or another effect.

    Example: see `Trace`.
    """
    wanted = Reasoned() if target is None else target
    if not isinstance(explainer, AttributionExplainer) or not isinstance(wanted, Reasoned):
        raise TypeError(
            f"trace takes an explainer, an input and a Reasoned target; got {shown(explainer)} and {shown(target)}."
        )
    if wanted.effect != "direct":
        raise ValueError("A trace is made of direct effects, through thoughts that are held fixed: leave `effect` out.")
    mode = mode_name(check_mode(explainer.settings.inference_mode))
    if mode not in MODES:
        raise ValueError(
            f"A trace weighs how likely the sentences of thoughts are, and inference_mode is {mode}: use "
            "InferenceModes.LOG_SOFTMAX or SOFTMAX."
        )
    steps = explainer.reasoning.steps(inputs, wanted)
    asked = [prompt for prompt, _ in steps], [list(targets or ()) for _, targets in steps]
    *sentences, answer = explainer.explain(*asked, checkpoint=checkpoint)
    return Trace(answer.span() if answer.t > 1 else answer, tuple(one.span() if one.t > 1 else one for one in sentences))
