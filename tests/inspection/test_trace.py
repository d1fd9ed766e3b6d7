"""Test that a Trace holds the model's own numbers, and tokens as characters."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from toy_folder import word_piece
from triptych.data.example import Example
from triptych.data.tokenizers.imported import ImportedTokenizer
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.decoding.writing import decode
from triptych.errors import UsageError
from triptych.inspection.cells import TokenCell, cells, label_of, labels_at, regroup
from triptych.inspection.trace import look, trace, trace_tokens
from triptych.model.build import build
from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig
from triptych.tasks.specs import SPECS


class Toy:
    """Ids 0 <begin>, 1 <end>, 2..257 bytes, then words; decoding as with byte fallback."""

    begin_id, end_id, end_ids = 0, 1, (1,)
    words = ("Ich", " mag", " Kat", "zen", "翻", " ", "的", "\ufffd")

    def decode(self, ids: Sequence[int]) -> str:
        data = b"".join(
            bytes([i - 2]) if i < 258 else self.words[i - 258].encode() for i in ids if i > 1
        )
        return data.decode("utf-8", errors="replace")

    def pieces(self, ids: list[int]) -> list[str]:
        names = ["<begin>", "<end>", *(f"<0x{i:02X}>" for i in range(256)), *self.words]
        return [names[i] for i in ids]

    def encode(self, text: str) -> list[int]:
        found = re.findall("|".join(map(re.escape, self.words)) + "|.", text, flags=re.DOTALL)
        known = {word: [258 + i] for i, word in enumerate(self.words)}
        return [
            i for piece in found for i in known.get(piece) or [2 + byte for byte in piece.encode()]
        ]


def models(vocabulary_size: int = 270) -> dict[str, Any]:
    torch.manual_seed(3)
    stack = StackConfig(layers=2, width=16, heads=4, inner_width=32)
    size: dict[str, Any] = {
        "embedding_width": 8,
        "width": 8,
        "attention_width": 6,
        "readout_width": 5,
        "vocabulary_size": vocabulary_size,
    }
    found: dict[str, Any] = {
        "transformer": build(
            ModelConfig(encoder=stack, decoder=stack, vocabulary_size=vocabulary_size)
        ),
        "rnn": build(RecurrentConfig(**size)),
        "rnn without attention": build(RecurrentConfig(attention=False, **size)),
    }
    # it starts at zero: all weights alike
    torch.nn.init.normal_(found["rnn"].decoder.attention.score)
    return found


def test_byte_pieces_of_one_character_become_one_cell() -> None:
    toy = Toy()
    text = "Ich mag Katzen型的🙂\ufffd"
    ids = [*toy.encode(text), toy.end_id]
    found = cells(toy, ids)
    assert [cell.label for cell in found] == [
        "Ich",
        "mag",
        "Kat",
        "·zen",
        "型",
        "的",
        "🙂",
        "\ufffd",
        "<end>",
    ]
    assert "".join(cell.text for cell in found) == text
    assert found[4].tokens == (4, 5, 6) and found[4].pieces == ("<0xE5>", "<0x9E>", "<0x8B>")
    assert [text[cell.start : cell.end] for cell in found[:-1]] == [
        cell.text for cell in found[:-1]
    ]
    assert found[-1].start is None
    assert [i for cell in found for i in cell.tokens] == list(range(len(ids)))


def test_words_stand_apart_where_a_tokenizer_drops_spaces() -> None:
    tokenizer = ImportedTokenizer.take(word_piece().to_str(), "tokenizer.json")
    ids = [tokenizer.begin_id, *tokenizer.encode("The unhappy cat [sat], 貓坐!"), tokenizer.end_id]
    found = cells(tokenizer, ids)
    assert "".join(cell.text for cell in found) == "the unhappy cat [sat],貓坐!"
    labels = [
        "[CLS]",
        "the",
        "un",
        "·happ",
        "·y",
        "cat",
        "[",
        "sat",
        "]",
        ",",
        "貓",
        "坐",
        "!",
        "[SEP]",
    ]
    assert [cell.label for cell in found] == labels and found[3].pieces == ("##happ",)
    assert (
        found[0].start is None
        and found[-1].start is None
        and all(cell.start is not None for cell in found[1:-1])
    )


def test_torn_bytes_are_shown_and_nothing_is_lost() -> None:
    found = cells(Toy(), [2 + 0xE5, 2 + 0x9E, 258])
    assert [cell.tokens for cell in found] == [(0,), (1,), (2,)]


def test_tokens_that_differ_by_a_space_are_told_apart() -> None:
    class Spaced(Toy):
        words = ("cat", " cat", " ", "\x12", " dog")

    toy = Spaced()
    assert labels_at(toy, [258, 259, 260, 262], ".") == ["cat", "␣cat", "␣", "dog"]
    assert labels_at(toy, [258, 259], "a") == ["·cat", "cat"]  # The dot already marks it.
    assert label_of(toy, 261) == "U+0012"


def test_regrouping_adds_columns_and_averages_rows() -> None:
    weights = np.array([[[[0.2, 0.3, 0.5], [0.4, 0.4, 0.2]]]], dtype=np.float32)
    column = [TokenCell("a", "a", 0, 1, (0, 1), ()), TokenCell("b", "b", 1, 2, (2,), ())]
    row = [TokenCell("c", "c", 0, 1, (0, 1), ())]
    np.testing.assert_allclose(regroup(weights, row, column), [[[[0.65, 0.35]]]], rtol=1e-6)


@pytest.mark.parametrize("name", ["transformer", "rnn"])
def test_a_trace_holds_the_models_own_weights_and_probabilities(name: str) -> None:
    model, toy = models()[name], Toy()
    source, target = [*toy.encode("Ich mag Katzen型"), 1], [*toy.encode("的 Ich翻"), 1]
    trace = trace_tokens(model, source, target, toy, toy, label=name)
    assert model.training, "tracing leaves the model as it was"
    model.eval()
    sides = {
        "source": torch.tensor(source),
        "source_lengths": torch.tensor([len(source)]),
        "target": torch.tensor([0, *target[:-1]]),
        "target_lengths": torch.tensor([len(target)]),
    }
    exact = model.attention_weights(kind="cross", **sides)[:, 0].numpy()
    weights = trace.attention["cross"]
    assert weights.shape == (*exact.shape[:2], len(trace.target), len(trace.source))
    np.testing.assert_allclose(weights[..., :4], exact[..., :4], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights[..., 4], exact[..., 4:7].sum(-1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    with torch.no_grad():
        logits = model.project(model(**sides)).log_softmax(-1)
    expected = logits.gather(1, torch.tensor(target)[:, None])[:, 0]
    np.testing.assert_allclose(trace.log_probabilities, expected.numpy(), rtol=1e-4, atol=1e-5)
    assert (
        trace.source_text == "Ich mag Katzen型"
        and trace.target_text == "的 Ich翻"
        and trace.notes == []
    )


def test_json_keeps_the_weights_to_five_digits() -> None:
    model, toy = models()["transformer"], Toy()
    source, target = [*toy.encode("Ich mag"), 1], toy.encode("翻的")
    trace = trace_tokens(model, source, target, toy, toy, kinds=("cross", "encoder", "decoder"))
    content = json.loads(trace.to_json())
    assert content["trace_version"] == 1 and content["notes"] == ["cut"]
    assert set(content["attention"]) == {"cross", "encoder", "decoder"}
    for kind, weights in trace.attention.items():
        packed = content["attention"][kind]
        values = (
            np.frombuffer(base64.b64decode(packed["values"]), dtype="<u2").reshape(packed["shape"])
            / 65535
        )
        np.testing.assert_allclose(values, weights, atol=1e-5)
    assert trace.attention["decoder"][0, 0, 0, 1] == 0  # no look-ahead
    # The decoder's rows are what it read: the begin token, then the answer without its last token.
    read = [piece for cell in trace.inputs for piece in cell.pieces]
    assert read == toy.pieces([toy.begin_id, *target[:-1]])
    assert [cell["label"] for cell in content["inputs"]] == [cell.label for cell in trace.inputs]
    assert trace.attention["decoder"].shape[2:] == (len(trace.inputs), len(trace.inputs))


def test_steps_and_masks_are_those_of_the_answer() -> None:
    model, toy = models()["transformer"], Toy()
    source, target = [*toy.encode("Ich mag"), 1], toy.encode("翻的")
    trace = trace_tokens(model, source, target, toy, toy, kinds=("cross", "decoder"), steps=3)
    chances = look(model, source, target, toy.begin_id)[1].softmax(-1)
    assert len(trace.steps) == len(target)
    for place, step in enumerate(trace.steps):
        assert step.ids[:3] == chances[place].topk(3).indices.tolist()
        given = {number: one for number, one in zip(step.ids, step.choices, strict=True)}
        assert [one.is_actual for one in given.values()].count(True) == 1
        assert given[target[place]].is_actual
        assert given[target[place]].probability == pytest.approx(
            float(chances[place, target[place]]), rel=1e-5
        )
    (causal,), (full,) = trace.masks["decoder"], trace.masks["cross"]
    assert np.array_equal(causal.rows, np.tril(np.ones_like(causal.rows)))
    assert full.rows.all() and full.rows.shape == (len(trace.target), len(trace.source))
    used = (trace.attention["decoder"] > 0).any((0, 1))
    assert np.array_equal(used, causal.rows), "the mask is the one that was used"


def test_without_attention_the_trace_says_so() -> None:
    toy = Toy()
    trace = trace_tokens(models()["rnn without attention"], [258, 1], [259, 1], toy, toy)
    assert (
        trace.attention == {}
        and trace.notes == ["no_attention"]
        and len(trace.log_probabilities) == 2
    )


@pytest.mark.parametrize("name", ["transformer", "rnn", "rnn without attention"])
def test_from_a_task_and_an_example(name: str) -> None:
    tokenizer = Tokenizer.train(["I like cats.", "我喜欢猫。"] * 3, vocabulary_size=270)
    tokenizers = Tokenizers(tokenizer, tokenizer)
    task, model = SPECS["translation"].build({}), models(tokenizer.vocabulary_size)[name].eval()
    given = [
        Example(
            source="I like 🐈.", target="我喜欢猫。", source_language="en", target_language="zh"
        )
    ]
    settings, labels = DecodingSettings(beams=3, max_length=9), task.prepare(given)
    forced = trace(model, task, tokenizers, given[0], labels=labels, settings=settings)
    assert (forced.source_text, forced.target_text) == ("I like 🐈.", "我喜欢猫。")
    assert "cut" not in forced.notes and forced.target[-1].label == "<end>"
    free = trace(
        model, task, tokenizers, Example(source="I like 🐈."), labels=labels, settings=settings
    )
    (encoded,) = task.encode(Example(source="I like 🐈."), tokenizers, labels, "use", None)
    assert task.request is not None
    best = decode(model, [task.request(encoded, settings, tokenizers)], tokenizers.target)[0][0]
    assert sum(free.log_probabilities) == pytest.approx(best.log_probability, abs=1e-3)
    assert ("cut" in free.notes) is not best.finished


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="Allowed: cross, encoder, decoder"):
        trace_tokens(models()["rnn"], [258, 1], [259, 1], Toy(), Toy(), kinds=("cros",))
