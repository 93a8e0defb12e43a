"""With what a result was computed, as plain values that a file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Settings:
    """The method, its arguments and all options of a call, and the model and libraries that it was made with.

    Values are as JSON holds them: numbers and texts as they are, objects of this library by class and arguments, and what
    cannot be restored, such as your own functions, as `{"repr": ...}`. `Method.from_settings` makes an explainer of them.

    Args:
        method: the class of the explainer.
        arguments: its own arguments.
        options: those that all explainers share; see `Options`.
        generation: how the model generated answers, in a similarity game.
        model: its class, and its name or folder; of a remote one the address, the name and the route.
        versions: of this library, torch, transformers and Python.

    Example:
        >>> settings = Settings("KernelShap", options={"budget": 64, "occlusion": {"class": "Drop", "arguments": {}}})
        >>> settings.readable()["occlusion"], settings == Settings.from_data(settings.to_data())
        ('Drop()', True)
    """

    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_data(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any] | None) -> Settings | None:
        """Inverse of `to_data`."""
        return None if data is None else cls(**data)

    def readable(self) -> dict[str, str]:
        """Every argument and option in words, then the generation settings, the model and the versions."""
        given = {**self.arguments, **self.options}
        parts = {"generation": self.generation, "model": self.model, "versions": self.versions}
        described = {name: ", ".join(f"{key} {value}" for key, value in part.items()) for name, part in parts.items()}
        words = {name: in_words(value) for name, value in given.items()}
        return {"method": self.method, **words, **{name: text for name, text in described.items() if text}}


def in_words(value: Any) -> str:
    """A packed value as Python would show it.

    Example:
        >>> in_words({"class": "TopK", "arguments": {"k": 3, "confidence": 0.95}}), in_words({"tuple": ["user"]})
        ('TopK(k=3, confidence=0.95)', "('user')")
    """
    if not isinstance(value, dict):
        return repr(value)
    if "class" in value:
        named = [f"{name}={in_words(one)}" for name, one in value["arguments"].items()]
        return f"{value['class']}({', '.join([*map(in_words, value.get('positional', ())), *named])})"
    [(kind, content)] = value.items()
    if kind in ("repr", "function", "member"):
        return str(content)
    if kind in ("tuple", "list", "set"):
        opening, closing = {"tuple": "()", "list": "[]", "set": "{}"}[kind]
        return f"{opening}{', '.join(map(in_words, content))}{closing}"
    if kind == "mapping":
        return f"{{{', '.join(f'{in_words(key)}: {in_words(one)}' for key, one in content)}}}"
    return str(content) if kind == "float" else f"<{kind}>"
