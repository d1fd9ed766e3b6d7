"""Test that the page is one file without network access, and that no sentence can break it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from triptych.errors import RunError
from triptych.inspection import html
from triptych.inspection.cells import TokenCell
from triptych.inspection.trace import Trace

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def example(label: str = "Transformer", word: str = "Katzen") -> Trace:
    source = [
        TokenCell("I", "I", 0, 1, (0,), ("I",)),
        TokenCell(f" {word}", word, 1, 2 + len(word), (1,), (f" {word}",)),
    ]
    target = [
        TokenCell("我", "我", 0, 1, (0, 1, 2), ("<0xE6>", "<0x88>", "<0x91>")),
        TokenCell("", "<end>", None, None, (3,), ("<end>",)),
    ]
    weights = np.array([[[[0.25, 0.75], [0.5, 0.5]]]], dtype=np.float32)
    return Trace(f"I {word}", "我", source, target, {"cross": weights}, [-0.1, -0.2], label)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag if tag != "script" else dict(attrs).get("id") or "script")

    def handle_endtag(self, tag: str) -> None:
        if self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.inside.setdefault(self._open[-1], []).append(data)


def test_the_page_stands_alone() -> None:
    text = html.page([example()])
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    assert "@import" not in text and "url(" not in text
    tags = Page(text).tags
    assert not [attributes for _, attributes in tags if "src" in attributes or "href" in attributes]
    assert not [
        name
        for _, attributes in tags
        for name in attributes
        if name.startswith("on") or name == "style"
    ]


def test_the_policy_allows_this_style_and_script_and_nothing_else() -> None:
    page = Page(html.page([example()]))
    policy = next(
        a["content"]
        for tag, a in page.tags
        if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and "default-src 'none'" in policy and "unsafe" not in policy
    for tag in ("style", "script"):
        digest = base64.b64encode(
            hashlib.sha256("".join(page.inside[tag]).encode()).digest()
        ).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize(
    "word", ["</script><script>alert(1)</script>", "<!--", "{style}", "\u2028", '"\\', "&lt;"]
)
def test_no_sentence_breaks_the_page(word: str) -> None:
    page = Page(html.page([example(word=word), example("RNN", word)]))
    found = json.loads("".join(page.inside["traces"]))
    assert [trace["source_text"] for trace in found] == [f"I {word}"] * 2
    assert [trace["label"] for trace in found] == ["Transformer", "RNN"]
    assert sum(tag == "script" for tag, _ in page.tags) == 2


def test_both_languages_have_every_word() -> None:
    script = "".join(
        (Path(html.__file__).parent / name).read_text("utf-8") for name in html.SCRIPTS
    )
    english, chinese = re.findall(
        r"^  (?:en|\"zh-Hant\"): \{(.*?)^  \},", script, flags=re.DOTALL | re.MULTILINE
    )
    keys = [set(re.findall(r"(?:^|[,\n]) *(\w+): \"", part)) for part in (english, chinese)]
    assert (
        keys[0] == keys[1] and {"warning", "note_no_attention", "layer", "head", "mean"} <= keys[0]
    )
    used = set(re.findall(r"(?:say\(|choice\(controls, )\"(\w+)\"", script))
    assert used <= keys[0]
    assert '<html lang="zh-Hant">' in html.page([example()], language="zh-Hant")


def test_long_sequences_keep_only_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.inspection.trace.MOST_WEIGHTS", 3)
    content = json.loads(example().to_json())
    assert content["attention"]["cross"]["shape"] == [1, 1, 2, 2] and content["notes"] == [
        "means_only"
    ]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_draws_the_tensors_numbers(tmp_path: Path) -> None:
    assert BROWSER is not None
    path = html.write(tmp_path / "a.html", [example(), example("RNN", "<b>")])
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/user",
        "--dump-dom",
        path.as_uri(),
    ]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    rects = [
        attributes
        for tag, attributes in Page(drawn).tags
        if tag == "rect" and "data-weight" in attributes
    ]
    weights = [float(attributes["data-weight"] or "nan") for attributes in rects]
    np.testing.assert_allclose(weights, [0.25, 0.75, 0.5, 0.5] * 2, atol=2e-5)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    assert (
        html.write(tmp_path / "new" / "a.html", [example()])
        .read_text("utf-8")
        .startswith("<!doctype html>")
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"Cannot write .*a\.html"):
        html.write(tmp_path / "file" / "a.html", [example()])
