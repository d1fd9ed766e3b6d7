"""Look at every view of the page in a real browser, in each language, theme and width.

By default four pairings hold each of them; --all goes through all twelve.

axe-core looks for faults that shut people out; the weight of the page, its first paint on loopback
and every address that is asked are measured, and a picture is taken of each view.

    npm pack axe-core && tar xzf axe-core-*.tgz package/axe.min.js      # in a scratch folder
    python benchmarks/page.py --axe package/axe.min.js --out pictures RUN [RUN ...]
        [--all] [--only NAME ...] [--text WORDS] [--json FILE] [--address http://127.0.0.1:8000]

Each RUN is served and looked into with the text of its kind. Exit 1: a serious fault, a page that
is too heavy or too slow, an error in the console, or an address elsewhere.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright

QUIET = [
    f"--{one}"
    for one in (
        "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
    )
]  # fmt: skip
LANGUAGES, THEMES, WIDTHS = ("en", "zh-Hant", "zh-Hans"), ("light", "dark"), (1280, 390)
PAIRED = (  # each width, theme and language, and the pairs that matter
    (1280, "light", "en"),
    (1280, "dark", "zh-Hant"),
    (390, "dark", "en"),
    (390, "light", "zh-Hans"),
)
SERIOUS = ("serious", "critical")
MOST_BYTES, MOST_PAINT = 300_000, 1000.0  # of the whole page; milliseconds
PAINTS = 5
TEXTS = {
    "decoder": "Once upon a time there was a little cat.",
    "encoder": "Two dogs run through the snow.",
    "encoder-decoder": "I am a student.",
}
OTHERS = {  # as many tokens, mostly
    "Once upon a time there was a little cat.": "Once upon a time there was a little dog.",
    "Two dogs run through the snow.": "Two cats run through the snow.",
    "I am a student.": "I am a teacher.",
}
TIMEOUT = 120_000  # milliseconds


def serving(runs: list[str]) -> tuple[subprocess.Popen[bytes], str]:
    """Serve the runs on a free port of loopback, and return the process and its address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "triptych", "serve", *runs, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    for _ in range(1500):
        try:
            urllib.request.urlopen(f"{address}/ready", timeout=5).close()
            return process, address
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.2)
    process.terminate()
    raise SystemExit("The server did not start; serve the runs by hand to see why.")


def views(
    address: str, text: str | None, only: list[str] | None = None
) -> dict[str, tuple[str, str]]:
    """Return name -> (address, what to wait for) of every view."""
    with urllib.request.urlopen(f"{address}/v1/runs", timeout=60) as answer:
        runs = json.load(answer)["runs"]
    found = {"learn": ("#learn", ".matrix .number")}
    for run in (one for one in runs if not only or one["name"] in only):
        if run["view"] == "hearing":
            found[f"look-{run['name']}"] = (f"#look?run={run['name']}", "[data-key=record]")
            continue
        words = quote(text or TEXTS[run["architecture"]])
        given = f"?run={run['name']}&text={words}"
        found[f"look-{run['name']}"] = (f"#look{given}", "#found section .panels, #found .bars")
        found[f"closer-{run['name']}"] = (f"#closer{given}", "[data-view=deletion]")
    return {**found, "curves": ("#curves", ".cards section, .cards p")}


def looked(page: Any, axe: str, name: str) -> list[dict[str, Any]]:
    """Return the serious faults that axe-core finds in what is shown."""
    page.evaluate(axe)
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        {
            "view": name,
            "rule": one["id"],
            "impact": one["impact"],
            "places": [" ".join(node["target"]) for node in one["nodes"]][:4],
            "why": one["nodes"][0]["failureSummary"],
        }
        for one in found
        if one["impact"] in SERIOUS
    ]


def walk(browser: Any, address: str, given: argparse.Namespace) -> dict[str, Any]:
    """Go through every view, and return the faults that were found."""
    axe = Path(given.axe).read_text("utf-8")
    faults: list[dict[str, Any]] = []
    wrong: list[str] = []
    count, every = 0, views(address, given.text, given.only)
    several = list(product(WIDTHS, THEMES, LANGUAGES)) if given.all else PAIRED
    for width, theme, language in several:
        context = browser.new_context(
            viewport={"width": width, "height": 900 if width > 600 else 844},
            color_scheme=theme, locale=language, reduced_motion="reduce",
        )  # fmt: skip
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda one: one.type == "error" and wrong.append(one.text))
        page.on("request", lambda one: _is_own(one.url, address) or wrong.append(one.url))
        page.goto(f"{address}/")
        page.select_option("#language", language)
        for name, (place, wanted) in every.items():
            label = f"{name}-{width}-{theme}-{language}"
            page.goto("about:blank")
            page.goto(f"{address}/{place}")
            try:
                page.wait_for_selector(wanted)
                page.wait_for_load_state("networkidle")
            except PlaywrightError as error:
                wrong.append(f"{label}: {str(error).splitlines()[0]} {page.inner_text('#said')}")
            found = page.evaluate("document.documentElement.scrollWidth")
            if found > width:
                wrong.append(f"{label}: {found} pixels wide")
            faults += looked(page, axe, label)
            page.screenshot(path=Path(given.out) / f"{label}.png", full_page=True)
            count += 1
            print(label, len(faults), len(wrong), file=sys.stderr, flush=True)
        context.close()
    return {"views": count, "faults": faults, "wrong": wrong}


def _is_own(url: str, address: str) -> bool:
    return url.startswith((address, "blob:", "about:", "data:"))


def weighed(browser: Any, address: str) -> dict[str, Any]:
    """Return the bytes of the page, its requests, and the milliseconds to its first paint."""
    paints, sizes = list[float](), dict[str, int]()
    for _ in range(PAINTS):
        context = browser.new_context(locale="en-US")
        page = context.new_page()
        page.on("response", lambda one: sizes.update({one.url: len(one.body())}))
        page.goto(f"{address}/")
        page.wait_for_selector(".matrix .number")
        page.wait_for_load_state("networkidle")
        paints.append(page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime"))  # fmt: skip
        context.close()
    return {
        "bytes": sum(sizes.values()),
        "requests": len(sizes),
        "first_paint_ms": [round(one) for one in paints],
        "median_paint_ms": round(statistics.median(paints)),
    }


def timed(address: str, text: str | None) -> dict[str, float]:
    """Return the seconds that lens, ablation of all parts and patching take together, by run."""
    with urllib.request.urlopen(f"{address}/v1/runs", timeout=60) as answer:
        runs = json.load(answer)["runs"]
    found: dict[str, float] = {}
    for run in (one for one in runs if one["view"] != "hearing"):
        words = text or TEXTS[run["architecture"]]
        body = {
            "model": run["name"],
            "input": words,
            "other": OTHERS.get(words, words),
            "views": ["lens", "ablation", "patching"],
        }
        request = urllib.request.Request(
            f"{address}/v1/interventions", json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        began = time.perf_counter()
        urllib.request.urlopen(request, timeout=600).close()
        found[run["name"]] = round(time.perf_counter() - began, 2)
    return found


def main() -> None:
    """Measure, print, and exit 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--axe", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--only", nargs="+", help="names of runs to look into")
    parser.add_argument("--text")
    parser.add_argument("--all", action="store_true", help="every width, theme and language")
    parser.add_argument("--address", help="of a server that runs already")
    parser.add_argument("--json")
    given = parser.parse_args()
    Path(given.out).mkdir(parents=True, exist_ok=True)
    process, address = (None, given.address) if given.address else serving(given.runs)
    try:
        with sync_playwright() as started:
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            browser = started.chromium.launch(executable_path=chromium, args=QUIET)
            seconds = timed(address, given.text)
            found = weighed(browser, address) | walk(browser, address, given)
            found["intervention_seconds"] = seconds
            browser.close()
    finally:
        if process is not None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1, ensure_ascii=False), "utf-8")
    for one in found["faults"]:
        print(f"{one['view']}: {one['rule']} ({one['impact']}): {'; '.join(one['places'])}")
    for one in dict.fromkeys(found["wrong"]):
        print(one)
    print(f"{found['views']} views, {len(found['faults'])} serious faults, "
          f"{len(found['wrong'])} other faults; {found['bytes']:,} bytes in {found['requests']} "
          f"requests, first paint {found['median_paint_ms']} ms (median of {PAINTS})")  # fmt: skip
    print(f"lens, ablation and patching, seconds: {found['intervention_seconds']}")
    is_light = found["bytes"] <= MOST_BYTES and found["median_paint_ms"] < MOST_PAINT
    sys.exit(bool(found["faults"] or found["wrong"] or not is_light))


if __name__ == "__main__":
    main()
