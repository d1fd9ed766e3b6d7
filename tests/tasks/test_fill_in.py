"""Fill-in-the-middle: nothing lost, the share as asked, use as in training, validation on plain
text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.errors import UsageError
from triptych.inference.predictor import Predictor
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer
from triptych.tasks import fill_in
from triptych.tasks.language_modelling import build

TEXT = "".join(
    f"def f{number}(x):\n    return x + {number}  # 第{number}個 😀\n\n" for number in range(60)
)
CONTEXT = 64


@pytest.fixture(scope="module", params=["code", "bytes"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer.train([TEXT], request.param, 420, tags=fill_in.SENTINELS)


def drawn(
    tokenizer: Tokenizer, share: float, seed: int, text: str = TEXT, whole: bool = True
) -> list[Any]:
    task, given = (
        build({"context": CONTEXT, "fill_in_the_middle": share}),
        Example(text=text, begins=whole, ends=whole),
    )
    return task.encode(
        given, Tokenizers(tokenizer, tokenizer), {}, "train", np.random.default_rng(seed)
    )


def parts_of(ids: list[int], tokenizer: Tokenizer) -> tuple[str, str, str] | None:
    """(prefix, suffix, middle), None for a plain window."""
    marks = [tokenizer.tags[name] for name in fill_in.SENTINELS]
    if ids[0] != marks[0]:
        assert not set(marks) & set(ids)
        return None
    second, third = ids.index(marks[1]), ids.index(marks[2])
    return (
        tokenizer.decode(ids[1:second]),
        tokenizer.decode(ids[second + 1 : third]),
        tokenizer.decode(ids[third + 1 :]),
    )


@pytest.mark.parametrize("whole_text", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_the_parts_rejoin_to_the_text(tokenizer: Tokenizer, seed: int, whole_text: bool) -> None:
    """Of a piece that goes on as well, but for its first token, which nothing tells."""
    whole = ""
    for one in drawn(tokenizer, 0.6, seed, whole=whole_text):
        ids, told = one.inputs["target"].tolist(), one.targets["tokens"].tolist()
        assert len(ids) == len(told) <= CONTEXT and ids[1:] == told[:-1]
        parts = parts_of(ids, tokenizer)
        if parts is None:
            whole += tokenizer.decode(told) if tokenizer.kind == "code" else ""
        else:
            assert told[-1] == tokenizer.end_id
            prefix, suffix, middle = parts
            assert prefix + middle + suffix in TEXT
            whole += prefix + middle + suffix
    first = "" if whole_text else tokenizer.decode(tokenizer.encode(TEXT)[:1])
    # bytes may lose the character that a window cuts
    assert tokenizer.kind != "code" or first + whole == TEXT


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_is_as_asked(tokenizer: Tokenizer, share: float) -> None:
    windows = [one for seed in range(20) for one in drawn(tokenizer, share, seed)]
    made = sum(parts_of(one.inputs["target"].tolist(), tokenizer) is not None for one in windows)
    assert made / len(windows) == pytest.approx(share, abs=0.08)


def test_every_epoch_draws_anew_and_cuts_fall_within_words(tokenizer: Tokenizer) -> None:
    cuts = {
        parts_of(one.inputs["target"].tolist(), tokenizer)
        for seed in range(6)
        for one in drawn(tokenizer, 1.0, seed)
    } - {None}
    assert len(cuts) > 40
    assert any(parts[0][-1:].isalpha() and parts[2][:1].isalpha() for parts in cuts if parts)
    assert (
        drawn(tokenizer, 1.0, 3)[0].inputs["target"].tolist()
        == drawn(tokenizer, 1.0, 3)[0].inputs["target"].tolist()
    )


def test_short_texts_stay_plain(tokenizer: Tokenizer) -> None:
    (one,) = drawn(tokenizer, 1.0, 1, "ab")
    assert one.inputs["target"].tolist() == [0, *tokenizer.encode("ab")] and one.targets[
        "tokens"
    ].tolist() == [*tokenizer.encode("ab"), 1]
    assert len(drawn(tokenizer, 1.0, 1, "")) == 1


def test_validation_is_plain_text(tokenizer: Tokenizer) -> None:
    given, pair = Example(text=TEXT), Tokenizers(tokenizer, tokenizer)
    plain, share = (
        build({"context": CONTEXT}),
        build({"context": CONTEXT, "fill_in_the_middle": 1.0}),
    )
    ours, theirs = (task.encode(given, pair, {}, "train", None) for task in (share, plain))
    assert [one.inputs["target"].tolist() for one in ours] == [
        one.inputs["target"].tolist() for one in theirs
    ]
    assert (
        share.prepare([given]) == {"tags": ["prefix", "suffix", "middle"]}
        and plain.prepare([given]) == {}
    )


def test_use_is_as_in_training(tokenizer: Tokenizer) -> None:
    task, pair = (
        build({"context": CONTEXT, "fill_in_the_middle": 1.0}),
        Tokenizers(tokenizer, tokenizer),
    )
    for one in drawn(tokenizer, 1.0, 5):
        ids = one.inputs["target"].tolist()
        parts = parts_of(ids, tokenizer)
        if parts is None:
            continue
        (asked,) = task.encode(Example(text=parts[0], suffix=parts[1]), pair, {}, "use", None)
        shown = asked.inputs["target"].tolist()
        assert shown == ids[: len(shown)] and shown[-1] == tokenizer.tags["middle"]


def predictor(tokenizer: Tokenizer, **options: Any) -> Predictor:
    torch.manual_seed(5)
    stack = StackConfig(
        layers=2, width=32, heads=4, inner_width=64, norm_placement="pre", positions="rotary"
    )
    network = Transformer(
        ModelConfig(decoder=stack, vocabulary_size=tokenizer.vocabulary_size)
    ).eval()
    task = build({"context": CONTEXT, **options})
    return Predictor(
        model=network,
        head=task.head(network.config, {}),
        task=task,
        tokenizers=Tokenizers(tokenizer, tokenizer),
        labels={},
        decoding=DecodingSettings(max_length=10),
    )


def test_both_sides_are_cut_to_the_context(tokenizer: Tokenizer) -> None:
    one = fill_in.asked(list(range(100, 200)), list(range(200, 300)), tokenizer)
    request = fill_in.request(one, DecodingSettings(max_length=500), CONTEXT)
    ids, settings, dropped = list(request.prompt), request.settings, request.unread
    assert (
        settings.max_length == CONTEXT // 2
        and len(ids) + settings.max_length <= CONTEXT
        and dropped == 203 - len(ids)
    )
    middle = ids.index(tokenizer.tags["suffix"])
    # what stands nearest is kept
    assert ids[middle - 1] == 199 and ids[middle + 1] == 200 and ids[-1] == tokenizer.tags["middle"]
    few = fill_in.asked([7] * 3, list(range(200, 300)), tokenizer)
    assert fill_in.request(few, DecodingSettings(max_length=4), CONTEXT).prompt[1:4] == [7] * 3
    one = fill_in.asked([7], [], tokenizer)
    assert fill_in.request(one, DecodingSettings(), CONTEXT).unread == 0


def test_prompts_of_both_kinds_are_answered_together(tokenizer: Tokenizer) -> None:
    model = predictor(tokenizer, fill_in_the_middle=0.5)
    asked = [
        {"text": "def f", "suffix": "\n" * 3},
        {"text": "def g"},
        {"text": "", "suffix": ""},
        {"text": TEXT, "suffix": TEXT},
    ]
    together = model.predict(asked)
    assert [one.text for one in together] == [model.predict([one])[0].text for one in asked]
    assert together[3].truncated_input_tokens > 0 and together[0].truncated_input_tokens == 0
    assert "".join(model.stream(asked[0])) == together[0].text
    tokens = together[1].to_json()["tokens"]
    assert [piece for piece, _ in tokens] == together[1].pieces and all(
        nats <= 0 for _, nats in tokens
    )


def test_a_run_without_it_refuses_a_suffix(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="not trained to fill in the middle"):
        predictor(Tokenizer.train([TEXT], "code", 400)).predict([{"text": "a", "suffix": "b"}])


@pytest.mark.parametrize(
    "wrong",
    [
        {"fill_in_the_middle": 1.5},
        {"fill_in_the_middle": -0.1},
        {"fill_in_the_middle": True},
        {"fill_in_the_middle": "half"},
        {"fill_in_the_middle": 0.5, "documents": "together"},
        {"fill_in_the_middle": 0.5, "context": 8},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="fill_in_the_middle"):
        build(wrong)
