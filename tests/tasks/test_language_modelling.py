"""Windows of text: nothing lost, nothing told twice, no leak between texts; what the scores
count.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from triptych.data.batches.encoded import Encoded, collate, joined
from triptych.data.batches.order import MicroBatches
from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.errors import DataError, UsageError
from triptych.inference.predictor import Predictor
from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig
from triptych.model.transformer import Transformer
from triptych.tasks.language_modelling import build

TEXTS = [
    "the cat sat on the mat and looked at the other cat",
    "一隻貓。",
    "a",
    "dogs and cats and mice and all the others went home",
]


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    one = Tokenizer.train(TEXTS, "characters", 400)
    return Tokenizers(one, one)


def examples() -> list[Example]:
    return [Example(text=text, place=f"t.txt:{number}") for number, text in enumerate(TEXTS, 1)]


@pytest.mark.parametrize("seed", [None, 0, 1, 2, 3])
def test_every_token_is_told_once(tokenizers: Tokenizers, seed: int | None) -> None:
    task = build({"context": 16})
    for example in examples():
        generator = None if seed is None else np.random.default_rng(seed)
        pieces = task.encode(example, tokenizers, {}, "train", generator)
        told = np.concatenate([one.targets["tokens"] for one in pieces]).tolist()
        assert told == [*tokenizers.target.encode(example.text or ""), tokenizers.target.end_id]
        for one in pieces:
            assert (
                1 <= one.length <= 16
                and one.inputs["target"][1:].tolist() == one.targets["tokens"][:-1].tolist()
            )
        assert pieces[0].inputs["target"][0] == tokenizers.target.begin_id


@pytest.mark.parametrize("documents", ["apart", "together"])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_a_document_in_pieces_has_one_begin_and_one_end(
    tokenizers: Tokenizers, documents: str, seed: int | None
) -> None:
    task, one = build({"context": 16, "documents": documents}), tokenizers.target
    whole = TEXTS[0]
    cuts = [(0, 4), (4, 30), (30, 31), (31, len(whole))]
    pieces = [
        Example(text=whole[first:last], begins=first == 0, ends=last == len(whole))
        for first, last in cuts
    ]
    read, told = [], []
    for example in pieces:
        windows = task.encode(
            example, tokenizers, {}, "train", None if seed is None else np.random.default_rng(seed)
        )
        assert len(windows) >= 1 or example.text == whole[30:31]  # one token that nothing follows
        for window in windows:
            assert window.inputs["target"][1:].tolist() == window.targets["tokens"][:-1].tolist()
        read += [window.inputs["target"].tolist() for window in windows]
        told += [window.targets["tokens"].tolist() for window in windows]
    assert (
        sum(ids.count(one.begin_id) for ids in read) == 1
        and sum(ids.count(one.end_id) for ids in told) == 1
    )
    assert read[0][0] == one.begin_id and told[-1][-1] == one.end_id
    # the first token of a piece that goes on is told by nothing
    assert sum(map(len, told)) == len(one.encode(whole)) + 1 - 3
    assert task.encode(Example(text="", begins=False), tokenizers, {}, "train", None) == []


def test_epochs_cut_elsewhere(tokenizers: Tokenizers) -> None:
    task = build({"context": 16})
    cuts = {
        tuple(
            one.length
            for one in task.encode(
                examples()[0], tokenizers, {}, "train", np.random.default_rng(seed)
            )
        )
        for seed in range(9)
    }
    assert len(cuts) > 3


def test_together_wastes_nothing(tokenizers: Tokenizers) -> None:
    task = build({"context": 20, "documents": "together"})
    given = examples()
    batches = MicroBatches(
        lambda epoch, index: task.encode(
            given[index], tokenizers, {}, "train", np.random.default_rng(index)
        ),
        len(given),
        batch_tokens=40,
        seed=1,
        window=task.window,
    )
    total = sum(len(tokenizers.target.encode(text)) + 1 for text in TEXTS)
    sizes = []
    while sum(sizes) < total:
        sizes += [one.length for _, members in batches.next_batches(1) for one in members]
    assert sum(sizes) == total and sorted(sizes)[1:] == [20] * (len(sizes) - 1)


def test_joined_keeps_order_and_owner() -> None:
    parts = [
        Encoded(
            {"target": np.arange(start, start + 5)},
            {"tokens": np.arange(start, start + 5) + 1},
            index,
        )
        for index, start in enumerate((0, 10, 20))
    ]
    windows = joined(parts, 7)
    assert [one.inputs["target"].tolist() for one in windows] == [
        [0, 1, 2, 3, 4, 10, 11],
        [12, 13, 14, 20, 21, 22, 23],
        [24],
    ]
    assert [one.index for one in windows] == [0, 1, 2]


def model(vocabulary: int) -> Transformer:
    torch.manual_seed(5)
    stack = StackConfig(
        layers=2, width=32, heads=4, inner_width=64, norm_placement="pre", positions="rotary"
    )
    return Transformer(ModelConfig(decoder=stack, vocabulary_size=vocabulary)).eval()


def test_a_text_never_sees_its_neighbour(tokenizers: Tokenizers) -> None:
    task, network = build({"context": 64}), model(tokenizers.target.vocabulary_size)
    encoded = [task.encode(example, tokenizers, {}, "train", None)[0] for example in examples()]
    together = network(**collate(encoded).inputs)
    place = 0
    for one in encoded:
        alone = network(**collate([one]).inputs)
        torch.testing.assert_close(together[place : place + one.length], alone, atol=1e-5, rtol=0)
        place += one.length


def losses(tokenizers: Tokenizers, texts: list[str], documents: str) -> list[list[float]]:
    """The loss of every token, a list for each text, of texts that stand one after the other in one
    batch.
    """
    task, network = (
        build({"context": 64, "documents": documents}),
        model(tokenizers.target.vocabulary_size),
    )
    encoded = [
        one
        for number, text in enumerate(texts)
        for one in task.encode(
            Example(text=text), tokenizers, {}, "train", np.random.default_rng(number)
        )
    ]
    sizes = [len(tokenizers.target.encode(text)) + 1 for text in texts]
    batch = collate(encoded if task.window is None else joined(encoded, task.window))
    logits = network.project(network(**batch.inputs))
    each = torch.nn.functional.cross_entropy(logits, batch.targets["tokens"], reduction="none")
    return [part.tolist() for part in each.split(sizes)]


def test_packing_leaks_nothing_between_documents_that_stand_apart(tokenizers: Tokenizers) -> None:
    """Another first document of the same length changes no loss of the second by one bit; run
    together it does, as the dial says.
    """
    first, other, second = "the cat sat on", "dogs and mice!", "a cat went home"
    apart = [losses(tokenizers, [one, second, first], "apart") for one in (first, other)]
    assert apart[0][0] != apart[1][0] and apart[0][1:] == apart[1][1:]
    together = [losses(tokenizers, [one, second], "together") for one in (first, other)]
    assert together[0][1] != together[1][1]
    assert (
        max(
            abs(a - b)
            for a, b in zip(losses(tokenizers, [second], "apart")[0], apart[0][1], strict=True)
        )
        < 1e-5
    )


def test_packed_batches_are_full(tokenizers: Tokenizers) -> None:
    """No padding, and no batch that has room for another window, but for the last of a buffer."""
    task, draw = build({"context": 32}), np.random.default_rng(3)
    given = [
        Example(text="".join(draw.choice(list("the cat"), int(draw.integers(1, 200)))))
        for _ in range(200)
    ]
    batches = MicroBatches(
        lambda epoch, index: task.encode(
            given[index], tokenizers, {}, "train", np.random.default_rng(index)
        ),
        len(given),
        batch_tokens=512,
        seed=1,
    )
    sizes = []
    while batches.epoch < 1:
        ((_, members),) = batches.next_batches(1)
        inputs = collate(members).inputs
        assert (
            inputs["target"].numel()
            == int(inputs["target_lengths"].sum())
            == sum(one.length for one in members)
        )
        sizes.append(inputs["target"].numel())
    assert max(sizes) <= 512 and sum(size <= 512 - 32 for size in sizes) <= 1
    assert sum(sizes) == sum(len(tokenizers.target.encode(one.text or "")) + 1 for one in given)


def test_scores_count_bytes_and_ends(tokenizers: Tokenizers) -> None:
    task, network = build({"context": 16}), model(tokenizers.target.vocabulary_size)
    predictor = Predictor(
        model=network,
        head=task.head(network.config, {}),
        task=task,
        tokenizers=tokenizers,
        labels={},
        decoding=DecodingSettings(max_length=5),
    )
    scores = predictor.evaluate(examples()).scores.values
    tokens = sum(len(tokenizers.target.encode(text)) + 1 for text in TEXTS)
    size = sum(len(text.encode()) for text in TEXTS)
    assert scores["bits_per_byte"] == pytest.approx(scores["loss"] * tokens / math.log(2) / size)
    assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]))
    pieces = [Example(text=TEXTS[0][:20], ends=False), Example(text=TEXTS[0][20:], begins=False)]
    found = predictor.evaluate(pieces).scores.values
    tokens = len(TEXTS[0]) + 1
    assert predictor.losses(pieces)["count"] == tokens - 1
    assert found["bits_per_byte"] == pytest.approx(
        found["loss"] * tokens / math.log(2) / len(TEXTS[0].encode())
    )
    empty, given = predictor.predict(["", "the "])
    assert len(empty.tokens) == 5 and len(given.tokens) == 5 and given.cut


def test_what_cannot_be_is_refused() -> None:
    for wrong in ({"context": 1}, {"documents": "mixed"}, {"window": 3}, {"label_smoothing": 1}):
        with pytest.raises(UsageError, match="task"):
            build(wrong)
    with pytest.raises(DataError, match="no text"):
        build({}).prepare([Example(text=" ")])


def test_a_model_that_cannot_is_refused_before_training() -> None:
    stack = StackConfig(layers=1, width=16, heads=2, positions="learned", max_positions=32)
    task = build({"context": 48})
    with pytest.raises(UsageError, match="context is 48; this model has 32 positions"):
        task.head(ModelConfig(decoder=stack), {})
    build({"context": 32}).head(ModelConfig(decoder=stack), {})
    for other in (
        ModelConfig(encoder=stack, decoder=stack),
        ModelConfig(encoder=stack),
        RecurrentConfig(),
    ):
        with pytest.raises(UsageError, match="Language modelling needs a decoder-only model"):
            task.head(other, {})
