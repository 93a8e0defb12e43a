"""Metrics, sources and penalties that are refused."""

from __future__ import annotations

from typing import Any

from support.refusals.row import SKY, Row, bpe, explain, llama

from interpreto_mllm import InferenceModes, KernelShap, Lasso, RemoteModel, Sources
from interpreto_mllm.metrics import METRICS, compare_methods, faithfulness, find_metric


def judged(**given: Any) -> Any:
    """A method judged on one prompt."""
    return faithfulness([KernelShap(llama(), bpe(), budget=8, progress=False)], [SKY], [" x"], **given)


def measured(name: str, **given: Any) -> Any:
    """A metric of an explanation."""
    return METRICS[name].compute(explain(SKY, budget=8)[0], **given)


NAMED = "There is no metric 'deletion'. Did you mean 'deletion_auc'?"
METRIC_ROWS = [
    Row("a metric that there is not", lambda: find_metric("deletion"), NAMED),
    Row("the same in `faithfulness()`", lambda: judged(metrics=["deletion"]), NAMED),
    Row("a metric of evaluations without a game", lambda: measured("lds"), "needs game, such as explainer.game(", after=True),
    Row("a metric of known causes without them", lambda: judged(metrics=["pointing"]), "use truths=[...], one for each prompt"),
    Row("true causes of other features", lambda: measured("pointing", truth=[True]), "one bool for each of the 4", after=True),
    Row("exact values of other features", lambda: measured("kendall_tau", exact=[1.0]), "rows of 1 values", after=True),
    Row("fewer random orders than a test needs", lambda: judged(random_orders=5), "at least 19 random orders; got 5"),
    Row("true causes for another number of prompts", lambda: judged(truths=[[True], [True]]), "1 prompts but 2 truths"),
    Row("a comparison of one method", lambda: compare_methods({"a": [1.0]}, "higher"), "Two methods or more are compared"),
    Row("a comparison by what has no better side", lambda: compare_methods({"a": [1.0], "b": [1.0]}, "none"), "got direction"),
    Row(
        "a source that is not in the prompt", lambda: explain(SKY, granularity=Sources(["sea"])), "does not occur in the prompt"
    ),
    Row("a source that is there twice", lambda: explain("a a", granularity=Sources(["a"])), "occurs 2 times in the prompt"),
    Row("sources that overlap", lambda: explain(SKY, granularity=Sources(["the sky", "sky is"])), "overlap"),
    Row("no sources", lambda: Sources([]), "sources is empty"),
    Row("a penalty below zero", lambda: Lasso(llama(), bpe(), penalty=-1), "penalty must be a number, at least 0"),
    Row(
        "the logit of an answer, of a server",
        lambda: KernelShap(RemoteModel("http://127.0.0.1:9", "none"), inference_mode=InferenceModes.ANSWER_LOGIT),
        "A server gives no logits for answer_logit",
    ),
]
