"""The JSON schema of a config, by which editors complete keys and names and mark mistakes."""

from __future__ import annotations

from typing import Any

from interpreto_mllm.metrics.catalogue import METRICS
from interpreto_mllm.studies import aliases
from interpreto_mllm.studies.methods import METHODS
from interpreto_mllm.studies.options import AXES, CLASSES_OF, MEMBERS_OF
from interpreto_mllm.studies.planted import PLANTED

Schema = dict[str, Any]

OWN = {"type": "string", "pattern": r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$", "description": 'your own, as "package.module:name"'}
SHIPPED = [f"shipped:{kind}" for kind in PLANTED]
NUMBERS = {
    "budget": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "number", "exclusiveMinimum": 0, "maximum": 1}]},
    "fraction": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
}
TOLD = {
    "base": "Another config, or several, whose keys hold where this one says nothing.",
    "selection": "In place of data.select; a list sweeps over it.",
    "budget": "Evaluations of each sample, or a fraction of all coalitions.",
    "fraction": "The share of all coalitions that are evaluated.",
    "granularity": "What a feature of a text is.",
    "occlusion": "How an absent feature of a text disappears.",
    "mode": "What a coalition is worth.",
    "embedding": "Of answers, where they are compared.",
    "similarity": "By which answers are compared.",
    "reducer": "From one vector per token to one per answer.",
    "normaliser": "The scale of the scores.",
    "modality": "What is explained; the rest is always present.",
}


def described(schema: Schema) -> None:
    """Complete pydantic's schema of a study: with `base`, names in place of parts, and the names that options accept."""
    properties: Schema = schema["properties"]
    properties["base"] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    names = {
        "model": {"anyOf": [{"enum": SHIPPED}, {"type": "string"}]},
        "data": {"anyOf": [{"enum": SHIPPED}, {"type": "string"}]},
        "method": {"anyOf": [{"enum": [*METHODS, *aliases.METHODS]}, {"type": "string"}]},
        "metrics": {"anyOf": [{"enum": [*METRICS]}, {"type": "string"}]},
    }
    for key, name in names.items():
        properties[key] = one_or_many({"anyOf": [name, _reference(properties[key])]})
    for key in AXES:
        properties[key] = one_or_many({"anyOf": [NUMBERS.get(key) or _of_names(key), {"type": "null"}]})
    for key in ("pinned", "until", "baseline"):
        further = {"until": [], "pinned": [{"type": "array"}]}.get(key, [{"type": ["string", "integer", "array"]}])
        properties[key] = {"anyOf": [_of_names(key), *further, {"type": "null"}]}
    for key, text in TOLD.items():
        properties[key]["description"] = text
    schema["required"] = [key for key in schema.get("required", []) if key != "name"]


def one_or_many(one: Schema) -> Schema:
    """A value, or a list of them.

    Example:
        >>> one_or_many({"type": "integer"})
        {'anyOf': [{'type': 'integer'}, {'type': 'array', 'items': {'type': 'integer'}}]}
    """
    return {"anyOf": [one, {"type": "array", "items": one}]}


def _of_names(key: str) -> Schema:
    """The names that an option accepts, and {name: arguments}."""
    classes, members = [*CLASSES_OF.get(key, {})], [*MEMBERS_OF.get(key, {})]
    alias = [*{"embedding": aliases.EMBEDDINGS, "similarity": aliases.SIMILARITIES}.get(key, {})]
    spelled = [*members, *(name.upper() for name in members)] if key in ("granularity", "mode") else members
    names = [*spelled, *classes, *alias]
    accepted: list[Schema] = [{"enum": names}] if key in ("normaliser", "modality") else [{"enum": names}, OWN]
    if classes:
        inside = {"enum": [*classes, *alias, *(["similarity"] if key == "mode" else [])]}
        named = {"type": "object", "propertyNames": {"anyOf": [inside, OWN]}, "minProperties": 1, "maxProperties": 1}
        accepted.append(named)
    return {"anyOf": accepted}


def _reference(schema: Any) -> Schema:
    """The reference to the keys of a part, somewhere in its schema."""
    found = list(_references(schema))
    return found[0]


def _references(schema: Any) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield {"$ref": schema["$ref"]}
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)
