"""Unmodified clients against a server on loopback."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from waits import joined, until

from triptych.inference.engine.engine import Engine

openai = pytest.importorskip("openai", reason="openai is not installed")
HELLO: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def client(server: str) -> Any:
    return openai.OpenAI(base_url=f"{server}/v1", api_key="secret", max_retries=0, timeout=60)


def test_openai_lists_and_completes(client: Any, runs: SimpleNamespace) -> None:
    assert "lm" in [one.id for one in client.models.list()]
    found = client.completions.create(model="lm", prompt="hello", max_tokens=6)
    assert found.choices[0].text == runs.lm.predict(["hello"], max_length=6)[0].text
    scored = client.completions.create(
        model="lm", prompt="hello", max_tokens=1, logprobs=2, echo=True
    )
    assert len(scored.choices[0].logprobs.token_logprobs) == 6
    parts = client.completions.create(model="translator", prompt="hello", stream=True)
    text = "".join(one.choices[0].text for one in parts)
    assert text == runs.translator.predict(["hello"])[0].text


def test_openai_chats(client: Any, runs: SimpleNamespace) -> None:
    wanted = runs.chat.predict([{"messages": HELLO}], max_length=9)[0].text
    found = client.chat.completions.create(model="chat", messages=HELLO, max_tokens=9)
    assert found.choices[0].message.content == wanted
    parts = list(
        client.chat.completions.create(
            model="chat", messages=HELLO, max_completion_tokens=9, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    text = "".join(one.choices[0].delta.content or "" for one in parts if one.choices)
    assert text.strip() == wanted and parts[-1].usage.completion_tokens > 0


def test_openai_embeds(client: Any) -> None:
    found = client.embeddings.create(model="classifier", input=["hello", "one two"])
    assert [len(one.embedding) for one in found.data] == [32, 32]
    floats = client.embeddings.create(model="classifier", input="hello", encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(found.data[0].embedding, abs=1e-6)


def test_openai_is_told_what_is_wrong(client: Any, server: str) -> None:
    with pytest.raises(openai.NotFoundError, match="not served"):
        client.completions.create(model="none", prompt="a")
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.completions.create(model="lm", prompt="a", temperature=-1)
    other = openai.OpenAI(base_url=f"{server}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        other.models.list()


def test_many_clients_get_what_one_gets(client: Any, runs: SimpleNamespace) -> None:
    texts = [f"{word} {number}" for number, word in enumerate(["hello", "one two", "and you"] * 4)]
    found: dict[str, str] = {}

    def ask(text: str) -> None:
        one = client.completions.create(model="translator", prompt=text)
        found[text] = one.choices[0].text

    threads = [threading.Thread(target=ask, args=(text,), daemon=True) for text in texts]
    for thread in threads:
        thread.start()
    joined(*threads)
    wanted = runs.translator.predict(texts)
    assert [found[text] for text in texts] == [one.text for one in wanted]


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_takes_the_request_back(
    stream: bool, server: str, engines: dict[str, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engines["lm"]
    before = engine.counters.cancelled
    step = engine.predictor.model.step
    slow = lambda *given: (time.sleep(0.02), step(*given))[1]  # noqa: E731
    monkeypatch.setattr(engine.predictor.model, "step", slow)
    address = server.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=60)
    body = {"model": "lm", "prompt": "a", "max_tokens": 8000, "stream": stream, "min_tokens": 7999}
    connection.request(
        "POST", "/v1/completions", json.dumps(body),
        {"Authorization": "Bearer secret", "Content-Type": "application/json"},
    )  # fmt: skip
    if stream:
        assert connection.getresponse().read(10)
    else:
        until(lambda: engine.live)
    assert connection.sock is not None or stream
    connection.close()
    until(lambda: engine.counters.cancelled > before)
    assert engine.counters.cancelled == before + 1 and not engine.live


def test_a_client_that_sends_nothing_holds_nobody_up(client: Any, server: str) -> None:
    host, _, port = server.removeprefix("http://").partition(":")
    idle = [socket.create_connection((host, int(port)), timeout=60) for _ in range(20)]
    for one in idle:
        one.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n")
    assert client.completions.create(model="lm", prompt="a", max_tokens=2).choices
    for one in idle:
        one.close()
