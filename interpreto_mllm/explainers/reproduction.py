"""The settings of an explainer, for its results and their files, and explainers made of settings."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.adapters.remote.model import RemoteModel, server_address
from interpreto_mllm.core.shown import shown
from interpreto_mllm.explainers.options import Settings as Options
from interpreto_mllm.explainers.packing import Lost, packed, unpacked
from interpreto_mllm.results.settings import Settings

Explainer = TypeVar("Explainer")
Made = TypeVar("Made", bound="Reproducible")
UNTOLD = ("callbacks", "device")
"""Options that decide no number, and that are of one process."""
LIBRARIES = ("interpreto_mllm", "torch", "transformers")


class Reproducible:
    """What remembers how it was made, says so in settings, and can be made from these again."""

    _call: tuple[tuple[Any, ...], dict[str, Any]] = (), {}

    def __new__(cls, *positional: Any, **named: Any) -> Any:
        """An object that knows how it was called, whatever arguments a subclass adds."""
        made = super().__new__(cls)
        made._call = positional, named
        return made

    @classmethod
    def from_settings(
        cls: type[Made], model: Any, tokenizer: Any = None, settings: Settings | None = None, **given: Any
    ) -> Made:
        """An explainer like the one whose result has these settings; on the same model it gives the same scores.

        `AttributionExplainer.from_settings` finds the method by its name among those imported.

        Args:
            model, tokenizer: as for the method itself.
            settings: of a result, such as one read from a file.
            given: options and arguments that take the place of those in the settings; needed for your own functions and other
                objects that no file can hold.

        Raises:
            TypeError: for something else than settings.
            ValueError: for settings of another method, or with something that must be given again.

        Example:
            >>> from interpreto_mllm import AttributionExplainer, KernelShap
            >>> from interpreto_mllm.testbed import load_recall
            >>> [explanation] = KernelShap(*load_recall(), budget=40, seed=1)("the apple is red .", " red")
            >>> [again] = AttributionExplainer.from_settings(*load_recall(), explanation.settings)("the apple is red .", " red")
            >>> again.method, again.attributions.equal(explanation.attributions)
            ('KernelShap', True)
        """
        if not isinstance(settings, Settings):
            raise TypeError(f"from_settings takes the settings of a result, explanation.settings; got {shown(settings)}.")
        kind = named_kind(cls, settings.method)
        return kind(model, tokenizer, **restored_arguments(settings, given))  # pyright: ignore[reportCallIssue]

    def described(self, options: Options, adapter: ModelAdapter[Any]) -> Settings:
        """With what the results of this explainer are computed.

        Args:
            options: all of its options.
            adapter: of its model.
        """
        shared = {field.name: packed(getattr(options, field.name)) for field in fields(options) if field.name not in UNTOLD}
        given = own_arguments(type(self), *self._call)
        own = {name: packed(value) for name, value in given.items() if name not in (*shared, *UNTOLD)}
        versions = {**{name: _version(name) for name in LIBRARIES}, "python": platform.python_version()}
        generation = {} if adapter.responder is None else dict(adapter.generation_settings)
        return Settings(type(self).__name__, own, shared, generation, _model(adapter.model), versions)


def own_arguments(kind: type, positional: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call of a class, those at their defaults included, without the model and its tokenizer."""
    signature = inspect.signature(kind)
    bound = signature.bind(*positional, **named)
    bound.apply_defaults()
    rest = [name for name, one in signature.parameters.items() if one.kind is one.VAR_KEYWORD]
    return {name: value for name, value in bound.arguments.items() if name not in ("model", "tokenizer", *rest)}


def restored_arguments(settings: Settings, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments and options that settings hold, those given in their place.

    Raises:
        ValueError: for one that a file cannot hold and that is not given.
    """
    restored = dict(given)
    for name, value in {**settings.arguments, **settings.options}.items():
        if name in given:
            continue
        try:
            restored[name] = unpacked(value)
        except Lost as error:
            raise ValueError(
                f"{name} was {error}, which settings hold only in words: give it again, as in "
                f"from_settings(model, tokenizer, settings, {name}=...)."
            ) from error
    return restored


def named_kind(kind: type[Explainer], name: str) -> type[Explainer]:
    """The class of explainers of this name: `kind` itself, or one derived from it that is imported.

    Raises:
        ValueError: when there is none.
    """
    found = [one for one in _derived(kind) if one.__name__ == name]
    if not found:
        known = sorted({one.__name__ for one in _derived(kind) if not one.__name__.startswith("_")})
        raise ValueError(
            f"These settings are of {name}, but {kind.__name__}.from_settings makes {', '.join(known)}: use "
            "AttributionExplainer.from_settings, and import the module of a method of your own first."
        )
    return found[-1]


def _derived(kind: type[Explainer]) -> Iterator[type[Explainer]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _derived(one)


def _model(model: Any) -> dict[str, str]:
    if isinstance(model, RemoteModel):
        return {"server": server_address(model.base_url), "name": model.model, "route": model.route}
    return {"class": type(model).__name__, "name_or_path": str(getattr(model.config, "_name_or_path", ""))}


def _version(library: str) -> str:
    """Of an installed library; "unknown" where it is used from its source folder."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"
