"""What a model itself thinks and answers."""

from __future__ import annotations

from interpreto_mllm.adapters.causal import CausalAdapter
from interpreto_mllm.adapters.remote.writers import Writer
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.thoughts.marks import ThoughtMarks
from interpreto_mllm.thoughts.written import Written


def own_of_model(
    causal: CausalAdapter, whole: ModelInput, most: int, marks: ThoughtMarks, opened: bool, greedy: bool
) -> Written:
    """What a model of transformers writes after the whole prompt, with so many tokens of thoughts at most.

    Raises:
        ValueError: when it has no thoughts, or does not end them, or gives no answer.
    """
    ids = causal.response(whole, most, greedy=greedy)
    written = Written.generated(ids, causal.tokenizer, marks, opened)
    text = str(causal.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
    cut = written is not None and written.closing - written.first > most
    return _finished(None if cut else written, text, most, marks, cut or (len(ids) >= most and (opened or marks.start in text)))


def own_of_server(writer: Writer, whole: ModelInput, most: int, marks: ThoughtMarks, opened: bool) -> Written:
    """The same of a model on a server."""
    text, cut = writer.written(whole, most, marks)
    written = Written.generated(writer.tokenizer.encode(text), writer.tokenizer, marks, opened)
    return _finished(written, text, most, marks, cut and (opened or marks.start in text))


def _finished(written: Written | None, text: str, most: int, marks: ThoughtMarks, cut: bool) -> Written:
    """A response with thoughts and an answer; None is one without thoughts that end."""
    if written is not None:
        if written.answer[0] == written.answer[1]:
            raise ValueError("The model ended its response after its thoughts, without an answer: give one as `answer`.")
        return written
    if cut:
        raise ValueError(
            f"The model's own thoughts about the whole prompt were cut at {most:,} tokens, so that there is no "
            "answer yet: raise Reasoned(max_tokens=...), or give `thoughts`."
        )
    raise ValueError(
        f"The model answered without thoughts between {marks.start!r} and {marks.end!r}: it wrote {text!r}. Ask it in the "
        "way in which it thinks, give `thoughts`, or explain its answer itself."
    )
