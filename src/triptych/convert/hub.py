"""Fetch a published model from the Hugging Face hub, or from a mirror in its form.

`hf:org/name` is fetched at its newest commit, `hf:org/name@REVISION` at a branch, tag or commit,
and `hf:org/name:FILE.gguf` is that one file. Only what an import reads is fetched: safetensors,
JSON, chat templates and tokenizer files, never a pickle and never code. The revision is resolved to
a commit, which the run keeps. What was fetched stays in the hub's own cache: a file that breaks off
goes on where it stopped, and after a failure only what is missing is fetched. `HF_ENDPOINT`,
`HF_TOKEN`, `HF_HUB_CACHE` and `HF_HUB_OFFLINE` mean what they mean for other programs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..data.hub.repository import (
    PREFIX,
    Report,
    Repository,
    cached_folder,
    fetched,
    is_offline,
    is_reference,
    library,
    listed,
    sizes_in_words,
)
from ..errors import RunError, UsageError, brief

__all__ = ["PREFIX", "Fetched", "Report", "fetch", "is_reference", "pinned"]

FORM = "hf:org/name, hf:org/name@REVISION or hf:org/name@REVISION:FILE.gguf"
REFERENCE = re.compile(
    r"hf:(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?::(?P<file>.+\.gguf))?", re.ASCII
)
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_model.safetensors"
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
# At the top of a repository, and in the folders of sentence-transformers and of chat templates.
ENDINGS = (".json", ".model", ".spm", ".jinja")
NAMES = ("vocab.txt", "merges.txt", "README.md", "LICENSE")
FOLDERS = ("1_Pooling", "2_Normalize", "additional_chat_templates")
LARGEST_TEXT = 1 << 28  # bytes of a file that holds no weights
PICKLES = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """Hold what was fetched.

    path: a folder, or the one file that was named. source: with the commit, to fetch it again.
    """

    path: Path
    name: str
    revision: str

    @property
    def source(self) -> str:
        file = f":{self.path.name}" if self.path.is_file() else ""
        return f"{PREFIX}{self.name}@{self.revision}{file}"


def _named(source: str) -> tuple[Repository, str, str | None]:
    """Return the model, the revision and the file that a name stands for."""
    found = REFERENCE.fullmatch(source)
    if found is None or ".." in source:
        raise UsageError(
            "{source} is not a model of the hub. Write {form}.", source=source, form=FORM
        )
    return Repository(found["name"], "model"), found["revision"] or "main", found["file"]


def pinned(source: str) -> str:
    """Return the name of a model with the commit that its revision is now.

    Raises UsageError and RunError as `fetch`.
    """
    model, revision, file = _named(source)
    library(model.kind)
    commit = listed(model, revision).commit
    return f"{PREFIX}{model.name}@{commit}" + (f":{file}" if file else "")


def fetch(source: str, report: Report, offline: bool = False) -> Fetched:
    """Fetch a model that is named as `FORM` says.

    Args:
        source: The name.
        report: Receives the size before anything is fetched.
        offline: Read what an earlier fetch left in the cache, and ask nobody.

    Raises:
        UsageError: The name has another form, or huggingface_hub is not installed.
        RunError: There is no such model, it holds nothing that can be read, or it cannot be
            fetched.
    """
    model, revision, file = _named(source)
    library(model.kind)
    if offline or is_offline():
        return _cached(model, revision, file)
    listing = listed(model, revision)
    chosen = _chosen(listing.sizes, model.name, file)
    report(sizes_in_words(model, listing, chosen))
    paths = fetched(model, listing, chosen)
    return Fetched(path=_root(paths, file), name=model.name, revision=listing.commit)


def _cached(model: Repository, revision: str, file: str | None) -> Fetched:
    """Return what an earlier fetch left in the cache."""
    folder = cached_folder(model, revision)
    path = folder / file if file else folder
    if not path.exists():
        raise model.error(
            "{file} of {name} is not in the cache of the hub, and nothing is fetched while "
            "offline. Fetch it once with a connection, without --offline and HF_HUB_OFFLINE.",
            file=file,
        )
    return Fetched(path=path, name=model.name, revision=folder.name)


def _root(paths: Mapping[str, Path], file: str | None) -> Path:
    """Return the folder of a snapshot, or the one file that is wanted of it."""
    name, path = next(iter(paths.items()))
    return path if file else path.parents[len(PurePosixPath(name).parts) - 1]


def _chosen(sizes: Mapping[str, int], name: str, file: str | None) -> list[str]:
    """Return the files to fetch. Raises RunError where there is none with weights."""
    if file is not None:
        if file not in sizes:
            held = [one for one in sizes if one.endswith(".gguf")]
            raise RunError(
                "{name} has no file {file}. It has {held}.",
                name=name,
                file=file,
                held=brief(", ".join(held)) or "no GGUF file",
            )
        return [file]
    weights = [WEIGHTS] if WEIGHTS in sizes else sorted(filter(SHARD.fullmatch, sizes))
    weights += [one for one in (ADAPTER,) if one in sizes]
    if not weights:
        raise RunError("{name} holds no safetensors. {way_out}", name=name, way_out=_way_out(sizes))
    others = [one for one in sizes if _is_small(one) and sizes[one] <= LARGEST_TEXT]
    return [*sorted(others), *weights]


def _way_out(sizes: Mapping[str, int]) -> str:
    gguf = [one for one in sizes if one.endswith(".gguf")]
    if gguf:
        return f"Name one of its GGUF files: {brief(', '.join(gguf))}."
    if any(one.endswith(PICKLES) for one in sizes):
        return (
            "Its weights are a pickle, which can run any code when it is read, so they are "
            "refused. Look for a pull request with safetensors (@refs/pr/N), or convert them."
        )
    return "Name another model."


def _is_small(name: str) -> bool:
    """Tell whether an import may read a file that holds no weights."""
    path = PurePosixPath(name)
    if len(path.parts) == 1:
        return name in NAMES or name.endswith(ENDINGS)
    return len(path.parts) == 2 and path.parts[0] in FOLDERS and name.endswith(ENDINGS)
