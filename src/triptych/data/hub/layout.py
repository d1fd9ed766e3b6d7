"""Find which files of a data set on the hub make its configs and splits.

The README's table `configs` says it; without one the names of the files do, as the hub's own
documentation describes ("Data files configuration"): data/train-00000-of-00002.parquet,
my_test.csv, dev/part.jsonl. In a copy that the hub converted (refs/convert/parquet) a file is
CONFIG/SPLIT/0000.parquet.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...errors import DataError, brief
from ..formats.json_lines import is_list, is_record

ENDINGS = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
NOT_DATA = {"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"}
KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
MOST_SIGNS = 8  # in a pattern, whose cost grows with them
NUMBERED = re.compile(r"(?:.*/)?([A-Za-z0-9_.]+)-\d{5}-of-\d{5}[^/]*")
CONVERTED = re.compile(r"([^/]+)/(?:partial-)?([^/]+)/\d{4,}\.parquet")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hold one version of a data set: split -> files."""

    name: str
    splits: Mapping[str, Sequence[str]]
    is_default: bool = False


def ending_of(name: str) -> str:
    """Return the ending of a file that is read, also if it is gzipped; else nothing."""
    plain = name.lower().removesuffix(".gz")
    return next((one for one in ENDINGS if plain.endswith(one)), "")


def is_data(name: str) -> bool:
    """Tell whether a file may hold records."""
    path = PurePosixPath(name)
    hidden = any(one.startswith((".", "__")) for one in path.parts)
    return bool(ending_of(name)) and not hidden and path.name not in NOT_DATA


def configs_of(names: Iterable[str], card: Path | None, where: str) -> list[Config]:
    """Return the configs of a data set; none if it has no file that is read.

    Args:
        names: All its files.
        card: Its README, if it has one.
        where: Its name in errors.

    Raises:
        DataError: The README names patterns that no file has, or that are no patterns.
    """
    data = sorted(filter(is_data, names))
    table = {} if card is None else _metadata(card)
    given = table.get("configs")
    if is_list(given) and any(is_record(one) and _patterns(one) for one in given):
        return [_given(one, data, where) for one in given if is_record(one) and _patterns(one)]
    if any(name.endswith(".py") for name in names if "/" not in name):
        data = [
            one for one in data if CONVERTED.fullmatch(one)
        ]  # a script says how others are read
    if data and all(map(CONVERTED.fullmatch, data)):
        return _converted(data)
    if not data:
        return []
    usual = Counter(map(ending_of, data)).most_common(1)[0][0]
    return [Config(name="default", splits=_by_name([x for x in data if ending_of(x) == usual]))]


def _metadata(card: Path) -> Mapping[str, object]:
    """Return the table at the beginning of a README; nothing if it is damaged."""
    from huggingface_hub.repocard import metadata_load

    try:
        found: object = metadata_load(card)
    except Exception:  # of the parser of YAML, which has many
        return {}
    return found if is_record(found) else {}


def _patterns(config: Mapping[str, object]) -> dict[str, list[str]]:
    """Return split -> patterns of a config."""
    given, found = config.get("data_files"), dict[str, list[str]]()
    if given is None and isinstance(config.get("data_dir"), str):
        given = "**"
    if isinstance(given, str):
        given = [given]
    if is_list(given) and all(isinstance(one, str) for one in given):
        found["train"] = [str(one) for one in given]
    elif is_list(given):
        for one in given:
            if is_record(one) and isinstance(one.get("split"), str):
                paths = one.get("path")
                found[str(one["split"])] = [str(x) for x in (paths if is_list(paths) else [paths])]
    elif is_record(given):
        for split, paths in given.items():
            found[split] = [str(x) for x in (paths if is_list(paths) else [paths])]
    return found


def _given(config: Mapping[str, object], data: Sequence[str], where: str) -> Config:
    """Return a config as a README describes it."""
    name, folder = str(config.get("config_name", "default")), config.get("data_dir")
    root = f"{folder.strip('/')}/" if isinstance(folder, str) and folder.strip("./") else ""
    splits: dict[str, list[str]] = {}
    for split, patterns in _patterns(config).items():
        wanted = [_expression(root + one.removeprefix("./")) for one in patterns]
        splits[split] = [one for one in data if any(pattern.fullmatch(one) for pattern in wanted)]
        if not splits[split]:
            raise DataError(
                "The README of {where} names {patterns} for its config {name}, and no file that is "
                "read has such a name. Name a file: hf:{where}:FILE.",
                where=where,
                patterns=", ".join(patterns),
                name=name,
            )
    if "data_files" not in config:
        splits = _by_name(splits["train"])
    is_default = config.get("default") is True or name == "default"
    return Config(name=name, splits=splits, is_default=is_default)


def _expression(pattern: str) -> re.Pattern[str]:
    """Return a pattern of file names, with *, ? and **, as a regular expression."""
    if sum(map(pattern.count, "*?")) > MOST_SIGNS:
        raise DataError(
            "The pattern {pattern} of a README has more than {most} wildcards. Name a file: "
            "hf:org/name:FILE.",
            pattern=brief(pattern),
            most=MOST_SIGNS,
        )
    parts = re.split(r"(\*\*/?|\*|\?)", re.sub(r"\*{3,}", "**", pattern))
    signs = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(signs.get(one, re.escape(one)) for one in parts))


def _converted(data: Sequence[str]) -> list[Config]:
    """Return the configs of a copy that the hub converted."""
    configs: dict[str, dict[str, list[str]]] = {}
    for name in data:
        if found := CONVERTED.fullmatch(name):
            configs.setdefault(found[1], {}).setdefault(found[2], []).append(name)
    return [
        Config(name=name, splits=splits, is_default=name == "default")
        for name, splits in configs.items()
    ]


def _by_name(data: Sequence[str]) -> dict[str, list[str]]:
    """Return split -> files by the names of the files, else of their folders; else all train."""
    numbered = {name: found[1] for name in data if (found := NUMBERED.fullmatch(name))}
    if numbered:
        return _grouped(numbered)
    for part in (lambda path: path.name, lambda path: path.parent.as_posix()):
        found = {name: split for name in data if (split := _keyword(part(PurePosixPath(name))))}
        if found:
            return _grouped(found)
    return {"train": [*data]}


def _keyword(text: str) -> str:
    """Return the split that a name has as one of its words."""
    words = re.split(r"[^a-z]+", text.lower())
    return next((one for one, keys in KEYWORDS.items() if any(key in words for key in keys)), "")


def _grouped(names: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, split in names.items():
        found.setdefault(split, []).append(name)
    order = [*KEYWORDS, *found]
    return dict(sorted(found.items(), key=lambda one: order.index(one[0])))
