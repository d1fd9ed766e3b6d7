"""Load public sets of sentence pairs in two languages."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import UsageError, unknown
from ..example import Example, Notify
from ..segmentation.chinese import in_script
from ..split import by_source
from .entry import Entry, File
from .files import file_lines

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
    "of test is in another split"
)

ENTRIES: dict[str, Entry] = {
    "phrasebook": Entry(
        "phrasebook",
        "English to Chinese from a small grammar, generated locally; its test combines words that "
        "training never combines",
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
        "29,155 pairs of English and Chinese sentences, simplified except for a few traditional "
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
            "(detected for each sentence)",
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


def load(
    entry: Entry,
    split: str,
    *,
    source: str | None = None,
    target: str | Sequence[str] | None = None,
    script: str | None = None,
    report: Notify | None = None,
) -> list[Example]:
    """Load one split of a set; see `catalog.load`."""
    targets = [target] if isinstance(target, str) else list(dict.fromkeys(target or []))
    for language in [source] * bool(source) + targets:
        if language not in entry.languages:
            raise unknown("language", str(language), entry.languages, f"in the set {entry.name}")
    if source in targets:
        raise UsageError(
            f"Source and target are both '{source}'; choose two languages of "
            f"{', '.join(entry.languages)}."
        )
    if entry.name == "phrasebook":
        return _phrasebook(split, source, targets, script)
    if script is not None and entry.name != "tatoeba-en-zh":
        raise UsageError(
            f"The set {entry.name} has no Chinese whose script could be chosen: leave out "
            f"data.script = '{script}'."
        )
    if entry.name == "multi30k":
        return _multi30k(entry, split, source or "en", targets, report)
    return _tatoeba(entry, split, source, targets, script, report)


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
    entry: Entry,
    split: str,
    source: str,
    targets: Sequence[str],
    report: Notify | None,
) -> list[Example]:
    targets = targets or (["de"] if source == "en" else ["en"])
    if source in targets:
        raise UsageError(
            f"Source and target are both '{source}'; choose two languages of "
            f"{', '.join(entry.languages)}."
        )
    stem = {"train": "train", "validation": "val", "test": "test_2016_flickr"}[split]
    files = {file.name: file for file in entry.files}
    sides = {
        language: file_lines(entry, files[f"{stem}.{language}"].name, report)
        for language in (source, *targets)
    }
    return [
        Example(one.strip(), other.strip(), source, language, f"{stem}.{language}:{number}")
        for language in targets
        for number, (one, other) in enumerate(zip(sides[source], sides[language], strict=True), 1)
        if one.strip() and other.strip()
    ]


def _tatoeba(
    entry: Entry,
    split: str,
    source: str | None,
    targets: Sequence[str],
    script: str | None,
    report: Notify | None,
) -> list[Example]:
    file, other = entry.files[0], entry.languages[1]
    rows = [line.split("\t") for line in file_lines(entry, file.name, report)]
    pairs = [
        Example(row[0].strip(), row[1].strip(), "en", other, f"{file.name}:{number}")
        for number, row in enumerate(rows, 1)
    ]
    if other == "zh":
        pairs = in_script(pairs, script)
    part = by_source(pairs)[split]  # by the English sentence, in either direction
    if source == other or (source is None and targets == ["en"]):
        return [
            Example(one.target, one.source, one.target_language, "en", one.place) for one in part
        ]
    return list(part)
