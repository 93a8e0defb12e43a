"""The markers of widespread chat templates, for texts whose template is not known, as those for a server."""

from __future__ import annotations

from interpreto_mllm.prompts.markup import Markup

ROLES = ("system", "user", "assistant", "tool", "developer")

OPENED = {
    **{f"<|im_start|>{role}\n": role for role in ROLES},  # ChatML: Qwen, SmolLM, Yi, …
    **{f"<|start_header_id|>{role}<|end_header_id|>\n\n": role for role in (*ROLES, "ipython")},  # Llama 3
    **{f"<|{role}|>\n": role for role in ROLES},  # Zephyr, Phi-3, GLM, …
    **{f"<|start_of_role|>{role}<|end_of_role|>": role for role in ROLES},  # Granite
    "<start_of_turn>user\n": "user",  # Gemma
    "<start_of_turn>model\n": "assistant",
    "[INST] ": "user",  # Mistral, Llama 2
    "[INST]": "user",
    "[/INST]": "assistant",
    "[SYSTEM_PROMPT]": "system",
    "<<SYS>>\n": "system",
    "\n<</SYS>>\n\n": "user",
}
"""What begins a message, and whose it is."""

CLOSED = (
    *("<|im_end|>\n", "<|im_end|>", "<|eot_id|>", "<|begin_of_text|>", "<|end_of_text|>", "<|endoftext|>"),
    *(
        "<|end|>\n",
        "<|end|>",
        "<end_of_turn>\n",
        "<end_of_turn>",
        "<bos>",
        "<eos>",
        "<s>",
        "</s>\n",
        "</s>",
        "[/SYSTEM_PROMPT]",
    ),
)
"""What ends one, or a whole chat."""

KNOWN = Markup({}, {**dict.fromkeys(CLOSED), **OPENED}, frozenset(OPENED))

RENDERED_FOR_SERVER = (
    "the prompt is a rendered chat: its markup is always present, and its messages are explained by their roles; with "
    "route='chat' the messages themselves, [{'role': 'user', 'content': ...}], can be given"
)
"""A note on results of rendered chats that are sent to a server as they are."""

RENDERED_WITHIN_MESSAGE = (
    "the prompt looks like a rendered chat, but it is sent as the text of one message, which the server renders again: give "
    "the messages, [{'role': 'user', 'content': ...}], or use route='completion'"
)
"""A note on results of rendered chats that are sent as a message."""
