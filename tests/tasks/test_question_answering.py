"""Reading: windows, targets, exact spans of the user's text, no answer, and inputs that no one
should give.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import itertools

from toy_reading import predictor, question, tokenizers

from triptych.data.batches.encoded import collate
from triptych.data.example import Example
from triptych.errors import DataError, UsageError
from triptych.presets import configure
from triptych.tasks.options import QuestionAnsweringOptions
from triptych.tasks.question_answering import (
    build,
    head,
    matches,
    passage_pieces,
    prepare,
    window_starts,
)
from triptych.tasks.spans import WindowAnswers, apart, best_prediction
from triptych.tasks.task import Prediction

SMALL = {"window": 40, "stride": 8, "longest_question": 12}
LONG = "Nobody was there. " * 20 + "Ada met Babbage in London. " + "Nobody came. " * 20


def encode(
    example: Example,
    options: dict | None = None,
    purpose: str = "train",
    generator: np.random.Generator | None = None,
):
    task, both = build(options or {}), tokenizers()
    return task.encode(example, both, {"no_answer": False}, purpose, generator), both.source  # type: ignore[arg-type]


def test_a_window_is_question_and_passage_with_their_segments() -> None:
    (one,), tokenizer = encode(question("Ada met Babbage.", "Babbage"))
    source, segments = one.inputs["source"].tolist(), one.inputs["segments"].tolist()
    asked, passage = tokenizer.encode("Who met Ada?"), tokenizer.encode("Ada met Babbage.")
    assert source == [tokenizer.begin_id, *asked, tokenizer.end_id, *passage, tokenizer.end_id]
    assert segments == [0] * (len(asked) + 2) + [1] * (len(passage) + 1)


@pytest.mark.parametrize(
    ("passage", "answer"),
    [("Ada met.", "met"), ("日本の首都は東京です。", "東京"), ("x 🦊🦊 𠮷 met", "🦊 𠮷")],
)
def test_targets_point_at_the_answer(passage: str, answer: str) -> None:
    (one,), tokenizer = encode(question(passage, answer), {"characters": True})
    start, end = int(one.targets["start"][0]), int(one.targets["end"][0])
    assert tokenizer.decode(one.inputs["source"][start : end + 1].tolist()).strip() == answer


def test_every_token_is_in_a_window_and_neighbours_share_the_stride() -> None:
    starts = window_starts(100, 30, 8)
    assert starts[0] == 0 and all(
        later - earlier == 22 for earlier, later in itertools.pairwise(starts)
    )
    assert starts[-1] + 30 >= 100 > starts[-2] + 30
    assert window_starts(0, 30, 8) == [0] and window_starts(30, 30, 8) == [0]


def test_a_long_passage_has_the_answer_in_its_own_windows_only() -> None:
    windows, tokenizer = encode(question(LONG, "Babbage"), SMALL)
    assert len(windows) > 5 and all(len(one.inputs["source"]) <= 40 for one in windows)
    holding = [one for one in windows if int(one.targets["start"][0])]
    assert 1 <= len(holding) <= 2
    for one in holding:
        start, end = int(one.targets["start"][0]), int(one.targets["end"][0])
        assert tokenizer.decode(one.inputs["source"][start : end + 1].tolist()).strip() == "Babbage"
    assert all(
        int(one.targets["end"][0]) == 0 for one in windows if not int(one.targets["start"][0])
    )


def test_windows_without_the_answer_are_drawn_and_one_always_stays() -> None:
    options = {**SMALL, "no_answer_windows": 0.0}
    drawn, _ = encode(question(LONG, "Babbage"), options, generator=np.random.default_rng(1))
    assert drawn and all(int(one.targets["start"][0]) for one in drawn)
    assert len(encode(question(LONG), options, generator=np.random.default_rng(1))[0]) == 1
    everything, _ = encode(question(LONG, "Babbage"), options)
    assert len(everything) > len(drawn)


def test_of_several_references_one_is_drawn_and_the_most_frequent_is_validated_on() -> None:
    passage = "Ada met Babbage in London."
    example = question(passage)
    example.answers = [("Ada", 0), ("Babbage", 8), ("Babbage", 8), ("Turing", -1)]
    starts = {
        int(encode(example, generator=np.random.default_rng(seed))[0][0].targets["start"][0])
        for seed in range(20)
    }
    assert len(starts) == 2
    (one,), tokenizer = encode(example)
    place = int(one.targets["start"][0])
    assert (
        tokenizer.decode(
            one.inputs["source"][place : int(one.targets["end"][0]) + 1].tolist()
        ).strip()
        == "Babbage"
    )


def test_characters_stand_alone_where_asked_for() -> None:
    text = "東京tower は2つ、🦊"
    parts = list(apart(text))
    assert "".join(part for _, part in parts) == text and [
        text[start : start + len(part)] for start, part in parts
    ] == [part for _, part in parts]
    _, offsets = passage_pieces(tokenizers().source, text, True)
    east = [place for place, character in enumerate(text) if character in "東京は"]
    assert all([place, place + 1] in offsets.tolist() for place in east)


def test_matches_are_the_longest_runs_shared_with_the_question() -> None:
    tokenizer = tokenizers().source
    asked = np.array(tokenizer.encode("Who Ada , x"), dtype=np.int32)
    given = np.array(tokenizer.encode("Ada met , London"), dtype=np.int32)
    levels = matches(asked, given, tokenizer)
    named = dict(
        zip(
            (piece.strip() for piece in tokenizer.pieces(given.tolist())),
            levels.tolist(),
            strict=True,
        )
    )
    assert named["Ada"] >= 1 and named[","] == 0 and named.get("London", 0) == 0
    same = matches(given, given, tokenizer)
    assert same.max() <= 3
    assert matches(asked, np.zeros(0, dtype=np.int32), tokenizer).tolist() == []


def test_match_feature_needs_its_segments() -> None:
    with pytest.raises(UsageError, match="model.segments = 5"):
        head(
            configure("encoder-tiny", {}), {}, options=QuestionAnsweringOptions(match_feature=True)
        )
    (one,), _ = encode(question("Ada met Babbage."), {"match_feature": True})
    assert one.inputs["segments"].max() > 1


# The answer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("characters", [False, True])
@pytest.mark.parametrize(
    "passage",
    ["Ada met.", " 首都は東京です。 ", "🦊🦊 and 𠮷野家 mixed العربية", LONG, "\n\n\tAda\n"],
)
def test_the_answer_is_exactly_a_piece_of_the_passage(passage: str, characters: bool) -> None:
    reader = predictor({**SMALL, "characters": characters})
    one = reader.predict([{"question": "Who met Ada?", "passage": passage}])[0]
    start, end = one.details["start"], one.details["end"]
    assert one.text == passage[start:end] == one.text.strip() != ""
    assert one.truncated_input_tokens == 0
    for candidate in one.details["candidates"]:
        assert candidate["text"] == passage[candidate["start"] : candidate["end"]]
    chances = [candidate["probability"] for candidate in one.details["candidates"]]
    assert chances == sorted(chances, reverse=True) and 0 < sum(chances) <= 1 + 1e-6


def test_it_learns_where_the_answer_stands() -> None:
    """Taught 60 steps, the reader points at the word after "met", wherever it stands."""
    reader = predictor(SMALL, seed=3)
    names = ["Babbage", "London", "Ada", "Who"]
    examples = [
        question(f"in {filler} 1833 met {name} in {other}", name)
        for name in names
        for filler in names
        for other in names[:2]
    ]
    for one in examples:
        one.answers = [(one.answers[0][0], one.passage.index("met ") + 4)]  # type: ignore[index, union-attr]
    encoded = [
        reader.task.encode(one, reader.tokenizers, reader.labels, "train", None)[0]
        for one in examples
    ]
    optimizer = torch.optim.Adam([*reader.model.parameters(), *reader.head.parameters()], lr=0.02)
    batch = collate(encoded)
    for _ in range(60):
        value, count, _ = reader.task.loss(
            reader.head(reader.model, reader.model(**batch.inputs), batch.inputs), batch
        )["loss"]
        optimizer.zero_grad()
        (value / count).backward()
        optimizer.step()
    evaluation = reader.evaluate(examples)
    assert (
        evaluation.scores.values["exact_match"] > 95
        and next(iter(evaluation.scores.values)) == "f1"
    )
    assert "SQuAD" in evaluation.scores.signatures["f1"]


def test_a_neighbour_in_the_batch_changes_nothing() -> None:
    reader = predictor()
    asked = [
        {"question": "Who met Ada?", "passage": passage}
        for passage in ("Ada met Babbage.", LONG, "東京")
    ]
    together = reader.predict(asked)
    for one, alone in zip(together, (reader.predict([given])[0] for given in asked), strict=True):
        assert (one.text, one.details["start"]) == (alone.text, alone.details["start"])
        assert one.score == pytest.approx(alone.score, abs=1e-4)


def test_windows_are_merged_and_the_likelier_of_equal_spans_counts() -> None:
    raw = [
        WindowAnswers([(-2.0, 0, 3), (-3.0, 4, 7)], -1.0, math.inf),
        WindowAnswers([(-0.5, 4, 8)], -2.0, math.inf),
    ]
    found = best_prediction(raw, "Ada met Babbage", 5)
    assert (found.text, found.details["start"], found.details["end"]) == ("met", 4, 7)
    assert found.details["no_answer_score"] == pytest.approx(-2.0 + 0.5)
    total = math.exp(-0.5) + math.exp(-2.0) + math.exp(-2.0)
    assert found.score == pytest.approx(math.exp(-0.5) / total, abs=1e-6)
    assert [one["text"] for one in found.details["candidates"]] == ["met", "Ada"]


def test_above_the_threshold_there_is_no_answer() -> None:
    found = best_prediction([WindowAnswers([(-2.0, 0, 3)], -0.5, 1.0)], "Ada met", 5)
    assert (found.text, found.details["start"], found.details["end"]) == ("", None, None)
    assert best_prediction([WindowAnswers([(-2.0, 0, 3)], -0.5, 2.0)], "Ada met", 5).text == "Ada"
    assert best_prediction([WindowAnswers([], -0.0, math.inf)], "", 5).text == ""


def test_the_threshold_is_fitted_where_there_are_questions_without_an_answer() -> None:
    examples = [question("Ada met Babbage.", "Babbage"), question("Nobody was there.")] * 3
    for no_answer, expected in ((True, "without an answer"), (False, None)):
        reader = predictor(no_answer=no_answer)
        encoded = []
        for index, one in enumerate(examples):
            for window in reader.task.encode(one, reader.tokenizers, reader.labels, "train", None):
                window.index = index
                encoded.append(window)
        assert reader.task.calibrate is not None
        with torch.no_grad():
            said = reader.task.calibrate(
                reader.model, reader.head, [collate(encoded[:2]), collate(encoded[2:])]
            )
        assert (said is None) == (expected is None)
        if said is None:
            assert float(reader.head.threshold) == math.inf
        else:
            assert (
                expected is not None
                and expected in said
                and math.isfinite(float(reader.head.threshold))
            )


def test_the_fitted_threshold_parts_what_can_be_parted() -> None:
    """With a head that knows the answer, every question is right after fitting."""
    from triptych.tasks.spans import fit_threshold

    reader = predictor(no_answer=True)
    examples = [question("Ada met Babbage.", "Babbage"), question("Nobody was there.")] * 4
    encoded = [
        reader.task.encode(one, reader.tokenizers, reader.labels, "train", None)[0]
        for one in examples
    ]
    for index, one in enumerate(encoded):
        one.index = index
    batch = collate(encoded)

    class Knowing:
        threshold = torch.tensor(0.0)

        def __call__(self, model, states, inputs):
            logits, first = torch.zeros(len(inputs["source"]), 2), 0
            for one, length in zip(batch.encoded, inputs["source_lengths"].tolist(), strict=True):
                # says "none" too often by itself
                logits[first, :] = 3.0 if one.metadata.answerable else 4.0
                logits[first + int(one.targets["start"][0]), 0] += 2.0
                logits[first + int(one.targets["end"][0]), 1] += 2.0
                first += length
            return logits

    knowing = Knowing()
    assert "100.0" in (fit_threshold(reader.model, knowing, [batch], 30) or "")
    assert float(knowing.threshold) > 0


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "passage", ["", "   ", "x" * 10_000, "文" * 10_000, "🦊" * 3000, "\u202e\u0000 \ufeff"]
)
@pytest.mark.parametrize("asked", ["Who?", "?" * 5000])
def test_odd_texts_never_break_an_answer(passage: str, asked: str) -> None:
    one = predictor({"window": 128, "stride": 16, "longest_question": 32}).predict(
        [{"question": asked, "passage": passage}]
    )[0]
    assert (
        isinstance(one, Prediction)
        and one.text == passage[one.details["start"] or 0 : one.details["end"] or 0]
    )
    assert one.truncated_input_tokens == max(0, len(tokenizers().source.encode(asked)) - 32)


def test_an_empty_question_has_an_empty_answer() -> None:
    assert predictor().predict([{"question": " ", "passage": "Ada"}])[0].text == ""


def test_a_document_of_200_000_characters_is_read_whole() -> None:
    document = ("Ada met Babbage in London. " * 8000)[:199_990] + " met Who? "
    reader = predictor({"window": 384, "stride": 32})
    windows = reader.task.encode(question(document), reader.tokenizers, reader.labels, "use", None)
    seen = sum(
        int(one.metadata.offsets[-1, 1]) - int(one.metadata.offsets[0, 0]) for one in windows
    )
    assert windows[-1].metadata.offsets[-1, 1] == len(document) and seen >= len(document)
    one = reader.predict([{"question": "Who met Ada?", "passage": document}])[0]
    assert (
        one.text
        and one.text == document[one.details["start"] : one.details["end"]]
        and one.truncated_input_tokens == 0
    )


def test_what_is_missing_is_said() -> None:
    reader = predictor()
    with pytest.raises(UsageError, match="passage"):
        reader.predict(["Who?"])
    with pytest.raises(DataError, match="no passage"):
        reader.task.encode(Example(question="Who?", place="x"), reader.tokenizers, {}, "use", None)
    with pytest.raises(DataError, match="no answers"):
        reader.task.score([Prediction("")], [Example(question="a", passage="b", place="x")], {})
    with pytest.raises(DataError, match="nothing to train on"):
        prepare([])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"windo": 3}, "task.window"),
        ({"window": 8}, "window"),
        ({"window": 100, "stride": 90}, "smaller stride"),
        ({"no_answer_windows": 2}, "from 0 to 1"),
        ({"characters": 1}, "true or false"),
        ({"longest_answer": 0}, "at least 1 token"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build(options)


def test_models_that_cannot_read_are_refused() -> None:
    options = QuestionAnsweringOptions()
    with pytest.raises(UsageError, match="encoder-only"):
        head(configure("transformer-tiny", {}), {}, options=options)
    with pytest.raises(UsageError, match="Give 128 or less"):
        head(
            configure("encoder-tiny", {"positions": "learned", "max_positions": 128}),
            {},
            options=options,
        )
