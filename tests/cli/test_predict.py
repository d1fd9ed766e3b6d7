"""predict, translate, evaluate, compare, inspect and info on a small run."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from triptych.cli.compare import shown_names
from triptych.inference.predictor import Predictor

Command = Callable[..., SimpleNamespace]


def stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def test_a_line_in_a_line_out(
    triptych: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, "one red dogs\n\ntwo\u2028blue cats\r\nthree".encode())
    done = triptych("translate", trained)
    lines = done.out.split("\n")
    assert done.code == 0 and len(lines) == 5 and lines[1] == "" and lines[4] == ""
    one_by_one = [
        triptych("predict", trained, text).out
        for text in ("one red dogs", "two\u2028blue cats", "three")
    ]
    assert [f"{line}\n" for line in (lines[0], *lines[2:4])] == one_by_one


def test_jsonl_tells_what_was_not_seen_and_cut(triptych: Command, trained: Path) -> None:
    done = triptych(
        "predict",
        trained,
        "--jsonl",
        "--decoding.n_best",
        "2",
        "--decoding.max_length",
        "1",
        "--truncate",
        "3",
        "one red dogs",
    )
    values = json.loads(done.out)
    assert done.code == 0
    assert (
        values["cut"] is True
        and values["truncated_input_tokens"] > 0
        and len(values["alternatives"]) == 1
    )
    assert "Cut off at the maximum length" in done.err and "Truncated: " in done.err


def test_a_text_too_long_loses_no_other(
    triptych: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, b"one\n" + b"word " * 20_000 + b"\ntwo\n")
    done = triptych("predict", trained)
    lines = done.out.split("\n")
    assert done.code == 1 and len(lines) == 4 and lines[1] == "" and lines[0] and lines[2]
    assert "stdin:2 has" in done.err and "--truncate" in done.err


def test_bad_bytes_on_stdin_are_named(
    triptych: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, b"one\nt\xffo\n")
    done = triptych("predict", trained)
    assert (
        done.code == 1
        and "stdin:2: byte 0xFF is not UTF-8" in done.err
        and len(done.out.split("\n")) == 2
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--to", "fr", "one"], 2, "Unknown target language 'fr'"),
        (
            ["--decoding.stop", "eins", "one"],
            2,
            "decoding.stop is for a run that continues a prompt",
        ),
        (["--decoding.beamz", "3", "one"], 2, "Did you mean 'decoding.beams'"),
        (["--training.steps", "3", "one"], 2, "--training.steps has no effect on a trained run"),
        (["--truncate", "1", "one"], 2, "--truncate is 1"),
    ],
)
def test_wrong_usage_is_a_sentence(
    triptych: Command, trained: Path, arguments: list[str], code: int, said: str
) -> None:
    done = triptych("predict", trained, *arguments)
    assert done.code == code and said in done.err and done.out == ""


def test_evaluate_prints_the_promised_object(triptych: Command, trained: Path) -> None:
    done = triptych("evaluate", trained, "--json", "--bootstrap", "50")
    values = json.loads(done.out.strip().split("\n")[-1])
    assert {"task", "split", "examples", "metrics", "signature"} <= set(values)
    assert (values["task"], values["split"], values["examples"]) == ("translation", "test", 10)
    assert {"bleu", "chrf", "exact_match", "loss"} <= set(values["metrics"])
    assert (
        "tok:13a" in values["signature"]
        and values["intervals"]["bleu"][0]
        <= values["metrics"]["bleu"]
        <= values["intervals"]["bleu"][1]
    )


def test_evaluate_reads_other_files(
    triptych: Command, trained: Path, files: Path, tmp_path: Path
) -> None:
    done = triptych(
        "evaluate",
        trained,
        "--data",
        files / "a.en",
        "--data",
        files / "a.de",
        "--predictions",
        tmp_path / "out.txt",
    )
    assert done.code == 0 and "bleu" in done.out and "144 examples" in done.err
    assert len((tmp_path / "out.txt").read_text().split("\n")) == 145
    same = triptych("evaluate", trained, "--data", f"{files / 'a.en'},{files / 'a.de'}", "--json")
    assert json.loads(same.out)["examples"] == 144


def test_runs_are_shown_by_the_last_part_of_their_path() -> None:
    assert shown_names(("runs/a", "/tmp/b/")) == ["a", "b"]
    assert shown_names(("one/a", "two/a")) == ["one/a", "two/a"]


def test_compare_sets_side_by_side(triptych: Command, trained: Path, tmp_path: Path) -> None:
    done = triptych(
        "compare", trained, trained, "--bootstrap", "50", "--html", tmp_path / "both.html"
    )
    assert done.code == 0
    for words in (
        "bleu",
        "tokens per second",
        "updates",
        "BLEU by words of the source",
        "p = 1.000",
        "tok:13a",
    ):
        assert words in done.out
    assert (tmp_path / "both.html").read_text().count("trace_version") == 2
    report = json.loads(triptych("compare", trained, trained, "--bootstrap", "50", "--json").out)
    assert report["runs"][1]["against_first"]["bleu"]["difference"]["value"] == 0
    assert report["runs"][0]["training"]["updates"] == 4


def test_speed_of_answers_leaves_scores_and_losses_out(
    triptych: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    answer, losses = Predictor.answer, Predictor.losses

    def answer_in_four_seconds(self: Predictor, *given: Any) -> Iterator[Any]:
        yield from answer(self, *given)
        now[0] += 4

    def score_in_a_hundred(self: Predictor, *given: Any) -> dict[str, float]:
        now[0] += 100
        return losses(self, *given)

    monkeypatch.setattr(
        "triptych.inference.predictor.time", SimpleNamespace(monotonic=lambda: now[0])
    )
    monkeypatch.setattr(Predictor, "answer", answer_in_four_seconds)
    monkeypatch.setattr(Predictor, "losses", score_in_a_hundred)
    report = json.loads(triptych("compare", trained, trained, "--bootstrap", "5", "--json").out)
    for run in report["runs"]:
        assert run["training"]["answers_per_second"] == report["examples"] / 4
        assert run["training"]["answering_threads"] == torch.get_num_threads()
    assert "answering took 4.0 s on" in triptych("evaluate", trained).err


def test_inspect_writes_one_page(triptych: Command, trained: Path, tmp_path: Path) -> None:
    done = triptych("inspect", trained, "one red dogs", "--html", tmp_path / "out.html")
    page = (
        (tmp_path / "out.html")
        .read_text()
        .split("<script")[0]
        .replace("http-equiv", "")
        .replace("http://www.w3.org/2000/svg", "")
    )
    assert done.code == 0 and "http" not in page
    text = triptych("inspect", trained, "one red dogs", "--target", "eins rot Hunde")
    assert text.out.split("\n")[0] == "eins rot Hunde" and "%" in text.out
    own = triptych(
        "inspect",
        trained,
        "one red dogs",
        "--kinds",
        "encoder, decoder",
        "--html",
        tmp_path / "own.html",
    )
    page = (tmp_path / "own.html").read_text()
    assert (
        own.code == 0
        and '"encoder": {"shape"' in page
        and '"decoder": {"shape"' in page
        and '"cross": {"shape"' not in page
    )
    wrong = triptych("inspect", trained, "one red dogs", "--kinds", "cros")
    assert wrong.code == 2 and "Allowed: cross, encoder, decoder" in wrong.err


def test_info_of_a_run_a_preset_and_this_place(triptych: Command, trained: Path) -> None:
    assert "translation" in triptych("info", trained).out
    assert (
        json.loads(triptych("info", "transformer-base", "--json").out)["parameters"] == 63_082_496
    )
    published = {
        "gpt2": 124_439_808,
        "gpt2-xl": 1_557_611_200,
        "gpt3-175b": 174_604_259_328,
        "llama-7b": 6_738_415_616,
    }
    assert {
        name: json.loads(triptych("info", name, "--json").out)["parameters"] for name in published
    } == published
    assert "torch" in triptych("info").out
    wrong = triptych("info", "transformer-bas")
    assert wrong.code == 2 and "Did you mean 'transformer-base'" in wrong.err


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "labels.json"]
)
@pytest.mark.parametrize("way", ["missing", "cut"])
def test_a_broken_run_is_named(
    triptych: Command, trained: Path, tmp_path: Path, name: str, way: str
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run" / name
    if name == "model.safetensors" and way == "missing":
        shutil.rmtree(tmp_path / "run" / "checkpoints")
    content = path.read_bytes()
    path.unlink()
    if way == "cut":
        path.write_bytes(content[: len(content) // 2])
    done = triptych("predict", tmp_path / "run", "one")
    assert done.code == 1 and name.removesuffix(".safetensors") in done.err and done.out == ""


def test_no_run_at_all(triptych: Command, tmp_path: Path) -> None:
    done = triptych("predict", tmp_path / "nothing", "one")
    assert done.code == 1 and "There is no run folder" in done.err


def test_the_python_face(trained: Path) -> None:
    import triptych

    model = triptych.load(trained)
    first, second = model.predict(["one red dogs", ""], beams=1)
    assert first.text and second.text == "" and first.truncated_input_tokens == 0
    assert model.trace("one red dogs").attention["cross"].shape[0] == 1
    with pytest.raises(triptych.errors.UsageError, match="Did you mean 'beams'"):
        model.predict(["one"], beamz=3)
    one: Any
    for one in ("one red dogs", {"source": "one red dogs"}):
        with pytest.raises(triptych.errors.UsageError, match="takes a list of texts"):
            model.predict(one)
    for one, kind in (
        (None, "NoneType"),
        (3, "int"),
        (["one"], "list"),
        ({"source": b"one"}, "bytes"),
    ):
        with pytest.raises(
            triptych.errors.UsageError, match=f"text 2: 'source' must be a text, not {kind}."
        ):
            model.predict(["one", one])


def test_bf16_weights_answer_too(triptych: Command, trained: Path) -> None:
    plain = triptych("translate", trained, "one red dogs", "--jsonl")
    fast = triptych("translate", trained, "one red dogs", "--jsonl", "--precision", "bfloat16")
    assert plain.code == fast.code == 0
    one, other = (json.loads(done.out)["log_probability"] for done in (plain, fast))
    assert one != other and abs(one - other) < 0.1 * max(1.0, abs(one))
    assert triptych("translate", trained, "one", "--precision", "float8").code == 2
