"""Test the page of every encoder-only run: picture, self-attention, gradient x input."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from toy_tasks import LABELS, QUESTION, SPEECH, TEXT, VALUES, example, predictor

from triptych.cli.inspect import VIEWS, view_of
from triptych.cli.inspect_shown import Options, Shown
from triptych.data.tokenizers.sides import Tokenizers
from triptych.errors import UsageError
from triptych.inference.answering import with_words
from triptych.inference.predictor import Predictor
from triptych.inspection import html


def look(run: Predictor, text: str | None = None, kinds: str = "cross") -> Shown:
    passage = TEXT if run.task.name == "question-answering" else None
    given = example(run)
    return view_of(run)(
        run, text or given.question or given.text or "", Options(passage=passage, kinds=(kinds,))
    )


@pytest.mark.parametrize(("name", "options", "pictures", "kind"), [
    ("question-answering", {}, 3, "answer"),
    ("tagging", {}, 1, "entity_tags"),
    ("tagging", {"words": "unicode", "decoding": "crf"}, 1, "entity_tags"),
    ("parsing", {}, 1, "tree"),
    ("masked-words", {}, 1, "filling"),
    ("classification", {}, 1, "label"),
    ("classification", {"learn": "labels"}, 1, "label"),
    ("classification", {"learn": "value"}, 1, "value"),
    ("embedding", {}, 0, None),
])  # fmt: skip
def test_the_page_has_picture_attention_and_gradient(
    name: str, options: dict[str, Any], pictures: int, kind: str | None
) -> None:
    run = predictor(name, VALUES if options.get("learn") == "value" else None, **options)
    shown = look(run)
    text = html.page(shown.traces, shown.pictures, title=shown.title)
    found = json.loads(re.findall(r'id="traces">(.*?)</script>', text, flags=re.DOTALL)[0])
    assert text.count('<section class="picture">') == pictures
    assert all(one["attention"]["encoder"]["shape"][:2] == [2, 2] for one in found)
    assert (
        found[0]["attribution"] is None if kind is None else found[0]["attribution"]["kind"] == kind
    )
    assert ("gradient x input" in shown.note) == (kind is not None) and shown.rows
    assert [trace.source for trace in look(run, kinds="encoder").traces] == [
        trace.source for trace in shown.traces
    ]


def test_the_number_on_the_page_is_the_answer() -> None:
    run = predictor("classification", VALUES, learn="value")
    shown = look(run)
    found = shown.traces[0].attribution
    (drawn,) = re.findall(r'data-value="([\d.]+)"', shown.pictures[0].markup)
    assert (
        found is not None
        and f"{found.value:.3f}" == shown.answer
        and float(drawn) == pytest.approx(found.value, abs=1e-5)
    )


def test_several_labels_are_chosen_as_the_answer_has_them() -> None:
    run = predictor("classification", learn="labels")
    run.head.thresholds[:] = 0.0
    shown = look(run)
    assert shown.answer.count(", ") == 2 and all(
        f">✓ {name}<" in shown.pictures[0].markup for name in LABELS["classification"]["labels"]
    )


def test_a_question_keeps_its_candidates_in_the_terminal() -> None:
    shown = look(predictor("question-answering"))
    assert shown.rows[0] == ["candidate", "characters", "probability"] and len(shown.rows) > 2
    assert shown.title == QUESTION


def test_words_of_another_run_are_what_is_looked_at() -> None:
    learned = {**SPEECH, "words": {"rules": "learned"}}
    run = predictor("tagging", learned)
    characters = {
        **SPEECH,
        "names": ["B", "I"],
        "unit": "character",
        "words": {"rules": "characters"},
    }
    run.segmenter = predictor("tagging", characters, unit="character")
    run.segmenter.tokenizers = run.tokenizers = Tokenizers(
        run.tokenizers.source, run.tokenizers.source
    )
    shown = VIEWS["tags"](run, "Ada met", Options())
    words = run.segmenter.predict(["Ada met"])[0].details["words"]
    (encoded,) = run.task.encode(
        with_words(run.segmenter, [run.example("Ada met")])[0],
        run.tokenizers,
        run.labels,
        "use",
        None,
    )
    assert len(words) == int(encoded.inputs["word_starts"].sum()) and shown.pictures[
        0
    ].markup.count("<rt>") == len(words)
    assert [token for cell in shown.traces[0].source for token in cell.tokens] == list(
        range(len(encoded.inputs["source"]))
    )


def test_a_text_without_words_is_refused() -> None:
    for name in ("tagging", "parsing"):
        with pytest.raises(UsageError, match="nothing to inspect"):
            look(predictor(name), "  ")
