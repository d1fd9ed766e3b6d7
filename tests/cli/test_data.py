"""init and data: a person's files, checked, counted, turned into a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from triptych.recipe.schema import Recipe

Command = Callable[..., SimpleNamespace]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)


def test_init_writes_a_recipe_that_trains(triptych: Command, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "my.toml"
    done = triptych(
        "init", "translation", "--source", files / "a.en", "--target", files / "a.de", "--out", out
    )
    assert done.code == 0 and done.out.strip() == str(out)
    for words in ("tokens/s", "min", "GB of memory", "plain text, 144 lines"):
        assert words in done.err
    recipe = Recipe.load(out)
    assert (recipe.data.source, recipe.data.target) == ("en", "de") and recipe.training.minutes
    dry = triptych(
        "train", out, "--dry-run", "--model.layers", "1", "--tokenizer.vocabulary_size", "330"
    )
    assert dry.code == 0 and "First batch" in dry.err


def test_init_never_writes_over_a_file(triptych: Command, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "my.toml"
    out.write_text("mine")
    done = triptych(
        "init", "translation", "--source", files / "a.en", "--target", files / "a.de", "--out", out
    )
    assert done.code == 2 and "not overwritten" in done.err and out.read_text() == "mine"


def test_init_reads_one_file_with_both_sides(
    triptych: Command, files: Path, tmp_path: Path
) -> None:
    (tmp_path / "all.tsv").write_text(
        "".join(
            f"{a}\t{b}\n"
            for a, b in zip(
                *((files / name).read_text().split("\n")[:-1] for name in ("a.en", "a.de")),
                strict=True,
            )
        )
    )
    done = triptych(
        "init",
        "translation",
        "--source",
        tmp_path / "all.tsv",
        "--out",
        tmp_path / "my.toml",
        "--target-language",
        "de",
    )
    assert done.code == 0 and Recipe.load(tmp_path / "my.toml").data.target == "de"


def test_init_tells_chinese_from_latin(triptych: Command, tmp_path: Path) -> None:
    (tmp_path / "a.en").write_text("".join(f"I have {n} books.\n" for n in range(60)))
    (tmp_path / "a.zh").write_text("".join(f"我有{n}本书。\n" for n in range(60)), encoding="utf-8")
    done = triptych(
        "init",
        "translation",
        "--source",
        tmp_path / "a.en",
        "--target",
        tmp_path / "a.zh",
        "--out",
        tmp_path / "my.toml",
    )
    assert done.code == 0 and Recipe.load(tmp_path / "my.toml").tokenizer.shared is False


@pytest.mark.parametrize(
    ("english", "german", "said"),
    [
        (b"a\nb\n", b"a\n", "lines"),
        (b"a\n\xff\n", b"a\nb\n", "a.en:2"),
        (b"a\n", b"b\n", "too few"),
    ],
)
def test_init_refuses_files_that_cannot_train(
    triptych: Command, tmp_path: Path, english: bytes, german: bytes, said: str
) -> None:
    (tmp_path / "a.en").write_bytes(english)
    (tmp_path / "a.de").write_bytes(german)
    done = triptych(
        "init",
        "translation",
        "--source",
        tmp_path / "a.en",
        "--target",
        tmp_path / "a.de",
        "--out",
        tmp_path / "my.toml",
    )
    assert done.code == 1 and said in done.err and not (tmp_path / "my.toml").exists()


def test_check_names_file_line_and_reason_and_exits_1(triptych: Command, tmp_path: Path) -> None:
    (tmp_path / "a.en").write_bytes(b"good\nb\xffd\nfine\n")
    (tmp_path / "a.de").write_bytes(b"gut\nschlecht\n\xfe\n")
    done = triptych("data", "check", tmp_path / "a.en", tmp_path / "a.de")
    assert done.code == 1 and "a.en:2" in done.out and "a.de:3" in done.out and "UTF-8" in done.out
    same = triptych(
        "data", "check", "--source", tmp_path / "a.en", "--target", tmp_path / "a.de", "--json"
    )
    assert same.code == 1 and all(
        {"place", "reason", "severity"} == set(json.loads(line))
        for line in same.out.strip().split("\n")
    )


def test_check_of_a_table_that_cannot_be_read_names_its_lines_too(
    triptych: Command, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\ncafé,x\ntea,y\nsoirée,x\n".encode("latin-1"))
    done = triptych("data", "check", tmp_path / "a.csv")
    assert (
        done.code == 1 and "a.csv:2: bad UTF-8" in done.out and "a.csv:4: bad UTF-8" in done.out
    ), done.err
    (tmp_path / "b.csv").write_text('text;label\n"tea"s;y\n')
    done = triptych("data", "check", tmp_path / "b.csv", "--json")
    assert (
        done.code == 1
        and "hold semicolons or quotes" in json.loads(done.out)["reason"]
        and "train 0 texts; 1 error," in done.err
    )


def test_check_of_a_recipe_sees_leaks(triptych: Command, files: Path) -> None:
    # its test file is a part of its training file
    done = triptych("data", "check", files / "my.toml")
    assert done.code == 1 and "leak" in done.out


def test_check_of_good_files_is_quiet(triptych: Command, files: Path) -> None:
    done = triptych("data", "check", files / "a.en", files / "a.de")
    assert done.code == 0 and "0 errors" in done.err


def test_check_of_an_empty_file(triptych: Command, tmp_path: Path) -> None:
    (tmp_path / "none.tsv").touch()
    done = triptych("data", "check", tmp_path / "none.tsv")
    assert done.code == 1 and done.out == ""
    assert done.err == f"triptych: {tmp_path / 'none.tsv'} is empty.\n"  # and no guess at it
    done = triptych("data", "convert", tmp_path / "other.tsv")
    assert done.code == 1 and "There is no file" in done.err and "taken for" not in done.err


def test_check_of_conversations(triptych: Command, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Open on Sunday?"},
        {"role": "assistant", "content": "From ten."},
    ]
    talk = [
        {"messages": turns},
        {"messages": []},
        {"messages": turns},
        {"instruction": "Name it.", "output": ""},
    ]
    files = {
        "talk.jsonl": "\n".join(
            [
                *map(json.dumps, talk),
                "{not json",
                '{"messages": [{"role": "robot", "content": "x"}]}',
            ]
        ),
        "alpaca.json": json.dumps(
            [
                {"instruction": "Name a colour.", "input": "", "output": "Blue."},
                {"instruction": "?"},
            ],
            indent=1,
        ),
        "best.jsonl": json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"})
        + '\n\n{"prompt": "a", "chosen": "b"}\n',
    }
    said = {
        "talk.jsonl": [
            ":2: unreadable: messages is empty",
            ":3: duplicate",
            ":4: empty output",
            ":5: unreadable: not JSON",
            ":6: unreadable: Unknown",
        ],
        "alpaca.json": [":7: unreadable: there is no 'messages'"],
        "best.jsonl": [":3: unreadable: there is no text under the key 'rejected'"],
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        done = triptych("data", "check", tmp_path / name)
        found = [line.partition(name)[2] for line in done.out.splitlines()]
        assert done.code == 1 and "conversation" in done.err, done.err
        assert len(found) == len(said[name]) and all(map(str.startswith, found, said[name])), found
    (tmp_path / "good.jsonl").write_text(json.dumps(talk[0]), encoding="utf-8")
    assert triptych("data", "check", tmp_path / "good.jsonl").code == 0
    assert "messages" in triptych("data", "stats", tmp_path / "good.jsonl").out


def test_check_of_summaries_with_several_versions(triptych: Command, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"source": "Yes? No.", "target": "No."}\n{"source": "Hi?", "target": ["Hi.", "Hello."]}\n'
    )
    done = triptych("data", "check", tmp_path / "a.jsonl")
    assert done.code == 0 and "2 texts to write from; 0 errors, 0 warnings" in done.err


def test_check_of_plain_text(triptych: Command, tmp_path: Path) -> None:
    many = [f"Text number {number} says so." for number in range(50)]
    (tmp_path / "good.txt").write_text("\n\n".join(many), encoding="utf-8")
    good = triptych("data", "check", tmp_path / "good.txt")
    assert good.code == 0 and "50 plain texts; 0 errors, 0 warnings" in good.err
    (tmp_path / "odd.txt").write_text(
        "\n\n".join([*many, "text number 3 SAYS so", "lost \ufffd here", "a\x00b"]),
        encoding="utf-8",
    )
    odd = triptych("data", "check", tmp_path / "odd.txt")
    for said in (
        "odd.txt:101: duplicate: the same text is at odd.txt:7",
        "odd.txt:103: lost character",
        "odd.txt:105: zero byte",
    ):
        assert said in odd.out
    assert odd.code == 1
    (tmp_path / "bad.txt").write_bytes(b"fine\n\n\xffbad\n")
    (tmp_path / "few.txt").write_text("one\nlong\ntext\n")
    assert "bad.txt:3: bad UTF-8" in triptych("data", "check", tmp_path / "bad.txt").out
    assert "few texts: 1" in triptych("data", "check", tmp_path / "few.txt").out
    whole = triptych("data", "check", tmp_path)
    assert whole.code == 1 and "bad UTF-8" in whole.out and "duplicate" in whole.out


def test_texts_in_jsonl_code_and_folders_are_plain_text(triptych: Command, tmp_path: Path) -> None:
    lines = [
        json.dumps({"text": f"Text number {number} says so.", "from": "here"})
        for number in range(50)
    ]
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "b.py").write_text("def f(x):\n    return x\n")
    for name, said in (
        ("texts/a.jsonl", "train 50 plain texts; 0 errors, 0 warnings"),
        ("texts", "train 50 plain texts"),
        ("b.py", "train 1 plain text; 0 errors"),
    ):
        assert said in triptych("data", "check", tmp_path / name).err
        counted = json.loads(triptych("data", "stats", tmp_path / name, "--json").out)["text"]
        assert (
            counted["lines"] == (1 if name == "b.py" else 50)
            and counted["95 % length"] >= counted["median length"]
        )
    (tmp_path / "c.jsonl").write_text('{"text": "what", "label": "a"}\n')
    assert "plain texts" not in triptych("data", "check", tmp_path / "c.jsonl").err
    (tmp_path / "texts" / "a.jsonl").write_text("\n".join([*lines, '{"body": "x"}']))
    assert (
        "a.jsonl:51: unreadable: there is no text under the key 'text'"
        in triptych("data", "check", tmp_path / "texts").out
    )


def test_check_and_stats_of_conversations(triptych: Command, tmp_path: Path) -> None:
    hello = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    records = [
        {"messages": hello},
        {"messages": hello[:1]},
        {"messages": [{"role": "usr", "content": "hi"}]},
        [1],
        {"instruction": "say", "output": ""},
        {"messages": hello},
    ]
    (tmp_path / "chat.jsonl").write_text(
        "\n".join([json.dumps(one) for one in records] + ["no JSON"])
    )
    done = triptych("data", "check", tmp_path / "chat.jsonl")
    for line, said in (
        (2, "unreadable: messages hold no turn of the assistant"),
        (3, "unreadable: Unknown role 'usr'"),
        (4, "unreadable: expected a JSON object, got a list"),
        (5, "empty output"),
        (6, "duplicate: the same record is at"),
        (7, "unreadable: not JSON"),
    ):
        assert f"chat.jsonl:{line}: {said}" in done.out
    assert done.code == 1 and "train 2 conversations; 4 errors, 2 warnings" in done.err
    pairs = [{"prompt": "a", "chosen": "b", "rejected": other} for other in "cb"]
    (tmp_path / "pairs.json").write_text("[" + ",\n".join(map(json.dumps, pairs)) + "]")
    done = triptych("data", "check", tmp_path / "pairs.json")
    assert (
        "pairs.json:2: unreadable: 'chosen' and 'rejected' are the same text" in done.out
        and "train 1 conversation;" in done.err
    )
    (tmp_path / "pairs.json").write_text(json.dumps(pairs[:1]))
    assert set(json.loads(triptych("data", "stats", tmp_path / "pairs.json", "--json").out)) == {
        "part",
        "messages",
        "chosen",
        "rejected",
    }


def test_stats_and_list(triptych: Command, files: Path) -> None:
    done = triptych("data", "stats", files / "a.tsv")
    assert done.code == 0 and "median length" in done.out and "LATIN" in done.out
    listed = triptych("data", "list")
    assert all(
        name in listed.out for name in ("phrasebook", "multi30k", "tatoeba-en-zh", "tatoeba-en-de")
    )


def test_fetch_offline_is_one_clear_line(
    triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("urllib.request.urlopen", _offline)
    done = triptych("data", "fetch", "tatoeba-en-de")
    assert done.code == 1 and "go online" in done.err


def _offline(*_: object, **__: object) -> None:
    raise OSError("no network")
