"""The names that MLLM-SHAP gave to methods, embeddings and similarities, and what they are called here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METHODS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "exact": ("ExactShapley", {}),
    "limited_mc": ("MonteCarloShapley", {"cover_minimal": True}),
    "standard_mc": ("MonteCarloShapley", {"cover_minimal": False}),
    "limited_cc": ("ComplementaryShapley", {"cover_minimal": True}),
    "standard_cc": ("ComplementaryShapley", {"cover_minimal": False}),
    "limited_neyman": ("NeymanShapley", {"cover_minimal": True}),
    "standard_neyman": ("NeymanShapley", {"cover_minimal": False}),
    "hierarchical": ("HierarchicalShapley", {}),
    "auto": ("AutoShapley", {}),
}
"""Class and arguments. A "limited" method begins with the coalitions that one feature is missing from, and their complements; a
"standard" one draws everything at random. Monte Carlo estimated Banzhaf values in the first MLLM-SHAP; here, Shapley values."""

EMBEDDINGS = {"CONTEXTUAL": "Contextual", "STATIC": "Static"}
SIMILARITIES = {"CosineSimilarity": "Cosine", "EuclideanSimilarity": "Euclidean", "TfIdfCosineSimilarity": "TfIdfCosine"}


def resolved(value: Any, aliases: Mapping[str, str]) -> Any:
    """A name, or the name of `{name: arguments}`, as it is called here.

    Example:
        >>> resolved("STATIC", EMBEDDINGS), resolved({"CONTEXTUAL": {"after_prompt": True}}, EMBEDDINGS), resolved(3, {})
        ('Static', {'Contextual': {'after_prompt': True}}, 3)
    """
    if isinstance(value, str):
        return aliases.get(value, value)
    if isinstance(value, dict):
        return {aliases.get(name, name): one for name, one in value.items()}
    return value
