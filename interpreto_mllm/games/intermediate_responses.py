"""What a model answers between the turns of a conversation."""

from __future__ import annotations

from collections.abc import Sequence

from interpreto_mllm.core.progress import progress_bar
from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.queries import Query
from interpreto_mllm.engine.responders import Responder
from interpreto_mllm.prompts.model_input import ModelInput


class IntermediateResponses:
    """Answers by what they answer. Those that are known are not asked for, the others together and once.

    Args:
        voice: gives the answers that are not known.
        progress: show a progress bar when that takes longer than a moment.
        kept: answers of a run that was cut off, which are known; what is asked for is added at once.

    `asked` counts the answers asked for, `reused` the known ones that were of use.
    """

    def __init__(self, voice: Responder, progress: bool, kept: dict[bytes, Response]):
        self._voice, self._progress, self._kept = voice, progress, kept
        self._known = dict(kept)
        self._said: dict[bytes, Response] = {}
        self._used: set[bytes] = set()

    @property
    def asked(self) -> int:
        """Answers asked for."""
        return len(self._said)

    @property
    def reused(self) -> int:
        """Answers that were known and of use."""
        return len(self._used)

    def remember(self, readings: Sequence[ModelInput], answers: Sequence[Response]) -> None:
        """Know what was answered to these.

        Raises:
            ValueError: when something else is known already.
        """
        for reading, answer in zip(readings, answers, strict=True):
            known = self._known.setdefault(reading.key, answer)
            if known.text != answer.text:
                raise ValueError(
                    "The earlier evaluations are of another conversation: to the same words the model answered "
                    f"{answer.text!r} there and {known.text!r} here."
                )

    def to(self, readings: Sequence[ModelInput]) -> list[Response]:
        """The answer to each reading."""
        missing = {one.key: one for one in readings if one.key not in self._known and one.key not in self._said}
        if missing:
            self._ask(list(missing.values()))
        self._used |= {one.key for one in readings if one.key in self._known}
        return [self._known.get(one.key) or self._said[one.key] for one in readings]

    def _ask(self, readings: list[ModelInput]) -> None:
        with progress_bar(len(readings), self._progress, "earlier answer") as advance:
            for indices, answers in self._voice.say([Query(reading, (0,)) for reading in readings]):
                said = {readings[index].key: answer for index, answer in zip(indices, answers, strict=True)}
                self._said |= said
                self._kept |= said
                advance(len(indices))
