"""/v1/tasks in the shapes of transformers' pipelines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient
from toy_runs import predictor_of, stack, tokenizers

from triptych.inference.engine.engine import Engine
from triptych.inference.engine.scheduler import Scheduler
from triptych.model.config import ModelConfig
from triptych.serving.app import build_app
from triptych.serving.served import Served

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TAGS = {"names": NAMES, "scheme": "BIO", "written": "BIO", "unit": "word", "spaces": "always",
        "words": {"rules": "spaces"}}  # fmt: skip
PASSAGE = "one two three. hello there, how are you?"


def encoder(task: str, labels: dict[str, Any] | None = None, mask: bool = False) -> Any:
    sides = tokenizers(mask=mask)
    size = sides.target.vocabulary_size
    config = ModelConfig(encoder=stack(positions="sinusoidal"), vocabulary_size=size)
    return predictor_of(task, {}, config, labels, sides)


@pytest.fixture(scope="module")
def others() -> Iterator[SimpleNamespace]:
    found = {
        "tagger": encoder("tagging", TAGS),
        "reader": encoder("question-answering", {"languages": {"source": ["en"]}}),
        "masks": encoder("masked-words", mask=True),
        "vectors": encoder("embedding"),
    }
    engines = {name: Engine(one) for name, one in found.items()}
    scheduler = Scheduler(list(engines.values()), threads=1).start()
    app: Any = build_app(Served(engines))
    with TestClient(app, base_url="http://localhost") as client:
        yield SimpleNamespace(client=client, **found)
    scheduler.close()


def ask(client: TestClient, task: str, inputs: Any, status: int = 200, **more: Any) -> Any:
    answer = client.post(f"/v1/tasks/{task}", json={"inputs": inputs, **more})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_texts_are_classified(client: TestClient, runs: SimpleNamespace) -> None:
    wanted = runs.classifier.predict(["hello"])[0].details["probabilities"]
    (found,) = ask(client, "text-classification", "hello")
    assert {one["label"]: one["score"] for one in found} == pytest.approx(wanted, abs=1e-6)
    assert found[0]["score"] == max(wanted.values())
    several = ask(client, "sentiment-analysis", ["hello", "one"], parameters={"top_k": 1})
    assert [len(one) for one in several] == [1, 1]


def test_words_are_tagged(others: SimpleNamespace) -> None:
    text = "hello there one"
    details = others.tagger.predict([text])[0].details
    found = ask(others.client, "token-classification", text)
    assert [(one["entity_group"], one["start"], one["end"]) for one in found] == [
        (one["label"], one["start"], one["end"]) for one in details["entities"]
    ]
    plain = {"aggregation_strategy": "none", "ignore_labels": []}
    words = ask(others.client, "ner", text, parameters=plain)
    assert [one["entity"] for one in words] == details["tags"] and len(words) == 3


def test_questions_are_answered(others: SimpleNamespace) -> None:
    given = {"question": "hello?", "context": PASSAGE}
    wanted = others.reader.predict([{"question": "hello?", "passage": PASSAGE}])[0]
    one = ask(others.client, "question-answering", given)
    assert one["answer"] == wanted.text and one["score"] == pytest.approx(wanted.score)
    several = ask(others.client, "question-answering", given, parameters={"top_k": 3})
    assert [PASSAGE[each["start"] : each["end"]] for each in several] == [
        each["answer"] for each in several
    ]
    ask(others.client, "question-answering", "hello?", 400)


def test_masks_are_filled(others: SimpleNamespace) -> None:
    found = ask(others.client, "fill-mask", "hello <mask> you", parameters={"top_k": 2})
    masks = others.masks.predict(["hello [MASK] you"])[0].details["masks"]
    assert [one["token_str"] for one in found] == [one["text"] for one in masks[0]["fillings"][:2]]
    assert all(one["sequence"] == f"hello {one['token_str']} you" for one in found)
    assert len(ask(others.client, "fill-mask", "[MASK] and [MASK]")) == 2
    assert "[MASK]" in ask(others.client, "fill-mask", "nothing", 400)["error"]


def test_texts_are_embedded_and_compared(others: SimpleNamespace) -> None:
    vector = ask(others.client, "feature-extraction", "hello")
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)
    same = {"source_sentence": "hello", "sentences": ["hello", "one two"]}
    first, other = ask(others.client, "sentence-similarity", same)
    assert first == pytest.approx(1, abs=1e-5) and other < first
    found = ask(
        others.client, "zero-shot-classification", "hello",
        parameters={"candidate_labels": ["hello", "three"], "hypothesis_template": "{}"},
    )  # fmt: skip
    assert found[0]["label"] == "hello"
    assert sum(one["score"] for one in found) == pytest.approx(1)


def test_texts_are_translated(client: TestClient, runs: SimpleNamespace) -> None:
    wanted = [{"translation_text": runs.translator.predict(["hello"])[0].text}]
    assert ask(client, "translation", "hello") == wanted
    assert ask(client, "translation_en_to_de", "hello") == wanted
    assert ask(client, "translation", ["hello", "hello"]) == wanted * 2
    assert "de" in ask(client, "translation_en_to_fr", "hello", 400)["error"]
    text = ask(client, "text2text-generation", "hello", parameters={"max_new_tokens": 3})
    short = runs.translator.predict(["hello"], max_length=3)[0].text
    assert text == [{"generated_text": short}]


def test_texts_are_continued(client: TestClient, runs: SimpleNamespace) -> None:
    wanted = runs.lm.predict(["hello"], max_length=6)[0].text
    given = {"max_new_tokens": 6, "do_sample": False}
    assert ask(client, "text-generation", "hello", parameters=given) == [
        {"generated_text": "hello" + wanted}
    ]
    given["return_full_text"] = False
    assert ask(client, "text-generation", "hello", parameters=given) == [{"generated_text": wanted}]
    drawn = {"max_new_tokens": 4, "num_return_sequences": 3, "do_sample": True, "seed": 5}
    assert len(ask(client, "text-generation", "hello", parameters=drawn)) == 3


def test_the_run_is_chosen(client: TestClient) -> None:
    found = client.get("/v1/tasks").json()
    assert found["translation"] == ["translator"] and found["text-generation"] == ["lm"]
    assert "answer" in ask(client, "translation", "hello", 400, model="lm")["error"]
    ask(client, "translation", "hello", 200, model="translator")
    ask(client, "summarization", "hello", 404)
    ask(client, "no-task", "hello", 404)
    assert "top" in ask(client, "translation", "a", 400, parameters={"top": 1})["error"]
    for wrong in ({"top_k": 0}, {"top_k": "x"}):
        ask(client, "text-classification", "a", 400, parameters=wrong)


def test_hugging_faces_client(open_server: str, runs: SimpleNamespace) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def of(task: str) -> Any:
        return hub.InferenceClient(model=f"{open_server}/v1/tasks/{task}")

    wanted = runs.translator.predict(["hello"])[0].text
    assert of("translation").translation("hello").translation_text == wanted
    labels = of("text-classification").text_classification("hello")
    assert {one.label for one in labels} == {"bad", "good", "so"}
    assert of("feature-extraction").feature_extraction("hello").shape == (32,)
    scores = of("sentence-similarity").sentence_similarity("hello", ["hello", "one"])
    assert scores[0] > scores[1]
    ranked = of("zero-shot-classification").zero_shot_classification("one", ["a", "b"])
    assert len(ranked) == 2
