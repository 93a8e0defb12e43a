"""Lets the API pages show the `Example:` sections of docstrings as code."""

from typing import Any

import griffe


class ExamplesAsCode(griffe.Extension):
    """Renames the section to the plural that the docstring parser knows."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
