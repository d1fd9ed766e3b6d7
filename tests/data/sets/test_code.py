"""Test code as text: the standard library split by modules, files kept as written, joined signs."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from triptych.data.example import Example
from triptych.data.formats.texts import read
from triptych.data.load import load_split
from triptych.data.sets import catalog
from triptych.data.sets import code as sets_code
from triptych.data.table import DataTable
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.errors import DataError

CODE = (
    'def first(values):\n    """The first."""\n    if not values:\n\treturn None\n\n    return '
    "values[0]\n"
)


def library(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def lines(name: str, count: int = 6) -> str:
    return "".join(f"{name}_variable_number_{number} = {number}\n" for number in range(count))


def module_in(part: str, but: str = "") -> str:
    return next(
        name
        for number in range(1000)
        if sets_code.part_of(name := f"m{number}") == part and name != but
    )


def test_whole_modules_are_held_out(tmp_path: Path) -> None:
    names = [f"mod{number}" for number in range(300)]
    folder = library(
        tmp_path,
        {f"{name}/{file}.py": lines(f"{name}_{file}") for name in names for file in ("a", "b")},
    )
    parts, _, copies = sets_code.divided(folder)
    held = {
        part: {sets_code.module_of(one.place) for one in found} for part, found in parts.items()
    }
    assert sum(map(len, held.values())) == 300 and not copies  # no module stands in two parts
    assert 0.04 < len(held["test"]) / 300 < 0.13 and 0.01 < len(held["validation"]) / 300 < 0.08
    assert all(sets_code.part_of(name) == part for part, found in held.items() for name in found)


def test_the_split_goes_by_names_alone() -> None:
    assert {sets_code.part_of(name) for name in ("datetime", "_pydatetime", "_datetime")} == {
        sets_code.part_of("datetime")
    }
    assert (
        sets_code.part_of("sre_compile")
        == sets_code.part_of("re")
        == sets_code.part_of("sre_parse")
    )
    # The held-out modules are written down: they are the same on every Python and may not change.
    held = ["pydoc", "html", "optparse", "ctypes", "platform", "ntpath", "tempfile"]
    assert [sets_code.part_of(name) for name in held] == ["test"] * len(held)
    assert [sets_code.part_of(name) for name in ("inspect", "json", "asyncio", "typing")] == [
        "validation"
    ] * 2 + ["train"] * 2


def test_what_is_passed_over_and_what_is_named(tmp_path: Path) -> None:
    train = module_in("train")
    folder = library(
        tmp_path,
        {
            f"{train}/__init__.py": "\n",
            f"{train}/a.py": "\ufeffx = 1\r\n\tif x:\r\n",
            f"{train}/test/b.py": "no",
            f"{train}/tests/c.py": "no",
            "idlelib/idle_test/d.py": "no",
            "site-packages/e.py": "no",
            "config-3.11-x/f.py": "no",
            "_sysconfigdata__linux.py": "no",
            f"{train}/latin.py": b"# caf\xe9\n",
            "readme.txt": "no",
            "lib-dynload/g.py": "no",
        },
    )
    parts, unreadable, _ = sets_code.divided(folder)
    assert [(one.place, one.text) for part in parts.values() for one in part] == [
        (f"{train}/a.py", "x = 1\n\tif x:\n")
    ]
    assert unreadable == [f"{train}/latin.py"]


def test_copies_do_not_stand_in_two_parts(tmp_path: Path) -> None:
    train, test = module_in("train"), module_in("test")
    own = lines("another", 9)
    folder = library(
        tmp_path,
        {
            f"{test}.py": lines("held"),
            f"{train}/same.py": lines("held"),
            f"{train}/near.py": lines("held") + "# its own line, long enough\n",
            f"{train}/other.py": own + lines("held", 3),
            f"{train}/tiny.py": "x = 1\n",
            f"{test}x.py": "",
        },
    )
    parts, _, copies = sets_code.divided(folder)
    assert [one.place for one in parts["train"]] == [f"{train}/other.py", f"{train}/tiny.py"]
    assert copies == [(f"{train}/near.py", "train"), (f"{train}/same.py", "train")]


def test_a_python_without_sources_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library(tmp_path, {"abc.pyc": b"\0"})
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(DataError, match=r"no \.py files"):
        catalog.load_other("python-stdlib", "train", DataTable(), ("text",))


def test_the_library_at_hand() -> None:
    notices: list[str] = []
    held = catalog.load_other(
        "python-stdlib", "test", DataTable(set="python-stdlib"), ("text",), notices.append
    )
    assert (
        len(held) > 5
        and "\n    " in (held[0].text or "")
        and not any("/test" in one.place for one in held)
    )
    assert "modules" in notices[0] and "Python 3." in notices[0]


def test_own_code_is_read_as_it_is_written(tmp_path: Path) -> None:
    library(tmp_path, {"a.py": CODE, "deep/b.py": "y = 2\n", "empty.py": "\n \n"})
    found = read([str(tmp_path)], DataTable(), ("text",))
    assert [(one.text, one.place) for one in found] == [(CODE, "a.py:1"), ("y = 2\n", "b.py:1")]
    library(tmp_path, {"notes.txt": "one\n\n  two  \n", "c.jsonl": '{"text": "a\\n    b\\n"}\n'})
    # As before, only the texts are given.
    assert [one.text for one in read([str(tmp_path)], DataTable(), ("text",))] == [
        "a b",
        "one",
        "two",
    ]
    verse = [one.text for one in read([str(tmp_path)], DataTable(verbatim=True), ("text",))]
    assert verse == [CODE, "a\n    b\n", "y = 2\n", "one\n\n  two  \n"]
    assert [one.text for one in read([str(tmp_path / "a.py")], DataTable(), ("text",))] == [CODE]


def test_own_files_are_held_out_whole(tmp_path: Path) -> None:
    library(tmp_path, {f"{number}.py": lines(f"file{number}") for number in range(200)})
    data = DataTable(train=str(tmp_path))
    parts = {
        part: load_split(data, part, needs=("text",)) for part in ("train", "validation", "test")
    }
    assert sum(map(len, parts.values())) == 200 and all(parts.values())
    assert all((one.text or "").count("\n") == 6 for part in parts.values() for one in part)


def test_signs_join_and_indentation_is_one_token() -> None:
    corpus = [CODE, "for one in two():\n        print(one)\n        call(one)\n"] * 20
    plain, code = Tokenizer.train(corpus, "bpe", 400), Tokenizer.train(corpus, "code", 400)
    text = "        print(one)\n        call(one)\n"
    for tokenizer in (plain, code):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    pieces = code.pieces(code.encode(text))
    assert "\n        " in pieces
    assert "():" in code.pieces(code.encode("two():")) and "():" not in plain.pieces(
        plain.encode("two():")
    )
    again = Tokenizer.from_json(code.to_json())
    assert (
        again.kind == "code"
        and again.encode(CODE) == code.encode(CODE)
        and again.fingerprint == code.fingerprint
    )


def test_a_set_of_code_is_text_alone() -> None:
    assert catalog.entry("python-stdlib").fields == ("text",)
    assert Example(text="a", suffix="b").inputs == {"text": "a", "suffix": "b"}
