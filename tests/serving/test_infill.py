"""/infill as editors ask, and tokens as lm-eval does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from toy_runs import filler, tokenizers

from triptych.inference.engine.engine import Engine
from triptych.inference.engine.scheduler import Scheduler
from triptych.serving.app import build_app
from triptych.serving.served import Served


@pytest.fixture(scope="module")
def filling() -> Iterator[Any]:
    """A run that fills in the middle, and a client."""
    predictor = filler()
    engines = {"code": Engine(predictor)}
    scheduler = Scheduler(list(engines.values()), threads=1).start()
    app: Any = build_app(Served(engines))
    with TestClient(app, base_url="http://localhost") as client:
        yield predictor, client
    scheduler.close()


def test_the_middle_is_written(filling: Any) -> None:
    predictor, client = filling
    given = {"text": "one ", "suffix": " three"}
    wanted = predictor.predict([given], max_length=6)[0].text
    body = {"input_prefix": "on", "prompt": "e ", "input_suffix": " three", "n_predict": 6}
    found = client.post("/infill", json=body).json()
    assert found["content"] == wanted and found["stop"] is True
    assert found["tokens_predicted"] > 0 and found["timings"]["predicted_n"] > 0
    with client.stream("POST", "/infill", json={**body, "stream": True}) as answer:
        parts = [json.loads(line[6:]) for line in answer.iter_lines() if line]
    assert "".join(one["content"] for one in parts) == wanted
    assert [one["stop"] for one in parts] == [False] * (len(parts) - 1) + [True]


def test_while_the_server_ends_none_is_taken(filling: Any) -> None:
    predictor, _ = filling
    engine = Engine(predictor)
    app: Any = build_app(Served({"code": engine}))
    client = TestClient(app, base_url="http://localhost")
    engine.is_closing = True
    body = {"input_prefix": "a", "input_suffix": "b", "n_predict": 4}
    for stream in (False, True):
        answer = client.post("/infill", json={**body, "stream": stream})
        assert answer.status_code == 503 and answer.headers["retry-after"] == "5"
        error = answer.json()["error"]
        assert error["code"] == 503 and "shutting down" in error["message"]


def test_editors_warm_up(filling: Any) -> None:
    _, client = filling
    body = {"input_prefix": "", "input_suffix": "", "n_predict": 0, "samplers": [], "cache": True}
    assert client.post("/infill", json=body).json()["content"] == ""


def test_a_run_without_a_middle_says_so(client: TestClient) -> None:
    body = {"input_prefix": "a", "input_suffix": "b", "n_predict": 4}
    error = client.post("/infill", json=body).json()["error"]
    assert error["code"] == 400 and "fill in the middle" in error["message"]
    wrong = client.post("/infill", json={**body, "model": "translator"}).json()["error"]
    assert wrong["code"] == 400


def test_tokens_come_and_go(client: TestClient) -> None:
    info = client.get("/tokenizer_info").json()
    end = info["eos_token"]
    assert end and info["bos_token"] and info["pad_token"]
    plain = {"prompt": f"hello there{end}", "add_special_tokens": False}
    ids = client.post("/tokenize", json=plain).json()["tokens"]
    tokenizer = tokenizers().target
    assert ids == [*tokenizer.encode("hello there"), tokenizer.end_id]
    assert client.post("/detokenize", json={"tokens": ids}).json()["prompt"] == plain["prompt"]
    begun = client.post("/tokenize", json={"prompt": "hello"}).json()
    assert begun["tokens"] == tokenizer.prompt("hello") and begun["max_model_len"] == 64
    assert client.post("/detokenize", json={"tokens": [10**6]}).status_code == 400


def test_a_trace_and_metrics_are_given(client: TestClient) -> None:
    found = client.post("/v1/trace", json={"model": "translator", "input": "hello"}).json()
    assert found["source"] and found["attention"]["cross"]["shape"][0] == 2
    assert client.get("/v1/runs/translator/metrics").json() == {
        "model": "translator", "metrics": [],
    }  # fmt: skip
    wrong = client.post(
        "/v1/trace", json={"model": "translator", "input": "a", "target": "b" * 10**5}
    )
    assert wrong.status_code == 413
