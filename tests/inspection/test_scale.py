"""Panels side by side have one scale, and a colour bar shows its numbers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from triptych.inspection import html
from triptych.inspection.cells import TokenCell
from triptych.inspection.trace import Trace

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


def trace(weights: list[list[float]], label: str, heads: int = 1) -> Trace:
    """Build a trace whose heads beyond the first are half as strong as the one before."""
    cells = [TokenCell(one, one, at, at + 1, (at,), (one,)) for at, one in enumerate("ab")]
    first = np.array(weights, dtype=np.float32)
    attention = np.stack([first / 2**head for head in range(heads)])[None]
    return Trace("ab", "ab", cells, cells, {"cross": attention}, [-0.1, -0.2], label)


def drawn(path: Path, traces: list[Trace], script: str = "") -> str:
    """Return the page as the browser leaves it, after a script of the test's own."""
    assert BROWSER is not None
    text = html.page(traces)
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    page = path / "page.html"
    page.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={path}/user"]
    command = [BROWSER, *options, "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def most(dom: str) -> list[float]:
    return [float(one) for one in re.findall(r'class="colour-bar" data-most="([\d.]+)"', dom)]


def opacity(dom: str) -> list[tuple[float, float]]:
    """Return (weight, opacity) of each cell."""
    found = re.findall(
        r'fill-opacity="([\d.]+)" data-t="\d" data-s="\d" data-weight="([\d.]+)"', dom
    )
    return [(float(weight), float(seen)) for seen, weight in found]


def test_two_panels_have_the_scale_of_the_stronger(tmp_path: Path) -> None:
    weak, strong = (
        trace([[0.1, 0.2], [0.2, 0.1]], "weak"),
        trace([[0.8, 0.2], [0.2, 0.8]], "strong"),
    )
    dom = drawn(tmp_path, [weak, strong])
    assert most(dom) == pytest.approx([0.8, 0.8], abs=1e-4)
    alike = {seen for weight, seen in opacity(dom) if weight == pytest.approx(0.2, abs=1e-4)}
    assert len(opacity(dom)) == 8 and len(alike) == 1, "the same weight has the same colour"
    assert dom.count(">one scale for all panels</text>") == 2
    assert dom.count(">0.80</text>") == 2 and dom.count(">0.40</text>") == 2
    alone = drawn(tmp_path, [weak])
    assert most(alone) == pytest.approx([0.2], abs=1e-4) and "one scale for all" not in re.sub(
        r"<script.*?</script>", "", alone, flags=re.DOTALL
    )


def test_a_choice_in_one_panel_moves_the_scale_of_both(tmp_path: Path) -> None:
    choose = """
      const pick = (at, key, value) => {
        const select = document.querySelectorAll(`select[data-key="${key}"]`)[at];
        select.value = value;
        select.dispatchEvent(new Event("change"));
      };"""
    traces = [
        trace([[0.4, 0.2], [0.2, 0.4]], "first", 2),
        trace([[0.8, 0.2], [0.2, 0.8]], "second", 2),
    ]
    mean = drawn(tmp_path, traces, choose)
    assert most(mean) == pytest.approx([0.6, 0.6], abs=1e-4), "means over two heads"
    one = drawn(tmp_path, traces, f'{choose} pick(1, "head", "1");')
    assert most(one) == pytest.approx([0.4, 0.4], abs=1e-4), "0.3 in the first, 0.4 in the second"
    every = drawn(tmp_path, traces, f'{choose} pick(0, "scale", "all");')
    assert most(every) == pytest.approx([0.8, 0.8], abs=1e-4)


def test_all_heads_are_side_by_side_on_one_scale(tmp_path: Path) -> None:
    opened = """
      const details = document.querySelector("details.heads");
      details.open = true;
      details.addEventListener("toggle", () => {
        const pixels = (one) => [...one.getContext("2d").getImageData(0, 0, 2, 2).data];
        const alpha = [...document.querySelectorAll(".heads canvas")].map((one) =>
          pixels(one).filter((_, at) => at % 4 === 3));
        document.querySelectorAll(".heads button")[1].click();
        const head = document.querySelector('[data-key="head"]').value;
        document.title = `${JSON.stringify(alpha)} ${head}`;
      });"""
    dom = drawn(tmp_path, [trace([[0.8, 0.2], [0.2, 0.8]], "heads", 2)], opened)
    title = re.findall(r"<title>(.*?)</title>", dom)[0]
    # 255 * (0.03 + 0.97 w / 0.8) for w = 0.8, 0.2 and, in the second head, half of them
    assert title == "[[255,69,69,255],[131,39,39,131]] 1", "a click chooses the second head"
