"""Arguments that some servers do not take, and what they take instead."""

from __future__ import annotations

import re
from typing import Any

from interpreto_mllm.adapters.remote.replies import Refused

REFUSING = (400, 404, 422)
TOOL_CHOICE = re.compile(r"tool[ _-]choice|tool-call-parser")
NO_TEMPERATURE = (
    "The server takes no temperature for this model, so its answers are drawn and not greedy: equal prompts may be answered "
    "differently."
)
TOOLS_UNPARSED = (
    "The server reads no tool calls out of answers (vLLM does with --enable-auto-tool-choice and --tool-call-parser), so it is "
    "asked with tool_choice='none': the model is shown the tools all the same, and calls stay in the text of its answers."
)


class Dialect:
    """How the arguments of requests are spelled for one server, as its refusals taught.

    Models that think take `max_completion_tokens` in place of `max_tokens`, and no temperature but their own. A server that
    reads no tool calls out of answers takes tools that may not be called.

    Example:
        >>> dialect = Dialect()
        >>> said = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        >>> dialect.learns(Refused(said, 400, "max_tokens"), {"max_tokens": 4})
        True
        >>> dialect.spelled({"max_tokens": 4, "temperature": 0.0})
        {'max_completion_tokens': 4, 'temperature': 0.0}
    """

    def __init__(self) -> None:
        self._renames = self.drops_temperature = self.calls_no_tools = False

    def spelled(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Arguments as the server takes them."""
        renamed = {
            "max_completion_tokens" if self._renames and name == "max_tokens" else name: arguments[name] for name in arguments
        }
        if self.drops_temperature and renamed.get("temperature") == 0:
            del renamed["temperature"]
        if self.calls_no_tools and "tools" in renamed:
            renamed.setdefault("tool_choice", "none")
        return renamed

    def learns(self, refused: Refused, sent: dict[str, Any]) -> bool:
        """Whether a refused request is to be sent again, with what its refusal taught."""
        if refused.status not in REFUSING:
            return False
        about = refused.parameter or refused.words
        if "tools" in sent and "tool_choice" not in sent and TOOL_CHOICE.search(refused.words):
            self.calls_no_tools = True
            return True
        if "max_tokens" in sent and "max_completion_tokens" in refused.words:
            self._renames = True
            return True
        if sent.get("temperature") == 0 and "temperature" in about:
            self.drops_temperature = True
            return True
        return False
