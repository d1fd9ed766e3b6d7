"""Test span corruption, several tasks in one model started from it, summaries and answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_run import TINY

from triptych.cli.main import run as run_command
from triptych.data.tokenizers.sides import Tokenizers
from triptych.runs.run import Run
from triptych.runs.storage import read_tensors

Command = Callable[..., SimpleNamespace]
NUMBERS = [
    (number, other) for number in ("one", "two", "three") for other in ("four", "five", "six")
]
LINES = [f"Ada: {number} red dogs and {other} blue cats\nBob: yes" for number, other in NUMBERS]
END = (
    "\n[training]\nsteps = 3\nlog_every_steps = 2\n[batches]\nbatch_tokens = 300\n[decoding]\n"
    "max_length = 8\n"
)


def line(**values: object) -> str:
    return json.dumps(values) + "\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train runs in a folder: spans (pretrained), several (from it), summaries, answers."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "plain.txt").write_text("\n\n".join(LINES * 3))
    (folder / "sums.jsonl").write_text(
        "".join(line(dialogue=text, summary=[text.split()[1], "dogs"]) for text in LINES)
    )
    (folder / "qa.tsv").write_text(
        "".join(f"How many dogs?\t{text.splitlines()[0]}\t{text.split()[1]}\n" for text in LINES)
    )
    tasks = [("shorten", "dogs"), ("ask", "who ?")]
    (folder / "several.jsonl").write_text(
        "".join(line(task=task, source=text, target=to) for task, to in tasks for text in LINES)
    )
    recipes = {
        "spans": ("span-corruption", "plain.txt", "window = 16"),
        "several": ("text-to-text", "several.jsonl", 'default_task = "ask"'),
        "summaries": ("summarization", "sums.jsonl", "longest_source = 24"),
        "answers": ("generative-answering", "qa.tsv", "longest_source = 30"),
    }
    for name, (task, file, option) in recipes.items():
        data = "".join(f'{part} = "{file}"\n' for part in ("train", "validation", "test"))
        (folder / f"{name}.toml").write_text(
            f'[task]\nname = "{task}"\n{option}\n[data]\n{data}{END}'
        )
        dials = (
            ["--model.start", str(folder / "spans")]
            if name == "several"
            else [*TINY, "--model.positions", "rotary"]
        )
        dials = [str(380) if one == "330" else one for one in dials]  # room for the sentinels
        rest = [
            "--training.learning_rate",
            "0.01",
            "--training.warmup_steps",
            "2",
            "--training.precision",
            "float32",
        ]
        dials += rest if name == "several" else []
        assert (
            run_command(
                ["train", str(folder / f"{name}.toml"), "--out", str(folder / name), *dials]
            )
            == 0
        )
    return folder


def test_what_is_not_read_is_said(triptych: Command, made: Path, tmp_path: Path) -> None:
    dials = [*TINY, "--model.positions", "rotary", "--dry-run", "--task.longest_source", "10"]
    for name in ("summaries", "answers"):
        assert (
            "Longer than the task reads: 9 examples; "
            in triptych("train", made / f"{name}.toml", *dials).err
        )
    (tmp_path / "sums.jsonl").write_text(
        line(source=LINES[0] * 4, target="dogs") + line(source="one", target="dogs")
    )
    done = triptych("evaluate", made / "summaries", "--data", tmp_path / "sums.jsonl")
    assert done.code == 0 and "Truncated: 1 inputs" in done.err


def test_nothing_is_said_of_an_empty_text(triptych: Command, made: Path) -> None:
    done = triptych("inspect", made / "summaries", "  ")
    assert (
        done.code == 2
        and "There is nothing to inspect: the source is empty." in done.err
        and done.out == ""
    )


def test_a_missing_task_is_called_as_files_call_it(
    triptych: Command, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "plain.jsonl").write_text(line(source="one", target="two"))
    done = triptych("evaluate", made / "several", "--data", tmp_path / "plain.jsonl")
    assert done.code == 1 and "the key 'task' is missing" in done.err


def test_a_run_starts_from_span_corruption_and_keeps_its_tokenizer(
    triptych: Command, made: Path
) -> None:
    before, after = (Tokenizers.load(made / name).source for name in ("spans", "several"))
    assert before.fingerprint == after.fingerprint and len(after.tags) == 32
    weights = [read_tensors(Run.open(made / name).weights()) for name in ("spans", "several")]
    assert set(weights[0]) == set(weights[1])
    apart = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    assert 0 < apart < 0.2  # three steps away, not initialised again
    done = triptych("evaluate", made / "spans", "--json")
    assert set(json.loads(done.out)["metrics"]) == {"loss", "perplexity"}
    done = triptych("predict", made / "spans", "--jsonl", "one [MASK] dogs")
    assert done.code == 0 and len(json.loads(done.out)["spans"]) == 1
    done = triptych("predict", made / "spans", "one dogs")
    assert done.code == 1 and "write [MASK] where words are missing" in done.err


def test_several_tasks_are_chosen_with_to(triptych: Command, made: Path) -> None:
    done = triptych("predict", made / "several", "--to", "shorten", "--jsonl", LINES[0])
    assert done.code == 0 and json.loads(done.out)["to"] == "shorten"
    assert triptych("summarize", made / "several", "--to", "shorten", LINES[0]).code == 0
    assert triptych("predict", made / "several", LINES[0]).code == 0  # the default
    done = triptych("predict", made / "several", "--to", "sing", "a")
    assert done.code == 2 and "Unknown task 'sing'" in done.err
    metrics = json.loads(triptych("evaluate", made / "several", "--json").out)["metrics"]
    assert {"rougeL", "rougeL_ask", "rougeL_shorten", "bleu", "exact_match", "loss"} <= set(metrics)
    one = json.loads(
        triptych(
            "evaluate", made / "several", "--to", "ask", "--data", made / "several.jsonl", "--json"
        ).out
    )
    assert one["examples"] == len(LINES) and "rougeL_ask" not in one["metrics"]


def test_files_and_texts_are_summarized(triptych: Command, made: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(LINES[0] + "\n", encoding="utf-8")
    whole = triptych("summarize", made / "summaries", "--file", tmp_path / "a.txt")
    assert whole.code == 0 and whole.out == triptych("summarize", made / "summaries", LINES[0]).out
    assert "Truncated: text 1" in triptych("summarize", made / "summaries", "word " * 2000).err
    values = json.loads(triptych("summarize", made / "summaries", "--jsonl", "x" * 10_000).out)
    assert values["truncated_input_tokens"] > 9_000
    assert triptych("summarize", made / "summaries", " ").out == "\n"
    for more in (["--words"], ["--passage", "b"]):
        done = triptych("inspect", made / "summaries", "a", *more)
        assert done.code == 2 and "has no effect here" in done.err
    for verb in ("summarize", "predict", "inspect"):
        done = triptych(verb, made / "summaries", "--to", "de", "a")
        assert done.code == 2 and "a run for summarization has none" in done.err
    (tmp_path / "bad.txt").write_bytes(b"a\xff")
    done = triptych("summarize", made / "summaries", "--file", tmp_path / "bad.txt")
    assert done.code == 1 and "bad.txt:1: byte 0xFF is not UTF-8" in done.err
    done = triptych("summarize", made / "summaries", "--file", tmp_path / "none.txt")
    assert done.code == 1 and "There is no file" in done.err
    done = triptych("summarize", made / "answers", "a")
    assert done.code == 2 and "is a run for generative-answering, not for summarization" in done.err


def test_summaries_are_scored_with_intervals_and_looked_at(triptych: Command, made: Path) -> None:
    found = json.loads(triptych("evaluate", made / "summaries", "--json", "--bootstrap", "5").out)
    assert (
        list(found["metrics"])[:3] == ["rouge1", "rouge2", "rougeL"]
        and "nrefs:2|best:each" in found["signature"]
    )
    low, high = found["intervals"]["rougeL"]
    assert low <= found["metrics"]["rougeL"] <= high
    assert triptych("inspect", made / "summaries", LINES[0]).code == 0
    assert triptych("inspect", made / "several", LINES[0], "--to", "ask").code == 0


def test_what_was_not_read_is_told_when_it_is_looked_at(
    triptych: Command, made: Path, tmp_path: Path
) -> None:
    done = triptych("inspect", made / "summaries", "word " * 200, "--html", tmp_path / "a.html")
    assert done.code == 0 and "Truncated: the text (" in done.err
    assert '"notes": ["cut", "source_cut"]' in (tmp_path / "a.html").read_text("utf-8")
    done = triptych("inspect", made / "summaries", "word", "--html", tmp_path / "b.html")
    assert "Not all" not in done.err and '"source_cut"' not in (tmp_path / "b.html").read_text(
        "utf-8"
    )


def test_marked_runs_are_looked_at(triptych: Command, made: Path) -> None:
    text = "one [MASK] dogs"
    done = triptych("inspect", made / "spans", text)
    assert done.code == 0 and done.out.split("\n")[0] == triptych(
        "predict", made / "spans", text
    ).out.rstrip("\n")
    done = triptych("inspect", made / "spans", text, "--target", "red")
    assert done.code == 2 and "Leave out" in done.err


@pytest.mark.parametrize("name", ["summaries", "answers", "several"])
def test_runs_are_compared(triptych: Command, made: Path, tmp_path: Path, name: str) -> None:
    done = triptych(
        "compare",
        made / name,
        made / name,
        "--bootstrap",
        "5",
        "--json",
        "--html",
        tmp_path / "both.html",
    )
    assert done.code == 0, done.err
    first = json.loads(done.out)["runs"][1]["against_first"]
    assert all(one["difference"]["value"] == 0 for one in first.values()) and len(first) >= 2
    assert "Ada" in (tmp_path / "both.html").read_text("utf-8")  # of the example that was chosen
    done = triptych("compare", made / "summaries", made / "answers")
    assert done.code == 2 and "nothing to compare" in done.err


def test_questions_are_answered_in_words(triptych: Command, made: Path) -> None:
    done = triptych("answer", made / "answers", "How many dogs?", "--passage", LINES[0])
    assert done.code == 0 and done.out.count("\n") == 1
    same = triptych(
        "predict", made / "answers", f"How many dogs?\t{' '.join(LINES[0].split(chr(10)))}"
    )
    assert same.code == 0
    done = triptych("answer", made / "answers", "Why?", "--documents", made)
    assert done.code == 2 and "cannot locate them in documents" in done.err
    found = json.loads(triptych("evaluate", made / "answers", "--json").out)
    assert list(found["metrics"])[:2] == ["f1", "exact_match"]
    assert triptych("inspect", made / "answers", "How many dogs?", "--passage", LINES[0]).code == 0
    done = triptych("inspect", made / "answers", "How many dogs?")
    assert done.code == 2 and "--passage" in done.err
    done = triptych("answer", made / "summaries", "a")
    assert done.code == 2 and "is a run for summarization" in done.err


def test_a_leak_is_told_by_what_is_read_and_not_by_its_language(
    triptych: Command, tmp_path: Path
) -> None:
    for number, name in enumerate(("train", "validation", "test")):
        passages = [f"Ada has {number * 3 + own} dogs." for own in range(3)]
        passages[0] = "Ada has no dog." if name != "validation" else passages[0]
        rows = "".join(f"How many?\t{passage}\tsome\n" for passage in passages)
        (tmp_path / f"{name}.tsv").write_text(rows)
    data = "".join(f'{part} = "{part}.tsv"\n' for part in ("train", "validation", "test"))
    (tmp_path / "a.toml").write_text(
        f'[task]\nname = "generative-answering"\n[data]\nsource = "en"\n{data}'
    )
    done = triptych("data", "check", tmp_path / "a.toml")
    assert done.out.split("\n")[:-1] == [
        (f"error: {tmp_path}/test.tsv:1: leak: this text is also in train ({tmp_path}/train.tsv:1)")
    ]


def test_a_question_is_written_on_the_passage_of_a_file(
    triptych: Command, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text("".join(line(passage=text, target="who ?") for text in LINES))
    data = "".join(f'{part} = "a.jsonl"\n' for part in ("train", "validation", "test"))
    (tmp_path / "a.toml").write_text(f'[task]\nname = "question-generation"\n[data]\n{data}{END}')
    dials = ["380" if one == "330" else one for one in TINY]
    assert (
        triptych(
            "train",
            tmp_path / "a.toml",
            "--out",
            tmp_path / "run",
            *dials,
            "--model.positions",
            "rotary",
        ).code
        == 0
    )
    (tmp_path / "passage.txt").write_text(LINES[0])
    done = triptych("predict", tmp_path / "run", "--passage", tmp_path / "passage.txt", "--jsonl")
    assert done.code == 0 and json.loads(done.out)["passage"] == LINES[0]
    assert (
        triptych(
            "compare",
            tmp_path / "run",
            tmp_path / "run",
            "--bootstrap",
            "3",
            "--html",
            tmp_path / "a.html",
        ).code
        == 0
    )
    assert triptych("inspect", tmp_path / "run", LINES[0]).code == 0


def test_own_files_are_checked(triptych: Command, made: Path) -> None:
    assert "9 texts to write from" in triptych("data", "check", made / "summaries.toml").err
    # 2 specials, 32 sentinels and 256 bytes are more
    dials = ["280" if one == "330" else one for one in TINY]
    done = triptych("train", made / "spans.toml", "--out", made / "none", *dials, "--dry-run")
    assert done.code == 2 and "special tokens, tags and bytes alone take 290" in done.err


def test_files_of_texts_to_write_from_are_checked_line_by_line(
    triptych: Command, made: Path, tmp_path: Path
) -> None:
    files = {
        "sums.jsonl": line(dialogue="a b", summary=["a", "b"])
        + line(dialogue="a b", summary=3)
        + line(dialogue=" ", summary="a"),
        "own.jsonl": line(source="a b", target=["a"])
        + line(source=["a"], target="b")
        + line(source="c", target=[]),
        "asked.jsonl": line(passage="a b", target="a ?")
        + line(passage="a b")
        + line(passage="b", target=""),
        "answered.tsv": "question\tpassage\tanswer\nWho?\ta b\ta\nWho?\ta\nWho?\t\ta\n",
        "several.jsonl": "".join(
            line(task=task, source="a", target="b") for task in ("s", None, " ")
        ),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        done = triptych("data", "check", tmp_path / name)
        first, last = (2, 3) if name != "answered.tsv" else (3, 4)
        assert (
            done.code == 1
            and done.out.count("error") == 2
            and "train 1 texts to write from; 2 errors" in done.err
        ), done
        assert (
            f"{name}:{first}: unreadable" in done.out and f"{name}:{last}: empty text" in done.out
        )
    for name in ("sums.jsonl", "several.jsonl"):
        done = triptych("data", "check", made / name)
        assert done.code == 0 and "0 errors" in done.err
    # Columns without a header are guessed, with a notice.
    done = triptych("data", "check", made / "qa.tsv")
    assert (
        done.code == 1
        and "0 errors, 1 warning" in done.err
        and "the first 2 of 3 are taken" in done.out
    )
    (tmp_path / "pairs.jsonl").write_text(line(source="a", target="b"))
    assert "train 1 pair;" in triptych("data", "check", tmp_path / "pairs.jsonl").err
    done = triptych("data", "stats", made / "sums.jsonl")
    assert done.code == 0 and "source  target" in done.out
