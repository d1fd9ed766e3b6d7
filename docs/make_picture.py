"""Draw the pictures of the attention page that README.md and README.zh-TW.md show.

    make demo                          # leaves runs/phrasebook
    python docs/make_picture.py        # writes docs/attention.png and docs/attention.zh-TW.png

The page is the one that `triptych inspect RUN TEXT --html FILE` writes. Chromium or Chrome takes
the picture, so one of them must be on PATH, with a font for Chinese.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TEXT = "The teacher reads a book at school every day."
PICTURES = {"en": "attention.png", "zh-Hant": "attention.zh-TW.png"}
SIZE = "860,845"  # of the window, in CSS pixels: the page without a margin below
BROWSERS = ("chromium", "google-chrome", "chrome")


def draw(run: str, language: str, picture: Path, browser: str) -> None:
    """Write one page of attention in `language` and take its picture.

    Args:
        run: A run folder of the recipe `phrasebook`.
        language: The language of the page, `en` or `zh-Hant`.
        picture: The PNG file to write.
        browser: The path of Chromium or Chrome.
    """
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "attention.html"
        # Greedy search, so that the page has no beam tree above the attention.
        inspect = ["inspect", run, TEXT, "--to", "zh-Hant", "--decoding.beams", "1"]
        written = ["--html", str(page), "--language", language]
        subprocess.run([sys.executable, "-m", "triptych", *inspect, *written], check=True)
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        sized = ["--force-device-scale-factor=1.5", f"--window-size={SIZE}"]
        command = [browser, *flags, *sized, f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures of the attention page.")
    parser.add_argument("run", nargs="?", default="runs/phrasebook", help="a run of phrasebook")
    run = parser.parse_args().run
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"No browser found on PATH. Install one of: {', '.join(BROWSERS)}.")
    for language, name in PICTURES.items():
        draw(run, language, HERE / name, browser)


if __name__ == "__main__":
    main()
