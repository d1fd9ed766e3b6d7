"""Answers from an index: OpenAI's clients and pipelines get them with their places."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from toy_runs import classifier, predictor_of, stack, tokenizers, writer

from triptych.cli.main import run
from triptych.inference.engine.engine import Engine
from triptych.inference.engine.limits import EngineLimits
from triptych.inference.engine.scheduler import Scheduler
from triptych.inference.retrieval.index import Index
from triptych.inference.retrieval.sources import Source
from triptych.inference.retrieval.updating import update
from triptych.model.config import ModelConfig
from triptych.serving.app import build_app
from triptych.serving.documents import Documents
from triptych.serving.served import Served
from triptych.tasks.task import Prediction

NOTES = {
    "a.txt": "Nothing here.\n\nAda Lovelace met\nCharles Babbage in 1833.",
    "b.txt": "The library opens at nine.\nIt closes on Mondays.",
}
QUESTION = "When does the library open?"


def reader() -> Any:
    size = tokenizers().target.vocabulary_size
    config = ModelConfig(encoder=stack(positions="sinusoidal"), vocabulary_size=size)
    return predictor_of("question-answering", {}, config)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "notes").mkdir()
    for name, text in NOTES.items():
        (folder / "notes" / name).write_text(text, encoding="utf-8")
    update(Source(folder / "notes", longest=60), folder / "index")
    return Index.open(folder / "index")


@pytest.fixture(scope="module")
def served(index: Index) -> Iterator[Served]:
    runs = {"chat": writer("chat", 256), "reader": reader(), "classifier": classifier()}
    engines = {name: Engine(run, EngineLimits(deadline=60)) for name, run in runs.items()}
    scheduler = Scheduler(list(engines.values()), threads=1).start()
    yield Served(engines, documents=Documents(index, least=0.0))
    scheduler.close()


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[TestClient]:
    app: Any = build_app(served)
    with TestClient(app, base_url="http://localhost") as found:
        yield found


def say(monkeypatch: pytest.MonkeyPatch, served: Served, text: str) -> list[Any]:
    """Let the run that chats answer with a text; the value holds what it was asked."""
    asked: list[Any] = []

    async def answer(example: Any, settings: Any = None) -> Prediction:
        asked.append((example, settings))
        return Prediction(text)

    monkeypatch.setattr(served.runs["chat"], "answer", answer)
    return asked


def chatted(client: TestClient, **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
                {"role": "user", "content": QUESTION}]  # fmt: skip
    given = {"model": "chat", "messages": messages, **body}
    answer = client.post("/v1/chat/completions", json=given)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_chat_answers_with_its_place(
    client: TestClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = say(monkeypatch, served, "At nine.")
    found = chatted(client, max_tokens=9)
    choice = found["choices"][0]
    assert choice["message"]["content"] == "At nine." and choice["finish_reason"] == "stop"
    (place,) = found["sources"]["citations"]
    assert found["sources"]["found"] and (place["file"], place["line"]) == ("b.txt", 1)
    assert NOTES["b.txt"][place["start"] : place["end"]] == place["text"] == "at nine"
    ((example, settings),) = asked
    assert "The library opens" in example.messages[0]["content"] and settings.max_length == 9
    assert found["usage"]["completion_tokens"] > 0


def test_a_chat_says_that_there_is_nothing(
    client: TestClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch, served, "It opens in Paris.")
    found = chatted(client)
    assert found["choices"][0]["message"]["content"] == "Not in the passages."
    assert found["sources"]["found"] is False and found["sources"]["citations"] == []
    zh = [{"role": "user", "content": "圖書館幾點開門？"}]
    assert chatted(client, messages=zh)["choices"][0]["message"]["content"] == "段落裡沒有答案。"


def test_a_stream_has_its_sources_last(
    client: TestClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch, served, "At nine.")
    given = {"model": "chat", "messages": [{"role": "user", "content": QUESTION}], "stream": True,
             "stream_options": {"include_usage": True}}  # fmt: skip
    with client.stream("POST", "/v1/chat/completions", json=given) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    parts = [json.loads(line) for line in lines[:-1]]
    deltas = [one["choices"][0]["delta"].get("content", "") for one in parts if one["choices"]]
    assert lines[-1] == "[DONE]" and "".join(deltas) == "At nine."
    assert parts[-2]["sources"]["citations"][0]["file"] == "b.txt"
    assert parts[-2]["choices"][0]["finish_reason"] == "stop" and parts[-1]["usage"]


def test_the_run_itself_can_be_asked(client: TestClient, served: Served) -> None:
    predictor = served.runs["chat"].predictor
    given = [{"role": "user", "content": QUESTION}]
    wanted = predictor.predict([{"messages": given}], max_length=9)[0].text
    found = chatted(client, messages=given, sources=False, max_tokens=9)
    assert found["choices"][0]["message"]["content"] == wanted and "sources" not in found


def test_a_run_for_spans_chats_as_answer_does(
    client: TestClient, served: Served, index: Index
) -> None:
    wanted = index.answer(served.runs["reader"].predictor, QUESTION, least=0.0)
    found = chatted(client, model="reader")
    assert found["choices"][0]["message"]["content"] == wanted.answer != ""
    assert found["sources"]["citations"] == [one.to_json() for one in wanted.citations]
    body = {"inputs": {"question": QUESTION, "context": ""}, "model": "reader"}
    task = client.post("/v1/tasks/question-answering", json=body)
    answer = task.json()
    assert answer["answer"] == wanted.answer and answer["sources"] == found["sources"]
    assert (answer["start"], answer["end"]) == (wanted.citations[0].start, wanted.citations[0].end)


def test_a_passage_that_is_given_is_read_instead(client: TestClient) -> None:
    given = {"question": QUESTION, "context": "It opens at ten."}
    found = client.post("/v1/tasks/question-answering", json={"inputs": given, "model": "reader"})
    assert "sources" not in found.json() and found.json()["answer"] in given["context"]
    assert set(client.get("/v1/tasks").json()["question-answering"]) == {"chat", "reader"}


def test_what_an_index_cannot_do_is_said(client: TestClient) -> None:
    ask = {"messages": [{"role": "user", "content": "a"}]}
    for wrong in ({"n": 2}, {"logprobs": True}, {"tools": [{"type": "function"}]}):
        answer = client.post("/v1/chat/completions", json={"model": "chat", **ask, **wrong})
        assert answer.status_code == 400 and next(iter(wrong)) in answer.text
    other = client.post("/v1/chat/completions", json={"model": "classifier", **ask})
    assert other.status_code == 400 and "writes no text" in other.text


def test_many_ask_at_once_and_others_are_answered(client: TestClient, served: Served) -> None:
    texts: list[str] = []

    def ask() -> None:
        texts.append(chatted(client, model="reader")["choices"][0]["message"]["content"])

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for one in threads:
        one.start()
    labels = client.post("/v1/tasks/text-classification", json={"inputs": "hello"})
    for one in threads:
        one.join(60)
    assert labels.status_code == 200 and len(texts) == 20 and len(set(texts)) == 1


def test_openai_sees_a_usual_answer(
    served: Served, listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    openai = pytest.importorskip("openai", reason="openai is not installed")
    say(monkeypatch, served, "At nine.")
    with listen(build_app(served)) as address:
        asking = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60)
        found = asking.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": QUESTION}]
        )
    assert found.choices[0].message.content == "At nine."
    assert found.model_extra["sources"]["citations"][0]["line"] == 1


def test_flags_of_an_index_need_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "runs/none", "--reranker", "runs/pairs"]) != 0
    assert "--index" in capsys.readouterr().err
    assert run(["serve", "runs/none", "--index", "i", "--least", "2"]) != 0
    assert "--least" in capsys.readouterr().err
