"""OpenAI's dialect: what is answered is what the run answers alone, in the shapes clients read."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from triptych.decoding.scoring import token_scores

HELLO = [{"role": "user", "content": "hello there"}]


def post(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_models_are_listed(client: TestClient) -> None:
    found = client.get("/v1/models").json()
    assert [one["id"] for one in found["data"]] == ["lm", "chat", "translator", "classifier"]
    assert client.get("/v1/models/chat").json()["object"] == "model"
    assert client.get("/v1/models/none").status_code == 404


@pytest.mark.parametrize("model", ["lm", "translator"])
def test_a_completion_is_what_the_run_answers(
    model: str, client: TestClient, runs: SimpleNamespace
) -> None:
    texts = ["hello there", "one two"]
    found = post(client, "completions", model=model, prompt=texts, max_tokens=8)
    wanted = getattr(runs, model).predict(texts, max_length=8)
    assert [one["text"] for one in found["choices"]] == [one.text for one in wanted]
    reasons = ["length" if one.cut else "stop" for one in wanted]
    assert [one["finish_reason"] for one in found["choices"]] == reasons
    assert [one["index"] for one in found["choices"]] == [0, 1]
    read, written = found["usage"]["prompt_tokens"], found["usage"]["completion_tokens"]
    assert read > 0 and 2 <= written <= 16
    assert found["usage"]["total_tokens"] == read + written


def test_ids_are_the_same_prompt_as_their_text(client: TestClient, runs: SimpleNamespace) -> None:
    ids = runs.lm.tokenizers.target.encode("one two")
    by_text = post(client, "completions", model="lm", prompt="one two", max_tokens=6)
    for prompt in (ids, [ids], [0, *ids]):
        by_ids = post(client, "completions", model="lm", prompt=prompt, max_tokens=6)
        assert by_ids["choices"][0]["text"] == by_text["choices"][0]["text"]
    wrong = client.post("/v1/completions", json={"model": "lm", "prompt": [5, 999]})
    assert wrong.status_code == 400 and "999" in wrong.json()["error"]["message"]


def test_nothing_is_put_before_ids_where_nothing_stands_before_texts(
    client: TestClient, runs: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some published models have a token for an empty prompt, and none before others."""
    tokenizer = runs.lm.tokenizers.target
    kind, encode = type(tokenizer), tokenizer.encode
    monkeypatch.setattr(kind, "prompt", lambda self, text: encode(text) or [0])
    ids = encode("hello there")
    found = post(
        client, "completions", model="lm", prompt=[ids], max_tokens=0, logprobs=0, echo=True
    )["choices"][0]["logprobs"]
    (wanted,) = token_scores(runs.lm.model, [ids])
    assert found["token_logprobs"][1:] == pytest.approx(wanted.log_probabilities, abs=1e-5)
    told = client.post("/tokenize", json={"prompt": "hello there"})
    assert told.json()["tokens"] == ids


@pytest.mark.parametrize("begins", [True, False])
def test_given_tokens_are_scored_as_lm_eval_asks(
    begins: bool, client: TestClient, runs: SimpleNamespace
) -> None:
    tokenizer = runs.lm.tokenizers.target
    ids = [*([0] if begins else []), *tokenizer.encode("hello there")]
    found = post(
        client, "completions", model="lm", prompt=[ids], max_tokens=1, logprobs=1, echo=True,
        temperature=0, seed=1,
    )["choices"][0]["logprobs"]  # fmt: skip
    whole = ids if begins else [0, *ids]
    (wanted,) = token_scores(runs.lm.model, [whole], 1)
    nats = wanted.log_probabilities if begins else wanted.log_probabilities[1:]
    assert found["token_logprobs"][0] is None and found["top_logprobs"][0] is None
    assert len(found["tokens"]) == len(found["text_offset"]) == len(ids) + 1
    assert found["token_logprobs"][1:-1] == pytest.approx(nats, abs=1e-5)
    assert "".join(found["tokens"][int(begins) : -1]) == "hello there"
    best = [max(one.values()) for one in found["top_logprobs"][1:]]
    assert all(a <= b for a, b in zip(found["token_logprobs"][1:], best, strict=True))
    assert found["token_logprobs"][-1] == best[-1], "the greedy token, bit for bit"


def test_the_prompt_alone_is_scored(client: TestClient) -> None:
    found = post(
        client, "completions", model="lm", prompt="hello", max_tokens=0, logprobs=0, echo=True
    )["choices"][0]
    assert found["text"] == "hello" and len(found["logprobs"]["tokens"]) == 5
    assert found["logprobs"]["top_logprobs"] is None


def test_several_answers_are_drawn_by_the_seed(client: TestClient) -> None:
    asked = {"model": "lm", "prompt": "one", "n": 4, "temperature": 1.5, "max_tokens": 8}
    first, again, other = (
        [one["text"] for one in post(client, "completions", **asked, seed=seed)["choices"]]
        for seed in (3, 3, 4)
    )
    assert first == again != other and len(set(first)) > 1


def test_an_answer_ends_before_a_stop_string(client: TestClient) -> None:
    plain = post(client, "completions", model="lm", prompt="hello", max_tokens=12)
    text = plain["choices"][0]["text"]
    stop = text[3:5]
    found = post(client, "completions", model="lm", prompt="hello", max_tokens=12, stop=stop)
    assert found["choices"][0]["text"] == text[: text.index(stop)]
    assert found["choices"][0]["finish_reason"] == "stop"


def parts(client: TestClient, path: str, **body: Any) -> list[dict[str, Any]]:
    with client.stream("POST", f"/v1/{path}", json={**body, "stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_a_stream_is_the_answer_in_pieces(client: TestClient) -> None:
    asked = {"model": "lm", "prompt": ["hello", "one two"], "max_tokens": 12}
    whole = [one["text"] for one in post(client, "completions", **asked)["choices"]]
    found = parts(client, "completions", **asked, stream_options={"include_usage": True})
    texts = ["", ""]
    for one in found[:-1]:
        (choice,) = one["choices"]
        texts[choice["index"]] += choice["text"]
    assert texts == whole
    assert found[-1]["choices"] == [] and found[-1]["usage"]["completion_tokens"] > 2
    assert len({one["id"] for one in found}) == 1


def test_a_chat_answers_the_conversation(client: TestClient, runs: SimpleNamespace) -> None:
    found = post(client, "chat/completions", model="chat", messages=HELLO, max_tokens=9)
    wanted = runs.chat.predict([{"messages": HELLO}], max_length=9)[0].text
    message = found["choices"][0]["message"]
    assert message == {"role": "assistant", "content": wanted, "refusal": None}
    listed = [{"role": "user", "content": [{"type": "text", "text": "hello there"}]}]
    again = post(client, "chat/completions", model="chat", messages=listed, max_tokens=9)
    assert again["choices"] == found["choices"]


def test_a_chat_streams(client: TestClient) -> None:
    asked = {"model": "chat", "messages": HELLO, "max_completion_tokens": 9}
    whole = post(client, "chat/completions", **asked)["choices"][0]
    found = [one["choices"][0] for one in parts(client, "chat/completions", **asked)]
    assert found[0]["delta"] == {"role": "assistant", "content": ""}
    text = "".join(one["delta"].get("content", "") for one in found)
    assert text.strip() == whole["message"]["content"]
    assert found[-1]["finish_reason"] == whole["finish_reason"]
    assert all(one["finish_reason"] is None for one in found[:-1])


def test_log_probabilities_of_a_chat(client: TestClient) -> None:
    found = post(
        client, "chat/completions", model="chat", messages=HELLO, max_tokens=5, logprobs=True,
        top_logprobs=2,
    )["choices"][0]["logprobs"]["content"]  # fmt: skip
    assert found and all(len(one["top_logprobs"]) == 2 for one in found)
    for one in found:  # greedy: each token is the most probable one
        assert one["logprob"] == pytest.approx(one["top_logprobs"][0]["logprob"], abs=1e-4)


def test_a_translator_answers_the_last_message(client: TestClient, runs: SimpleNamespace) -> None:
    found = post(client, "chat/completions", model="translator", messages=HELLO)
    wanted = runs.translator.predict(["hello there"])[0].text
    assert found["choices"][0]["message"]["content"] == wanted


def test_embeddings(client: TestClient, runs: SimpleNamespace) -> None:
    from triptych.inference.search_index import as_embedder, embed

    texts = ["hello there", "one two", ""]
    wanted = embed(as_embedder(runs.classifier), texts)
    found = post(client, "embeddings", model="classifier", input=texts)
    vectors = [one["embedding"] for one in found["data"]]
    np.testing.assert_allclose(np.array(vectors), wanted, atol=1e-6)
    assert found["usage"]["prompt_tokens"] > 4
    packed = post(client, "embeddings", model="classifier", input=texts, encoding_format="base64")
    raw = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in packed["data"]]
    np.testing.assert_allclose(np.array(raw), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("completions", {"model": "none", "prompt": "a"}, 404, "not served"),
        ("completions", {"model": "classifier", "prompt": "a"}, 400, "writes no text"),
        ("completions", {"model": "lm", "prompt": "a", "n": 1000}, 400, "n:"),
        ("completions", {"model": "lm", "prompt": "a", "max_tokens": 10**9}, 400, "max_tokens"),
        ("completions", {"model": "lm", "prompt": "a", "logit_bias": {"5": 1}}, 400, "logit_bias"),
        ("completions", {"model": "lm", "prompt": []}, 400, "prompt"),
        ("completions", {"model": "lm", "prompt": "a", "stop": [""]}, 400, "stop"),
        ("completions", {"model": "translator", "prompt": "a", "echo": True}, 400, "echo"),
        ("completions", {"model": "lm", "prompt": "a" * 200, "echo": True, "logprobs": 1,
                         "max_tokens": 0, "suffix": "b"}, 400, "fill in the middle"),
        ("chat/completions", {"model": "lm", "messages": HELLO}, 400, "conversation"),
        ("chat/completions", {"model": "chat", "messages": []}, 400, "messages"),
        ("chat/completions", {"model": "chat", "messages": [{"role": "king", "content": "a"}]},
         400, "role"),
        ("embeddings", {"model": "lm", "input": "a"}, 400, "encoder-only"),
        ("embeddings", {"model": "classifier", "input": "a", "dimensions": 3}, 400, "32"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(
    path: str, body: dict[str, Any], status: int, words: str, client: TestClient
) -> None:
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert words in error["message"] and {"message", "type", "param", "code"} == error.keys()


def test_a_body_that_is_not_json(client: TestClient) -> None:
    answer = client.post("/v1/completions", content=b"{", headers={"content-type": "text/json"})
    assert answer.status_code == 400 and answer.json()["error"]["message"]
