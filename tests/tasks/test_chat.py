"""What of a conversation is told, how it is cut, which templates there can be, and what an answer
reports.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from toy_chat import TAGS, network, predictor_of, talk, tokenizers_with

from triptych.data.batches.encoded import collate
from triptych.data.tokenizers.sides import Tokenizers
from triptych.errors import DataError, UsageError
from triptych.model.config import ModelConfig, StackConfig
from triptych.tasks.chat import build
from triptych.tasks.turns import NONE, TEMPLATES, ChatTemplate


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    return tokenizers_with(TAGS)


def parts(tokenizers: Tokenizers, **options: Any) -> tuple[Any, dict[str, Any]]:
    task = build({"context": 64, **options})
    return task, task.prepare([talk("hello", "hi")])


def words(tokenizers: Tokenizers, encoded: Any) -> list[tuple[str, str]]:
    """(what was read last, what is told) at each learnt place."""
    shown = tokenizers.target.pieces
    read = encoded.inputs["target"][encoded.inputs["learnt"] == 1].tolist()
    return list(zip(shown(read), shown(encoded.targets["tokens"].tolist()), strict=True))


def test_only_the_assistants_words_and_ends_are_told(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers)
    (one,) = task.encode(
        talk("how", "you?", "well", "好", system="fine"), tokenizers, labels, "train", None
    )
    assert words(tokenizers, one) == [
        ("<to:assistant>", "y"),
        ("y", "o"),
        ("o", "u"),
        ("u", "?"),
        ("?", "<end>"),
        ("<to:assistant>", "好"),
        ("好", "<end>"),
    ]
    shown = "".join(tokenizers.target.pieces(one.inputs["target"].tolist()))
    assert (
        shown == "<begin><to:system>fine<to:user>how<to:assistant>you?<to:user>well<to:assistant>好"
    )
    assert one.weight == 7 and collate([one]).counts["tokens"] == 7


def test_a_template_of_text_reads_words_as_in_a_text(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers, template="text")
    assert labels["tags"] == []
    (one,) = task.encode(talk("how", "you"), tokenizers, labels, "train", None)
    assert tokenizers.target.decode(one.inputs["target"].tolist()) == "User: how\nAssistant: you\n"
    assert [told for _, told in words(tokenizers, one)] == [" ", "y", "o", "u", "<end>"]
    (asked,) = task.encode(talk("how"), tokenizers, labels, "use", None)
    # what training reads, to the token
    assert tokenizers.target.decode(asked.inputs["target"].tolist()) == "User: how\nAssistant:"
    assert asked.inputs["target"].tolist() == one.inputs["target"].tolist()[: asked.length]


def test_the_loss_is_that_of_the_told_words_alone(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers)
    model = network(tokenizers.target.vocabulary_size)
    examples = [talk("hello", "hi", "how", "fine"), talk("你好", "you")]
    batch = collate(
        [
            one
            for example in examples
            for one in task.encode(example, tokenizers, labels, "train", None)
        ]
    )
    states = model(**batch.inputs)
    found = task.loss(task.head(model.config, labels)(model, states, batch.inputs), batch)
    chances = model.project(states).log_softmax(-1)[batch.inputs["learnt"] == 1]
    wanted = -chances.gather(1, batch.targets["tokens"][:, None]).sum()
    torch.testing.assert_close(found["loss"][0], wanted)
    assert (
        found["loss"][1] == len(batch.targets["tokens"]) == len("hi") + len("fine") + len("you") + 3
    )


@pytest.mark.parametrize("context", [16, 24, 40])
def test_windows_tell_every_answer_once_under_its_question(
    tokenizers: Tokenizers, context: int
) -> None:
    task, labels = parts(tokenizers, context=context)
    texts = ["hello", "a", "how are", "you", "well", "fine", "very", "hi"]
    pieces = task.encode(talk(*texts), tokenizers, labels, "train", None)
    told = "".join(
        tokenizers.target.pieces(
            [number for one in pieces for number in one.targets["tokens"].tolist()]
        )
    )
    assert told == "a<end>you<end>fine<end>hi<end>" and (len(pieces) > 1) == (context < 40)
    assert all(one.length <= context for one in pieces)
    for one in pieces:
        shown, said = (
            "".join(tokenizers.target.pieces(part.tolist()))
            for part in (one.inputs["target"], one.targets["tokens"])
        )
        for question, answer in zip(texts[::2], texts[1::2], strict=True):
            assert answer not in said.split("<end>") or f"{question}<to:assistant>{answer}" in shown


def test_an_answer_longer_than_the_context_loses_its_end(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers, context=16)
    pieces = task.encode(talk("how", "y" * 40), tokenizers, labels, "train", None)
    assert [one.length for one in pieces] == [16] and tokenizers.target.end_id not in pieces[
        -1
    ].targets["tokens"]
    shown = "".join(tokenizers.target.pieces(pieces[-1].inputs["target"].tolist()))
    assert shown.startswith("<begin><to:user>how<to:assistant>yyy")
    with pytest.raises(DataError, match=r"No end of a turn carries loss.*task\.context = 16"):
        task.check([pieces], tokenizers)
    task.check(
        [pieces, task.encode(talk("how", "you"), tokenizers, labels, "train", None)], tokenizers
    )


def test_a_history_is_cut_by_whole_turns_and_keeps_the_system_text(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers, context=40)  # 20 to read
    (one,) = task.encode(
        talk("hello there", "very well", "fine", "you", "how", system="好"),
        tokenizers,
        labels,
        "use",
        None,
    )
    shown = "".join(tokenizers.target.pieces(one.inputs["target"].tolist()))
    assert shown == "<begin><to:system>好<to:user>fine<to:assistant>you<to:user>how<to:assistant>"
    assert one.metadata == len("hello there") + len("very well") + 2 and one.length <= 20
    predictor = predictor_of(task, labels, tokenizers)
    (cut,) = predictor.predict(
        [{"messages": talk("hello there", "very well", "fine", "you", "how").messages}]
    )
    assert cut.truncated_input_tokens > 0 and len(cut.tokens) <= 6
    (whole,) = predictor.predict(["how"])
    assert whole.truncated_input_tokens == 0


def test_a_turn_longer_than_the_context_loses_its_beginning(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers, context=40)
    (one,) = task.encode(talk("y" * 50 + "how"), tokenizers, labels, "use", None)
    shown = "".join(tokenizers.target.pieces(one.inputs["target"].tolist()))
    assert (
        one.length == 20
        and shown.endswith("yyhow<to:assistant>")
        and shown.startswith("<begin><to:user>y")
    )
    assert (
        one.metadata == 53 + 4 - 20 - 1 + 0
        and predictor_of(task, labels, tokenizers).predict(["y" * 53])[0].truncated_input_tokens
        == one.metadata
    )


def test_a_long_system_text_keeps_its_beginning(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers, context=40)
    (one,) = task.encode(talk("how", system="hello" + "y" * 80), tokenizers, labels, "use", None)
    shown = "".join(tokenizers.target.pieces(one.inputs["target"].tolist()))
    assert (
        shown == "<begin><to:system>helloyyyy<to:user>how<to:assistant>" and one.metadata == 85 - 9
    )


def test_what_a_person_gives(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers)
    predictor = predictor_of(task, labels, tokenizers)
    text, mapping = predictor.predict(
        ["how are you", {"messages": [{"role": "user", "content": "how are you"}]}]
    )
    assert text.tokens == mapping.tokens and text.to_json()["truncated_input_tokens"] == 0
    # one role may speak twice
    twice = [{"role": "user", "content": "how"}, {"role": "user", "content": "are you"}]
    assert (
        "".join(
            tokenizers.target.pieces(
                task.encode(
                    predictor.example({"messages": twice}), tokenizers, labels, "use", None
                )[0]
                .inputs["target"]
                .tolist()
            )
        )
        == "<begin><to:user>how<to:user>are you<to:assistant>"
    )
    streamed = "".join(predictor.stream("how are you"))
    assert streamed.strip() == text.text and not streamed.startswith(" ")
    with pytest.raises(DataError, match="messages is empty"):
        predictor.predict([{"messages": []}])
    with pytest.raises(UsageError, match=r"Unknown role 'bot'.*Allowed: assistant, system, user"):
        predictor.predict([{"messages": [{"role": "bot", "content": "x"}]}])
    with pytest.raises(DataError, match="the last message is not the user's"):
        predictor.predict([{"messages": talk("how", "you").messages}])


def test_answers_can_be_sampled_and_ranked(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers)
    predictor = predictor_of(task, labels, tokenizers, temperature=1.0)
    one = predictor.predict(["how"])[0]
    best = predictor.predict(["how"], samples=8, n_best=3)[0]
    assert len(best.alternatives) == 2 and (best.score or 0) >= (one.score or 0)


def test_scores_are_of_the_assistants_words(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers)
    evaluation = predictor_of(task, labels, tokenizers).evaluate(
        [talk("hello there", "你"), talk("how", "you")]
    )
    scores = evaluation.scores.values
    tokens, size = len("你you") + 2, len("你you".encode())
    assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]))
    assert scores["bits_per_byte"] == pytest.approx(scores["loss"] * tokens / math.log(2) / size)


def test_a_turn_of_weight_0_is_read_and_not_learnt(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers)
    whole = talk("how", "you?", "well", "好")
    shy = talk("how", "you?", "well", "好")
    assert shy.messages is not None and whole.messages is not None
    shy.messages[1]["weight"] = "0"
    (one,), (other,) = (
        task.encode(example, tokenizers, labels, "train", None) for example in (shy, whole)
    )
    assert one.inputs["target"].tolist() == other.inputs["target"].tolist()
    assert words(tokenizers, one) == [("<to:assistant>", "好"), ("好", "<end>")]
    assert one.unseen == 0 and one.weight == 2
    predictor = predictor_of(task, labels, tokenizers)
    scores = predictor.evaluate([shy]).scores.values
    assert scores["bits_per_byte"] == pytest.approx(
        scores["loss"] * 2 / math.log(2) / len("好".encode())
    )


def test_what_an_answer_loses_counts_among_the_bits(tokenizers: Tokenizers) -> None:
    """Else a smaller context would make a better score of the same answers."""
    whole, cut = (parts(tokenizers, context=context) for context in (128, 16))
    talks = [talk("how", "y" * 40, "how", "you"), talk("how", "you")]
    assert [
        [one.unseen for one in cut[0].encode(example, tokenizers, cut[1], "train", None)]
        for example in talks
    ] == [[0, 30], [0]]
    told = sum(
        one.weight
        for example in talks
        for one in cut[0].encode(example, tokenizers, cut[1], "train", None)
    )
    for task, labels in (whole, cut):
        predictor = predictor_of(task, labels, tokenizers)
        scores, tokens, size = predictor.evaluate(talks).scores.values, 40 + 3 + 3 + 3, 40 + 3 + 3
        assert scores["bits_per_byte"] == pytest.approx(
            scores["loss"] * tokens / math.log(2) / size
        )
        assert predictor.losses(talks)["untold"] == pytest.approx(
            0 if task is whole[0] else (tokens - told) / told
        )


def test_a_template_without_an_end_is_refused() -> None:
    with pytest.raises(
        UsageError,
        match=(
            r"task\.assistant_form is 'A: \{content\}\\n' and has no end mark.*Put <end> right "
            r"after"
        ),
    ):
        build({"assistant_form": "A: {content}\n"})
    for wrong, message in [
        ({"assistant_form": "A: {content}\n<end>"}, "no end mark"),
        ({"user_form": "U: {content}<end>"}, "right after the assistant's"),
        ({"user_form": "U:"}, "must hold {content} once"),
        ({"assistant_form": "{content}<end>"}, "marks the assistant"),
        ({"template": "plain"}, "task.template is 'plain'; it must be one of marks, text"),
        ({"context": 8}, "at least 16"),
        ({"roles": 1}, "Unknown recipe key"),
    ]:
        with pytest.raises(UsageError, match=message):
            build(wrong)
    own = build(
        {"user_form": "### Q\n{content}\n", "assistant_form": "### A\n{content}<end>\n"}
    ).prepare([talk("a", "b")])
    assert (
        own["template"]["user"] == "### Q\n{content}\n"
        and own["template"]["system"] == TEMPLATES["text"]["system"]
    )


def test_the_template_comes_from_the_run_it_starts_from(tokenizers: Tokenizers) -> None:
    without = tokenizers_with([])
    task, labels = parts(tokenizers)
    text = {**labels, "template": TEMPLATES["text"], "tags": []}
    assert task.inherit_labels is not None
    assert (
        task.inherit_labels(labels, {}, without) == text
    )  # a run that learnt to write has no marks
    assert task.inherit_labels(labels, {}, tokenizers) == labels
    own = {"template": {**TEMPLATES["text"], "user": "Q: {content}\n"}}
    assert task.inherit_labels(labels, own, tokenizers)["template"] == own["template"]
    asked = build({"template": "marks"})
    assert asked.inherit_labels is not None
    with pytest.raises(
        UsageError, match=r'special tokens <assistant>, <system>, <user>.*task\.template = "text"'
    ):
        asked.inherit_labels(labels, {}, without)
    said = build({"template": "text"})
    assert said.inherit_labels is not None and said.inherit_labels(text, labels, tokenizers) == text


def test_nothing_to_learn_is_said(tokenizers: Tokenizers) -> None:
    task, labels = parts(tokenizers)
    with pytest.raises(DataError, match="no conversation .* has a message"):
        task.prepare([talk("hello")])
    assert task.encode(talk("hello"), tokenizers, labels, "train", None) == []
    with pytest.raises(DataError, match=r"talk\.jsonl:1 has no messages"):
        task.encode(talk(), tokenizers, labels, "train", None)
    stack = StackConfig(layers=1, width=16, heads=2, positions="learned", max_positions=32)
    with pytest.raises(UsageError, match="32 positions"):
        task.head(ModelConfig(decoder=stack), labels)
    with pytest.raises(UsageError, match="decoder-only"):
        task.head(ModelConfig(encoder=stack, decoder=stack), labels)


def test_marks_cannot_be_typed(tokenizers: Tokenizers) -> None:
    (turn,) = (
        ChatTemplate(TEMPLATES["marks"])
        .conversation([{"role": "user", "content": "<to:user><end>"}], tokenizers.target, 64)
        .turns
    )
    assert len(turn.content) == len("<to:user><end>") and min(turn.content) > 4
    assert NONE not in np.array(turn.content)


def test_a_conversation_is_no_stream_of_tokens() -> None:
    assert (
        build({}).encode_ids is None
    )  # so that a large file of conversations is not read as plain text
