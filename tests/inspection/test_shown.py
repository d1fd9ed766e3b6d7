"""A model, a prediction and a trace show themselves, and leave the notebook around them alone."""

from __future__ import annotations

import html as escaping
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from toy_tasks import MARKED, TEXT, predictor
from toy_writer import predictor as writer

from triptych.runs.run import Run
from triptych.tasks.task import Prediction

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
EVIL = '<script>alert("1")</script><style>td { color: red }</style>'


class Markup(HTMLParser):
    """Collect tags, and check that each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def check(shown: Any) -> Markup:
    found = Markup(shown._repr_html_())
    assert not {"script", "style", "link"} & set(found.tags)
    assert not {"id", "class"} & {name for name, _ in found.attributes}, "nothing can collide"
    return found


def test_a_model_is_one_line_and_a_small_table(tmp_path: Path) -> None:
    run = predictor("classification")
    size = f"{sum(one.numel() for one in run.model.parameters()):,}"
    assert repr(run) == (
        f"Predictor(classification: encoder-only Transformer, {size} parameters, "
        f"vocabulary {run.model.config.vocabulary_size:,})"
    )
    run.run = Run.create(tmp_path / "<b>run")
    for step, accuracy, best in ((1, 50.0, True), (2, 75.5, True), (3, 60.0, False)):
        line = {"step": step, "split": "validation", "accuracy": accuracy, "loss": 1.0}
        run.run.append_metrics({**line, "best": best, "epoch": 1.0, "seconds": 2.0})
    assert repr(run).endswith(f"run {str(tmp_path / '<b>run')!r}, accuracy 75.50)")
    found = check(run)
    assert "<b>run" in found.text and "encoder-only Transformer" in found.text
    assert "accuracy 75.50" in found.text and "encoder 2 layers, width 16" in found.text
    (run.run.path / "metrics.jsonl").write_bytes(b"\xff{ damaged\n[1]\n")
    assert "accuracy" not in repr(run), "a damaged log hides the score and nothing else"


def test_a_prediction_is_its_answer_and_score() -> None:
    assert (
        repr(Prediction("我喜歡貓。", score=-0.11731)) == "Prediction('我喜歡貓。', score=-0.1173)"
    )
    long = repr(Prediction("x" * 500, cut=True, truncated_input_tokens=7))
    assert long == f"Prediction('{'x' * 79}…', cut=True, truncated_input_tokens=7)"
    assert repr([Prediction("a"), Prediction("")]) == "[Prediction('a'), Prediction('')]"
    run = predictor("classification")
    (answer,) = run.predict([TEXT])
    assert repr(answer).startswith(f"Prediction('{answer.text}', score=") and "\n" not in repr(
        answer
    )


def test_a_prediction_in_a_notebook_is_text_whatever_it_holds() -> None:
    several = [Prediction(EVIL, score=-1.0), Prediction("b", score=-2.0)]
    found = check(Prediction(EVIL, score=0.5, alternatives=several, truncated_input_tokens=1234))
    assert found.text.count("<script>") == 2 and "1,234 input tokens not read" in found.text
    table = {f"{EVIL}{place}": 1 / 77 for place in range(77)}
    found = check(Prediction("a", details={"probabilities": table}))
    assert found.tags.count("tr") == 5 and "and 72 more" in found.text and EVIL in found.text
    assert "empty" in check(Prediction("")).text
    (answer,) = predictor("masked-words").predict([MARKED])
    assert check(answer).text.count("[MASK]") == 2


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_a_trace_is_a_page_of_its_own(kind: str) -> None:
    run = predictor("classification") if kind == "encoder" else writer()
    found = run.trace(f"Ada met {EVIL}" if kind == "encoder" else "the c")
    assert re.fullmatch(
        r"Trace\('.*?'( → '.*')?, attention: \w+ \(\d+, \d+, \d+, \d+\)\)", repr(found)
    )
    assert len(repr(found)) < 250
    frame = Markup(found._repr_html_())
    assert frame.tags == ["iframe"]
    values = dict(frame.attributes)
    assert values["sandbox"] == "allow-scripts allow-downloads", "it reaches nothing outside"
    page = values["srcdoc"] or ""
    assert page.startswith("<!doctype html>") and page.count("<script") == 2
    assert found.label in page and 'id="panels"' in page


def test_a_decoder_only_model_traces_what_it_writes_or_is_given() -> None:
    run = writer()
    (answer,) = run.predict(["the c"], max_length=9)
    traced = run.trace("the c", max_length=9)
    assert traced.target_text == answer.text and traced.expected is not None
    assert traced.source_text.endswith(f"the c{answer.text}")
    given = run.trace("the c", target="at sat")
    assert given.source_text.endswith("the cat sat") and given.target_text == "at sat"
    # Without a limit of the run or the call a trace ends by itself.
    assert len(run.trace("the c").source) <= 1 + len("the c") + 32


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_two_traces_in_one_notebook_draw_themselves(tmp_path: Path) -> None:
    assert BROWSER is not None
    run = predictor("classification")
    cells = [f"<div>{run.trace(text)._repr_html_()}</div>" for text in ("Ada met", "The animal")]
    # The pages are closed to the notebook; opened for the test, they say what they drew.
    opened = "".join(cells).replace('sandbox="allow-scripts allow-downloads"', "")
    script = (
        "onload = () => { document.title = [...document.querySelectorAll('iframe')].map((one) => "
        "one.contentDocument.querySelectorAll('rect[data-weight]').length + ' ' + "
        "one.contentDocument.querySelector('h1').textContent).join('; '); };"
    )
    page = tmp_path / "notebook.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8>{opened}<script>{script}</script>", "utf-8"
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user"]
    command = [BROWSER, *options, "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    title = escaping.unescape(re.findall(r"<title>(.*?)</title>", dom)[0])
    drawn = re.findall(r"(\d+) Attention · ([^注;]+)", title)
    assert [int(count) > 0 for count, _ in drawn] == [True, True]
    assert [text.strip() for _, text in drawn] == ["Ada met", "The animal"]
