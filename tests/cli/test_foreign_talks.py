"""Test `data check` and `init` on conversations and questions as other tools write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from triptych.data.validation.chats import needs_of

Command = Callable[..., SimpleNamespace]


def written(folder: Path, *records: Any, name: str = "a.jsonl") -> str:
    text = json.dumps(records) if name.endswith(".json") else "\n".join(map(json.dumps, records))
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_data_check_knows_these_files(triptych: Command, tmp_path: Path) -> None:
    for record in (
        {"conversations": [{"from": "human", "value": "Hot?"}, {"from": "gpt", "value": "Yes."}]},
        {"prompt": "Hot?", "completion": "Yes."},
        {"instruction": "Hot?", "context": "", "response": "Yes."},
    ):
        for name in ("a.jsonl", "a.json"):
            done = triptych("data", "check", written(tmp_path, record, name=name))
            assert done.code == 0 and "train 1 conversation; 0 errors" in done.err, done.out
    for record in ({"dialogue": "Ann: Hi.", "summary": "A greeting."}, {"text": "Human: Hi."}):
        assert needs_of(written(tmp_path, record)) is None


def test_init_leaves_out_what_training_does(
    triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    fine = [
        {"conversations": [{"from": "human", "value": f"Is {n} odd?"},
                           {"from": "gpt", "value": f"I count {n}."}]}
        for n in range(60)
    ]  # fmt: skip
    called = {"conversations": [*fine[0]["conversations"], {"from": "observation", "value": "1"}]}
    name = written(tmp_path, *fine[:30], called, *fine[30:])
    done = triptych("init", "chat", "--train", name, "--out", tmp_path / "c.toml")
    assert done.code == 0 and "1 conversation left out because a turn is a tool call" in done.err
    assert "a.jsonl:31" in done.err and (tmp_path / "c.toml").is_file()
