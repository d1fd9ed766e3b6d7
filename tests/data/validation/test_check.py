"""Test the data check: every problem with file, line and reason, and none in good data."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.data.example import Example
from triptych.data.formats.pairs import Files, read
from triptych.data.validation.pairs import Report, check, check_examples, stats


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def reasons(report: Report) -> list[str]:
    return [str(problem) for problem in report.problems]


def pair(folder: Path, english: str, german: str) -> Files:
    return Files(write(folder, "a.en", english), write(folder, "a.de", german))


def test_every_problem_is_listed_with_its_line(tmp_path: Path) -> None:
    train = Files(
        write(
            tmp_path,
            "t.en",
            "A dog runs far.\nA dog runs far.\nempty here\nThis is a rather long sentence of "
            "words.\n",
        ),
        write(tmp_path, "t.de", "Ein Hund läuft weit.\nEin Hund läuft weit.\n\nx\n"),
    )
    test = Files(
        write(tmp_path, "e.en", "a dog runs far\n"), write(tmp_path, "e.de", "Ein Hund.\n")
    )
    bad = Files(write(tmp_path, "b.tsv", b"a\tb\n\xff\tc\nd\t\xfe\n"))
    report = check({"train": train, "test": test, "validation": bad})
    for expected in (
        "b.tsv:2: bad UTF-8",
        "b.tsv:3: bad UTF-8",
        "t.de:3: empty side",
        "t.en:2: duplicate",
        "t.en:4: length ratio",
        "e.en:1: leak",
    ):
        assert any(f"{tmp_path}/{expected}" in line for line in reasons(report)), (
            expected,
            reasons(report),
        )
    assert {problem.severity for problem in report.problems if "leak" in problem.reason} == {
        "error"
    }
    assert report.pairs == {"train": 3, "test": 1}
    assert report.counts["bad UTF-8"] == 2


def test_unequal_counts_hide_nothing_else(tmp_path: Path) -> None:
    report = check({"train": pair(tmp_path, "one\ntwo\nthree\n", "eins\n\n")})
    assert any(
        "a.de: unequal line counts" in line and "has 3 lines" in line for line in reasons(report)
    )
    assert any("a.de:2: empty side" in line for line in reasons(report))


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        (
            "a.tsv",
            "a\tb\nc\n\td\ne\n",
            {"a.tsv:2: 1 column", "a.tsv:3: empty side: the source", "a.tsv:4: 1 column"},
        ),
        (
            "a.csv",
            "source,target\na,\nb\nc,d\n",
            {"a.csv:2: empty side: the target", "a.csv:3: 1 column"},
        ),
        (
            "a.jsonl",
            '{"source": "a", "target": "b"}\n{\n{"source": "a"}\n{"source": "", "target": " "}\n',
            {
                "a.jsonl:2: not JSON",
                "a.jsonl:3: the key 'target' is missing",
                "a.jsonl:4: empty line",
            },
        ),
    ],
)
def test_files_with_columns_are_read_to_their_end(
    tmp_path: Path, name: str, content: str, lines: set[str]
) -> None:
    report = check({"train": Files(write(tmp_path, name, content))})
    assert len(report.problems) == len(lines)
    for expected in lines:
        assert any(f"{tmp_path}/{expected}" in line for line in reasons(report)), (
            expected,
            reasons(report),
        )


def test_what_training_leaves_out_is_listed(tmp_path: Path) -> None:
    files = pair(tmp_path, "word " * 100_000 + "\n\nshort\n", "lang\n\nkurz\n")
    report = check({"train": files})
    assert [line.split(": ")[1] for line in reasons(report)] == ["too long", "empty line"]
    assert report.pairs == {"train": len(read(files))}


def test_missing_and_torn_files_are_problems_not_exceptions(tmp_path: Path) -> None:
    good, quote = (
        write(tmp_path, "a.en", "one\n"),
        write(tmp_path, "q.csv", 'source,target\n"a"b,c\n'),
    )
    report = check(
        {
            "train": Files(good, tmp_path / "none.de"),
            "validation": Files(good),
            "test": Files(quote),
        }
    )
    for expected in ("There is no file", "no second column", "q.csv:2: not CSV"):
        assert any(expected in line for line in reasons(report)), (expected, reasons(report))


def test_leaks_are_seen_without_case_and_signs() -> None:
    def part(*sources: str) -> list[Example]:
        return [
            Example(source, f"{source} {number}", place=f"{number}")
            for number, source in enumerate(sources)
        ]

    found = check_examples(
        {
            "train": part("Hello, you!", "?"),
            "validation": part("Good day."),
            "test": part("hello you", "good  day", "!"),
        }
    )
    assert [problem.reason.split(" (")[0] for problem in found] == [
        "leak: this source is also in train",
        "leak: this source is also in validation",
    ]
    # They differ only by a vowel sign, which belongs to its letter.
    letters = part("की बात है", "का बात है")
    assert not check_examples({"train": letters[:1], "test": letters[1:]})


def test_equal_sides_are_seen() -> None:
    found = check_examples(
        {"train": [Example("This was not translated.", "This was not translated.", place="a:1")]}
    )
    assert [str(problem) for problem in found] == ["a:1: same text: source and target are equal"]


def test_good_files_have_no_problem(tmp_path: Path) -> None:
    report = check(
        {
            "train": pair(
                tmp_path, "A dog runs.\nA cat sits.\n", "Ein Hund läuft.\nEine Katze sitzt.\n"
            )
        }
    )
    assert not report.problems and report.pairs == {"train": 2}


def test_stats_count(tmp_path: Path) -> None:
    table = stats(read(Files(write(tmp_path, "a.tsv", "Hello you\t你好\nHi\t嗨\n"))))
    assert (
        table["source"]["words"] == 3
        and table["target"]["scripts"] == "CJK"
        and table["source"]["longest"] == 9
    )
    assert (
        table["source"]["median length"]
        <= table["source"]["95 % length"]  # type: ignore[operator]
        <= table["source"]["longest"]
    )
    assert stats([])["source"]["lines"] == 0
