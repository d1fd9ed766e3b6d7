"""Health, metrics, and who may ask."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from triptych.errors import UsageError
from triptych.inference.engine.engine import Engine
from triptych.inference.engine.limits import EngineLimits
from triptych.inference.engine.scheduler import Scheduler
from triptych.serving import bodies
from triptych.serving.app import build_app
from triptych.serving.security import Security
from triptych.serving.served import Served


def client_of(engines: dict[str, Engine], base: str = "http://localhost", **security: Any) -> Any:
    app: Any = build_app(Served(engines), Security(**security))
    return TestClient(app, base_url=base)


def test_health_computes_a_step_with_every_run(client: TestClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    names = ("lm", "chat", "translator", "classifier")
    assert answer.json() == {"status": "ok", "models": dict.fromkeys(names, "ok")}
    assert client.get("/ready").json() == {"ready": True}
    assert client.get("/version").json().keys() == {"version"}


def test_health_is_bad_once_a_run_fails() -> None:
    from toy_runs import writer

    predictor = writer()
    engine = Engine(predictor, EngineLimits(deadline=30))
    scheduler = Scheduler([engine], threads=1).start()
    client = client_of({"lm": engine})
    assert client.get("/health").status_code == 200

    def broken(*_: object) -> None:
        raise RuntimeError("out of order")

    predictor.model.step = broken
    predictor.model.read = broken
    asked = {"model": "lm", "prompt": "a"}
    answer = client.post("/v1/completions", json=asked)
    assert answer.status_code == 503 and "out of order" not in answer.text
    assert client.get("/health").status_code == 503
    assert client.get("/ready").status_code == 503
    assert client.post("/v1/completions", json=asked).status_code == 503
    assert scheduler.is_alive
    scheduler.close()


def test_metrics_count(client: TestClient) -> None:
    def value(name: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        (line,) = [one for one in lines if one.startswith(f'triptych_{name}{{model="lm"}}')]
        return float(line.split()[-1])

    before = value("requests_done_total"), value("tokens_written_total")
    client.post("/v1/completions", json={"model": "lm", "prompt": "a", "max_tokens": 5})
    assert value("requests_done_total") == before[0] + 1
    assert value("tokens_written_total") > before[1]
    assert "triptych_first_token_seconds_bucket" in client.get("/metrics").text


def test_a_key_is_needed_but_for_what_is_open(engines: dict[str, Engine]) -> None:
    client = client_of(engines, api_key="right", metrics_key="count")
    for path in ("/health", "/ready"):
        assert client.get(path).status_code == 200
    for path in ("/v1/models", "/metrics", "/openapi.json", "/version", "/none"):
        for value in (None, "Bearer ", "Bearer wrong", "right", "Basic right", "Bearer ÿ"):
            headers = {} if value is None else {"Authorization": value.encode("latin-1")}
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401 and "Bearer" in answer.json()["error"]["message"]
    assert client.get("/v1/models?api_key=right").status_code == 401
    assert client.get("/v1/models", headers={"Authorization": "Bearer right"}).status_code == 200
    for key in ("right", "count"):
        headers = {"Authorization": f"Bearer {key}"}
        assert client.get("/metrics", headers=headers).status_code == 200
    assert client.get("/v1/models", headers={"Authorization": "Bearer count"}).status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:8000", 200),
        ("models.example", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("", 403),
    ],
)
def test_hosts(host: str, status: int, engines: dict[str, Engine]) -> None:
    client = client_of(engines, allow_hosts=("models.example",))
    assert client.get("/version", headers={"Host": host}).status_code == status


def test_pages_elsewhere_are_refused_unless_allowed(engines: dict[str, Engine]) -> None:
    client = client_of(engines, allow_origins=("https://page.example",))
    allowed = {"Origin": "https://page.example"}
    answer = client.get("/version", headers=allowed)
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    preflight = client.options("/v1/completions", headers=allowed)
    assert preflight.status_code == 204
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    for origin in ("https://evil.example", "null", "https://page.example.evil"):
        refused = client.get("/version", headers={"Origin": origin})
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
    assert client.get("/version", headers={"Origin": "http://localhost"}).status_code == 200


def test_headers_of_every_answer(client: TestClient) -> None:
    for path in ("/version", "/none"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
    answer = client.get("/none")
    assert answer.status_code == 404 and answer.json()["error"]["type"] == "not_found_error"


def test_a_body_too_large_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_BYTES", 100)
    for content in (b"a" * 101, iter([b"a" * 60, b"a" * 60])):
        answer = client.post("/v1/completions", content=content)
        assert answer.status_code == 413 and "100" in answer.json()["error"]["message"]


def test_elsewhere_needs_a_key() -> None:
    for host in ("0.0.0.0", "192.168.1.5", "::", "models.example"):
        with pytest.raises(UsageError, match="--api-key"):
            Security(host=host)
        Security(host=host, api_key="key")
        Security(host=host, no_key=True)
    for wrong in ({"api_key": " "}, {"api_key": "schlüssel"}, {"allow_origins": ("page",)}):
        with pytest.raises(UsageError):
            Security(**wrong)  # type: ignore[arg-type]


def test_a_full_queue_is_429(engines: dict[str, Engine]) -> None:
    from toy_runs import writer

    engine = Engine(writer(), EngineLimits(queue=1))  # nobody gives it a turn
    engine.call(lambda: None)
    client = client_of({"lm": engine})
    answer = client.post("/v1/completions", json={"model": "lm", "prompt": "a"})
    assert answer.status_code == 429 and answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["type"] == "rate_limit_error"


def test_the_description_names_every_path(client: TestClient) -> None:
    found = client.get("/openapi.json").json()
    assert {"/v1/completions", "/v1/chat/completions", "/health"} <= found["paths"].keys()
