"""Features are what the user wrote, and their tokens are exactly those that spell them."""

from __future__ import annotations

import unicodedata

import pytest
import torch
import transformers as hf
from support import zoo

from interpreto_mllm import Drop, Granularity, HierarchicalShapley
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import TokenPrompt
from interpreto_mllm.prompts.reader import PromptReader

TOKENIZERS = {
    "byte bpe": zoo.byte_bpe(),
    "byte bpe with bos": zoo.byte_bpe(bos=True),
    "sentencepiece": zoo.sentencepiece_like(),
    "wordpiece": zoo.wordpiece(),
    "no offsets": zoo.bytes_without_offsets(),
}
EXACT = ["byte bpe", "byte bpe with bos", "sentencepiece", "no offsets"]
TEXTS = [
    "The sky is blue, and the sea is green!",
    " Don't pay 3.14 for an e-mail  now\nok ",
    "東京 sushi 🙂 naïve café",
    "Hello\n\nWorld 。 空 は",
    '(a) x == y; 100% "sure"',
]


def read(text: str, kind: str, granularity=Granularity.WORD) -> TokenPrompt:
    [prompt] = PromptReader(Processing(TOKENIZERS[kind], None), granularity, Drop(), ("user",), (), None).read(text)
    return prompt


def texts_of(prompt: TokenPrompt) -> list[str]:
    return [feature.text for feature in prompt.features]


def bare(text: str) -> str:
    """Letters and signs only, in lower case and without accents, as the plainest tokenizer leaves them."""
    flat = unicodedata.normalize("NFD", "".join(text.split()).lower())
    return "".join(character for character in flat if not unicodedata.combining(character))


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("granularity", [Granularity.WORD, Granularity.SENTENCE, Granularity.TURN])
def test_a_feature_is_spelled_by_its_tokens(kind, text, granularity):
    tokenizer, prompt = TOKENIZERS[kind], read(text, kind, granularity)
    ids = tokenizer(text)["input_ids"]
    assert prompt.whole.ids.tolist() == ids
    assert [ids] == [reading.ids.tolist() for reading in prompt.inputs_for(torch.ones(1, len(prompt.features)).bool())[0]]
    for feature in prompt.features:
        [(start, end)] = feature.spans
        assert prompt.text[start:end] == feature.text == text[start:end]
        mine = [ids[position] for position in feature.positions]
        if tokenizer.unk_token_id not in mine:
            assert bare(tokenizer.decode(mine)) == bare(feature.text)


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", TEXTS)
def test_every_token_that_was_written_belongs_to_one_word(kind, text):
    tokenizer, prompt = TOKENIZERS[kind], read(text, kind)
    positions = [position for feature in prompt.features for position in feature.positions]
    assert len(positions) == len(set(positions))
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    for position in set(range(len(prompt.whole.ids))) - set(positions):
        token = int(prompt.whole.ids[position])
        assert token in special or not tokenizer.decode([token]).strip()
    assert bare("".join(texts_of(prompt))) == bare(text)
    assert not any(int(prompt.whole.ids[position]) in special for position in positions)


@pytest.mark.parametrize("kind", EXACT)
def test_words(kind):
    assert texts_of(read(TEXTS[1], kind)) == ["Don't", "pay", "3.14", "for", "an", "e-mail", "now", "ok"]
    assert texts_of(read(TEXTS[4], kind)) == ["(", "a", ")", "x", "=", "=", "y", ";", "100", "%", '"', "sure", '"']
    assert texts_of(read("The sky, it's blue!", kind)) == ["The", "sky", ",", "it's", "blue", "!"]
    assert texts_of(read("snake_case a/b 12:30 1,000 rock'n'roll", kind)) == [
        "snake_case",
        "a/b",
        "12:30",
        "1,000",
        "rock'n'roll",
    ]


@pytest.mark.parametrize("kind", EXACT)
def test_a_sign_of_many_bytes_is_one_feature(kind):
    prompt = read("oh 🙂 a 👨‍👩‍👧 and 👍🏽!", kind)
    assert texts_of(prompt) == ["oh", "🙂", "a", "👨‍👩‍👧", "and", "👍🏽", "!"]
    assert len(prompt.features[3].positions) > 5


@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece", "no offsets"])
def test_signs_written_without_spaces_are_words(kind):
    assert texts_of(read("空は青い。yes?", kind)) == ["空", "は", "青", "い", "。", "yes", "?"]


def test_a_feature_is_named_by_all_that_its_tokens_spell():
    """This tokenizer has one token for half of 東京 and more: taking it out takes both signs, and the name says so."""
    prompt = read("東京 sushi", "byte bpe")
    assert texts_of(prompt) == ["東京", "sushi"]
    assert prompt.features[0].spans == ((0, 2),)
    assert texts_of(read("one 🙂👨‍👩‍👧 two", "wordpiece"))[1] == "🙂👨‍👩‍👧"


@pytest.mark.parametrize("kind", ["byte bpe", "byte bpe with bos", "no offsets"])
def test_leading_space_leaves_with_its_word(kind):
    """Dropping a word leaves what one would have typed without it, doubled spaces and line breaks included."""
    prompt = read("one  two\n\nthree four", kind)
    there = torch.tensor([[True, False, True, True], [True, True, False, True]])
    texts = [TOKENIZERS[kind].decode(row[0].ids, skip_special_tokens=True) for row in prompt.inputs_for(there)]
    assert texts == ["one\n\nthree four", "one  two four"]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_sentences(kind):
    text = "The sky is blue. Is the sea? It costs 3.14 now!\nA list\n東 。 sushi"
    expected = ["The sky is blue.", "Is the sea?", "It costs 3.14 now!", "A list", "東 。", "sushi"]
    assert texts_of(read(text, kind, Granularity.SENTENCE)) == expected


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_plain_prompt_is_one_turn(kind):
    prompt = read("  The sky is blue. Is it? ", kind, Granularity.TURN)
    assert texts_of(prompt) == ["The sky is blue. Is it?"]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_tokens(kind):
    text = "The sky is naïve 🙂"
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer(text)["input_ids"]
    special = tokenizer.get_special_tokens_mask(ids, already_has_special_tokens=True)
    written = [i for i, token in enumerate(ids) if not special[i] or token == tokenizer.unk_token_id]
    every = read(text, kind, Granularity.ALL_TOKENS)
    assert [f.positions for f in read(text, kind, Granularity.TOKEN).features] == [(i,) for i in written]
    assert [f.positions for f in every.features] == [(i,) for i in range(len(special))]
    assert (len(written) < len(special)) == (kind != "byte bpe")
    assert all(every.text[start:end] == f.text for f in every.features for start, end in f.spans)


def test_a_slow_tokenizer_of_words(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "sky", "is", "blue", "##ish", ",", "un", "##real", "!"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    slow = hf.BertTokenizerLegacy(str(tmp_path / "vocab.txt"))
    assert not slow.is_fast
    [prompt] = PromptReader(Processing(slow, None), Granularity.WORD, Drop(), ("user",), (), None).read(
        "The sky, is blueish unreal!"
    )
    assert [(f.text, f.positions) for f in prompt.features] == [
        ("The", (1,)), ("sky", (2,)), (",", (3,)), ("is", (4,)), ("blueish", (5, 6)), ("unreal", (7, 8)), ("!", (9,)),
    ]  # fmt: skip


def halves(text: str) -> list[tuple[int, int]]:
    middle = text.index(" ", len(text) // 2)
    return [(0, middle), (middle + 1, len(text))]


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("granularity", [halves, [(0, 10), (11, 18)]])
def test_pieces_of_your_own(kind, granularity):
    prompt = read("The sky is so blue", kind, granularity)
    assert texts_of(prompt) == ["The sky is", "so blue"]
    ids = prompt.whole.ids
    assert [TOKENIZERS[kind].decode(ids[list(f.positions)]).strip() for f in prompt.features] == ["The sky is", "so blue"]


def test_text_outside_the_given_pieces_is_always_there():
    prompt = read("The sky is so blue", "byte bpe", [(4, 7)])
    [[reading]] = prompt.inputs_for(torch.tensor([[False]]))
    assert TOKENIZERS["byte bpe"].decode(reading.ids) == "The is so blue"


@pytest.mark.parametrize("spans", [[(4, 7), (0, 3)], [(0, 5), (4, 7)], [(3, 3)], [(5, 2)], [(-2, 3)], [(0, 99)]])
def test_pieces_that_cannot_be(spans):
    with pytest.raises(ValueError, match=r"Span \(.*spans must be in order, not overlap, not be empty"):
        read("The sky is blue", "byte bpe", spans)
    with pytest.raises(ValueError, match="at most 15, the length of the text"):
        read("The sky is blue", "byte bpe", lambda text: spans)


def test_sentences_and_words_are_the_hierarchy_of_a_prompt():
    explainer = HierarchicalShapley(zoo.build("llama"), zoo.byte_bpe())
    assert explainer.game("The sea. Is it blue? Yes", " x").prompt.hierarchy() == [[[0, 1, 2], [3, 4, 5, 6], 7]]
