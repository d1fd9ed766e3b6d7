"""List and fetch the files of a repository of the Hugging Face hub, or of a mirror in its form.

A revision is resolved to a commit. What was fetched stays in the hub's own cache: a file that
breaks off goes on where it stopped, and after a failure only what is missing is fetched. Which
files a commit has is kept in the user cache, so that a commit is asked for once. `HF_ENDPOINT`,
`HF_TOKEN`, `HF_HUB_CACHE` and `HF_HUB_OFFLINE` mean what they mean for other programs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import quote

from ...errors import DataError, RunError, TriptychError, UsageError, brief
from ..sets.download import write_whole
from ..sets.files import cache_folder

PREFIX = "hf:"
COMMIT = re.compile(r"[0-9a-f]{40}")
Report = Callable[[str], object]
_OFFLINE: ContextVar[bool] = ContextVar("offline", default=False)


@dataclass(frozen=True)
class Repository:
    """Name a model or a data set on the hub, like "org/name"."""

    name: str
    kind: Literal["model", "dataset"]

    @property
    def noun(self) -> str:
        return "model" if self.kind == "model" else "data set"

    @property
    def folder(self) -> Path:
        """Return where the user cache keeps what is known of it."""
        return cache_folder() / "hub" / f"{self.kind}s--{self.name.replace('/', '--')}"

    def error(self, text: str, /, **values: object) -> TriptychError:
        """Return the error that a user of this kind of repository gets."""
        kind = RunError if self.kind == "model" else DataError
        return kind(text, name=self.name, **values)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Hold the files of a commit: name -> bytes."""

    commit: str
    sizes: Mapping[str, int]


def is_reference(name: object) -> bool:
    """Tell whether a name is one of the hub, and not a path."""
    return str(name).startswith(PREFIX)


def go_offline(only_cached: bool = True) -> None:
    """Read what earlier fetches left in the cache from now on, in this context, and ask nobody."""
    _OFFLINE.set(only_cached)


def is_offline() -> bool:
    return _OFFLINE.get() or os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in (
        "1", "ON", "YES", "TRUE",
    )  # fmt: skip


def library(kind: str) -> Any:
    """Return the library huggingface_hub. Raises UsageError naming the extra that brings it."""
    try:
        import huggingface_hub
    except ImportError:
        if kind == "model":
            raise UsageError(
                "Models of the hub need the package huggingface_hub: pip install 'triptych[hub]'."
            ) from None
        raise UsageError(
            "Data sets of the hub need the package huggingface_hub: pip install 'triptych[data]'."
        ) from None
    return huggingface_hub


def places() -> dict[str, str | None]:
    """Return the endpoint and the cache that the environment names now."""
    return {
        "endpoint": os.environ.get("HF_ENDPOINT") or None,
        "cache_dir": os.environ.get("HF_HUB_CACHE") or None,
    }


def listed(repository: Repository, revision: str) -> Listing:
    """Return the commit of a revision, and its files.

    Raises:
        RunError or DataError: There is no such repository or revision, it cannot be asked, or it
            names files outside its folder.
    """
    kept = recorded(repository, revision)
    if kept is not None and (is_offline() or COMMIT.fullmatch(revision)):
        return kept
    if is_offline():
        folder = cached_folder(repository, revision)
        files = [one for one in folder.rglob("*") if one.is_file()]
        sizes = {one.relative_to(folder).as_posix(): one.stat().st_size for one in files}
        return Listing(commit=folder.name, sizes=sizes)
    hub = library(repository.kind)
    try:
        api = hub.HfApi(endpoint=places()["endpoint"])
        about = api.repo_info(
            repository.name, revision=revision, repo_type=repository.kind, files_metadata=True
        )
    except Exception as problem:  # of the library, of its transport, or of a strange answer
        raise failure(problem, repository, revision) from None
    commit = str(about.sha)
    if not COMMIT.fullmatch(commit):
        raise repository.error(
            "The hub names {commit} as the commit of {name}, which is not one. Try again later.",
            commit=brief(repr(commit), 60),
        )
    sizes = {one.rfilename: one.size or 0 for one in about.siblings or ()}
    outside = [one for one in sizes if climbs(one)]
    if outside:
        raise repository.error(
            "{name} names files outside its folder ({files}), so nothing of it is fetched.",
            files=brief(", ".join(outside)),
        )
    found = Listing(commit=commit, sizes=sizes)
    for one in {revision, commit}:
        content = json.dumps({"commit": commit, "files": sizes}, ensure_ascii=False)
        with contextlib.suppress(DataError):  # only offline is it needed
            write_whole(_record(repository, one), content.encode())
    return found


def _record(repository: Repository, revision: str) -> Path:
    return repository.folder / f"{quote(revision, safe='')}.json"


def recorded(repository: Repository, revision: str) -> Listing | None:
    """Return what an earlier run was told about a revision, None if nothing or damaged."""
    try:
        values: Any = json.loads(_record(repository, revision).read_bytes())
        commit, sizes = values["commit"], values["files"]
        whole = COMMIT.fullmatch(commit) is not None and all(
            isinstance(size, int) and not climbs(name) for name, size in sizes.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Listing(commit=commit, sizes=sizes) if whole else None


def cached_folder(repository: Repository, revision: str) -> Path:
    """Return the folder of what this or another program fetched, without asking anybody."""
    kept = recorded(repository, revision)
    try:
        folder = library(repository.kind).snapshot_download(
            repository.name,
            repo_type=repository.kind,
            revision=revision if kept is None else kept.commit,
            cache_dir=places()["cache_dir"],
            local_files_only=True,
        )
    except UsageError:
        raise
    except Exception:
        raise repository.error(
            "{name}@{revision} is not in the cache of the hub, and nothing is fetched while "
            "offline. Fetch it once with a connection, without --offline and HF_HUB_OFFLINE.",
            revision=revision,
        ) from None
    return Path(folder)


def in_cache(repository: Repository, commit: str, file: str) -> Path | None:
    """Return the path of a file that was fetched before."""
    found = library(repository.kind).try_to_load_from_cache(
        repository.name,
        file,
        revision=commit,
        repo_type=repository.kind,
        cache_dir=places()["cache_dir"],
    )
    return Path(found) if isinstance(found, str) else None


def fetched(repository: Repository, listing: Listing, files: Sequence[str]) -> dict[str, Path]:
    """Fetch files of a commit, those that are not in the cache yet.

    Raises:
        RunError or DataError: A file cannot be fetched or is not whole, or the disk is too full.
    """
    hub, found = library(repository.kind), dict[str, Path]()
    missing = [one for one in files if in_cache(repository, listing.commit, one) is None]
    if missing and is_offline():
        raise repository.error(
            "{file} of {name} is not in the cache of the hub, and nothing is fetched while "
            "offline. Fetch it once with a connection, without --offline and HF_HUB_OFFLINE.",
            file=missing[0],
        )
    _refuse_full(sum(listing.sizes[one] for one in missing), repository, hub)
    for one in files:
        held = in_cache(repository, listing.commit, one) if is_offline() else None
        try:
            found[one] = held or Path(
                hub.hf_hub_download(
                    repository.name,
                    one,
                    repo_type=repository.kind,
                    revision=listing.commit,
                    **places(),
                )
            )
        except Exception as problem:
            raise failure(problem, repository, listing.commit, one) from None
        size = found[one].stat().st_size
        if listing.sizes[one] and size != listing.sizes[one]:
            raise repository.error(
                "{file} of {name} has {held:,} bytes instead of {size:,}. Delete {path} and "
                "fetch it again.",
                file=one,
                held=size,
                size=listing.sizes[one],
                path=found[one].resolve(),
            )
    return found


def sizes_in_words(
    repository: Repository, listing: Listing, files: Sequence[str], most: int = 3
) -> str:
    """Return how large files are, the largest by name."""
    sizes = {
        one: listing.sizes[one] / 1e6 for one in sorted(files, key=lambda x: -listing.sizes[x])
    }
    named = ", ".join(f"{one} {size:,.1f}" for one, size in [*sizes.items()][:most])
    return (
        f"{PREFIX}{repository.name}@{listing.commit}: {len(sizes)} files, "
        f"{sum(sizes.values()):,.1f} MB ({named})."
    )


def climbs(name: str) -> bool:
    """Tell whether a file's name leads out of its folder, on any system."""
    path = PurePosixPath(name)
    return (
        not name
        or path.is_absolute()
        or ".." in path.parts
        or any(one in name for one in ("\\", ":", "\0"))
        or any(ord(one) < 32 for one in name)
    )


def _refuse_full(total: int, repository: Repository, hub: Any) -> None:
    """Raise an error where the disk of the cache has no room for all files."""
    place = Path(places()["cache_dir"] or hub.constants.HF_HUB_CACHE)
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if total > free:
        raise repository.error(
            "{name} has {total:,.1f} MB, and the disk of {place} has {free:,.1f} MB left. Name "
            "another place with HF_HUB_CACHE.",
            total=total / 1e6,
            place=place,
            free=free / 1e6,
        )


def failure(
    problem: Exception, repository: Repository, revision: str, file: str = ""
) -> TriptychError:
    """Return what the library or its transport says, without the token."""
    kind = type(problem).__name__
    what = f"{repository.name}@{revision}" + (f", {file}," if file else "")
    if kind == "GatedRepoError":
        return repository.error(
            "{what} is given only to users whom its authors have admitted. Ask for it on its page "
            "and set HF_TOKEN.",
            what=what,
        )
    if kind == "RepositoryNotFoundError":
        text = (
            "There is no model {name} on the hub, or it is private: look at its spelling, or set "
            "HF_TOKEN."
            if repository.kind == "model"
            else "There is no data set {name} on the hub, or it is private: look at its spelling, "
            "or set HF_TOKEN."
        )
        return repository.error(text)
    if kind == "RevisionNotFoundError":
        return repository.error(
            "{name} has no revision {revision}: name a branch, a tag or a commit.",
            revision=revision,
        )
    return repository.error(
        "{what} cannot be fetched ({problem}). What has come is kept: try again to go on, or "
        "use --offline for what was fetched before.",
        what=what,
        problem=_without_token(f"{kind}: {problem}"),
    )


def _without_token(text: str) -> str:
    from huggingface_hub import get_token

    token = get_token()
    return brief(text.replace(token, "***") if token else text)
