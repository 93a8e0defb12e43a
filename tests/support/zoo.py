"""Tiny models of many families with random weights, and tokenizers of every kind, all made here."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "The capital of France is Paris. The sky is blue, and the sea is green!",
    "What is the apple? The apple is red. A lorry carries many apples.",
    "Naïve café owners don't sell 東京 sushi 🙂 to strangers; 空は青い。",
    "it was the best of times, it was the worst of times",
] * 4
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<mask>", "<|user|>", "<|system|>", "<|assistant|>", "<|end|>"]
NAMES = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def byte_bpe(bos: bool = False) -> hf.PreTrainedTokenizerFast:
    """GPT-2's kind: bytes, a leading space is part of the token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=380, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    return _wrapped(tokenizer, bos)


def sentencepiece_like(bos: bool = True) -> hf.PreTrainedTokenizerFast:
    """Llama's kind: a word begins with ▁, one is put before the text."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    specials = SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer.train_from_iterator(CORPUS[:2], trainers.BpeTrainer(vocab_size=420, special_tokens=specials))
    return _wrapped(tokenizer, bos)


def wordpiece() -> hf.PreTrainedTokenizerFast:
    """BERT's kind: lower case, ## continues a word."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=260, special_tokens=[*SPECIAL, "[CLS]", "[SEP]"])
    tokenizer.train_from_iterator(CORPUS, trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    wrapped = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token="[CLS]", sep_token="[SEP]", mask_token="<mask>", **NAMES
    )
    return wrapped


def bytes_without_offsets() -> hf.PreTrainedTokenizerBase:
    """A slow tokenizer: one token a byte, an end token, and no offsets."""
    return hf.ByT5Tokenizer(extra_ids=0)


def _wrapped(tokenizer: Tokenizer, bos: bool) -> hf.PreTrainedTokenizerFast:
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    wrapped = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", additional_special_tokens=SPECIAL[5:], chat_template=CHAT, **NAMES
    )
    return wrapped


VOCABULARY = 512
SMALL = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def _llama() -> hf.LlamaConfig:
    return hf.LlamaConfig(**SMALL, num_key_value_heads=2, max_position_embeddings=256, **IDS)


CAUSAL = {
    "llama": lambda: hf.LlamaForCausalLM(_llama()),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=256, **IDS)
    ),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**SMALL, num_key_value_heads=2, **IDS)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**SMALL, num_key_value_heads=2, head_dim=8, **IDS)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(
        hf.Gemma2Config(**SMALL, num_key_value_heads=2, head_dim=8, sliding_window=8, **IDS)
    ),
    "mistral_sliding": lambda: hf.MistralForCausalLM(hf.MistralConfig(**SMALL, num_key_value_heads=2, sliding_window=6, **IDS)),
    "gemma3_text": lambda: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(**SMALL, num_key_value_heads=2, head_dim=8, sliding_window=8, **IDS)
    ),
    "opt": lambda: hf.OPTForCausalLM(
        hf.OPTConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            ffn_dim=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            word_embed_proj_dim=32,
            max_position_embeddings=256,
            **IDS,
        )
    ),
    "bloom": lambda: hf.BloomForCausalLM(hf.BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, **IDS)),
    "roberta_causal": lambda: hf.RobertaForCausalLM(
        hf.RobertaConfig(**SMALL, is_decoder=True, max_position_embeddings=258, **IDS)
    ),
    "mamba": lambda: hf.MambaForCausalLM(
        hf.MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=4, **IDS)
    ),
    "lfm2": lambda: hf.Lfm2ForCausalLM(
        hf.Lfm2Config(
            **SMALL, num_key_value_heads=2, layer_types=["conv", "full_attention"], block_auto_adjust_ff_dim=False, **IDS
        )
    ),
}
SEQ2SEQ = {
    "t5": lambda: hf.T5ForConditionalGeneration(
        hf.T5Config(
            vocab_size=VOCABULARY,
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            decoder_start_token_id=0,
            pad_token_id=0,
        )
    ),
    "bart": lambda: hf.BartForConditionalGeneration(
        hf.BartConfig(
            vocab_size=VOCABULARY,
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=128,
            decoder_start_token_id=2,
            forced_eos_token_id=None,
            **IDS,
        )
    ),
}
CLASSIFIERS = {
    "bert": lambda: hf.BertForSequenceClassification(
        hf.BertConfig(**SMALL, num_labels=3, max_position_embeddings=128, pad_token_id=0)
    ),
    "roberta": lambda: hf.RobertaForSequenceClassification(
        hf.RobertaConfig(**SMALL, num_labels=3, max_position_embeddings=130, **IDS)
    ),
    "gpt2_classifier": lambda: hf.GPT2ForSequenceClassification(
        hf.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=128, num_labels=3, **IDS)
    ),
    "llama_classifier": lambda: _llama_classifier(),
}


def _llama_classifier() -> hf.LlamaForSequenceClassification:
    config = _llama()
    config.num_labels = 3
    return hf.LlamaForSequenceClassification(config)


def build(family: str, seed: int = 0) -> torch.nn.Module:
    """A model of the family, its weights larger than usual so that what it reads matters."""
    torch.manual_seed(seed)
    model = {**CAUSAL, **SEQ2SEQ, **CLASSIFIERS}[family]().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "conv" not in name:
                weight.mul_(4.0)
    return model


def plain_ids(
    ids: list[int], features: list, coalition: list[bool], replacement: list[int] | None = None, tokenizer: Any = None
) -> list[int]:
    """Token by token: what is left of the ids when absent features are dropped, or each replaced as a whole by some ids.

    With a tokenizer, blanks that are tokens of their own are dropped where nothing is left before them.
    """
    absent = [feature.positions for feature, there in zip(features, coalition, strict=True) if not there]
    left: list[int] = []
    for position, token in enumerate(ids):
        gone = next((positions for positions in absent if position in positions), None)
        if gone is None:
            left.append(token)
        elif replacement is not None and (len(replacement) == 1 or position == gone[0]):
            left += replacement
    if tokenizer is not None and replacement is None:
        start = next((at for at, token in enumerate(left) if token not in tokenizer.all_special_ids), len(left))
        while left[start:] and tokenizer.decode([left[start]]).isspace():
            del left[start]
    return left


def plain_logits(model: torch.nn.Module, ids: list[int], target: list[int], **arguments: object) -> torch.Tensor:
    """Logits that predict each target, by one unpadded forward over one row: tokens after a prompt, or the row of classes."""
    with torch.no_grad():
        if type(model).__name__.endswith("ForSequenceClassification"):
            return model(input_ids=torch.tensor([ids]), **arguments).logits[:1].float().expand(len(target), -1)
        if model.config.is_encoder_decoder:
            decoder = torch.tensor([[model.config.decoder_start_token_id, *target[:-1]]])
            return model(input_ids=torch.tensor([ids]), decoder_input_ids=decoder, **arguments).logits[0].float()
        return model(input_ids=torch.tensor([ids + target[:-1]]), **arguments).logits[0, len(ids) - 1 :].float()


def plain_values(model: torch.nn.Module, ids: list[int], target: list[int], **arguments: object) -> torch.Tensor:
    """Log-probabilities of the targets, from the full softmax."""
    chosen = plain_logits(model, ids, target, **arguments).log_softmax(-1)[range(len(target)), target]
    return chosen.double()
