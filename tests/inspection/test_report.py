"""Test the page of an evaluation: one file, no network, nothing that a label could break."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from triptych.errors import RunError
from triptych.inspection.report import MOST_LABELS, MOST_MISTAKES, Report, page, write
from triptych.metrics import classes

BAD = '<script>alert("x")</script>{style}\x07'


def report(labels: list[str], title: str = "toy · test") -> Report:
    gold = [label for label in labels for _ in range(3)]
    ours = [*gold[1:], gold[0]]
    mistakes = [
        classes.Mistake(place, one, other, 0.9)
        for place, (one, other) in enumerate(zip(gold, ours, strict=True))
        if one != other
    ]
    return Report(
        title=title,
        rows=[("accuracy", "66.67", "", "70.00"), ("loss", "0.5000", "", "")],
        notes=["Only 9 test texts."],
        breakdown=classes.Breakdown(
            "texts", classes.of_labels(ours, gold), classes.confusion(ours, gold), mistakes
        ),
        texts=[f"text {place} {BAD}" for place in range(len(gold))],
        trained={labels[0]: 7},
    )


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_stands_alone_and_its_policy_allows_its_style() -> None:
    text = page(report(["a", BAD, "客訴"]))
    tags = Tags(text).tags
    assert not [tag for tag, _ in tags if tag in ("script", "link", "img", "iframe")]
    assert not [name for _, given in tags for name in given if name in ("style", "src", "href")]
    assert "http://" not in text and "https://" not in text and "\x07" not in text
    policy = next(given["content"] for tag, given in tags if "http-equiv" in given) or ""
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None and "default-src 'none'" in policy
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy and "unsafe" not in policy


def test_what_it_shows() -> None:
    text = page(report(["alpha", "beta", "gamma"]))
    assert "Only 9 test texts." in text and "66.67" in text and "70.00" in text
    assert text.count('<th scope="row"') == 2 + 3 + 3
    assert 'title="alpha → beta: 1">1</td>' in text
    assert '<td class="r3" title="alpha → alpha: 2">2</td>' in text
    assert text.count("<li><p>text ") == 3 and "0.900" in text
    assert "in training" in text and "混淆矩陣" in text
    assert '<html lang="zh-Hant">' in page(report(["a", "b"]), "zh-Hant")


def test_many_classes_and_mistakes_are_cut() -> None:
    text = page(report([f"class {number}" for number in range(MOST_LABELS + 1)]))
    assert "too many classes" in text and 'class="confusion"' not in text
    assert text.count("<li><p>text ") == MOST_MISTAKES and f"{MOST_MISTAKES} / 201" in text


def test_spans_have_neither_confusions_nor_mistakes() -> None:
    found = classes.Breakdown("entities", {"PER": classes.ClassScores(50.0, 50.0, 50.0, 2)})
    text = page(Report(title="x", rows=[("f1", "50.00", "", "")], breakdown=found, texts=[]))
    assert "Each type of entity" in text and text.count("<section>") == 2
    assert ">in training<" not in text and ">baseline<" not in text


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    assert write(tmp_path / "new" / "a.html", report(["a", "b"])).is_file()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"Cannot write .*Choose another place"):
        write(tmp_path / "file" / "a.html", report(["a", "b"]))
