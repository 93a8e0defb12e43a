"""All metrics, by name."""

from __future__ import annotations

from difflib import get_close_matches

from interpreto_mllm.metrics import curves, exactness, sampled, sensitivity, stored, synergy, truth
from interpreto_mllm.metrics.metric import Metric

SAMEK = "Samek et al. 2017; Petsiuk et al. 2018 (RISE)"
ERASER = "DeYoung et al. 2020 (ERASER)"
POSITIVE = "Manning, Raghavan & Schütze 2008"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("efficiency_gap", stored.efficiency_gap, "lower", "stored", "|Σφ − (v(N) − v(∅))|", "Shapley 1953"),
        Metric(
            "held_out_r2", stored.held_out_r2, "higher", "stored", "R² of v(∅) + Σφ over S, S held out", "Covert & Lee 2021"
        ),
        Metric(
            "stored_lds", stored.stored_lds, "higher", "stored", "Spearman(v(S), Σφ over S), S held out", "Ilyas et al. 2022"
        ),
        Metric("gini", stored.gini, "none", "stored", "Σ(2i − n − 1)|φ|₍ᵢ₎ / (n Σ|φ|)", "Hurley & Rickard 2009"),
        Metric("entropy", stored.entropy, "none", "stored", "−Σ pᵢ ln pᵢ, pᵢ = |φᵢ| / Σ|φ|", "Bhatt et al. 2020"),
        Metric(
            "features_for_90",
            stored.features_for_90,
            "none",
            "stored",
            "least k: |φ| of top k ≥ 0.9 Σ|φ|",
            "Nguyen & Martínez 2020",
        ),
        Metric("deletion_auc", curves.deletion_auc, "lower", "calls", "area under v(N∖top k) over k / n", SAMEK),
        Metric("insertion_auc", curves.insertion_auc, "higher", "calls", "area under v(top k) over k / n", SAMEK),
        Metric("comprehensiveness", curves.comprehensiveness, "higher", "calls", "mean of v(N) − v(N∖top q %)", ERASER),
        Metric("sufficiency", curves.sufficiency, "lower", "calls", "mean of v(N) − v(top q %)", ERASER),
        Metric("top_k_drop", curves.top_k_drop, "higher", "calls", "v(N) − v(N∖top k)", "Cohen-Wang et al. 2024 (ContextCite)"),
        Metric(
            "monotonicity", curves.monotonicity, "higher", "calls", "share of steps with sign(Δv) = sign(φ)", "Arya et al. 2019"
        ),
        Metric("lds", sampled.lds, "higher", "calls", "Spearman(v(S), Σφ over S), new random S", "Park et al. 2023 (TRAK)"),
        Metric(
            "infidelity",
            sampled.infidelity,
            "lower",
            "calls",
            "E(Σφ over N∖S − v(N) + v(S))² / E(v(N) − v(S))²",
            "Yeh et al. 2019",
        ),
        Metric(
            "synergy_faithfulness",
            synergy.synergy_faithfulness,
            "higher",
            "calls",
            "mean of v(T∪I) − v(T) − v(I) + v(∅), T, I the top q % of each modality",
            "Ky, Ghamizi & Cordy 2026",
        ),
        Metric("precision", truth.precision, "higher", "truth", "|top k ∩ true| / k", POSITIVE),
        Metric("recall", truth.recall, "higher", "truth", "|top k ∩ true| / |true|", POSITIVE),
        Metric("pointing", truth.pointing, "higher", "truth", "top 1 is true", "Zhang et al. 2018"),
        Metric("rank_auc", truth.rank_auc, "higher", "truth", "P(|φ| of a true one > |φ| of another)", "Hanley & McNeil 1982"),
        Metric("mass_on_truth", truth.mass_on_truth, "higher", "truth", "Σ|φ| of true ones / Σ|φ|", "Arras et al. 2022"),
        Metric("squared_error", exactness.squared_error, "lower", "exact", "Σ(φ − φ*)² / Σφ*²", "Covert & Lee 2021"),
        Metric("kendall_tau", exactness.kendall_tau, "higher", "exact", "τ-b(φ, φ*)", "Kendall 1945"),
        Metric("top_k_overlap", exactness.top_k_overlap, "higher", "exact", "|top k ∩ top k*| / k", "Krishna et al. 2022"),
        Metric(
            "interval_coverage",
            exactness.interval_coverage,
            "none",
            "exact",
            "share of φ* within 95 % intervals",
            "Neyman 1937",
        ),
        Metric(
            "seed_sensitivity",
            sensitivity.seed_sensitivity,
            "lower",
            "repeats",
            "max ‖φ − φ′‖ / ‖φ‖, φ′ of other seeds",
            "Yeh et al. 2019",
        ),
        Metric(
            "paraphrase_sensitivity",
            sensitivity.paraphrase_sensitivity,
            "lower",
            "repeats",
            "max ‖φ − φ′‖ / ‖φ‖, φ′ of paraphrases, over common features",
            "Alvarez-Melis & Jaakkola 2018",
        ),
    )
}
"""Every metric of the library."""


def find_metric(name: str) -> Metric:
    """The metric of this name.

    Raises:
        ValueError: for an unknown one; the message names the nearest.

    Example:
        >>> find_metric("gini").direction
        'none'
        >>> find_metric("deletion")
        Traceback (most recent call last):
        ...
        ValueError: There is no metric 'deletion'. Did you mean 'deletion_auc'? The metrics are: efficiency_gap, ...
    """
    if name in METRICS:
        return METRICS[name]
    near = get_close_matches(name, METRICS, n=1) or [known for known in METRICS if name and known.startswith(name)][:1]
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"There is no metric {name!r}.{hint} The metrics are: {', '.join(METRICS)}.")
