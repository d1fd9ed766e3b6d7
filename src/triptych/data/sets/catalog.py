"""Public sets by name: looked for in $TRIPTYCH_DATA, then in the user cache, then fetched and
checked against a SHA-256.

Each entry is data: files, the address they come from, the digest of their decompressed content, how
    they split.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...errors import DataError, UsageError, unknown
from ..example import Example
from ..formats.pairs import decode_lines, readable
from ..segmentation.chinese import in_script
from ..split import by_source
from .download import aside, pieces, received, rename, unpacked, write_pieces
from .sizes import BYTES

if TYPE_CHECKING:
    from ..load import DataTable

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
MOST_BYTES = 256 << 20  # of a file whose size is not in catalog_sizes
ARCHIVE_BYTES = 1 << 20  # what an archive may have beside the files that are known of it


@dataclass(frozen=True, slots=True)
class File:
    """name: in the set's folder, perhaps with .gz there; sha256: of the decompressed content;
    member: of a zip at the address.
    """

    name: str
    sha256: str
    address: str
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One public set."""

    name: str
    description: str
    licence: str
    languages: tuple[str, ...]
    files: tuple[File, ...] = ()
    notes: tuple[str, ...] = field(default=())
    fields: tuple[str, ...] = ("source", "target")  # what its Examples hold
    # "module:function(entry, split, data table, report) -> Examples" of a set that holds no pairs
    loader: str | None = None
    splits: tuple[Split, ...] = SPLITS  # the parts that it has; others are said not to be there
    # in $TRIPTYCH_DATA and the cache, where it is not called by the set's name
    folder: str | None = None


_MULTI30K = "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw/"
_MULTI30K_FILES = {
    "train.en": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    "train.de": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
    "train.fr": "5925a3c18f1587b6b54b87743106e6e8ab93618edb6f65d19eac0621f853a10d",
    "train.cs": "2be68b38c8d586ff4f54eb13cc6e1baaaa053695b3f070d3038303a47f2268da",
    "val.en": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    "val.de": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    "val.fr": "5304e444d842e962b2dda4d816b70b22a1765b15401642b7ca37a67477e708dc",
    "val.cs": "d53827e469b0a1ca8d57e9e26b2b64c4bc4b33f5479c7b03ae87ae5c882c3e33",
    "test_2016_flickr.en": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
    "test_2016_flickr.de": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
    "test_2016_flickr.fr": "cb3160d69b002bb638e66cc7612fcd56cb0af82eadc9c142dedc438afb885ef6",
    "test_2016_flickr.cs": "45adb85f688de8407fddcbe1b36dca15d12aab868149b337e2576f2d6d2ff8d8",
}  # fmt: skip
_TATOEBA_SPLIT = (
    "split by English sentence: 2.5 % test, 2.5 % validation, by the sentence's hash; no target "
    "of test stands elsewhere"
)

ENTRIES: dict[str, Entry] = {
    "phrasebook": Entry(
        "phrasebook",
        "English to Chinese from a small grammar, made on the spot; its test pairs words never "
        "seen together",
        "Apache-2.0, part of Triptych",
        ("en", "zh-Hant", "zh-Hans"),
    ),
    "multi30k": Entry(
        "multi30k",
        "29,000 image captions in four languages (task 1), 1,014 for validation, test_2016_flickr "
        "with 1,000",
        "text unstated; images for non-commercial research",
        ("en", "de", "fr", "cs"),
        tuple(
            File(name, digest, f"{_MULTI30K}{name}.gz") for name, digest in _MULTI30K_FILES.items()
        ),
    ),
    "tatoeba-en-zh": Entry(
        "tatoeba-en-zh",
        "29,155 pairs of English and Chinese sentences, simplified but for a few traditional "
        "characters",
        "CC-BY 2.0 France, tatoeba.org",
        ("en", "zh"),
        (
            File(
                "cmn.txt",
                "9da1af87e3e61650aa38595e60baef3a4e3a18ed239a7ef4a764c0a87c7ddeff",
                "https://raw.githubusercontent.com/DaoChaShao/py-st-dl-translater-2.0/620408eda1721f683e2413778ad19e4f94691053/data/cmn.txt",
            ),
        ),
        (
            _TATOEBA_SPLIT,
            "script: zh-Hans or zh-Hant (all converted by OpenCC, the default zh-Hans), or tagged "
            "(told apart)",
        ),
    ),
    "tatoeba-en-de": Entry(
        "tatoeba-en-de",
        "169,813 pairs of English and German sentences",
        "CC-BY 2.0, tatoeba.org",
        ("en", "de"),
        (
            File(
                "deu.txt",
                "a79c90b3cd3102decffa49cc00fb6f20023974f2ae5c4782515bebe133fcc07b",
                "https://raw.githubusercontent.com/rioyshky/translation/de48b7027f7318d77010a6e08ed928c10748c23d/deu-eng.zip",
                "deu.txt",
            ),
        ),
        (_TATOEBA_SPLIT,),
    ),
}


# modules with ENTRIES of their own
OTHERS = (
    "classification",
    "tagging",
    "parsing",
    "reading",
    "text",
    "chat",
    "code",
    "text_to_text",
)


def entries() -> dict[str, Entry]:
    """Every set that is known by name."""
    found = dict(ENTRIES)
    for module in OTHERS:
        found |= import_module(f".{module}", __package__).ENTRIES
    return found


def entry(name: str) -> Entry:
    if name not in entries():
        raise unknown("data set", name, entries())
    return entries()[name]


def load_other(
    name: str,
    split: str,
    data: DataTable,
    needs: Sequence[str],
    report: Callable[[str], None] | None = None,
) -> list[Example]:
    """One part of a set that holds no pairs. Raises UsageError where it lacks a field that the task
    needs.
    """
    about = entry(name)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS, f"of {name}")
    parts_of_speech = "tags" in needs and "tags" not in about.fields and "upos" in about.fields
    # passages with questions, as what is to be written
    in_words = "references" in needs and "answers" in about.fields
    made = (
        {"passage", "target", "references"} if in_words else {"tags"} if parts_of_speech else set()
    )
    missing = [field for field in needs if field not in about.fields and field not in made]
    if missing or about.loader is None:
        raise UsageError(
            f"The set {name} has no {', '.join(missing) or 'such fields'}, which this task needs; "
            f"it has {', '.join(about.fields)}. triptych data list shows the sets and their "
            "fields."
        )
    module, function = about.loader.split(":")
    found = getattr(import_module(f".{module}", __package__), function)(about, split, data, report)
    for one in found if parts_of_speech else ():  # of a treebank they are what tagging learns
        one.tags = one.upos
    return (
        import_module("..formats.references", __package__).written(
            found, needs, together=split != "train"
        )
        if in_words
        else found
    )


def file_lines(about: Entry, file: str, report: Callable[[str], None] | None = None) -> list[str]:
    """The lines of one file of a set, checked against its digest."""
    return decode_lines(file_bytes(about, file, report), file)


def file_bytes(about: Entry, file: str, report: Callable[[str], None] | None = None) -> bytes:
    """One file of a set, decompressed, checked against its digest."""
    one = next(one for one in about.files if one.name == file)
    path = locate(about.name, one, report)
    found = b"".join(_read(about.name, one, path))
    _check(one, hashlib.sha256(found).hexdigest(), str(path))
    return found


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych"


def find(name: str, file: File) -> Path | None:
    """Where a file of the set lies, perhaps gzipped: $TRIPTYCH_DATA, then the cache. None where it
    is in neither.
    """
    given = os.environ.get("TRIPTYCH_DATA")
    about = entries().get(name)
    names = [name, *([about.folder] if about is not None and about.folder else [])]
    for folder in [
        root / one for root in ([Path(given)] if given else []) + [cache_folder()] for one in names
    ]:
        for path in (folder / file.name, folder / f"{file.name}.gz"):
            if path.exists():
                return path
    return None


def locate(name: str, file: File, report: Callable[[str], None] | None = None) -> Path:
    """The file's path; fetched into the cache where it is not at hand. Raises DataError where it
    cannot be had.
    """
    return find(name, file) or _fetch(name, file, report or (lambda message: None))


def fetch(name: str, report: Callable[[str], None] | None = None) -> list[Path]:
    """All files of a set, each checked against its digest."""
    paths = []
    for file in entry(name).files:
        path = locate(name, file, report)
        digest = hashlib.sha256()
        for piece in _read(name, file, path):
            digest.update(piece)
        _check(file, digest.hexdigest(), str(path))
        paths.append(path)
    return paths


def most_bytes(name: str, file: File) -> int:
    """How many bytes a file of a set may have, decompressed: as many as it has."""
    return BYTES.get(name, {}).get(file.name, MOST_BYTES)


def _sent_bytes(name: str, file: File) -> int:
    """How many bytes its address may send: an archive may hold other files of the set too, and has
    headers of its own.
    """
    if file.member is None and not file.address.endswith(".gz"):
        return most_bytes(name, file)
    beside = [one for one in entry(name).files if one.address == file.address]
    return sum(most_bytes(name, one) for one in beside) + ARCHIVE_BYTES


def _read(name: str, file: File, path: Path) -> Iterator[bytes]:
    """The pieces of a file that is at hand, decompressed. Raises DataError where it is longer than
    it should be.
    """
    most = most_bytes(name, file)
    too_long = (
        f"{path} is not the expected file: it has more than {most:,} bytes. Delete it and fetch "
        "again."
    )
    with (
        readable(path),
        gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as content,
    ):
        yield from pieces(content, most, too_long)


def _check(file: File, digest: str, where: str) -> None:
    if digest != file.sha256:
        raise DataError(
            f"{where} is not the expected file: its SHA-256 is {digest}, expected {file.sha256}. "
            "Delete it and fetch again."
        )


def _fetch(name: str, file: File, report: Callable[[str], None]) -> Path:
    if file.address.endswith("/"):
        raise DataError(
            f"{name}/{file.name} is not at hand and cannot be fetched as one file: it is a tar of "
            f"what lies in the folder {file.address}. Put it into $TRIPTYCH_DATA/{name}/ or "
            f"{cache_folder() / name}/, plain or as {file.name}.gz."
        )
    report(f"Fetching {file.name} of {name} from {file.address}")
    advice = (
        f"{name}/{file.name} is not at hand and could not be fetched from {file.address} "
        f"({{reason}}). Put it into $TRIPTYCH_DATA/{name}/ or {cache_folder() / name}/, or go "
        "online and try again."
    )
    path = cache_folder() / name / file.name
    with aside(path, "sent") as sent, aside(path, "part") as part:
        digest = write_pieces(sent, received(file.address, _sent_bytes(name, file), advice), path)
        if file.member is not None or file.address.endswith(".gz"):
            digest = write_pieces(
                part, unpacked(sent, file.member, most_bytes(name, file), file.address), path
            )
        _check(file, digest, file.address)
        rename(part if part.exists() else sent, path)
    return path


def load(
    name: str,
    split: str,
    *,
    source: str | None = None,
    target: str | Sequence[str] | None = None,
    script: str | None = None,
    report: Callable[[str], None] | None = None,
) -> list[Example]:
    """One part of a set. target: one language or several (the union, each Example with its own).

    script: of Chinese: "zh-Hans" or "zh-Hant" for all, or "tagged" for each sentence in its own.
    Raises UsageError for a language, script or split that the set does not have, DataError where
    its files cannot be had.
    """
    about = entry(name)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS, f"of {name}")
    if about.loader is not None:
        raise UsageError(
            f"The set {name} holds no pairs of source and target but {', '.join(about.fields)}. "
            "Choose a task that reads them."
        )
    targets = [target] if isinstance(target, str) else list(dict.fromkeys(target or []))
    for language in [source] * bool(source) + targets:
        if language not in about.languages:
            raise unknown("language", str(language), about.languages, f"in the set {name}")
    if source in targets:
        raise UsageError(
            f"Source and target are both '{source}'; choose two languages of "
            f"{', '.join(about.languages)}."
        )
    if name == "phrasebook":
        return _phrasebook(split, source, targets, script)
    if script is not None and name != "tatoeba-en-zh":
        raise UsageError(
            f"The set {name} has no Chinese whose script could be chosen: leave out data.script = "
            f"'{script}'."
        )
    if name == "multi30k":
        return _multi30k(about, split, source or "en", targets, report)
    return _tatoeba(about, split, source, targets, script, report)


def _phrasebook(
    split: str, source: str | None, targets: Sequence[str], script: str | None
) -> list[Example]:
    from ..phrasebook.pairs import examples

    if source not in (None, "en"):
        raise UsageError(
            f"The phrasebook goes from 'en' to 'zh-Hant' and 'zh-Hans'; data.source is '{source}'."
        )
    return examples(split, script or (targets[0] if len(targets) == 1 else None))


def _multi30k(
    about: Entry,
    split: str,
    source: str,
    targets: Sequence[str],
    report: Callable[[str], None] | None,
) -> list[Example]:
    targets = targets or (["de"] if source == "en" else ["en"])
    if source in targets:
        raise UsageError(
            f"Source and target are both '{source}'; choose two languages of "
            f"{', '.join(about.languages)}."
        )
    stem = {"train": "train", "validation": "val", "test": "test_2016_flickr"}[split]
    files = {file.name: file for file in about.files}
    sides = {
        language: file_lines(about, files[f"{stem}.{language}"].name, report)
        for language in (source, *targets)
    }
    return [
        Example(one.strip(), other.strip(), source, language, f"{stem}.{language}:{number}")
        for language in targets
        for number, (one, other) in enumerate(zip(sides[source], sides[language], strict=True), 1)
        if one.strip() and other.strip()
    ]


def _tatoeba(
    about: Entry,
    split: str,
    source: str | None,
    targets: Sequence[str],
    script: str | None,
    report: Callable[[str], None] | None,
) -> list[Example]:
    file, other = about.files[0], about.languages[1]
    rows = [line.split("\t") for line in file_lines(about, file.name, report)]
    pairs = [
        Example(row[0].strip(), row[1].strip(), "en", other, f"{file.name}:{number}")
        for number, row in enumerate(rows, 1)
    ]
    if other == "zh":
        pairs = in_script(pairs, script)
    part = by_source(pairs)[split]  # by the English sentence, in whichever direction
    if source == other or (source is None and targets == ["en"]):
        return [
            Example(one.target, one.source, one.target_language, "en", one.place) for one in part
        ]
    return part
