"""Tokenizers of the kinds that change the text or give no offsets, from vocabularies made here."""

from __future__ import annotations

import json
import sys
import warnings
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from unittest import mock

import sentencepiece
import transformers as hf
from support import zoo
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

MERGES = "s k 10\nsk y</w> 9\na p 8\nap p 7\nl e</w> 6\nt h 5\nth e</w> 5\ni s</w> 4\n"
WORDS = ["the", "is", "sky", "app@@", "le", "?"]


def _in_folder(make):
    """A tokenizer made in a folder that it does not need afterwards."""
    with TemporaryDirectory() as folder:
        where = Path(folder)
        (where / "merges").write_text(MERGES)
        (where / "words").write_text("\n".join(f"{word} 1" for word in WORDS))
        return make(where)


@cache
def phobert() -> hf.PhobertTokenizer:
    """`@@` says that a word goes on; other words are unknown."""
    return _in_folder(lambda where: hf.PhobertTokenizer(str(where / "words"), str(where / "merges")))


@cache
def bertweet() -> hf.BertweetTokenizer:
    """Rewrites links and names of users."""
    return _in_folder(lambda where: hf.BertweetTokenizer(str(where / "words"), str(where / "merges"), normalization=True))


@cache
def ctrl() -> hf.CTRLTokenizer:
    """Like PhoBERT, without special tokens around the text."""

    def make(where: Path) -> hf.CTRLTokenizer:
        (where / "vocabulary").write_text(json.dumps({word: index for index, word in enumerate(["<unk>", *WORDS])}))
        merges = "\n".join(["#version", *(" ".join(line.split()[:2]) for line in MERGES.splitlines()), ""])
        (where / "merges").write_text(merges)
        return hf.CTRLTokenizer(str(where / "vocabulary"), str(where / "merges"), unk_token="<unk>")

    return _in_folder(make)


@cache
def xlm() -> hf.XLMTokenizer:
    """`</w>` ends a word; lower case, without accents."""
    moses = ModuleType("sacremoses")
    same = mock.Mock(normalize=lambda text: text, tokenize=lambda text, **_: text.split())
    moses.MosesPunctNormalizer = moses.MosesTokenizer = lambda **_: same  # type: ignore[attr-defined]

    def make(where: Path) -> hf.XLMTokenizer:
        names = [
            "<unk>",
            "<s>",
            "</s>",
            "<pad>",
            "<special1>",
            "app",
            "le</w>",
            "sky</w>",
            "the</w>",
            "is</w>",
            *"cafe",
            "e</w>",
        ]
        (where / "vocabulary").write_text(json.dumps({word: index for index, word in enumerate(names)}))
        with mock.patch.dict(sys.modules, {"sacremoses": moses}):
            return hf.XLMTokenizer(str(where / "vocabulary"), str(where / "merges"))

    return _in_folder(make)


@cache
def marian() -> hf.MarianTokenizer:
    """Sentencepiece without offsets: NFKC, unknown characters, an end token."""

    def make(where: Path) -> hf.MarianTokenizer:
        lines = ["the apple is red and the sky is blue", "what is the apple ?", "naive cafe owners sell ½ of it"] * 30
        model, vocabulary = where / "spm.model", where / "vocabulary"
        arguments = {"vocab_size": 60, "hard_vocab_limit": False, "minloglevel": 2}
        with model.open("wb") as out:
            sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, **arguments)
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
        names = {pieces.id_to_piece(index): index for index in range(len(pieces))}
        vocabulary.write_text(json.dumps({**names, "<pad>": len(names)}))
        with warnings.catch_warnings(action="ignore"):  # it recommends sacremoses
            return hf.MarianTokenizer(str(model), str(model), str(vocabulary))

    return _in_folder(make)


@cache
def nfkc(offsets: bool = True) -> hf.PreTrainedTokenizerFast:
    """Sentencepiece's kind, in compatibility form and without accents."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    names = [*zoo.SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(zoo.CORPUS[:2], trainers.BpeTrainer(vocab_size=420, special_tokens=names))
    return hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", **zoo.NAMES)


KINDS = {
    "byte BPE": zoo.byte_bpe,
    "sentencepiece": zoo.sentencepiece_like,
    "wordpiece": zoo.wordpiece,
    "NFKC": nfkc,
    "ByT5": zoo.bytes_without_offsets,
    "PhoBERT": phobert,
    "BERTweet": bertweet,
    "CTRL": ctrl,
    "XLM": xlm,
    "Marian": marian,
}
