"""Parsing from the command line: train on a CoNLL-U file, parse, evaluate, inspect, check."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from triptych.cli.main import run as run_command
from triptych.data.formats.conllu import examples_of
from triptych.data.formats.lines import lines_of

TINY = [
    "--model.width",
    "16",
    "--model.heads",
    "2",
    "--model.inner_width",
    "16",
    "--model.layers",
    "1",
    "--training.precision",
    "float32",
]


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder with toy.conllu and toy.toml."""
    folder = tmp_path_factory.mktemp("trees")
    blocks = []
    for first, second in itertools.product(("dog", "cat", "bird", "man"), repeat=2):
        rows = [
            ("The", "DET", 2, "det"),
            (first, "NOUN", 3, "nsubj"),
            ("sees", "VERB", 0, "root"),
            (second, "NOUN", 3, "obj"),
        ]
        cells = [
            f"{number}\t{form}\t_\t{upos}\t_\t_\t{head}\t{name}\t_\t_"
            for number, (form, upos, head, name) in enumerate(rows, 1)
        ]
        blocks.append("\n".join([f"# text = The {first} sees {second}", *cells]))
    (folder / "toy.conllu").write_text("\n\n".join(blocks) + "\n\n", encoding="utf-8")
    (folder / "toy.toml").write_text(
        '[task]\nname = "parsing"\narc_width = 8\nrelation_width = 8\n[data]\n'
        'train = "toy.conllu"\nvalidation = "toy.conllu"\n'
        'test = "toy.conllu"\n[tokenizer]\nvocabulary_size = 320\n[model]\n'
        'preset = "encoder-tiny"\n[training]\nsteps = 4\n'
        "learning_rate = 0.01\nwarmup_steps = 1\n[batches]\nbatch_tokens = 200\n"
    )
    return folder


@pytest.fixture(scope="module")
def parser(treebank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "parser"
    command = [
        "train",
        str(treebank / "toy.toml"),
        "--out",
        str(out),
        "--task.word_dropout",
        "0.1",
        *TINY,
    ]
    assert run_command(command) == 0
    return out


def test_parse_prints_blocks_and_json(
    parser: Path, triptych: Callable[..., SimpleNamespace]
) -> None:
    answer = triptych("parse", parser, "The dog sees cat. Yes!", "")
    assert answer.code == 0
    blocks = answer.out.strip("\n").split("\n\n")
    assert blocks[0].startswith("# text = The dog sees cat.\n1\tThe\t_\t") and blocks[1].startswith(
        "# text = Yes!"
    )
    answer = triptych("predict", parser, "--jsonl", "--words", "The dog sees cat")
    values = json.loads(answer.out)
    assert [word["text"] for word in values["words"]] == ["The", "dog", "sees", "cat"]
    assert {"subject", "verb", "object", "root"} <= set(values) and values[
        "truncated_input_tokens"
    ] == 0


def test_evaluate_counts_as_conll_2018(
    parser: Path, treebank: Path, triptych: Callable[..., SimpleNamespace]
) -> None:
    answer = triptych("evaluate", parser, "--json")
    values = json.loads(answer.out.splitlines()[-1])
    assert (
        values["task"] == "parsing"
        and values["examples"] == 16
        and list(values["metrics"])[:3] == ["las", "uas", "upos"]
    )
    assert "CoNLL 2018" in values["signature"]
    same = triptych(
        "evaluate", parser, "--data", treebank / "toy.conllu", "--json", "--bootstrap", "5"
    )
    again = json.loads(same.out.splitlines()[-1])
    assert again["metrics"] == values["metrics"] and set(again["intervals"]) >= {
        "las",
        "uas",
        "upos",
    }


def test_predictions_are_conllu(
    parser: Path, treebank: Path, tmp_path: Path, triptych: Callable[..., SimpleNamespace]
) -> None:
    assert triptych("evaluate", parser, "--predictions", tmp_path / "answers.conllu").code == 0
    given, answered = (
        examples_of(lines_of(path), "x")
        for path in (treebank / "toy.conllu", tmp_path / "answers.conllu")
    )
    assert [(one.text, one.words) for one in answered] == [(one.text, one.words) for one in given]


def test_inspect_draws_arcs(
    parser: Path, tmp_path: Path, triptych: Callable[..., SimpleNamespace]
) -> None:
    answer = triptych("inspect", parser, "The dog sees cat. Yes!", "--html", tmp_path / "tree.html")
    assert (
        answer.code == 0 and (tmp_path / "tree.html").read_text(encoding="utf-8").count("<svg") == 2
    )


def test_data_check_names_line_and_reason(
    treebank: Path, tmp_path: Path, triptych: Callable[..., SimpleNamespace]
) -> None:
    assert triptych("data", "check", treebank / "toy.conllu").code == 0
    bad = tmp_path / "bad.conllu"
    bad.write_text(
        "1\ta\t_\tX\t_\t_\t2\tdep\t_\t_\n2\tb\t_\tX\t_\t_\t1\tdep\t_\t_\n\n", encoding="utf-8"
    )
    answer = triptych("data", "check", bad)
    assert (
        answer.code == 1
        and f"error: {bad}:1: rootless and cyclic tree: 1 -> 2 -> 1 never reaches the root"
        in answer.out
    )
    assert "0 sentences" not in answer.out and "1 error," in answer.err


def test_training_on_a_bad_tree_says_where(
    treebank: Path, tmp_path: Path, triptych: Callable[..., SimpleNamespace]
) -> None:
    lines = (
        (treebank / "toy.conllu").read_text(encoding="utf-8").replace("\t0\troot", "\t4\troot", 1)
    )
    (tmp_path / "toy.conllu").write_text(lines, encoding="utf-8")
    (tmp_path / "toy.toml").write_text((treebank / "toy.toml").read_text())
    answer = triptych("train", tmp_path / "toy.toml", "--out", tmp_path / "run", *TINY)
    assert (
        answer.code == 1
        and "toy.conllu:4: rootless and cyclic tree: 3 -> 4 -> 3" in answer.err
        and "triptych data check" in answer.err
    )


def test_training_names_the_trees_that_no_window_holds(
    treebank: Path, tmp_path: Path, triptych: Callable[..., SimpleNamespace]
) -> None:
    words = "\n".join(
        f"{place}\tdog\t_\tNOUN\t_\t_\t{place - 1}\t{'dep' if place > 1 else 'root'}\t_\t_"
        for place in range(1, 41)
    )
    content = (treebank / "toy.conllu").read_text(encoding="utf-8")
    (tmp_path / "toy.conllu").write_text(content + f"{words}\n\n" * 5, encoding="utf-8")
    (tmp_path / "toy.toml").write_text((treebank / "toy.toml").read_text())
    answer = triptych(
        "train",
        tmp_path / "toy.toml",
        "--dry-run",
        "--task.window",
        "32",
        "--task.word_pieces",
        "8",
        *TINY,
    )
    assert answer.code == 0
    assert (
        answer.err.count(
            "nothing is learnt from 5 of 21 training examples, which do not fit task.window = 32, "
            "or are empty."
        )
        == 1
    )
    assert ":97, " in answer.err and " and 2 more: nothing is learnt" in answer.err
    assert (
        "nothing is learnt" not in triptych("train", tmp_path / "toy.toml", "--dry-run", *TINY).err
    )
