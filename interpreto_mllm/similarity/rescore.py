"""Other values for the answers that a result keeps."""

from __future__ import annotations

from dataclasses import replace

from interpreto_mllm.aggregators.repeated import estimate
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.similarity.response_similarity import Comparison, ResponseSimilarity


def rescored(attribution: Attribution, similarity: ResponseSimilarity) -> Attribution:
    """The result under another similarity; see `Attribution.rescore`."""
    responses = attribution.responses
    if responses is None:
        raise ValueError("This result holds no answers to compare: only those of a similarity game can be rescored.")
    if similarity.generate or similarity.repeats > 1:
        raise ValueError("Rescoring lets no model answer, so `generate` and `repeats` have no meaning here: leave them out.")
    bound = similarity.bound(None, None)
    comparison = Comparison(bound)
    said = [(answer, None) for answers in responses.said for answer in answers]
    worth = [comparison.values((original, None), said).reshape(len(responses), -1) for original in responses.originals]
    drawn = responses.values(worth)
    evaluations = attribution.evaluations.with_values(drawn.mean(0))
    if responses.repeats > 1:
        evaluations = replace(evaluations, repeats=drawn)
    found = estimate(attribution.aggregator, evaluations)
    return replace(
        attribution,
        attributions=found.attributions,
        standard_errors=found.standard_errors,
        evaluations=evaluations,
        targets=responses.labels,
        estimand=attribution.aggregator.estimand,
        mode=similarity.name,
        normalisation="",
    )
