"""Marks of thoughts: found in chat templates and among added tokens, or told."""

from __future__ import annotations

import pytest
from support.zoo import CHAT, byte_bpe
from transformers import PreTrainedTokenizerFast

from interpreto_mllm import ThoughtMarks
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.thoughts.marks import KNOWN, find_marks

QWEN = "{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1] %}{%- endif %}"
DEEPSEEK = "{% if add_generation_prompt %}{{'<｜Assistant｜><think>\\n'}}{% endif %}"
MISTRAL = "{{ '[THINK]' + block['thinking'] + '[/THINK]' }}"
HARMONY = '{{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" }}'
SEED = "{{ '<seed:think>' + message.reasoning_content + '</seed:think>' }}"
COMMAND = "{{ '<|START_THINKING|>' + message.thinking + '<|END_THINKING|>' }}"
GRANITE = "Write your thoughts after 'Here is my thought process:' and your response after 'Here is my response:'."
OWN = "{{ '<inner_thought>' + message.plan + '</inner_thought>' }}"
BUDGET = "{{ '<thinking_budget>' ~ budget ~ '</thinking_budget>' }}{{ message.reasoning_effort }}"


def found(template: str | dict[str, str], *added: str) -> ThoughtMarks | None:
    tokenizer: PreTrainedTokenizerFast = byte_bpe()
    tokenizer.chat_template = template
    tokenizer.add_tokens(list(added))
    return find_marks(Processing(tokenizer, None))


@pytest.mark.parametrize(
    ("template", "start", "end"),
    [
        (QWEN, "<think>", "</think>"),
        (DEEPSEEK, "<think>", "</think>"),
        (MISTRAL, "[THINK]", "[/THINK]"),
        (HARMONY, "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        (SEED, "<seed:think>", "</seed:think>"),
        (COMMAND, "<|START_THINKING|>", "<|END_THINKING|>"),
        (GRANITE, "Here is my thought process:", "Here is my response:"),
        (OWN, "<inner_thought>", "</inner_thought>"),
    ],
)
def test_marks_stand_in_the_template(template: str, start: str, end: str) -> None:
    for given in (template, {"default": CHAT, "reasoning": template}):
        marks = found(given, "<think>", "</think>")  # tokens that a vocabulary has, of other models
        assert marks is not None
        assert (marks.start, marks.end) == (start, end)


def test_marks_are_tokens_of_the_tokenizer() -> None:
    assert found(CHAT, "<think>", "</think>") == KNOWN[0]
    assert found(CHAT, "<reasoning>", "</reasoning>") == ThoughtMarks("<reasoning>", "</reasoning>")
    assert found(CHAT, "<think>") is None, "nothing ends the thoughts"


def test_other_models_have_none() -> None:
    assert found(CHAT) is None
    assert found(BUDGET) is None


def test_marks_that_tell_nothing_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="start and end are both '<t>'"):
        ThoughtMarks("<t>", "<t>")
    with pytest.raises(ValueError, match="end is empty"):
        ThoughtMarks("<t>", " ")
    with pytest.raises(TypeError, match="start is the text of a mark"):
        ThoughtMarks(5, "</t>")  # type: ignore[arg-type]
