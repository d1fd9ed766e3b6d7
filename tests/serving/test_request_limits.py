"""What one request may ask for: long texts are refused or cut off the loop, parts wait for room."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient
from toy_runs import predictor_of, stack, tokenizers, translator, writer
from waits import joined

from triptych.inference.engine.engine import Engine
from triptych.inference.engine.limits import EngineLimits
from triptych.inference.engine.scheduler import Scheduler
from triptych.model.config import ModelConfig
from triptych.serving import bodies, markup
from triptych.serving.app import build_app
from triptych.serving.encoding import most_characters
from triptych.serving.served import Served

LONG = "a" * 3_000_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"model": "lm", "prompt": LONG}),
        ("/v1/completions", {"model": "lm", "prompt": LONG, "stream": True}),
        ("/v1/completions", {"model": "translator", "prompt": ["a", LONG]}),
        (
            "/v1/chat/completions",
            {"model": "chat", "messages": [{"role": "user", "content": LONG}]},
        ),
        ("/v1/embeddings", {"model": "classifier", "input": [LONG]}),
        ("/v1/tasks/text-classification", {"inputs": LONG}),
        ("/translate", {"q": LONG, "source": "en", "target": "de"}),
        ("/translate", {"q": LONG, "source": "en", "target": "de", "format": "html"}),
        ("/api/generate", {"model": "lm", "prompt": LONG}),
        ("/api/embed", {"model": "classifier", "input": LONG}),
        ("/infill", {"model": "lm", "input_prefix": LONG}),
        ("/tokenize", {"model": "lm", "prompt": LONG}),
        ("/v1/completions", {"model": "lm", "prompt": [[1]] * 40_000}),
        ("/detokenize", {"model": "lm", "tokens": [1] * 600_000}),
        ("/translate", {"q": "a\n" * 6000, "source": "en", "target": "de"}),
        ("/translate", {"q": ["a\n" * 3000] * 2, "source": "en", "target": "de"}),
        ("/translate", {"q": "a<b>" * 6000, "source": "en", "target": "de", "format": "html"}),
        ("/v1/tasks/zero-shot-classification",
         {"inputs": ["a"] * 100, "parameters": {"candidate_labels": ["b"] * 60}}),
    ],
)  # fmt: skip
def test_too_much_is_refused_at_once(path: str, body: dict[str, Any], client: TestClient) -> None:
    began = time.monotonic()
    answer = client.post(path, json=body)
    assert answer.status_code == 413, answer.text[:300]
    assert "error" in answer.json() and time.monotonic() - began < 5


def test_the_limit_follows_what_a_run_reads(runs: SimpleNamespace) -> None:
    assert most_characters(runs.lm) == 1 << 16, "every run takes as many"
    assert most_characters(writer(context=8192)) == 16 * 8192
    assert most_characters(translator()) == 16 * 4096
    assert most_characters(runs.classifier) > 1 << 16, "it reads windows"


def test_commas_in_texts_are_no_values() -> None:
    bodies.refuse_values(json.dumps({"q": 'a,[{\\"' * 200_000 + "\\"}).encode())
    bodies.refuse_values(b"\xff" * 100 + b'"' + b"[," * 100_000)
    with pytest.raises(Exception, match="values"):
        bodies.refuse_values(b'{"a": "[",' + b"[1]," * 100_000)


def test_who_waits_for_tokens_holds_nobody_up(
    open_server: str, engines: dict[str, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = engines["translator"].predictor
    busy, release = threading.Event(), threading.Event()
    encode = type(predictor).encode

    def slow(*given: Any) -> Any:
        busy.set()
        release.wait(30)
        return encode(predictor, *given)

    monkeypatch.setattr(predictor, "encode", slow)
    body = json.dumps({"model": "translator", "prompt": "a " * 1001}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{open_server}/v1/completions", body, headers)
    ask = lambda: urllib.request.urlopen(request, timeout=60).read()  # noqa: E731
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert busy.wait(60)
    try:
        assert urllib.request.urlopen(f"{open_server}/ready", timeout=10).status == 200
    finally:
        release.set()
    joined(thread)


@pytest.fixture(scope="module")
def narrow() -> Iterator[TestClient]:
    """Runs whose queues hold two requests."""
    config = ModelConfig(
        encoder=stack(positions="sinusoidal"), vocabulary_size=tokenizers().target.vocabulary_size
    )
    found = {"lm": writer(), "translator": translator(max_length=2),
             "vectors": predictor_of("embedding", {}, config)}  # fmt: skip
    engines = {name: Engine(one, EngineLimits(queue=2)) for name, one in found.items()}
    scheduler = Scheduler(list(engines.values()), threads=1).start()
    app: Any = build_app(Served(engines))
    with TestClient(app, base_url="http://localhost") as client:
        yield client
    scheduler.close()


@pytest.mark.parametrize(
    ("path", "body", "count"),
    [
        ("/translate", {"q": ["a"] * 70, "source": "en", "target": "de"}, "translatedText"),
        ("/v1/completions", {"model": "lm", "prompt": ["a"] * 35, "n": 2, "max_tokens": 1},
         "choices"),
        ("/v1/completions", {"model": "lm", "prompt": ["a"] * 70, "max_tokens": 1, "echo": True,
                             "logprobs": 1}, "choices"),
        ("/v1/embeddings", {"model": "vectors", "input": ["a"] * 70}, "data"),
        ("/api/embed", {"model": "vectors", "input": ["a"] * 70}, "embeddings"),
        ("/v1/tasks/translation", {"inputs": ["a"] * 70}, None),
    ],
)  # fmt: skip
def test_parts_wait_for_room(
    path: str, body: dict[str, Any], count: str | None, narrow: TestClient
) -> None:
    answer = narrow.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json() if count is None else answer.json()[count]
    assert len(found) == 70


def test_parts_of_a_stream_wait_for_room(narrow: TestClient) -> None:
    body = {"model": "lm", "prompt": ["a"] * 35, "n": 2, "max_tokens": 2, "stream": True}
    lines = narrow.post("/v1/completions", json=body).text.split("\n\n")
    ended = [one for one in lines if '"finish_reason": "' in one]
    assert len(ended) == 70 and lines[-2] == "data: [DONE]"


def test_cues_and_pieces_of_html_wait_for_room(narrow: TestClient) -> None:
    cues = "".join(
        f"{n}\n00:{n // 60:02}:{n % 60:02},000 --> 00:{n // 60:02}:{n % 60:02},900\nhello\n\n"
        for n in range(1, 71)
    )
    files = {"file": ("a.srt", cues.encode())}
    assert narrow.post("/translate_file", data={"target": "de"}, files=files).status_code == 200
    body = {"q": "<p>hello</p>" * 70, "source": "en", "target": "de", "format": "html"}
    found = narrow.post("/translate", json=body)
    assert found.status_code == 200 and found.json()["translatedText"].count("<p>") == 70


# Markup -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("a < b & c<d", ["a < b & c<d"]),
        ("x <a href='u>v'>t</a>", ["x ", "t"]),
        ("<a title=don't>k</a>", ["k"]),
        ("<pre>a<b>x</b></pre>z &lt;q", ["z <q"]),
        ("<style>a<b</STYLE >c<script>d", ["c"]),
        ("a <![x b", ["a <![x b"]),
        ("a<!-- <b>k</b> -->c<?php > ?>d<![CDATA[ > ]]>", ["a", "c", " ?>d"]),
    ],
)
def test_markup_is_cut(given: str, wanted: list[str]) -> None:
    parts = markup.cut(given)
    assert [part for part, is_text in parts if is_text] == wanted
    kept = "".join(markup.escaped(part) if is_text else part for part, is_text in parts)
    assert markup.cut(kept) == parts


@pytest.mark.parametrize(
    "unit", ["<a", '<a x="<b>" ', "<!--", "<![CDATA[", "</a", "<", "<a x=' ", "<script", "<? "]
)
def test_broken_markup_is_cut_in_linear_time(unit: str) -> None:
    for end in ("", ">"):
        text = unit * (1_000_000 // len(unit)) + end
        began = time.process_time()
        parts = markup.cut(text)
        assert time.process_time() - began < 1
        assert sum(len(part) for part, _ in parts) == len(text)
