"""Ollama's dialect, by its own client."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

HELLO = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def ollama(server: str) -> Any:
    library = pytest.importorskip("ollama", reason="ollama is not installed")
    return library.Client(host=server, headers={"Authorization": "Bearer secret"})


def test_it_lists_and_shows(ollama: Any) -> None:
    assert {one.model for one in ollama.list().models} >= {"lm", "chat", "translator"}
    found = ollama.show("lm:latest")
    assert "completion" in found.capabilities and found.details.parameter_size.endswith("M")
    assert "embedding" in ollama.show("classifier").capabilities
    assert {one.model for one in ollama.ps().models} >= {"lm"}


def test_it_generates(ollama: Any, runs: SimpleNamespace) -> None:
    options = {"num_predict": 8, "temperature": 0}
    wanted = runs.lm.predict(["hello"], max_length=8)[0].text
    found = ollama.generate(model="lm", prompt="hello", options=options)
    assert found.response == wanted and found.done and found.eval_count > 0
    parts = list(ollama.generate(model="lm", prompt="hello", options=options, stream=True))
    assert "".join(one.response for one in parts) == wanted
    assert [one.done for one in parts] == [False] * (len(parts) - 1) + [True]
    text = ollama.generate(model="translator", prompt="hello").response
    assert text == runs.translator.predict(["hello"])[0].text


def test_it_chats(ollama: Any, runs: SimpleNamespace) -> None:
    options = {"num_predict": 9, "temperature": 0}
    wanted = runs.chat.predict([{"messages": HELLO}], max_length=9)[0].text
    found = ollama.chat(model="chat", messages=HELLO, options=options)
    assert found.message.content == wanted and found.done_reason in ("stop", "length")
    parts = list(ollama.chat(model="chat", messages=HELLO, options=options, stream=True))
    assert "".join(one.message.content for one in parts).strip() == wanted
    one = ollama.generate(model="chat", prompt="hello there", options=options).response
    assert one == wanted, "a chat run is asked in its own form"


def test_it_embeds(ollama: Any) -> None:
    found = ollama.embed(model="classifier", input=["hello", "one"])
    assert [len(one) for one in found.embeddings] == [32, 32]
    old = ollama.embeddings(model="classifier", prompt="hello")
    assert list(old.embedding) == pytest.approx(list(found.embeddings[0]), abs=1e-6)


def test_it_is_told_what_is_wrong(ollama: Any) -> None:
    import ollama as library

    for call, status in (
        (lambda: ollama.generate(model="nobody", prompt="x"), 404),
        (lambda: ollama.chat(model="lm", messages=HELLO), 400),
        (lambda: ollama.generate(model="classifier", prompt="x"), 400),
        (lambda: ollama.generate(model="lm", prompt="x", options={"top_p": 7}), 400),
        (lambda: ollama.generate(model="lm", prompt="x", options={"num_predict": 10**9}), 400),
        (lambda: ollama.generate(model="lm", prompt="x", format="json"), 400),
    ):
        with pytest.raises(library.ResponseError) as caught:
            call()
        assert caught.value.status_code == status


def test_a_stream_is_lines_of_json(client: TestClient) -> None:
    body = {"model": "lm", "prompt": "one", "options": {"num_predict": 5}}
    with client.stream("POST", "/api/generate", json=body) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in answer.iter_lines()]
    assert lines[-1]["done"] and lines[-1]["total_duration"] >= lines[-1]["eval_duration"] >= 0


def test_an_empty_request_loads(client: TestClient) -> None:
    found = client.post("/api/chat", json={"model": "chat", "messages": []}).json()
    assert found["done_reason"] == "load"
    assert client.post("/api/generate", json={"model": "lm"}).json()["done_reason"] == "load"
    assert client.get("/api/version").json()["version"]


def test_json_needs_no_content_type(client: TestClient) -> None:
    """As litellm sends it."""
    body = json.dumps({"model": "lm", "prompt": "hello", "stream": False})
    answer = client.post("/api/generate", content=body)
    assert "content-type" not in answer.request.headers
    assert answer.status_code == 200 and answer.json()["done"], answer.text
