"""`evaluate --as`: a language model on sets whose answers are written, or are choices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_run import TINY, pairs

from triptych.cli.main import run as run_command

Command = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with sets of several kinds, and a run that continues texts."""
    folder = tmp_path_factory.mktemp("judged")
    english, german = zip(*pairs()[:40], strict=True)
    (folder / "a.en").write_text("\n".join(english) + "\n")
    (folder / "a.de").write_text("\n".join(german) + "\n")
    (folder / "text.txt").write_text("\n".join(f"{a} {b}" for a, b in pairs()[:60]) + "\n")
    (folder / "lm.toml").write_text(
        '[task]\nname = "language-modelling"\ncontext = 96\n[data]\ntrain = "text.txt"\n'
        'validation = "text.txt"\ntest = "text.txt"\n[training]\nsteps = 2\n'
        "log_every_steps = 1\n[batches]\nbatch_tokens = 256\n"
    )
    paragraph = {
        "context": "One red dog and two cats.",
        "qas": [
            {
                "id": str(n),
                "question": f"How many {n}?",
                "answers": [{"text": "two", "answer_start": 16}],
            }
            for n in range(3)
        ],
    }
    squad = {"version": "1", "data": [{"title": "t", "paragraphs": [paragraph]}]}
    (folder / "q.json").write_text(json.dumps(squad))
    (folder / "s.jsonl").write_text(
        "".join(json.dumps({"text": a, "summary": a[:7]}) + "\n" for a in english[:6])
    )
    (folder / "c.jsonl").write_text(
        "".join(
            json.dumps({"text": a, "choices": ["one", "two", "three"], "answer": a.split()[0]})
            + "\n"
            for a in english[:6]
        )
    )
    dials = ["--model.preset", "decoder-tiny", *TINY[2:]]
    out = ["train", str(folder / "lm.toml"), "--out", str(folder / "run"), *dials]
    assert run_command(out) == 0
    return folder


def scores(triptych: Command, made: Path, *arguments: str) -> dict[str, object]:
    given = [str(made / one) if (made / one).is_file() else one for one in arguments]
    done = triptych("evaluate", made / "run", *given, "--json", "--bootstrap", "9")
    assert done.code == 0, done.err
    return json.loads(done.out.strip().split("\n")[-1])


def test_translations_are_tried(triptych: Command, made: Path) -> None:
    files = ["--data", "a.en", "--data", "a.de", "--data.source", "en", "--data.target", "de"]
    train = ["--data.train", f'["{made / "a.en"}", "{made / "a.de"}"]']
    found = scores(
        triptych, made, "--as", "translation", *files, *train,
        "--examples", "2", "--limit", "4", "--decoding.max_length", "4",
    )  # fmt: skip
    assert found["task"] == "translation" and found["examples"] == 4
    assert found["metrics"].keys() == found["chance"].keys() >= {"bleu", "chrf"}  # type: ignore[union-attr]
    assert "bleu" in found["intervals"] and "English: {text}\\nGerman:" in str(found["signature"])  # type: ignore[operator]


def test_answers_and_summaries_are_tried(triptych: Command, made: Path, tmp_path: Path) -> None:
    found = scores(
        triptych, made, "--as", "answering", "--data", "q.json", "--decoding.max_length", "3",
        "--predictions", str(tmp_path / "answers.txt"),
    )  # fmt: skip
    assert found["examples"] == 3 and "f1" in found["metrics"]  # type: ignore[operator]
    assert len((tmp_path / "answers.txt").read_text().splitlines()) == 3
    found = scores(triptych, made, "--as", "summarization", "--data", "s.jsonl",
                   "--decoding.max_length", "3")  # fmt: skip
    assert "rougeL" in found["metrics"] and found["examples"] == 6  # type: ignore[operator]


def test_choices_are_tried(triptych: Command, made: Path) -> None:
    both = ["--as", "multiple-choice", "--data", "c.jsonl"]
    found = scores(triptych, made, *both, "--examples", "c.jsonl")
    assert found["chance"] == {"accuracy": pytest.approx(100 / 3)}
    found = scores(triptych, made, *both, "--data.train", "c.jsonl", "--examples", "2")
    assert "2 examples" in str(found["signature"])
    told = triptych("evaluate", made / "run", *both[:3], made / "c.jsonl")
    assert told.code == 0 and "chance 33.33" in told.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--as", "translation", "--data", "a.en", "--choices", "a,b"], "--choices has no effect"),
        (["--as", "answering", "--data", "q.json", "--limit", "0"], "--limit is 0"),
        (["--as", "answering", "--data", "q.json", "--turns"], "a run that converses"),
        (["--as", "multiple-choice"], "reads your own file"),
        (["--as", "multiple-choice", "--data", "c.jsonl", "--examples", "2"], "--data.train names"),
        (["--as", "answering", "--data", "q.json", "--model.width", "3"], "--data.KEY and"),
        (["--limit", "3"], "Give --as TASK"),
        (["--as", "tagging"], "tagging"),
    ],
)
def test_wrong_requests_are_refused(
    triptych: Command, made: Path, arguments: list[str], said: str
) -> None:
    given = [str(made / one) if (made / one).is_file() else one for one in arguments]
    done = triptych("evaluate", made / "run", *given)
    assert done.code == 2 and said in done.err and done.out == ""
