"""Fetch a published model from the Hugging Face hub, or from a mirror in its form.

`hf:org/name` is fetched at its newest commit, `hf:org/name@REVISION` at a branch, tag or commit,
and `hf:org/name:FILE.gguf` is that one file. Only what an import reads is fetched: safetensors,
JSON, chat templates and tokenizer files, never a pickle and never code. The revision is resolved to
a commit, which the run keeps. What was fetched stays in the hub's own cache: a file that breaks off
goes on where it stopped, and after a failure only what is missing is fetched. `HF_ENDPOINT`,
`HF_TOKEN`, `HF_HUB_CACHE` and `HF_HUB_OFFLINE` mean what they mean for other programs.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import RunError, UsageError, brief

PREFIX = "hf:"
FORM = "hf:org/name, hf:org/name@REVISION or hf:org/name@REVISION:FILE.gguf"
REFERENCE = re.compile(
    r"hf:(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?::(?P<file>.+\.gguf))?", re.ASCII
)
COMMIT = re.compile(r"[0-9a-f]{40}")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_model.safetensors"
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
# At the top of a repository, and in the folders of sentence-transformers and of chat templates.
ENDINGS = (".json", ".model", ".spm", ".jinja")
NAMES = ("vocab.txt", "merges.txt", "README.md", "LICENSE")
FOLDERS = ("1_Pooling", "2_Normalize", "additional_chat_templates")
LARGEST_TEXT = 1 << 28  # bytes of a file that holds no weights
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
Report = Callable[[str], object]


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


def is_reference(source: str | Path) -> bool:
    return str(source).startswith(PREFIX)


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
    found = REFERENCE.fullmatch(source)
    if found is None or ".." in source:
        raise UsageError(
            "{source} is not a model of the hub. Write {form}.", source=source, form=FORM
        )
    name, revision, file = found["name"], found["revision"] or "main", found["file"]
    _library()
    if offline or _is_set("HF_HUB_OFFLINE"):
        return _cached(name, revision, file)
    return _fetched(name, revision, file, report)


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise UsageError(
            "Models of the hub need the package huggingface_hub: pip install 'triptych[hub]'."
        ) from None
    return huggingface_hub


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").strip().upper() in ("1", "ON", "YES", "TRUE")


def _places() -> dict[str, str | None]:
    """Return the endpoint and the cache that the environment names now."""
    return {
        "endpoint": os.environ.get("HF_ENDPOINT") or None,
        "cache_dir": os.environ.get("HF_HUB_CACHE") or None,
    }


def _fetched(name: str, revision: str, file: str | None, report: Report) -> Fetched:
    library, places = _library(), _places()
    try:
        api = library.HfApi(endpoint=places["endpoint"])
        about = api.model_info(name, revision=revision, files_metadata=True)
    except Exception as problem:  # of the library, of its transport, or of a strange answer
        raise _failure(problem, name, revision) from None
    commit = str(about.sha)
    if not COMMIT.fullmatch(commit):
        raise RunError(
            "The hub names {commit} as the commit of {name}, which is not one. Try again later.",
            commit=brief(repr(commit), 60),
            name=name,
        )
    sizes = {one.rfilename: one.size or 0 for one in about.siblings or ()}
    chosen = _chosen(sizes, name, file)
    total = sum(sizes[one] for one in chosen)
    report(
        f"{PREFIX}{name}@{commit}: {len(chosen)} files, {total / 1e6:,.1f} MB "
        f"({', '.join(f'{one} {sizes[one] / 1e6:,.1f}' for one in _largest(chosen, sizes))})."
    )
    _refuse_full(total, name, library, places["cache_dir"])
    paths: dict[str, Path] = {}
    for one in chosen:
        try:
            paths[one] = Path(library.hf_hub_download(name, one, revision=commit, **places))
        except Exception as problem:
            raise _failure(problem, name, commit, one) from None
        if sizes[one] and paths[one].stat().st_size != sizes[one]:
            raise RunError(
                "{file} of {name} has {held:,} bytes instead of {size:,}. Delete {path} and "
                "import again.",
                file=one,
                name=name,
                held=paths[one].stat().st_size,
                size=sizes[one],
                path=paths[one].resolve(),
            )
    return Fetched(path=_root(paths, file), name=name, revision=commit)


def _cached(name: str, revision: str, file: str | None) -> Fetched:
    """Return what an earlier fetch left in the cache."""
    library, cache = _library(), _places()["cache_dir"]
    try:
        folder = Path(
            library.snapshot_download(
                name, revision=revision, cache_dir=cache, local_files_only=True
            )
        )
    except Exception:
        raise RunError(
            "{name}@{revision} is not in the cache of the hub, and nothing is fetched while "
            "offline. Import it once with a connection, without --offline and HF_HUB_OFFLINE.",
            name=name,
            revision=revision,
        ) from None
    path = folder / file if file else folder
    if not path.exists():
        raise RunError(
            "{file} of {name} is not in the cache of the hub, and nothing is fetched while "
            "offline. Import it once with a connection.",
            file=file,
            name=name,
        )
    return Fetched(path=path, name=name, revision=folder.name)


def _root(paths: Mapping[str, Path], file: str | None) -> Path:
    """Return the folder of a snapshot, or the one file that is wanted of it."""
    name, path = next(iter(paths.items()))
    return path if file else path.parents[len(PurePosixPath(name).parts) - 1]


def _chosen(sizes: Mapping[str, int], name: str, file: str | None) -> list[str]:
    """Return the files to fetch. Raises RunError where there is none with weights."""
    outside = [one for one in sizes if _climbs(one)]
    if outside:
        raise RunError(
            "{name} names files outside its folder ({files}), so nothing of it is fetched.",
            name=name,
            files=brief(", ".join(outside)),
        )
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


def _climbs(name: str) -> bool:
    """Tell whether a file's name leads out of its folder, on any system."""
    path = PurePosixPath(name)
    return (
        not name
        or path.is_absolute()
        or ".." in path.parts
        or any(one in name for one in ("\\", ":", "\0"))
        or any(ord(one) < 32 for one in name)
    )


def _largest(chosen: list[str], sizes: Mapping[str, int]) -> list[str]:
    return sorted(chosen, key=lambda one: -sizes[one])[:3]


def _refuse_full(total: int, name: str, library: Any, cache: str | None) -> None:
    """Raise RunError where the disk of the cache has no room for all files."""
    place = Path(cache or library.constants.HF_HUB_CACHE)
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if total > free:
        raise RunError(
            "{name} has {total:,.1f} MB, and the disk of {place} has {free:,.1f} MB left. Name "
            "another place with HF_HUB_CACHE.",
            name=name,
            total=total / 1e6,
            place=place,
            free=free / 1e6,
        )


def _failure(problem: Exception, name: str, revision: str, file: str = "") -> RunError:
    """Return what the library or its transport says, without the token."""
    kind = type(problem).__name__
    what = f"{name}@{revision}" + (f", {file}," if file else "")
    if kind == "GatedRepoError":
        return RunError(
            "{what} is given only to users whom its authors have admitted. Ask for it on its page "
            "and set HF_TOKEN.",
            what=what,
        )
    if kind == "RepositoryNotFoundError":
        return RunError(
            "There is no model {name} on the hub, or it is private: look at its spelling, or set "
            "HF_TOKEN.",
            name=name,
        )
    if kind == "RevisionNotFoundError":
        return RunError(
            "{name} has no revision {revision}: name a branch, a tag or a commit.",
            name=name,
            revision=revision,
        )
    return RunError(
        "{what} cannot be fetched ({problem}). What has come is kept: import again to go on, or "
        "use --offline for what was fetched before.",
        what=what,
        problem=_without_token(f"{kind}: {problem}"),
    )


def _without_token(text: str) -> str:
    from huggingface_hub import get_token

    token = get_token()
    return brief(text.replace(token, "***") if token else text)
