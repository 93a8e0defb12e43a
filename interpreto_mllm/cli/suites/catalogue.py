"""All suites, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """A benchmark: a study by its config, or a script of the folder benchmarks.

    Args:
        name: by which it is run.
        about: what it measures.
        takes: how long it takes on two cores.
        config: the file of the study.
        script: the file in benchmarks/, where it is no study.
        arguments: of the script.
        count: the option of the script that says how many samples there are.
    """

    name: str
    about: str
    takes: str
    config: str | None = None
    script: str | None = None
    arguments: tuple[str, ...] = ()
    count: str | None = None


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "planted-text",
            "Which words of facts and a question does each method find? The true causes are known.",
            "2 min",
            config="planted-text.yaml",
        ),
        Suite(
            "planted-vision",
            "Which patches of a picture and which words does each method find? The true causes are known.",
            "2 min",
            config="planted-vision.yaml",
        ),
        Suite(
            "planted-audio",
            "Which moments of a clip and which words does each method find? The true causes are known.",
            "2 min",
            config="planted-audio.yaml",
        ),
        Suite(
            "planted-video",
            "Which frames of a video and which words does each method find? The true causes are known.",
            "2 min",
            config="planted-video.yaml",
        ),
        Suite(
            "faithfulness",
            "What becomes of the answer when the features that a method ranks first are taken away, or are all that is left?",
            "2 min",
            script="faithfulness.py",
            count="--prompts",
        ),
        Suite(
            "estimators",
            "How far is each estimator from exact Shapley values at equal numbers of evaluations, beside shapiq's?",
            "2 min",
            script="accuracy.py",
            arguments=("--games", "model", "--seeds", "2"),
            count="--seeds",
        ),
        Suite(
            "sources",
            "Which sentences of a context caused the answer of SmolLM2-135M-Instruct, beside ContextCite's Lasso and "
            "leave-one-out?",
            "50 min; kept evaluations are not repeated",
            script="sources.py",
            count="--contexts",
        ),
        Suite(
            "speed", "How long do explanations take beside captum, interpreto and plain forwards?", "2 min", script="speed.py"
        ),
    )
}
