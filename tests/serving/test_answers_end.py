"""How answers end: by a bug of ours, by a server that ends, with log-probabilities in a stream."""

from __future__ import annotations

import http.client
import io
import json
import logging
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient
from toy_runs import filler, writer
from waits import joined, until

from triptych.inference.engine.engine import Engine
from triptych.serving import server as serving_server
from triptych.serving.app import build_app
from triptych.serving.failures import log
from triptych.serving.security import Security
from triptych.serving.served import Served
from triptych.serving.server import JsonLines, Listening


@pytest.fixture()
def logged() -> Any:
    """The lines of the log, as JSON."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(JsonLines())
    names = ("triptych.serving", "uvicorn.error", "asyncio")
    former = {name: list(logging.getLogger(name).handlers) for name in names}
    for name in names:
        logging.getLogger(name).addHandler(handler)
    log.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in text.getvalue().splitlines()]
    for name in names:
        logging.getLogger(name).handlers[:] = former[name]


def test_a_bug_is_one_503_and_one_entry_and_the_connection_stays(
    open_server: str, monkeypatch: pytest.MonkeyPatch, logged: Any
) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr("triptych.serving.openai.complete", broken)
    connection = http.client.HTTPConnection(open_server.removeprefix("http://"), timeout=60)
    headers = {"Content-Type": "application/json"}
    for _ in range(2):
        body = json.dumps({"model": "lm", "prompt": "a"})
        connection.request("POST", "/v1/completions", body, headers)
        answer = connection.getresponse()
        assert answer.status == 503 and answer.headers.get("connection") != "close"
        assert "bug" not in answer.read().decode()
    connection.request("GET", "/version")
    assert connection.getresponse().read()
    entries = [one for one in logged() if "error" in one]
    assert len(entries) == 2 and all("ZeroDivisionError" in one["error"] for one in entries)
    connection.close()


@pytest.mark.parametrize("path", ["/health", "/ready", "/version", "/metrics", "/v1/models"])
def test_head_is_get_without_a_body(path: str, open_server: str) -> None:
    connection = http.client.HTTPConnection(open_server.removeprefix("http://"), timeout=60)
    for _ in range(2):  # the connection is in order afterwards
        connection.request("HEAD", path)
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read() == b""
        assert int(answer.headers["content-length"]) > 0
    connection.close()


# A server that ends ------------------------------------------------------------------------------

STREAMS = {
    "/v1/completions": {"prompt": "a", "max_tokens": 8000, "min_tokens": 7999},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "a"}], "max_tokens": 8000,
                             "min_tokens": 7999},
    "/api/generate": {"prompt": "a", "options": {"num_predict": 8000}},
    "/infill": {"input_prefix": "a", "input_suffix": "b", "n_predict": 8000},
}  # fmt: skip


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_that_is_cut_ends_with_its_error(path: str, logged: Any) -> None:
    chats = "chat" in path
    predictor = writer("chat" if chats else "language-modelling")
    predictor = filler(8192) if path == "/infill" else predictor
    step, letter = predictor.model.step, predictor.tokenizers.target.encode("a")[-1]

    def endless(*given: Any) -> Any:
        time.sleep(0.02)
        logits, state = step(*given)
        logits[..., letter] = 1e9
        return logits, state

    predictor.model.step = endless
    body = {"model": "m", "stream": True, **STREAMS[path]}
    listening = Listening("127.0.0.1", 0)
    engine, found = Engine(predictor), SimpleNamespace(text="", server=None)
    made = serving_server.Server.__init__

    def keep(self: Any, *given: Any) -> None:
        made(self, *given)
        found.server = self

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving_server.Server, "__init__", keep)
        patch.setattr(serving_server, "set_logging", lambda _: None)
        run = lambda: listening.serve({"m": engine}, Security(), drain_seconds=2.0)  # noqa: E731
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        until(lambda: found.server is not None and found.server.started, 20)
        connection = http.client.HTTPConnection("127.0.0.1", listening.port, timeout=60)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        first = answer.readline()
        whole = http.client.HTTPConnection("127.0.0.1", listening.port, timeout=60)
        whole.request("POST", path, json.dumps({**body, "stream": False}),
                      {"Content-Type": "application/json"})  # fmt: skip
        until(lambda: engine.live + engine.waiting == 2, 20)
        began = time.monotonic()
        found.server.handle_exit(15, None)
        last = [one for one in (first + answer.read()).splitlines() if one][-1]
        joined(thread)
    assert time.monotonic() - began < 2.5
    assert "shutting down" in str(json.loads(last.removeprefix(b"data: "))["error"])
    ended = whole.getresponse()
    assert ended.status == 503 and "shutting down" in str(json.load(ended)["error"])
    assert not [one for one in logged() if "error" in one], "no traceback"


# Log-probabilities --------------------------------------------------------------------------------


def streamed(client: TestClient, path: str, **body: Any) -> list[dict[str, Any]]:
    text = client.post(f"/v1/{path}", json={**body, "stream": True}).text
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]", lines[-1]
    return [json.loads(line)["choices"][0] for line in lines[:-1]]


@pytest.mark.parametrize(
    "more", [{}, {"echo": True}, {"max_tokens": 0, "echo": True}, {"num_beams": 3}, {"stop": "e"},
             {"temperature": 1.0, "seed": 3}],
)  # fmt: skip
def test_a_streams_log_probabilities_are_those_of_the_answer(
    more: dict[str, Any], client: TestClient
) -> None:
    body = {"model": "lm", "prompt": "hello", "max_tokens": 12, "logprobs": 2, **more}
    whole = client.post("/v1/completions", json=body).json()["choices"][0]
    parts = streamed(client, "completions", **body)
    assert "".join(one["text"] for one in parts) == whole["text"]
    found: dict[str, list[Any]] = {name: [] for name in whole["logprobs"]}
    for one in parts:
        for name, values in (one["logprobs"] or {}).items():
            found[name] += values
    for name in ("tokens", "text_offset"):
        assert found[name] == whole["logprobs"][name]
    pairs = zip(found["token_logprobs"], whole["logprobs"]["token_logprobs"], strict=True)
    assert all(a == b or abs(a - b) < 1e-5 for a, b in pairs)
    assert [one and [*one] for one in found["top_logprobs"]] == [
        one and [*one] for one in whole["logprobs"]["top_logprobs"]
    ]
    if body["max_tokens"] and "num_beams" not in more:
        assert sum(one["logprobs"] is not None for one in parts) > 1, "they come with the pieces"


@pytest.mark.parametrize(("model", "top"), [("chat", 2), ("chat", 0), ("translator", 0)])
def test_a_chat_streams_log_probabilities(model: str, top: int, client: TestClient) -> None:
    messages = [{"role": "user", "content": "hello there"}]
    body = {"model": model, "messages": messages, "max_tokens": 9, "logprobs": True,
            "top_logprobs": top}  # fmt: skip
    whole = client.post("/v1/chat/completions", json=body).json()["choices"][0]
    parts = streamed(client, "chat/completions", **body)
    found = [entry for one in parts if one["logprobs"] for entry in one["logprobs"]["content"]]
    assert [one["token"] for one in found] == [one["token"] for one in whole["logprobs"]["content"]]
    for a, b in zip(found, whole["logprobs"]["content"], strict=True):
        assert a["logprob"] == pytest.approx(b["logprob"], abs=1e-5)
        assert len(a["top_logprobs"]) == top


# What bodies hold ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"model": "lm", "prompt": "a", "max_tokens": "1"}),
        ("/v1/completions", {"model": "lm", "prompt": "a", "max_tokens": True}),
        ("/v1/completions", {"model": "lm", "prompt": "a", "stream": "true"}),
        ("/v1/completions", {"model": "lm", "prompt": "a", "temperature": "0"}),
        ("/v1/completions", {"model": "lm", "prompt": ["1", 2]}),
        ("/v1/completions", {"model": "lm", "prompt": [True]}),
        ("/v1/chat/completions", {"model": "chat", "messages": [{"role": "user", "content": "a"}],
                                  "stream_options": {"include_usage": 1}}),
        ("/v1/embeddings", {"model": "classifier", "input": "a", "dimensions": "32"}),
        ("/api/generate", {"model": "lm", "prompt": "a", "options": {"num_predict": True}}),
        ("/api/generate", {"model": "lm", "prompt": "a", "options": {"seed": "1"}}),
        ("/api/embed", {"model": "classifier", "input": "a", "truncate": 1}),
        ("/infill", {"input_prefix": "a", "n_predict": "3"}),
        ("/tokenize", {"prompt": "a", "add_special_tokens": 0}),
        ("/detokenize", {"tokens": ["5"]}),
        ("/translate", {"q": "a", "source": "en", "target": "de", "alternatives": True}),
        ("/v1/tasks/text-generation", {"inputs": "a", "parameters": {"max_new_tokens": True}}),
        ("/v1/tasks/text-generation", {"inputs": "a", "parameters": {"temperature": "1"}}),
        ("/v1/trace", {"model": "lm", "input": "a", "target": 1}),
    ],
)  # fmt: skip
def test_types_are_those_of_json(path: str, body: dict[str, Any], client: TestClient) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 400 and "error" in answer.json(), answer.text


def test_whole_numbers_and_forms_are_read(client: TestClient) -> None:
    body = {"model": "lm", "prompt": "a", "max_tokens": 1, "temperature": 0, "top_p": 1,
            "stream_options": {"include_usage": True}}  # fmt: skip
    assert client.post("/v1/completions", json=body).status_code == 200
    form = {"q": "a", "source": "en", "target": "de", "alternatives": "1"}
    assert len(client.post("/translate", data=form).json()["alternatives"]) == 1


@pytest.mark.parametrize(
    "host", ["[::1", "[::1]evil", "[::1]:x", "localhost:x", "127.0.0.1:80:80", "[", "::1]"]
)
def test_a_host_that_is_none_is_refused(host: str, engines: dict[str, Engine]) -> None:
    app: Any = build_app(Served(engines))
    client = TestClient(app, base_url="http://localhost")
    assert client.get("/version", headers={"Host": host}).status_code == 403
    assert client.get("/version", headers={"Host": "[::1]"}).status_code == 200


def test_errors_name_no_option_of_the_command_line(client: TestClient) -> None:
    def translated(name: str, content: bytes) -> str:
        files = {"file": (name, content)}
        answer = client.post("/translate_file", data={"target": "de"}, files=files)
        assert answer.status_code == 400
        return answer.json()["error"]

    cue = "1\n00:00:01,000 --> 00:00:02,000\n"
    errors = [
        translated("a.srt", cue.encode() + "caf\xe9 \xe4\xf6\xfc\n\n".encode("latin-1")),
        client.get("/version", headers={"Host": "evil.example"}).text,
        client.get("/version", headers={"Origin": "https://evil.example"}).text,
        client.post("/v1/trace", json={"model": "lm", "input": "a", "to": "de"}).text,
        client.post("/v1/completions", json={"model": "translator", "prompt": "a " * 9000}).text,
    ]
    for one in errors:
        assert "--" not in one.replace("-->", "") and len(one) > 20, one
    assert translated(".pdf", b"a").startswith("The file '.pdf' is of no kind")
    files = {"file": (".txt", b"hello")}
    answer = client.post("/translate_file", data={"target": "de"}, files=files)
    assert answer.status_code == 200
