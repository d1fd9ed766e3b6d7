"""Test --columns of init and train."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_run import TINY

import toy_folder
from triptych.cli.columns import parsed, settled
from triptych.cli.console import ask
from triptych.errors import UsageError
from triptych.recipe.schema import Recipe
from triptych.setup.draft.request import columns_line as line_of

Command = Callable[..., SimpleNamespace]
ROWS = [(f"{n}", f"The dog {n} sleeps.", f"Der Hund {n} schläft.") for n in range(40)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """Write a table as a spreadsheet saves it."""
    rows = [("ID", "English", "Deutsch", "Notes"), *((*row, "ok") for row in ROWS)]
    (tmp_path / "sheet.csv").write_text(
        "".join(f"{','.join(row)}\n" for row in rows), encoding="utf-8"
    )
    return tmp_path / "sheet.csv"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Numbers before the pairs, no header."""
    (tmp_path / "bare.tsv").write_text(
        "".join("\t".join(row) + "\n" for row in ROWS), encoding="utf-8"
    )
    return tmp_path / "bare.tsv"


def test_a_spreadsheet_is_learnt_by_its_languages(
    triptych: Command, sheet: Path, tmp_path: Path
) -> None:
    done = triptych("init", "translation", "--source", sheet, "--out", tmp_path / "a.toml")
    assert (
        done.code == 0
        and "'English' is taken for the source and 'Deutsch' is taken for the target" in done.err
    )
    # three sample rows
    assert "3       Deutsch  target     Der Hund 0 schläft." in done.err and "row 4" in done.err
    (tmp_path / "three.tsv").write_text("en\tde\tfr\n" + "one\teins\tun\ntwo\tzwei\tdeux\n" * 20)
    done = triptych(
        "init", "translation", "--source", tmp_path / "three.tsv", "--out", tmp_path / "b.toml"
    )
    assert (
        done.code == 2
        and "can be read in more than one way" in done.err
        and "--columns source=en,target=de" in done.err
    )
    assert not (tmp_path / "b.toml").exists()


def test_ids_and_scores_are_no_side(triptych: Command, bare: Path, tmp_path: Path) -> None:
    call = ("init", "translation", "--source", bare, "--out", tmp_path / "a.toml")
    done = triptych(*call)
    assert (
        done.code == 2
        and "numbers alone: the source (column 1)" in done.err
        and "--columns source=2,target=3" in done.err
    )
    assert (
        "3       -          Der Hund 0 schläft.  Der Hund 1 schläft.  Der Hund 2 schläft."
        in done.err
    )
    checked = triptych("data", "check", bare)
    assert checked.code == 1 and "error:" in checked.out and "numbers alone" in checked.out
    done = triptych(*call, "--columns", "source=3,target=2")
    assert done.code == 0 and Recipe.load(tmp_path / "a.toml").data.columns == {
        "source": "3",
        "target": "2",
    }
    assert triptych("data", "check", tmp_path / "a.toml").code == 0
    assert "distinct lines" in triptych("data", "stats", tmp_path / "a.toml").out


def test_columns_given_to_train_are_kept_and_used_by_evaluate(
    triptych: Command, sheet: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few.csv"
    few.write_text(
        "".join(line for line in sheet.read_text("utf-8").splitlines(keepends=True)[:4]),
        encoding="utf-8",
    )
    (tmp_path / "my.toml").write_text(
        f'[data]\ntrain = "{sheet.name}"\nvalidation = "few.csv"\ntest = "few.csv"\n'
        f"columns = {{source = 2, target = 4}}\n"
        "[training]\nsteps = 1\naverage = 0\n[batches]\nbatch_tokens = 200\n[decoding]\n"
        "max_length = 2\nbeams = 1\n"
    )
    run = tmp_path / "run"
    done = triptych(
        "train",
        tmp_path / "my.toml",
        "--columns",
        "source=Deutsch,target=English",
        "--out",
        run,
        *TINY,
    )
    assert done.code == 0, done.err
    assert Recipe.load(run).data.columns == {"source": "Deutsch", "target": "English"}
    scored = triptych("evaluate", run)
    assert scored.code == 0 and "3 examples" in scored.err
    given = triptych("evaluate", run, "--data", few)
    assert given.code == 0 and given.out == scored.out
    (tmp_path / "plain.tsv").write_text("Ein Hund.\tA dog.\n")
    other = triptych("evaluate", run, "--data", tmp_path / "plain.tsv")
    assert (
        other.code == 0
        and "the columns of the run (source=Deutsch, target=English) are not in this file"
        in other.err
    )
    wrong = triptych(
        "train", tmp_path / "my.toml", "--columns", "source=Deutsh", "--out", tmp_path / "no"
    )
    assert wrong.code == 1 and "no column 'Deutsh'" in wrong.err


def test_texts_and_labels_by_name(triptych: Command, tmp_path: Path) -> None:
    rows = [
        f"{n};{'pos' if n % 2 else 'neg'};The film {n} was {'good' if n % 2 else 'bad'}.".replace(
            ";", "\t"
        )
        for n in range(60)
    ]
    (tmp_path / "a.tsv").write_text("nr\tart\tbemerkung\n" + "\n".join(rows) + "\n")
    call = ("init", "classification", "--train", tmp_path / "a.tsv", "--out")
    done = triptych(*call, tmp_path / "a.toml")
    assert (
        done.code == 2
        and "does not say which column is the text" in done.err
        and "3       bemerkung  The film 0 was bad." in done.err
    )
    for columns, kept in (
        ("text=bemerkung,label=art", {"text": "bemerkung", "label": "art"}),
        ("text=3,label=2", {"text": "3", "label": "2", "header": "yes"}),
    ):
        out = tmp_path / f"{columns[5]}.toml"
        done = triptych(*call, out, "--columns", columns)
        assert done.code == 0 and "texts with 2 labels" in done.err, done.err
        assert Recipe.load(out).data.columns == kept


@pytest.mark.parametrize("columns", ["text=bemerkung,label=art", "text=3,label=2,header=yes"])
def test_a_pretrained_classifier_starts_with_columns(
    columns: str, triptych: Command, tmp_path: Path
) -> None:
    config = {**toy_folder.CONFIG, "architectures": ["BertForMaskedLM"]}
    bert = toy_folder.write(
        tmp_path / "bert", toy_folder.tensors(pooler=False, masked=True), config
    )
    rows = "".join(f"{n}\t{'ab'[n % 2]}\tthe cat sat {n}\n" for n in range(60))
    (tmp_path / "a.tsv").write_text(f"nr\tart\tbemerkung\n{rows}")
    call = ("init", "classification", "--train", tmp_path / "a.tsv", "--columns", columns, "--out")
    done = triptych(*call, tmp_path / "a.toml", "--start", bert)
    assert done.code == 0, done.err
    made = Recipe.load(tmp_path / "a.toml")
    assert made.data.columns == parsed(columns) and made.model.start == str(bert)
    done = triptych(
        "train",
        tmp_path / "a.toml",
        "--out",
        tmp_path / "run",
        "--training.epochs",
        "1",
        "--training.precision",
        "float32",
    )
    assert done.code == 0 and "data.columns" not in done.err, done.err
    offered = triptych(*call, tmp_path / "b.toml")  # A model is next to the data.
    assert f"--columns {columns} --out {tmp_path / 'b.toml'} --start {bert}" in offered.err


def test_a_translator_goes_on_with_columns(
    triptych: Command, trained: Path, sheet: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.toml"
    call = (
        "init",
        "translation",
        "--source",
        sheet,
        "--columns",
        "source=English,target=Deutsch",
        "--start",
        trained,
        "--out",
        out,
    )
    done = triptych(*call)
    assert done.code == 0, done.err
    made = Recipe.load(out)
    assert made.data.columns == {
        "source": "English",
        "target": "Deutsch",
    } and made.model.start == str(trained)


@pytest.mark.parametrize(
    ("task", "columns", "wrong"),
    [
        ("summarization", 'source = "langes", target = "kurzes"', "target=1"),
        ("language-modelling", 'text = "langes"', "label=1"),
        ("chat", "", "text=1"),
        ("tagging", 'words = "1", tags = "2"', "text=1"),
        ("question-answering", "", "text=1"),
    ],
)
def test_a_recipe_is_checked_by_its_columns(
    task: str, columns: str, wrong: str, triptych: Command, tmp_path: Path
) -> None:
    texts = {"chat": '{"prompt": "a", "output": "b"}\n', "tagging": "a X\nb Y\n\n"}
    text = texts.get(
        task, '{"langes": "One.", "kurzes": "1."}\n{"langes": "one", "kurzes": "1."}\n'
    )
    (tmp_path / "a.jsonl").write_text(text)
    recipe = f'[task]\nname = "{task}"\n[data]\ntrain = "a.jsonl"\n'
    if columns:
        (tmp_path / "a.toml").write_text(f"{recipe}columns = {{{columns}}}\n")
        done = triptych("data", "check", tmp_path / "a.toml")
        assert " 0 errors" in done.err and ("duplicate" in done.out) == (task != "tagging"), (
            done.out
        )
    field, column = wrong.split("=")
    (tmp_path / "b.toml").write_text(f'{recipe}columns = {{{field} = "{column}"}}\n')
    done = triptych("data", "check", tmp_path / "b.toml")
    assert done.code in (1, 2) and "data.columns" in done.err + done.out


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("source=English,target=3", {"source": "English", "target": "3"}),
        ("text=Name, as given,label=a=b", {"text": "Name, as given", "label": "a=b"}),
        (None, None),
    ],
)
def test_columns_are_parsed(given: str | None, found: dict[str, str] | None) -> None:
    assert parsed(given) == found
    assert not found or Recipe.parse(f"[data]\ntrain = 'a'\n{line_of(found)}").data.columns == found


@pytest.mark.parametrize("given", ["source", "source=", "=a", "source=1,source=2", ""])
def test_what_is_no_list_of_columns_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="--columns"):
        parsed(given)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo terminals here")
@pytest.mark.parametrize(
    ("said", "kept", "told"),
    [
        ("n\n3\n2\n", {"source": "3", "target": "2", "header": "no"}, []),
        (
            "what?\nNO\n9\nThe dog 0 sleeps.\n2\n3\n",
            {"source": "2", "target": "3", "header": "no"},
            [
                "'what?' is neither y (yes) nor n (no).",
                "There is no column '9'. Give a number from 1 to 3",
                "Column 2 is the source already.",
            ],
        ),
        ("y\n2\n3\n", {"source": "The dog 0 sleeps.", "target": "Der Hund 0 schläft."}, []),
    ],
)
def test_a_terminal_is_asked(
    said: str, kept: dict[str, str], told: list[str], bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = os.openpty()
    with (
        open(theirs, encoding="utf-8") as stdin,
        open(theirs, "w", encoding="utf-8", closefd=False) as stderr,
    ):
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stderr", stderr)
        os.write(ours, said.encode())
        assert settled(bare, ("source", "target"), None, (None, None)) == kept
    os.set_blocking(ours, False)
    shown = b""
    with contextlib.suppress(OSError):  # The terminal is closed.
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    shown = shown.decode(errors="replace")
    assert (
        "Which column is the source? [1-3 or its name]" in shown
        and "numbers alone" in shown
        and "Der Hund 2" in shown
    )
    assert all(one in shown for one in told)
    assert ("neither" in shown) == ("already" in shown) == bool(told)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo terminals here")
def test_an_unanswered_question_advises_the_fields_of_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"{n}\tkind{n % 2}\tA text {n}.\n" for n in range(20)))
    ours, theirs = os.openpty()
    with open(theirs, "w", encoding="utf-8") as stderr:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True, readline=str))
        monkeypatch.setattr(sys, "stderr", stderr)
        with pytest.raises(UsageError, match="--columns text=3,label=2"):
            settled(path, ("text", "label"))
    os.close(ours)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo terminals here")
def test_a_question_shows_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with open(theirs, "w", encoding="utf-8") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        monkeypatch.setattr(sys, "stdin", io.StringIO("yes \n"))
        assert ask("Is \x1b]0;title\x07 a\nheader? ") == "yes"
        assert os.read(ours, 200).decode() == r"Is \u001b]0;title\u0007 a\nheader? "
        assert ask("And this? ") is None
    os.close(ours)
