"""The text model behind a server."""

from __future__ import annotations

from collections.abc import Mapping

from support.table.case import CHAT, CONTRAST, DRAWN, FACT, SAMPLED, SAY, SHORT, Case, Part, World
from support.table.kinds import remote
from support.table.readings import compared

from interpreto_mllm import ExactShapley, Granularity, InferenceModes, KernelShap, RemoteModel
from interpreto_mllm.similarity import ExactMatch, TfIdf


def served() -> list[Case]:
    """The text model behind a server."""
    sentences = {"granularity": Granularity.SENTENCE, "roles": ("system", "user")}
    mode = compared(TfIdf(), generate=SAY)
    thrice = compared(TfIdf(), generate={**DRAWN, "max_new_tokens": 2}, repeats=3)
    return [
        remote("similarity", ExactShapley, inference_mode=mode, **sentences),
        remote("similarity of a text", KernelShap, SHORT, inference_mode=mode, pinned=["?"], budget=24, route="completion"),
        remote("similarity, drawn", ExactShapley, SHORT, inference_mode=thrice, **sentences, seed=1, sensitive=SAMPLED),
        remote("log-probabilities", ExactShapley, CHAT, "red .", **sentences),
        remote("probabilities", ExactShapley, CHAT, "red .", inference_mode=InferenceModes.SOFTMAX, **sentences),
        remote("own answer", KernelShap, SHORT, pinned=["?"], budget=20, generate=SAY, route="completion"),
        remote("contrast", KernelShap, SHORT, [" red .", CONTRAST], pinned=["?"], budget=24, route="completion"),
        Case("remote: extended", _remote_extended),
    ]


def _remote_extended(world: World) -> Mapping[str, Part]:
    model = RemoteModel(world.server.url, "recall")
    mode = compared(ExactMatch(), generate=SAY)
    explainer = ExactShapley(model, inference_mode=mode, granularity=Granularity.SENTENCE, progress=False)
    [first] = explainer([{"role": "user", "content": FACT}])
    return {"first": first, "second": explainer.extend(first, "what is the sky ?")}
