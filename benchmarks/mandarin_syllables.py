"""Write manifests of the set mandarin-words with toned syllables in place of characters.

    python benchmarks/mandarin_syllables.py FOLDER

FOLDER/train.tsv, validation.tsv and test.tsv have the columns audio, text (toned syllables, "xue2
xi2") and hanzi. The parts are those of the set: its test words hold only characters of training
words. pypinyin reads whole words first, so that 长 is chang2 in 长城 and zhang3 in 校长; ü is
written v, the neutral tone 5. Syllables are as in dictionaries: tone changes that are spoken but
not written (ni3 hao3 is spoken ni2 hao3) are left to the model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from triptych.data.sets import catalog
from triptych.data.sets.entry import SPLITS
from triptych.data.table import DataTable


def syllables(word: str) -> str:
    """Return the toned syllables of a word, between spaces."""
    from pypinyin import Style, lazy_pinyin

    style = Style.TONE3
    return " ".join(lazy_pinyin(word, style=style, neutral_tone_with_five=True, v_to_u=False))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    entry = catalog.entry("mandarin-words")
    for split in SPLITS:
        assert entry.loader is not None
        examples = entry.loader(
            entry, split, DataTable(), lambda text: print(text, file=sys.stderr)
        )
        lines = [f"{one.audio}\t{syllables(one.target or '')}\t{one.target}" for one in examples]
        path = folder / f"{split}.tsv"
        path.write_text("\n".join(["audio\ttext\thanzi", *lines, ""]), encoding="utf-8")
        print(f"{path}: {len(lines):,} words")


if __name__ == "__main__":
    main()
