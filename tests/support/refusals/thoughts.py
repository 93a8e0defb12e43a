"""Questions about thoughts that are refused."""

from __future__ import annotations

from functools import cache
from typing import Any

from support import zoo
from support.misbehaving import Told, choice, misbehaving
from support.refusals.row import CHAT, SKY, Row, bert, explain, llama
from support.refusals.servers import NOWHERE, SIMILARITY

from interpreto_mllm import (
    Contrast,
    ExactShapley,
    Granularity,
    InferenceModes,
    KernelShap,
    Reasoned,
    RemoteModel,
    Saliency,
    Template,
    ThoughtMarks,
    trace,
)

GIVEN: dict[str, Any] = {"thoughts": "The sky is blue. It is.", "answer": "blue"}
GIVEN_TOTAL: dict[str, Any] = {**GIVEN, "effect": "total"}


@cache
def thinker() -> Any:
    """A tokenizer whose template knows thoughts, of a model that writes none."""
    tokenizer = zoo.byte_bpe()
    tokenizer.chat_template = zoo.CHAT + "{# <think> #}"
    return tokenizer


@cache
def off() -> Any:
    tokenizer = zoo.byte_bpe()
    tokenizer.chat_template = zoo.CHAT + "<think>\n\n</think>\n\n"
    return tokenizer


def think(target: Any, inputs: Any = CHAT, method: Any = KernelShap, tokenizer: Any = None, **options: Any) -> Any:
    return method(llama(), tokenizer or thinker(), progress=False, **options)(inputs, target)


def traced(target: Any = None, inputs: Any = CHAT, **options: Any) -> Any:
    return trace(KernelShap(llama(), thinker(), progress=False, **options), inputs, target)


def served(target: Any, route: Any = "chat", **options: Any) -> Any:
    given: dict[str, Any] = {"inference_mode": SIMILARITY, "granularity": Granularity.SENTENCE, "progress": False, **options}
    return ExactShapley(RemoteModel(NOWHERE, "m", route=route), **given)(CHAT if route == "chat" else SKY, target)


def unread(target: Any, written: str | None = "") -> Any:
    """Asked of a server that shows this of what follows a chat, nothing of what it reads, or refuses to go on with it."""

    def tell(number: int, path: str, body: dict[str, Any]) -> Told:
        going = body.get("continue_final_message")
        if going and written is None:
            return Told({"error": {"message": "the final message does not appear in the chat"}}, 400)
        said = ["", "so", *([written] if going and written else [])]
        tokens = {"prompt_logprobs": [None, *({"1": {"decoded_token": one, "logprob": -1.0}} for one in said)]}
        return Told(choice("yes", True) | ({} if written == "" else tokens))

    with misbehaving(tell) as server:
        options: dict[str, Any] = {"inference_mode": SIMILARITY, "granularity": Granularity.SENTENCE, "progress": False}
        return ExactShapley(RemoteModel(server.url, "m", retries=0), **options)(CHAT, target)


THOUGHTS = [
    Row("thoughts of a model that has none", lambda: explain(CHAT, Reasoned()), "LlamaForCausalLM has no thoughts: neither"),
    Row(
        "thoughts of a model that wrote none",
        lambda: think(Reasoned(max_tokens=8)),
        "answered without thoughts between",
        after=True,
    ),
    Row(
        "thoughts that the template has turned off",
        lambda: think(Reasoned(), tokenizer=off()),
        "turned the model's thoughts off",
    ),
    Row(
        "thoughts of a classifier",
        lambda: KernelShap(bert(), zoo.wordpiece(), progress=False)(SKY, Reasoned()),
        "none: give",
        TypeError,
    ),
    Row(
        "more thoughts than the context has room for",
        lambda: think(Reasoned(max_tokens=5000)),
        "thoughts of up to 5000 and an answer",
    ),
    Row("two parts of an answer at once", lambda: think([Reasoned(), Reasoned("thoughts")]), "an input's only target"),
    Row(
        "a span that is not in the answer", lambda: think(Reasoned("red", **GIVEN)), "part='red' does not occur in the thoughts"
    ),
    Row("a span that occurs twice", lambda: think(Reasoned("is", **GIVEN)), "occurs 2 times in the thoughts and the answer"),
    Row("characters outside of thoughts and answer", lambda: think(Reasoned((0, 3), **GIVEN)), "is no span of the thoughts"),
    Row("the total effect on a thought", lambda: think(Reasoned("It is.", **GIVEN_TOTAL)), "lies within the thoughts"),
    Row(
        "direct effects of a template",
        lambda: think(Reasoned(**GIVEN), Template("a {b}", {"b": "x"}, {"b": "y"})),
        "is filled in several ways",
    ),
    Row(
        "gradients of thoughts that are written anew",
        lambda: think(Reasoned(**GIVEN_TOTAL), method=Saliency),
        "have no gradients",
    ),
    Row(
        "thoughts compared with others",
        lambda: think(Reasoned("thoughts", **GIVEN), inference_mode=SIMILARITY),
        "are not compared with others",
    ),
    Row("an unknown effect", lambda: Reasoned(effect="indirect"), "effect is 'direct' or 'total'; got 'indirect'"),  # type: ignore[arg-type]
    Row("a number as a part", lambda: Reasoned(7), "part is 'answer', 'thoughts', a text in either"),  # type: ignore[arg-type]
    Row("empty thoughts", lambda: Reasoned(thoughts=" "), "thoughts is the text that is held fixed"),
    Row("no tokens of thoughts", lambda: Reasoned(max_tokens=0), "max_tokens must be a positive int; got 0"),
    Row("repeats of thoughts that are held fixed", lambda: Reasoned(repeats=2), "under effect='direct' thoughts are fixed"),
    Row("marks that are a text", lambda: Reasoned(marks="<think>"), "marks is ThoughtMarks", TypeError),  # type: ignore[arg-type]
    Row("equal marks", lambda: ThoughtMarks("#", "#"), "so nobody can tell where thoughts end"),
    Row(
        "the plan of thoughts that are not there yet",
        lambda: KernelShap(llama(), thinker()).plan(CHAT, Reasoned()),
        "not known before it has thought",
    ),
    Row("a trace of total effects", lambda: traced(Reasoned(effect="total")), "A trace is made of direct effects"),
    Row("a trace of several inputs", lambda: traced(Reasoned(**GIVEN), [CHAT, CHAT]), "traced for one input at a time; got 2"),
    Row("a trace of logits", lambda: traced(inference_mode=InferenceModes.LOGITS), "inference_mode is logits: use"),
    Row(
        "a trace of a text as target",
        lambda: traced(" blue"),
        "trace takes an explainer, an input and a Reasoned target",
        TypeError,
    ),
    Row(
        "thoughts held fixed on a server that does not show what it reads",
        lambda: unread(Reasoned(**GIVEN)),
        "does not return the tokens that it reads",
        after=True,
    ),
    Row(
        "thoughts held fixed on a server whose template cuts them",
        lambda: unread(Reasoned(**GIVEN), "blue"),
        "writes 'blue' for '<think>",
        after=True,
    ),
    Row(
        "thoughts held fixed on a server that refuses to go on",
        lambda: unread(Reasoned(**GIVEN), None),
        'refuses that: "the final message does not appear',
        after=True,
    ),
    Row(
        "a span of what a server writes anew",
        lambda: served(Reasoned("blue", **GIVEN_TOTAL)),
        "compared as 'answer' or 'thoughts', whole",
    ),
    Row(
        "repeats of a server's thoughts",
        lambda: served(Reasoned(repeats=2, **GIVEN_TOTAL)),
        "drawn by ResponseSimilarity(repeats=...)",
    ),
    Row(
        "a choice of ids on a server",
        lambda: served(Reasoned(answer=Contrast([1], [2]), effect="total")),
        "a Contrast of texts",
        TypeError,
    ),
]
