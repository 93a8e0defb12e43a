"""Draws given scores as captum, shap, inseq or interpreto draws them; needs only that library, in a Python of its own.

`python picture_of.py PEER FOLDER` reads {"features", "targets", "scores" (a row for each target), "empty", "full"} and writes
the pictures that the peer makes of it to the folder: HTML, and PNG where it draws with matplotlib.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Given = dict[str, Any]


def captum(given: Given, folder: Path) -> None:
    """The heat map of `LLMAttributionResult`, and the words of `visualize_text` for the whole answer."""
    import matplotlib

    matplotlib.use("Agg")
    import torch
    from captum.attr import LLMAttributionResult
    from captum.attr import visualization as viz

    scores = torch.tensor(given["scores"])
    whole = scores.sum(0)
    result = LLMAttributionResult(
        input_tokens=given["features"], output_tokens=given["targets"], seq_attr=whole, token_attr=scores
    )
    figure, _ = result.plot_token_attr()
    figure.savefig(folder / "heat.png", dpi=72, bbox_inches="tight")
    answer = "".join(given["targets"])
    record = viz.VisualizationDataRecord(
        whole / whole.abs().max(), 1.0, answer, answer, answer, whole.sum().item(), given["features"], 0.0
    )
    (folder / "text.html").write_text(viz.visualize_text([record]).data, encoding="utf-8")


def shap(given: Given, folder: Path) -> None:
    """`plots.text` of all tokens of the answer, with its script, and `plots.waterfall` of the whole answer."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    import shap as library
    from matplotlib import pyplot

    scores = np.array(given["scores"])
    words = np.array([f"{word} " for word in given["features"]])
    of_tokens = library.Explanation(
        scores.T[None], base_values=np.array(given["empty"])[None], data=[words], output_names=given["targets"]
    )
    shown = library.plots.text(of_tokens[0], display=False)
    (folder / "text.html").write_text(f"<meta charset='utf-8'>{library.getjs()}{shown}", encoding="utf-8")
    whole = library.Explanation(scores.sum(0), base_values=sum(given["empty"]), data=words, feature_names=given["features"])
    library.plots.waterfall(whole, max_display=14, show=False)
    pyplot.gcf().savefig(folder / "waterfall.png", dpi=72, bbox_inches="tight")


def inseq(given: Given, folder: Path) -> None:
    """`show()` of an output of the whole prompt and answer."""
    import torch
    from inseq.data.attribution import FeatureAttributionSequenceOutput
    from inseq.utils.typing import TokenWithId

    scores = torch.tensor(given["scores"]).T
    n, t = scores.shape
    tokens = [TokenWithId(text, index) for index, text in enumerate([*given["features"], *given["targets"]])]
    of_answer = torch.full((t, t), float("nan"))
    of_answer[torch.triu(torch.ones(t, t), 1).bool()] = 0.0
    output = FeatureAttributionSequenceOutput(
        source=[], target=tokens, target_attributions=torch.cat([scores, of_answer]), step_scores={}, attr_pos_start=n
    )
    shown = output.show(display=False, return_html=True, do_aggregation=False)
    (folder / "heat.html").write_text(f"<meta charset='utf-8'>{shown}", encoding="utf-8")


def interpreto(given: Given, folder: Path) -> None:
    """`plot_attributions` of a generated answer."""
    import torch
    from interpreto import plot_attributions
    from interpreto.attributions.base import AttributionOutput, ModelTask

    scores = torch.tensor(given["scores"])
    t = len(scores)
    output = AttributionOutput(
        attributions=torch.cat([scores, torch.full((t, t), float("nan"))], 1),
        elements=[*(f"{word} " for word in given["features"]), *given["targets"]],
        model_inputs_to_explain={},  # type: ignore[arg-type]
        targets=torch.arange(t),
        model_task=ModelTask.GENERATION,
    )
    plot_attributions(output, save_path=folder / "text.html")


PEERS: dict[str, Callable[[Given, Path], None]] = {peer.__name__: peer for peer in (captum, shap, inseq, interpreto)}


def main() -> None:
    import numpy as np

    np.set_printoptions(legacy="1.25")  # as new NumPy writes its numbers, shap and inseq have no colours
    peer, folder = sys.argv[1], Path(sys.argv[2])
    PEERS[peer](json.load(sys.stdin), folder)


if __name__ == "__main__":
    main()
