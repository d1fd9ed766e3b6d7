"""Test complete, predict and evaluate with suffix, examples and labels, on code."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small_run import TINY

from triptych.cli import predict as use
from triptych.cli.main import run as run_command

Command = Callable[..., SimpleNamespace]
LINES = "".join(
    f"def add_{number}(value):\n    return value + {number}\n\n\n" for number in range(12)
)
DIALS = ["--decoding.max_length", "8"]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with src/*.py, fim.toml, examples and judged.tsv, and a run in it."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "src").mkdir()
    for number in range(4):
        (folder / "src" / f"{number}.py").write_text(f"# {number}\n{LINES}", encoding="utf-8")
    (folder / "held.py").write_text(LINES.replace("add", "more"), encoding="utf-8")
    (folder / "fim.toml").write_text(
        '[task]\nname = "language-modelling"\ncontext = 64\nfill_in_the_middle = 0.5\n'
        '[tokenizer]\nkind = "code"\n'
        '[data]\ntrain = "src"\nvalidation = "held.py"\ntest = "held.py"\n[training]\n'
        "steps = 3\nlog_every_steps = 1\n"
        "[batches]\nbatch_tokens = 256\n"
    )
    (folder / "shots.tsv").write_text("add one\tgood\nadd two\tbad\n" * 6)
    (folder / "judged.tsv").write_text("value\tgood\nreturn\tbad\nadd\tgood\n")
    dials = ["--model.preset", "decoder-tiny", *TINY[2:]]
    assert (
        run_command(["train", str(folder / "fim.toml"), "--out", str(folder / "run"), *dials]) == 0
    )
    return folder


def test_a_suffix_is_filled_in(triptych: Command, code: Path) -> None:
    done = triptych("complete", code / "run", "def f(", "--suffix", ":\n    return 1", *DIALS)
    assert done.code == 0 and done.out.endswith("\n")
    told = json.loads(
        triptych(
            "complete", code / "run", "def f(", "--suffix", ":\n    return 1", "--jsonl", *DIALS
        ).out
    )
    assert told["text"] + "\n" == done.out and told["tokens"] and len(told["tokens"][0]) == 2
    again = triptych("predict", code / "run", "def f(", "--suffix", ":\n    return 1", *DIALS)
    assert again.out == done.out
    assert triptych("complete", code / "run", "", "--suffix", "x", *DIALS).code == 0
    (code / "after.txt").write_text(":\n    return 1", encoding="utf-8")
    assert (
        triptych("complete", code / "run", "def f(", "--suffix", code / "after.txt", *DIALS).out
        == done.out
    )


def test_a_suffix_is_refused_elsewhere(triptych: Command, code: Path, trained: Path) -> None:
    done = triptych("predict", trained, "one red dogs", "--suffix", "x")
    assert done.code == 2 and "--suffix is for a run that generates text" in done.err
    done = triptych(
        "complete", code / "run", "a", "--suffix", "x", "--examples", code / "shots.tsv"
    )
    assert done.code == 2 and "do not go together" in done.err


def test_worked_examples_go_before_every_text(triptych: Command, code: Path) -> None:
    done = triptych("complete", code / "run", "value", "--examples", code / "shots.tsv", "--jsonl")
    told = json.loads(done.out)
    assert done.code == 0 and told["text"] == told["text"].strip() and "\n" not in told["text"]
    assert "12 examples" in done.err and "the first ones first" in done.err
    draws = ["--decoding.temperature", "1.0", "--decoding.n_best", "150", "--jsonl", *DIALS]
    told = json.loads(
        triptych("complete", code / "run", "value", "--template", "{text} {label} ", *draws).out
    )
    assert (
        all(one["text"] == one["text"].strip() for one in (told, *told["alternatives"]))
        and len(told["alternatives"]) == 149
    )
    few = triptych("predict", code / "run", "value", "--template", r"{text}\n->{label}\n", *DIALS)
    assert few.code == 0 and "\n" not in few.out.strip()
    wrong = triptych("complete", code / "run", "value", "--template", "no label")
    assert wrong.code == 2 and "{label}" in wrong.err


def test_a_run_is_tried_on_labels(triptych: Command, code: Path) -> None:
    told = triptych(
        "evaluate", code / "run", "--as", "classification", "--data", code / "judged.tsv", "--json"
    )
    values = json.loads(told.out.strip().split("\n")[-1])
    assert told.code == 0 and values["task"] == "classification" and values["examples"] == 3
    assert (
        values["metrics"]["majority"] == pytest.approx(200 / 3)
        and 0 <= values["metrics"]["accuracy"] <= 100
    )
    few = triptych(
        "evaluate",
        code / "run",
        "--as",
        "classification",
        "--data",
        code / "judged.tsv",
        "--examples",
        code / "shots.tsv",
        "--choices",
        "good=fine,bad",
        "--normalise",
        "byte",
    )
    assert (
        few.code == 0
        and "accuracy" in few.out
        and "normalise:byte" in few.out
        and "12 examples" in few.err
    )
    drawn = triptych(
        "evaluate",
        code / "run",
        "--as",
        "classification",
        "--data",
        code / "judged.tsv",
        "--data.train",
        code / "shots.tsv",
        "--examples",
        "4",
    )
    assert drawn.code == 0 and "4 examples" in drawn.err


def test_a_trial_comes_with_intervals_and_answers(
    triptych: Command, code: Path, tmp_path: Path
) -> None:
    told = triptych(
        "evaluate",
        code / "run",
        "--as",
        "classification",
        "--data",
        code / "judged.tsv",
        "--json",
        "--bootstrap",
        "50",
        "--predictions",
        tmp_path / "labels.txt",
    )
    values = json.loads(told.out.strip().split("\n")[-1])
    low, high = values["intervals"]["accuracy"]
    assert low <= values["metrics"]["accuracy"] <= high
    answers = (tmp_path / "labels.txt").read_text("utf-8").split("\n")[:-1]
    gold = [
        line.split("\t")[1] for line in (code / "judged.tsv").read_text("utf-8").strip().split("\n")
    ]
    right = sum(answer == label for answer, label in zip(answers, gold[-3:], strict=True))
    assert values["metrics"]["accuracy"] == pytest.approx(100 * right / 3)


def test_an_empty_prompt_is_written_on_from_however_it_is_asked(
    triptych: Command, code: Path
) -> None:
    streamed = triptych("complete", code / "run", "", *DIALS)
    told = json.loads(triptych("complete", code / "run", "", "--jsonl", *DIALS).out)
    assert (
        told["input"] == "" and told["log_probability"] < 0 and told["text"] + "\n" == streamed.out
    )
    both = triptych("complete", code / "run", "", "def f(", *DIALS).out
    assert both.split("\n----\n")[0] + "\n" == streamed.out
    draws = ["--jsonl", "--decoding.temperature", "1", "--decoding.n_best", "2"]
    drawn = json.loads(triptych("complete", code / "run", "", *draws, *DIALS).out)
    assert drawn["log_probability"] < 0 and len(drawn["alternatives"]) == 1


def test_a_text_is_drawn_anew_in_another_block(
    triptych: Command, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples do not repeat after a block of lines of stdin."""
    answers = []
    for block in (2, 4):
        monkeypatch.setattr(use, "BLOCK", block)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"value\n" * 4)))
        answers.append(
            triptych("complete", code / "run", "--jsonl", "--decoding.temperature", "1", *DIALS)
            .out.strip()
            .split("\n")
        )
    assert answers[0] == answers[1] and len(set(answers[0])) == 4


def test_dials_that_draw_nothing_are_told(triptych: Command, code: Path) -> None:
    for more in ((), ("--jsonl",)):
        done = triptych(
            "complete",
            code / "run",
            "value",
            "--decoding.top_p",
            "0.5",
            "--decoding.seed",
            "3",
            *more,
            *DIALS,
        )
        assert done.code == 0 and "No effect: --decoding.top_p and --decoding.seed" in done.err
    done = triptych(
        "complete",
        code / "run",
        "value",
        "--decoding.top_p",
        "0.5",
        "--decoding.temperature",
        "1",
        *DIALS,
    )
    assert done.code == 0 and "without --decoding.temperature" not in done.err
    # streamed or not
    assert triptych("complete", code / "run", "value", "--words", *DIALS).code == 2


@pytest.mark.parametrize("form", [[], ["--jsonl"]])
def test_what_cannot_be_done_with_a_prompt_is_said(
    triptych: Command, code: Path, form: list[str]
) -> None:
    done = triptych("complete", code / "run", "caf\udce9", *form, *DIALS)
    assert (
        done.code == 1
        and done.err == "triptych: Text 1 is not UTF-8. Give it in a file, in UTF-8, on stdin.\n"
    )
    done = triptych("complete", code / "run", "def f(", "--truncate", "2", *form, *DIALS)
    assert done.code == 2 and "Leave out --truncate" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--choices", "a,b"], "Give --as TASK"),
        (
            ["--as", "classification", "--choices", "good", "--data", "judged.tsv"],
            "Unknown label 'bad'",
        ),
        (
            ["--as", "classification", "--data", "judged.tsv", "--examples", "3"],
            "draws from a training part",
        ),
        (
            ["--as", "classification", "--data", "judged.tsv", "--decoding.beams", "3"],
            "has no effect with --as",
        ),
        (["--as", "classification", "--data.set", "python-stdlib"], "has no label"),
        (["--as", "classification"], "names no data"),
    ],
)
def test_wrong_usage_is_a_sentence(
    triptych: Command, code: Path, arguments: list[str], said: str
) -> None:
    given = [str(code / one) if one.endswith(".tsv") else one for one in arguments]
    done = triptych("evaluate", code / "run", *given)
    assert done.code == 2 and said in done.err and done.out == ""


def test_as_needs_a_run_that_writes(triptych: Command, trained: Path, code: Path) -> None:
    done = triptych("evaluate", trained, "--as", "classification", "--data", code / "judged.tsv")
    assert done.code == 2 and "for a run that generates text" in done.err


def benchmark() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "code_completion.py"
    spec = importlib.util.spec_from_file_location("code_completion", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_benchmark_measures_what_it_says(code: Path) -> None:
    from triptych.data.example import Example
    from triptych.inference.loading import load

    script, held = (
        benchmark(),
        [Example(text=LINES, place="held.py"), Example(text="a = 1\n", place="other/b.py")],
    )
    for before, line, after in script.cut_lines(held, 9, 1):
        assert (
            before + line + after in (LINES, "a = 1\n")
            and line == line.lstrip()
            and line
            and after.startswith("\n")
        )
        assert before.rpartition("\n")[2].strip() == ""
    predictor = load(code / "run")
    found = script.measure(predictor, held, [Example(text=LINES, place="x.py")], 6, 4, 1)
    assert found["bits_per_byte"]["the run"] == pytest.approx(
        predictor.evaluate(held).scores.values["bits_per_byte"]
    )
    assert (
        set(found["exact_match"]) == {"what follows", "filled in"}
        and found["lines"] == 6
        and found["modules"] == 2
    )
    sizes = found["bits_per_byte"]
    assert (
        sizes["xz -9, after the training part"]
        < sizes["xz -9, one stream"]
        < sizes["xz -9, each module alone"]
    )
    right = predictor.predict(["def add_1(value):\n    "], max_length=3)[0].text.split("\n")[0]
    assert script.exact(predictor, [("def add_1(value):\n    ", right, "\n")], False) in (
        0.0,
        100.0,
    )


DOCUMENTED = '''class Box:
    @property
    def size(self) -> int:
        """How many."""

        # of all
        return len(self.all)

    def add(self, one): "On one line."; self.all.append(one)


def first(box):
    """Two
    lines."""
    for one in box.all:
        return one


def bare(box):
    """Nothing but this."""
'''


def test_functions_are_cut_after_their_docstrings_and_judged_as_python(code: Path) -> None:
    from triptych.data.example import Example
    from triptych.inference.loading import load
    from triptych.tasks.task import Prediction

    script = benchmark()
    found = script.cut_functions([Example(text=DOCUMENTED), Example(text="no: python(")], 9, 1)
    size, first = sorted(found, key=lambda one: "Two" in one.signature)
    assert DOCUMENTED.startswith(size.before + size.body) and DOCUMENTED.startswith(
        first.before + first.body
    )
    assert size.body == "# of all\n        return len(self.all)" and size.signature.startswith(
        "    def size"
    )
    assert first.body == "for one in box.all:\n        return one" and first.signature.endswith(
        'lines."""\n    '
    )
    assert (
        size.tree(size.body) == size.tree("return len( self.all )") != size.tree("return 1")
        and size.tree("return (") is None
    )
    answers = [Prediction(size.body), Prediction("return (", cut=True)]
    right = script.write_functions(
        SimpleNamespace(task=load(code / "run").task, predict=lambda *_, **__: answers),
        [size, first],
    )
    assert [right[name] for name in ("come to their end", "Python", "as in the file")] == [
        50.0,
        50.0,
        50.0,
    ]
    told = script.write_functions(load(code / "run"), [size, first])
    assert (
        told["count"] == 2
        and told["bodies"][0].startswith(size.signature)
        and 0 <= told["as in the file"] <= told["Python"] <= 100
    )


def test_a_run_that_writes_has_intervals_and_is_compared(triptych: Command, code: Path) -> None:
    told = json.loads(
        triptych("evaluate", code / "run", "--json", "--bootstrap", "20")
        .out.strip()
        .split("\n")[-1]
    )
    assert set(told["intervals"]) == {"loss", "perplexity", "bits_per_byte"}
    low, high = told["intervals"]["loss"]  # one text: every draw is that text
    assert low == pytest.approx(told["metrics"]["loss"], rel=1e-4) and high == pytest.approx(low)
    both = triptych("compare", code / "run", code / "run", "--bootstrap", "20")
    assert both.code == 0 and "bits_per_byte" in both.out


def test_a_run_that_writes_is_scored_without_answers(
    triptych: Command, code: Path, tmp_path: Path
) -> None:
    done = triptych("evaluate", code / "run")
    assert done.code == 0 and "Scoring 1 example of test." in done.err and "beam" not in done.err
    done = triptych("evaluate", code / "run", "--predictions", tmp_path / "out.txt")
    assert (
        done.code == 2
        and "Leave out --predictions" in done.err
        and not (tmp_path / "out.txt").exists()
    )


def test_a_prompt_too_long_says_what_is_not_seen(triptych: Command, code: Path) -> None:
    long = "x = 1\n" * 200
    plain = triptych("complete", code / "run", long, *DIALS)
    told = json.loads(triptych("complete", code / "run", long, "--jsonl", *DIALS).out)
    unseen = f"Truncated: text 1 ({told['truncated_input_tokens']:,} tokens not read)"
    assert plain.code == 0 and told["truncated_input_tokens"] > 100 and unseen in plain.err
    assert "maximum length" in plain.err and told["text"] + "\n" == plain.out
    between = triptych("complete", code / "run", long, "--suffix", "x", *DIALS)
    assert between.code == 0 and "Truncated: text 1" in between.err


def test_several_draws_and_several_prompts_are_shown(triptych: Command, code: Path) -> None:
    draws = ["--decoding.temperature", "1.0", "--decoding.n_best", "3", *DIALS]
    told = json.loads(triptych("complete", code / "run", "def f(", "--jsonl", *draws).out)
    shown = triptych("complete", code / "run", "def f(", *draws).out
    assert (
        shown
        == "\n----\n".join([told["text"], *(one["text"] for one in told["alternatives"])]) + "\n"
    )
    two = triptych("complete", code / "run", "def f(", "def g(", *DIALS).out.split("\n----\n")
    one = triptych("complete", code / "run", "def f(", *DIALS).out
    assert len(two) == 2 and two[0] + "\n" == one
    several = triptych("complete", code / "run", "def f(", "def g(", *draws)
    assert "--jsonl prints the others" in several.err
