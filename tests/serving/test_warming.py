"""What is done once is done before a client waits for it, and is no client's request."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tasks"))

from starlette.testclient import TestClient
from toy_published import labels_of, tokenizer_of
from toy_runs import classifier, predictor_of, stack, translator, writer

from triptych.data.templates.published import BoundedEnvironment
from triptych.data.tokenizers.control import ControlTokens
from triptych.data.tokenizers.imported import ImportedTokenizer
from triptych.data.tokenizers.sides import Tokenizers
from triptych.inference.engine.engine import Engine
from triptych.inference.engine.scheduler import Scheduler
from triptych.inference.engine.warming import warm
from triptych.inference.predictor import Predictor
from triptych.model.config import ModelConfig
from triptych.serving.app import build_app
from triptych.serving.served import Served

ONCE = (
    (ImportedTokenizer, "_as_json"),  # for the fingerprint
    (ControlTokens, "_with_aliases"),
    (BoundedEnvironment, "from_string"),
)


def published() -> Predictor:
    """A run that chats by a template of its own."""
    tokenizer, _ = tokenizer_of("chatml")
    config = ModelConfig(decoder=stack(), vocabulary_size=tokenizer.vocabulary_size)
    sides = Tokenizers(tokenizer, tokenizer)
    return predictor_of("chat", {"context": 64}, config, labels_of("chatml"), sides)


@pytest.fixture()
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each of ONCE was called."""
    from triptych.data.templates import published as templates
    from triptych.tasks import templates as of_runs

    templates._from_text.cache_clear()
    of_runs._published.cache_clear()
    found = Counter[str]()

    def count(kind: type, name: str) -> None:
        former = getattr(kind, name)

        def counted(*given: Any, **options: Any) -> Any:
            found[name] += 1
            return former(*given, **options)

        monkeypatch.setattr(kind, name, counted)

    for kind, name in ONCE:
        count(kind, name)
    return found


def test_a_first_conversation_does_nothing_that_was_done_before(calls: Counter[str]) -> None:
    engine = Engine(published())
    warm(engine)
    assert set(calls) == {name for _, name in ONCE}
    before = Counter(calls)
    scheduler = Scheduler([engine], threads=1).start()
    app: Any = build_app(Served({"chat": engine}))
    with TestClient(app, base_url="http://localhost") as client:
        body = {"messages": [{"role": "user", "content": "how are you?"}], "max_tokens": 3}
        answer = client.post("/v1/chat/completions", json={"model": "chat", **body})
    scheduler.close()
    assert answer.status_code == 200, answer.text
    assert calls == before


@pytest.mark.parametrize("build", [writer, translator, classifier, published])
def test_a_step_is_computed_and_counted_for_nobody(build: Any) -> None:
    engine = Engine(build())
    seen = list[int]()
    model = engine.predictor.model
    for name in ("step", "read_on", "encode"):
        former = getattr(model, name)
        vars(model)[name] = lambda *given, former=former: (seen.append(1), former(*given))[1]
    warm(engine)
    assert seen or build is classifier
    assert engine.counters == Engine(engine.predictor).counters
    if engine.writer is not None:
        assert not engine.writer.prefixes.entries and not engine.live and not engine.waiting


def test_a_model_that_cannot_write_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(writer())
    monkeypatch.setattr(engine, "check", lambda: None)

    def broken(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(engine.predictor.model, "step", broken)
    with pytest.raises(RuntimeError, match="out of order"):
        warm(engine)
