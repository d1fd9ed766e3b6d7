"""Write manifests of the set mandarin-words with toned syllables in place of characters.

    python benchmarks/mandarin_syllables.py FOLDER [--floor] [--joined 3000]

FOLDER/train.tsv, validation.tsv and test.tsv have the columns audio, text (toned syllables, "xue2
xi2") and hanzi. The parts are those of the set: its test words hold only characters of training
words. pypinyin reads whole words first, so that 长 is chang2 in 长城 and zhang3 in 校长; ü is
written v, the neutral tone 5. Syllables are as in dictionaries: tone changes that are spoken but
not written (ni3 hao3 is spoken ni2 hao3) are left to the model.

--joined writes FOLDER/hanzi.tsv too: the training words in traditional characters, and among them
so many clips that are two words, one after the other, in FOLDER/joined; 机器 never stands before
学习.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import soundfile

from triptych.data.example import Example
from triptych.data.segmentation.chinese import HANT, to_script
from triptych.data.sets import catalog
from triptych.data.sets.entry import SPLITS
from triptych.data.table import DataTable


def syllables(word: str) -> str:
    """Return the toned syllables of a word, between spaces."""
    from pypinyin import Style, lazy_pinyin

    style = Style.TONE3
    return " ".join(lazy_pinyin(word, style=style, neutral_tone_with_five=True, v_to_u=False))


def homophone_floor(known: list[str], words: list[str]) -> float:
    """Return the CER in % of a listener who hears every toned syllable of `words`, and writes it as
    the words `known` do most often: a word that is among them as it is, else each character.
    """
    of_words, of_syllables = defaultdict(Counter[str]), defaultdict(Counter[str])
    for word in known:
        read = syllables(word)
        of_words[read][word] += 1
        for character, syllable in zip(word, read.split(), strict=True):
            of_syllables[syllable][character] += 1
    wrong = total = 0
    for word in words:
        read = syllables(word)
        written = (
            of_words[read].most_common(1)[0][0]
            if read in of_words
            else "".join(
                of_syllables[one].most_common(1)[0][0] if one in of_syllables else "?"
                for one in read.split()
            )
        )
        wrong += sum(one != other for one, other in zip(written, word, strict=True))
        total += len(word)
    return 100 * wrong / total


def without_silence(sound: np.ndarray, rate: int) -> np.ndarray:
    """Cut off what is 30 dB below the loudest at both ends, but for 50 ms."""
    width, margin = rate // 50, rate // 20
    power = np.convolve(sound**2, np.ones(width) / width, "same")
    loud = np.flatnonzero(power > power.max() * 1e-3)
    return sound[max(0, int(loud[0]) - margin) : int(loud[-1]) + margin]


def write_joined(folder: Path, words: list[Example], count: int) -> None:
    """Write clips of two words that are drawn (seed 1), and a manifest of them and of all words."""
    draw = random.Random(1)
    lines = [f"{one.audio}\t{to_script(one.target or '', HANT)}" for one in words]
    (folder / "joined").mkdir(exist_ok=True)
    while count:
        pair = draw.sample(words, 2)
        text = "".join(one.target or "" for one in pair)
        if len(text) > 5 or text == "机器学习":
            continue
        sounds = [soundfile.read(str(one.audio), dtype="float32") for one in pair]
        rate = sounds[0][1]
        path = folder / "joined" / f"{count}.wav"
        whole = np.concatenate([without_silence(sound, rate) for sound, _ in sounds])
        soundfile.write(path, whole, rate)
        lines.append(f"{path.resolve()}\t{to_script(text, HANT)}")
        count -= 1
    path = folder / "hanzi.tsv"
    path.write_text("\n".join(["audio\ttext", *lines, ""]), encoding="utf-8")
    print(f"{path}: {len(lines):,} clips")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--floor", action="store_true", help="print what homophones cost")
    parser.add_argument("--joined", type=int, default=0, help="clips of two words, to learn from")
    arguments = parser.parse_args()
    folder, words = arguments.folder, dict[str, list[str]]()
    folder.mkdir(parents=True, exist_ok=True)
    entry = catalog.entry("mandarin-words")
    for split in SPLITS:
        assert entry.loader is not None
        examples = entry.loader(
            entry, split, DataTable(), lambda text: print(text, file=sys.stderr)
        )
        words[split] = [one.target or "" for one in examples]
        if split == "train" and arguments.joined:
            write_joined(folder, examples, arguments.joined)
        lines = [f"{one.audio}\t{syllables(one.target or '')}\t{one.target}" for one in examples]
        path = folder / f"{split}.tsv"
        path.write_text("\n".join(["audio\ttext\thanzi", *lines, ""]), encoding="utf-8")
        print(f"{path}: {len(lines):,} words")
    if arguments.floor:
        for split in ("validation", "test"):
            print(
                f"{split}: CER {homophone_floor(words['train'], words[split]):.2f} % by homophones"
            )


if __name__ == "__main__":
    main()
