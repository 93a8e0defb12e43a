"""Questions about a picture or a clip, and which of their words matter."""

from __future__ import annotations

from dataclasses import dataclass

from interpreto_mllm.testbed.facts import Word


@dataclass(frozen=True)
class PlantedQuestion:
    """A question whose important words are known.

    Args:
        text: its words, with spaces between them.
        words: the words without which it cannot be answered, with their characters in `text`.
    """

    text: str
    words: tuple[Word, ...]

    @classmethod
    def of(cls, form: str, name: str) -> PlantedQuestion:
        """Fill a form: its words in braces are important, and {name} is what is asked about.

        Example:
            >>> question = PlantedQuestion.of("what {colour} is the {name} ?", name="star")
            >>> question.text
            'what colour is the star ?'
            >>> [word.text for word in question.words]
            ['colour', 'star']
        """
        text, words = "", []
        for slot in form.split():
            word = slot.strip("{}").replace("name", name) if slot.startswith("{") else slot
            if slot.startswith("{"):
                words.append(Word(word, (len(text), len(text) + len(word))))
            text += word + " "
        return cls(text.rstrip(), tuple(words))
