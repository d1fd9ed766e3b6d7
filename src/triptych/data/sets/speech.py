"""Load public sets of speech: clips of sound with what is said in them."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ...errors import DataError, UsageError, unknown
from ...messages import message
from ..example import Example, Notify
from ..segmentation.chinese import HANS, HANT, to_script
from ..split import split_of
from .entry import Entry, File, SplitName
from .files import cache_folder, fetch, file_lines, locate

if TYPE_CHECKING:
    from ..table import DataTable

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
AUTHORS_TEST = range(5)  # the recordings of each digit and speaker that its authors test on
VALIDATION = range(5, 10)
WORD_SHARES = {"test": 0.07, "validation": 0.035}  # before characters that training lacks
_GITHUB = "https://github.com/"


def clips_of(entry: Entry, file: str, report: Notify | None = None) -> dict[str, Path]:
    """Return the clips of a set's tar by name, unpacked into the user cache at the first use."""
    one = next(one for one in entry.files if one.name == file)
    name = one.name.removesuffix(".tar")
    folder = cache_folder() / entry.name / f"{name}-{one.sha256[:8]}"
    if not folder.is_dir():
        _unpack(entry, one, folder, report)
    return {path.name: path for path in sorted(folder.iterdir())}


def _unpack(entry: Entry, file: File, folder: Path, report: Notify | None) -> None:
    """Unpack the files of a checked tar into a folder, which exists only once it is whole."""
    path = locate(entry, file, report)
    fetch(entry, report)  # checks the digests
    if report is not None:
        report(
            message(
                "Unpacking {file} of {set} to {folder}", file=path, set=entry.name, folder=folder
            )
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=folder.parent) as aside,
            tarfile.open(path, "r:*") as tar,
        ):
            whole = Path(aside) / "whole"
            whole.mkdir()
            for member in tar:
                stream = tar.extractfile(member) if member.isfile() else None
                name = PurePosixPath(member.name).name
                if stream is not None and name:
                    (whole / name).write_bytes(stream.read())
            os.replace(whole, folder)
    except (tarfile.TarError, EOFError, OSError) as problem:
        if folder.is_dir():  # another process was faster
            return
        raise DataError(
            "{path} cannot be unpacked to {folder}: {problem}.",
            path=path,
            folder=folder,
            problem=problem,
        ) from None


def spoken_digits(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load digits; data.fold holds a speaker out, else the authors' recordings are the test."""
    if data.fold is not None and not 1 <= data.fold <= len(SPEAKERS):
        raise UsageError(
            "data.fold is {fold}; the set {set} has {count} speakers: {names}.",
            fold=data.fold,
            set=entry.name,
            count=len(SPEAKERS),
            names=", ".join(f"{number} {name}" for number, name in enumerate(SPEAKERS, 1)),
        )
    held = None if data.fold is None else SPEAKERS[data.fold - 1]
    found: list[Example] = []
    for name, path in clips_of(entry, "recordings.tar", report).items():
        digit, speaker, number = name.removesuffix(".wav").split("_")
        if held is not None:
            part = "validation" if int(number) in AUTHORS_TEST else "train"
            part = "test" if speaker == held else part
        else:
            part = "validation" if int(number) in VALIDATION else "train"
            part = "test" if int(number) in AUTHORS_TEST else part
        if part == split:
            found.append(Example(audio=str(path), target=DIGITS[int(digit)], place=name))
    return found


def yes_no(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load every second clip, from the first for training and from the second for the test."""
    found: list[Example] = []
    for number, (name, path) in enumerate(clips_of(entry, "waves_yesno.tar", report).items()):
        part = "test" if number % 2 else "validation" if number % 20 == 10 else "train"
        if part == split:
            words = ["yes" if one == "1" else "no" for one in path.stem.split("_")]
            found.append(Example(audio=str(path), target=" ".join(words), place=name))
    return found


def mandarin_words(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load words, split by `word_parts`; patterns like 一_就_ are left out.

    data.script: zh-Hant writes them in traditional characters, by OpenCC.
    """
    if data.script not in (None, HANS, HANT):
        raise unknown("script", data.script, (HANS, HANT))
    clips = clips_of(entry, "hsk.tar", report)
    rows = [line.split("\t") for line in file_lines(entry, "words.tsv", report)[1:]]
    plain = {text: file for file, text, _, flag in rows if not flag}
    parts = word_parts(list(plain))
    return [
        Example(
            audio=str(clips[file]),
            target=to_script(text, HANT) if data.script == HANT else text,
            place=file,
        )
        for text, file in plain.items()
        if parts[text] == split
    ]


def word_parts(words: Sequence[str]) -> dict[str, str]:
    """Return the part of each word by its hash; one with a character that no training word has
    is a training word.
    """
    parts = {word: split_of(word, WORD_SHARES) for word in words}
    known = {character for word in words if parts[word] == "train" for character in word}
    return {word: part if set(word) <= known else "train" for word, part in parts.items()}


def ljspeech(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load all clips as a test."""
    clips = clips_of(entry, "wavs.tar", report)
    rows = [line.split("|") for line in file_lines(entry, "metadata.csv", report) if line]
    return [
        Example(audio=str(clips[f"{name}.wav"]), target=text, place=name) for name, _, text in rows
    ]


_TAR_NOTE = "the set is a tar of the folder at its address; it cannot be fetched as one file"
_FIELDS = ("audio", "target")

ENTRIES: dict[str, Entry] = {
    "free-spoken-digits": Entry(
        "free-spoken-digits",
        "3,000 recordings of ten English digits by six speakers (8 kHz)",
        "CC BY-SA 4.0",
        ("en",),
        (
            File(
                "recordings.tar",
                "31b4955b565bab486bb8a80b6af497de56f55d3e8884259597637c345f558db2",
                _GITHUB + "Jakobovski/free-spoken-digit-dataset/tree/26eb9aaf76/recordings/",
            ),
        ),
        (
            _TAR_NOTE,
            "data.fold = 1 to 6: that speaker is the test, the first 5 recordings of each digit "
            "by the others validate; no fold: the authors' test, these 5 of all speakers",
        ),
        _FIELDS,
        spoken_digits,
        folds=len(SPEAKERS),
    ),
    "yesno": Entry(
        "yesno",
        "60 recordings of one speaker, eight Hebrew words each: yes or no (8 kHz)",
        "Apache-2.0 (repository)",
        ("he",),
        (
            File(
                "waves_yesno.tar",
                "66c2aead4ac948f0402965ad9b037c13e42e84dccc877467d9c15038b5f4ae85",
                _GITHUB + "keighrim/kaldi-yesno-tutorial/tree/f4e2910de0/waves_yesno/",
            ),
        ),
        (_TAR_NOTE, "every second recording is the test, 3 of the others validate"),
        _FIELDS,
        yes_no,
    ),
    "mandarin-words": Entry(
        "mandarin-words",
        "8,567 Mandarin words of 1 to 4 characters by one speaker, 3 hours (22 kHz MP3)",
        "CC BY-SA (Yue Tan, Shtooka)",
        ("zh",),
        (
            File(
                "hsk.tar",
                "193a31be97f71cb292e87388bd2bfeca306b7a30cda7d635bcd4b280a4f819ef",
                _GITHUB + "hugolpz/audio-cmn/tree/ff9ed3d0c6/24k-abr/hsk/",
            ),
            File(
                "words.tsv",
                "e94b55f4c6c1c2230c2c2709cdd29deef52826c51276c0f2cd9ee5063efd5562",
                _GITHUB + "hugolpz/audio-cmn/tree/ff9ed3d0c6/24k-abr/",
            ),
        ),
        (
            _TAR_NOTE,
            "script: zh-Hans, as they are, or zh-Hant, converted by OpenCC; words are split by "
            "their hash; test and validation hold only words whose characters all stand in "
            "training words",
        ),
        _FIELDS,
        mandarin_words,
    ),
    "ljspeech-mini": Entry(
        "ljspeech-mini",
        "96 English sentences by one speaker, 7.6 minutes, a test only (22 kHz; Ito & Johnson "
        "2017)",
        "public domain",
        ("en",),
        (
            File(
                "wavs.tar",
                "7799be4c1881e9b67fcb423713f0546869d12be191328a25dcc4db8df268e307",
                _GITHUB + "PrernaSocity/lj_speech_dataset_part_1/tree/328134a604/LJSpeech-1.1/",
            ),
            File(
                "metadata.csv",
                "6f8d20f63e6e40820795de07e2c53bec3e0c8cf5a0269ca29df5f18a5490f925",
                _GITHUB + "PrernaSocity/lj_speech_dataset_part_1/tree/328134a604/LJSpeech-1.1/",
            ),
        ),
        (_TAR_NOTE,),
        _FIELDS,
        ljspeech,
        splits=("test",),
    ),
}
