"""Test language model, chat (LoRA) and preference runs, and chatting on a pipe and a terminal."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import triptych as package
from triptych.cli import chat as verb
from triptych.cli.inspect_shown import Options
from triptych.cli.inspect_writing import look
from triptych.cli.main import run as run_command
from triptych.data.example import Example
from triptych.runs.run import Run
from triptych.tasks.specs import SPECS
from triptych.tasks.task import Prediction
from triptych.tasks.turns import TEMPLATES

Triptych = Callable[..., SimpleNamespace]
DIALS = [
    "--training.steps",
    "3",
    "--training.learning_rate",
    "0.01",
    "--training.warmup_steps",
    "1",
    "--training.precision",
    "float32",
    "--batches.batch_tokens",
    "300",
    "--decoding.max_length",
    "5",
]
SHAPE = [
    "--model.preset",
    "decoder-tiny",
    "--model.width",
    "16",
    "--model.heads",
    "2",
    "--model.inner_width",
    "32",
    "--model.layers",
    "1",
    "--model.dropout",
    "0.0",
]
TALKS = [
    {
        "messages": [
            {"role": "user", "content": f"{name} 你好"},
            {"role": "assistant", "content": f"hello {name}"},
        ]
    }
    for name in ("Ann", "Bob", "Cid", "Dan", "Eve", "Fay")
]
PAIRS = [
    {
        "prompt": one["messages"][0]["content"],
        "chosen": one["messages"][1]["content"],
        "rejected": "no",
    }
    for one in TALKS
]


def recipe(folder: Path, name: str, task: str, records: list[Any], more: str = "") -> str:
    lines = "".join(f"{json.dumps(one)}\n" for one in records)
    (folder / f"{name}.jsonl").write_text(lines)
    parts = "".join(f'{part} = "{name}.jsonl"\n' for part in ("train", "validation", "test"))
    text = f'[task]\nname = "{task}"\ncontext = 48\n{more}[data]\n{parts}'
    (folder / f"{name}.toml").write_text(text)
    return str(folder / f"{name}.toml")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train lm; sft, which chats, from lm by LoRA; dpo from sft; chat from scratch, with marks."""
    folder = tmp_path_factory.mktemp("chats")
    texts = [
        {"text": f"{one['messages'][0]['content']}. {one['messages'][1]['content']}."}
        for one in TALKS
    ]
    written = ["--tokenizer.kind", "characters", "--tokenizer.vocabulary_size", "330", *SHAPE]
    chats = recipe(folder, "talks", "chat", TALKS)
    for command in (
        [recipe(folder, "texts", "language-modelling", texts), "--out", folder / "lm", *written],
        [chats, "--out", folder / "sft", "--model.start", folder / "lm", "--model.lora_rank", "2"],
        [
            recipe(folder, "pairs", "preference", PAIRS, "beta = 0.5\n"),
            "--out",
            folder / "dpo",
            "--model.start",
            folder / "sft",
        ],
        [chats, "--out", folder / "chat", *written],
    ):
        assert run_command(["train", *map(str, command), *DIALS]) == 0
    return folder


@pytest.mark.parametrize("name", ["chat", "sft", "dpo"])
def test_an_answer_that_is_given_is_looked_at_as_the_assistant_s(runs: Path, name: str) -> None:
    predictor, (asked, answered) = package.load(runs / name), TALKS[0]["messages"]
    shown = look(predictor, asked["content"], Options(target=answered["content"]))
    expected = shown.traces[0].expected
    assert expected is not None and shown.answer == answered["content"]
    talked = SPECS["chat"].build({"context": 48})
    whole = dataclasses.replace(
        predictor,
        task=talked,
        head=talked.head(predictor.config.model, predictor.labels),  # type: ignore[union-attr]
    )
    total, count = whole.losses_of_each([Example(messages=[asked, answered])])[0]["nll"]
    # its words; the end is counted separately
    told = [nats for nats in expected.nats if nats is not None][1 - count :]
    assert count >= len("hello Ann") + 1 and expected.given.end_nats is not None
    assert sum(told) + expected.given.end_nats == pytest.approx(total, rel=1e-4)


def test_fine_tuning_keeps_the_tokenizer_and_takes_marks_of_text(runs: Path) -> None:
    started, tuned = Run.open(runs / "lm"), Run.open(runs / "sft")
    assert tuned.read_text("tokenizer.json") == started.read_text("tokenizer.json")
    labels = tuned.read_labels()
    assert (
        labels["template"] == TEMPLATES["text"]
        and labels["tags"] == []
        and labels["roles"] == ["assistant", "user"]
    )
    assert Run.open(runs / "chat").read_labels()["tags"] == ["assistant", "system", "user"]
    assert Run.open(runs / "dpo").read_labels()["template"] == labels["template"]
    (answer,) = package.load(runs / "sft").predict(["Ann 你好"])
    assert len(answer.tokens) <= 5


def test_a_tuned_run_is_scored_against_its_start(runs: Path, triptych: Triptych) -> None:
    config = Run.open(runs / "dpo").read_config()
    assert config.options["reference"] == str(runs / "sft") and config.options["beta"] == 0.5
    found = json.loads(triptych("evaluate", runs / "dpo", "--json").out.splitlines()[-1])["metrics"]
    assert (
        list(found) == ["loss", "accuracy", "margin"]
        and found["loss"] < 0.6931
        and found["accuracy"] > 50
    )
    score = json.loads(triptych("evaluate", runs / "sft", "--json").out.splitlines()[-1])
    assert (
        list(score["metrics"]) == ["loss", "perplexity", "bits_per_byte"] and score["examples"] == 6
    )


def test_a_run_is_not_told_from_itself_in_bfloat16(runs: Path, tmp_path: Path) -> None:
    """Use a width whose square root is not a power of two, so scaled embeddings are rounded."""
    shape = [
        "--tokenizer.kind",
        "characters",
        "--tokenizer.vocabulary_size",
        "330",
        *SHAPE,
        "--model.width",
        "24",
    ]
    assert (
        run_command(
            ["train", str(runs / "talks.toml"), "--out", str(tmp_path / "chat"), *shape, *DIALS]
        )
        == 0
    )
    begun = {
        "model.start": str(tmp_path / "chat"),
        "training.steps": "1",
        "training.precision": "bfloat16",
    }
    steps = package.train(package.Recipe.load(runs / "pairs.toml", begun), out=tmp_path / "tuned")
    (first,) = [one.loss for one in steps if one.event == "step"]
    assert first == pytest.approx(math.log(2), abs=1e-6)


def test_tuned_runs_have_intervals(runs: Path, triptych: Triptych) -> None:
    for name, keys in (
        ("dpo", {"loss", "accuracy", "margin"}),
        ("sft", {"loss", "perplexity", "bits_per_byte"}),
    ):
        told = json.loads(
            triptych("evaluate", runs / name, "--json", "--bootstrap", "40").out.splitlines()[-1]
        )
        assert set(told["intervals"]) == keys
        low, high = told["intervals"]["loss"]
        assert low < told["metrics"]["loss"] < high


@pytest.mark.parametrize(
    ("reference", "said"), [("chat", "another tokenizer"), ("nowhere", "There is no run folder")]
)
def test_a_reference_that_cannot_be_is_refused_before_the_folder_is_written(
    runs: Path, triptych: Triptych, reference: str, said: str
) -> None:
    out = runs / "refused"
    found = triptych(
        "train",
        runs / "pairs.toml",
        "--out",
        out,
        "--model.start",
        runs / "sft",
        "--task.reference",
        runs / reference,
        *DIALS,
    )
    assert found.code != 0 and said in found.err and not out.exists()


def test_preferences_need_a_start(runs: Path, triptych: Triptych) -> None:
    answer = triptych("train", runs / "pairs.toml", "--out", runs / "none", *DIALS)
    assert answer.code == 2 and "Name that run with model.start" in answer.err
    answer = triptych(
        "train", runs / "pairs.toml", "--out", runs / "none", "--model.start", runs / "lm", *DIALS
    )
    assert answer.code == 2 and "train it with the task chat first" in answer.err


@pytest.mark.parametrize("name", ["sft", "dpo"])
def test_a_tuning_goes_on(runs: Path, triptych: Triptych, name: str) -> None:
    assert triptych("train", runs / name, "--resume", "--training.steps", "4").code == 0
    assert Run.open(runs / name).read_labels()["template"] == TEMPLATES["text"]


def say(
    triptych: Triptych, monkeypatch: pytest.MonkeyPatch, text: bytes, *arguments: object
) -> SimpleNamespace:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))
    return triptych("chat", *arguments)


def test_a_pipe_is_answered_turn_by_turn(
    runs: Path, triptych: Triptych, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = say(
        triptych,
        monkeypatch,
        "Ann 你好\nBob 你好\n\n/reset\nAnn 你好\n".encode(),
        runs / "dpo",
        "--decoding.min_length",
        "3",
    )
    lines = answer.out.split("\n")
    assert (
        answer.code == 0
        and len(lines) == 5
        and lines[2] == ""
        and lines[0] == lines[3] != ""
        and lines[4] == ""
    )
    predictor = package.load(runs / "dpo")
    first = predictor.predict(["Ann 你好"], min_length=3)[0].text
    assert lines[0] == " ".join(first.split("\n")).strip()


def test_texts_of_the_command_line_are_answered_as_turns(
    runs: Path, triptych: Triptych, monkeypatch: pytest.MonkeyPatch
) -> None:
    dials = ["--decoding.min_length", "3"]
    piped = say(triptych, monkeypatch, "Ann 你好\nBob 你好\n".encode(), runs / "dpo", *dials)
    monkeypatch.setattr(sys, "stdin", None)  # nothing is read from it
    given = triptych("chat", runs / "dpo", "Ann 你好", "Bob 你好", *dials)
    assert given.code == 0 and given.out.split() == piped.out.split() != []
    empty = triptych("chat", runs / "dpo", "", *dials)
    assert empty.code == 0 and "Empty answer: text 1 (the input is empty)" in empty.err
    advised = triptych("chat", runs / "dpo", "-5 degrees", *dials)
    assert advised.code == 2 and "goes after --" in advised.err


def test_the_history_is_read_and_its_loss_is_told(
    runs: Path, triptych: Triptych, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[dict[str, str]]] = []
    plain = package.load(runs / "chat")
    encode = plain.task.encode

    def watched(example: Any, *more: Any) -> Any:
        seen.append([dict(one) for one in example.messages])
        return encode(example, *more)

    monkeypatch.setattr(
        verb, "load_run", lambda run, precision, draft: _with(plain, encode=watched)
    )
    answer = say(
        triptych,
        monkeypatch,
        "\ufeffAnn 你好\nBob 你好 and all the others\n".encode(),
        runs / "chat",
        "--system",
        "Be kind.",
        "--decoding.min_length",
        "3",
    )
    assert seen[0][1]["content"] == "Ann 你好"  # without its byte order mark
    assert answer.code == 0 and [one["role"] for one in seen[-1]] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert (
        "was trained without system messages" in answer.err and "its oldest 27 tokens" in answer.err
    )


def _with(predictor: Any, **slots: Any) -> Any:
    import dataclasses

    return dataclasses.replace(predictor, task=dataclasses.replace(predictor.task, **slots))


def test_samples_are_ranked_in_a_chat(
    runs: Path, triptych: Triptych, monkeypatch: pytest.MonkeyPatch
) -> None:
    dials = (
        "--decoding.temperature",
        "1.0",
        "--decoding.min_length",
        "2",
        "--decoding.samples",
        "4",
    )
    answer = say(triptych, monkeypatch, b"Ann\n", runs / "chat", *dials)
    wanted = (
        package.load(runs / "chat")
        .predict(["Ann"], temperature=1.0, min_length=2, samples=4)[0]
        .text
    )
    assert answer.code == 0 and answer.out.rstrip("\n") == " ".join(wanted.split("\n")).strip()


def test_a_draft_changes_no_greedy_answer(
    runs: Path, triptych: Triptych, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, dials = (
        b"Ann\nAnn Ann Ann\n",
        ("--decoding.min_length", "6", "--decoding.max_length", "12"),
    )
    plain = say(triptych, monkeypatch, turns, runs / "chat", *dials)
    drafted = say(triptych, monkeypatch, turns, runs / "chat", *dials, "--draft", "ngram")
    assert plain.code == drafted.code == 0 and drafted.out == plain.out and "Draft:" in drafted.err


def test_wrong_runs_bytes_and_dials_are_said(
    runs: Path, triptych: Triptych, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = say(triptych, monkeypatch, b"Ann\n\xff\n", runs / "chat")
    assert (
        answer.code == 1
        and "stdin:2: byte 0xFF is not UTF-8" in answer.err
        and answer.out.count("\n") == 1
    )
    answer = say(triptych, monkeypatch, b"", runs / "lm")
    assert answer.code == 2 and "a run for language-modelling, not for chat" in answer.err
    answer = say(triptych, monkeypatch, b"", runs / "chat", "--decoding.temprature", "1")
    assert answer.code == 2 and "Did you mean" in answer.err
    answer = say(triptych, monkeypatch, b"", runs / "chat", "--system", " ")
    assert answer.code == 1 and "content is empty" in answer.err


def test_a_conversation_can_be_given_as_json(runs: Path, triptych: Triptych) -> None:
    given = json.dumps({"messages": [*TALKS[0]["messages"], {"role": "user", "content": "Bob"}]})
    answer = triptych("predict", runs / "chat", given, "--jsonl")
    found = json.loads(answer.out)
    assert answer.code == 0 and len(found["messages"]) == 3 and found["truncated_input_tokens"] == 0
    spaced = triptych("predict", runs / "chat", given.replace("{", "{ ", 1), "--jsonl")
    assert spaced.out == answer.out  # the form of the JSON does not matter
    other = triptych("predict", runs / "chat", '{"id": "3", ' + given[1:])
    assert other.code == 1 and "Unknown input 'id'" in other.err
    cut = triptych("predict", runs / "chat", given[:-9])
    assert cut.code == 1 and "not valid JSON" in cut.err
    assert (
        json.loads(triptych("predict", runs / "chat", '{"a": 1}', "--jsonl").out)["messages"][0][
            "content"
        ]
        == '{"a": 1}'
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An interrupt stops an answer and keeps its text; at the prompt it does nothing."""
    predictor = package.load(runs / "chat")
    typed: list[Any] = ["Ann", KeyboardInterrupt, "Bob", "\ud800", "  ", "/reset", "Cid", EOFError]
    histories: list[list[dict[str, str]]] = []

    def stream(self: Any, given: Any, **decoding: Any) -> Iterator[str]:
        histories.append([dict(one) for one in given["messages"]])
        yield "你"
        if len(histories) == 1:
            raise KeyboardInterrupt
        yield "好"

    def ask(prompt: str) -> str:
        one = typed.pop(0)
        if isinstance(one, str):
            return one
        raise one

    monkeypatch.setattr(type(predictor), "stream", stream)
    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(verb, "load_run", lambda run, precision, draft: predictor)
    assert verb.chat(str(runs / "chat")) == 0
    shown = capsys.readouterr()
    assert (
        shown.out == "你你好\n你好\n\n"
        and "(stopped)" in shown.err
        and "Ctrl-D ends." in shown.err
        and "half a character" in shown.err
    )
    assert [[one["content"] for one in history] for history in histories] == [
        ["Ann"],
        ["Ann", "你", "Bob"],
        ["Cid"],
    ]


@pytest.mark.parametrize("name", ["dailydialog", "instruct"])
def test_packaged_recipes_are_whole(name: str) -> None:
    from triptych.recipe.schema import Recipe

    found = Recipe.load(name)
    assert found.build_task().name == "chat" and Recipe.parse(found.to_toml()) is not None


def test_sample_and_rank_is_measured(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "sample_and_rank.py"
    spec = importlib.util.spec_from_file_location("sample_and_rank", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = [
        str(runs / "chat"),
        "--conversations",
        "4",
        "--samples",
        "3",
        "--json",
        str(tmp_path / "a.json"),
    ]
    monkeypatch.setattr("sys.argv", ["sample_and_rank.py", *given])
    module.main()

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert found["conversations"] == 4 and "log-probability" not in found["ways"]["what was said"]
    assert "what was said" in capsys.readouterr().out
    ranked = Prediction(
        "a", log_probability=-6.0, tokens=[5, 6], token_log_probabilities=[-1.0, -2.0, -3.0]
    )
    assert module.log_probability(ranked) == -2  # two tokens and the end
