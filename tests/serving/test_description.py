"""The OpenAPI description: 200 drawn requests get answers that have the described shapes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from schemathesis.checks import load_all_checks  # noqa: E402
from schemathesis.specs.openapi import checks as conformance  # noqa: E402
from toy_runs import classifier, translator, writer  # noqa: E402

from triptych.inference.engine.engine import Engine  # noqa: E402
from triptych.inference.engine.limits import EngineLimits  # noqa: E402
from triptych.inference.engine.scheduler import Scheduler  # noqa: E402
from triptych.serving.answers import ANSWERS  # noqa: E402
from triptych.serving.app import build_app  # noqa: E402
from triptych.serving.pipelines import ALL  # noqa: E402
from triptych.serving.served import Served  # noqa: E402

CASES = 200
# A few names, because drawn ones would all be unknown.
NAMES = {"model": ["lm", "chat", "translator", "classifier", "none"],
         "source": ["en", "auto", "xx"], "target": ["de", "xx"]}  # fmt: skip
CHECKS = [conformance.status_code_conformance, conformance.content_type_conformance,
          conformance.response_schema_conformance]  # fmt: skip


@pytest.fixture(scope="module")
def described(listen: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The address of a server that gives up soon, and its description."""
    limits = EngineLimits(deadline=0.5)
    runs = {"lm": writer(), "chat": writer("chat"), "translator": translator(),
            "classifier": classifier()}  # fmt: skip
    engines = {name: Engine(run, limits) for name, run in runs.items()}
    scheduler = Scheduler(list(engines.values()), threads=1).start()
    app: Any = build_app(Served(engines))
    with listen(app) as address:
        yield address, app.inner.openapi()
    scheduler.close()


def named(found: dict[str, Any]) -> dict[str, Any]:
    """Return a description whose names are mostly of what is served."""
    found = copy.deepcopy(found)
    bodies = [operation["requestBody"]["content"]
              for path in found["paths"].values() for operation in path.values()
              if "requestBody" in operation]  # fmt: skip
    schemas = [*found["components"]["schemas"].values(),
               *(one["schema"] for body in bodies for one in body.values())]  # fmt: skip
    for schema in schemas:
        for name, values in NAMES.items():
            if name in schema.get("properties", {}):
                schema["properties"][name] = {"enum": values}
    for path, operations in found["paths"].items():
        for operation in operations.values():
            for one in operation.get("parameters", []):
                if one["in"] == "path":
                    names = sorted(ALL) if path == "/v1/tasks/{task}" else NAMES["model"]
                    one["schema"] = {"type": "string", "enum": names}
                elif one["name"] == "model":
                    one["schema"] = {"type": "string", "enum": NAMES["model"]}
    return found


def test_every_path_is_described(described: tuple[str, dict[str, Any]]) -> None:
    paths = described[1]["paths"]
    assert set(paths) == set(ANSWERS)
    for operation in (one for path in paths.values() for one in path.values()):
        assert {"200", "400", "429", "503"} <= operation["responses"].keys()
        assert "422" not in operation["responses"] and operation["description"]


@pytest.mark.timeout(120)
def test_drawn_requests_are_answered_as_described(
    described: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, found = described
    load_all_checks()
    schema = schemathesis.openapi.from_dict(named(found))
    seen: dict[int, int] = {}

    @given(case=schema.as_strategy())
    @settings(
        max_examples=CASES, derandomize=True, database=None, deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )  # fmt: skip
    def ask(case: Any) -> None:
        response = case.call(base_url=address, timeout=30)
        seen[response.status_code] = seen.get(response.status_code, 0) + 1
        assert response.status_code < 500 or response.status_code == 503, response.text
        case.validate_response(response, checks=CHECKS)

    ask()
    assert sum(seen.values()) >= CASES and seen[200] > CASES // 10 and seen[400] > 0, seen
