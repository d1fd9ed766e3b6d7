"""Read folders whose name is the label of the texts in them: pos/1.txt, neg/1.txt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ....errors import DataError
from ..lines import LONGEST_DOCUMENT_BYTES, decode_text, read_bytes
from .foreign_file import ForeignFile, own_line

TEXTS = (".txt", ".txt.gz")  # read where a folder has any of them, else every file is a text
UNLABELLED = ("unsup", "unlabeled", "unlabelled")  # folders of texts without a label
MOST_BESIDE = 0.1  # files beside the folders, relative to those in them
PARTS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


def is_labelled(path: Path) -> bool:
    """Tell whether a folder, or the folder `train` in it, has folders of texts by label."""
    return len(_labels(parts_of(path).get("train", path))) > 1


def files_of(path: Path) -> list[Path]:
    """Return the files that `read` reads; none if the folder has no folders of texts."""
    if not path.is_dir():
        return []
    labels = _labels(parts_of(path).get("train", path))
    return [file for files in labels.values() for file in files] if len(labels) > 1 else []


def parts_of(path: Path) -> dict[str, Path]:
    """Return the folders `train`, `validation` and `test` inside a folder, as far as it has them.

    Empty if it has no `train`.
    """
    found = {
        part: path / name
        for part, names in PARTS.items()
        for name in reversed(names)
        if (path / name).is_dir()
    }
    return found if "train" in found else {}


def read(path: Path, encoding: str | None = None) -> ForeignFile | None:
    """Read the texts of each label's folder, of those in `train` where there is one.

    encoding: that of the texts; None: UTF-8. A text that is not in it, or empty, is left out.

    None if the folder has no folders of texts.
    """
    parts = parts_of(path)
    root = parts.get("train", path)
    labels = _labels(root)
    if len(labels) < 2:
        return None
    found = ForeignFile(f"texts in {len(labels)} folders named after labels", [])
    for label, files in labels.items():
        for file in files:
            try:
                raw = read_bytes(file, LONGEST_DOCUMENT_BYTES)
                text = decode_text(raw, str(file), encoding).replace("\r\n", "\n").strip()
            except DataError:
                reason = f"not {encoding or 'UTF-8'}"
                found.leave_out(reason, str(file.relative_to(path)))
                continue
            if not text.strip():
                found.leave_out("empty", str(file.relative_to(path)))
                continue
            place = file.relative_to(root).as_posix()
            found.lines.append(own_line({"text": text, "label": label, "file": place}))
    others = [name for name in parts if name != "train"]
    found.notes += [
        f"{parts[name].name}/ is not read here: it can be given as data.{name}." for name in others
    ]
    without = [one.name for one in _folders(root) if one.name.lower() in UNLABELLED]
    found.notes += [f"{name}/ is not read: its texts have no label." for name in without]
    return found


def _folders(path: Path) -> list[Path]:
    return sorted(one for one in path.iterdir() if one.is_dir() and not one.name.startswith("."))


def _labels(path: Path) -> dict[str, list[Path]]:
    """Return the texts of each label; none where many files stand beside the folders."""
    inside = {one.name: _texts(one) for one in _folders(path) if one.name.lower() not in UNLABELLED}
    labels = {name: files for name, files in inside.items() if files}
    beside = sum(one.name.lower().endswith(TEXTS) for one in path.iterdir() if one.is_file())
    few = beside <= MOST_BESIDE * sum(map(len, labels.values()))
    return labels if few else {}


def _texts(folder: Path) -> list[Path]:
    files = sorted(
        one for one in folder.rglob("*") if one.is_file() and not one.name.startswith(".")
    )
    return [one for one in files if one.name.lower().endswith(TEXTS)] or files
