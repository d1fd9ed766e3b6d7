"""Let another runtime answer for a run: convert it once, check it, remember both in the cache.

It stands in this room because `convert` writes what an engine of `inference` reads, and neither
may import the other (docs/decisions/029-engines.md).
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path

from ..convert import export_run
from ..data.example import Example
from ..data.load import evenly_spaced, load_split
from ..data.sets.files import cache_folder
from ..errors import RunError, TriptychError, brief, shell_command
from ..inference.predictor import Predictor
from ..inference.runtimes.check import MOST, RuntimeCheck, checked
from ..inference.runtimes.runtime import RUNTIMES, Runtime, RuntimeKind
from ..messages import message
from ..recipe.schema import Recipe
from ..runs.run import Run
from ..runs.storage import fingerprint, parsed, read_text, write_file

CHECK = "check.json"
PARTS = ("config.json", "labels.json", "tokenizer*.json")  # what an answer depends on, and weights
Tell = Callable[[str], object]


def use_runtime(predictor: Predictor, name: str, tell: Tell) -> None:
    """Let the runtime `name` answer for a run from now on, if it can.

    Args:
        predictor: A loaded run; its own model still computes losses and shows attention.
        name: One of `RUNTIMES`, or "native", which changes nothing.
        tell: Receives what is done, what the check found, and why the runtime is not used.

    Raises:
        UsageError: The runtime is not installed.
    """
    kind, run = RUNTIMES.get(name), predictor.run
    if kind is None or run is None:
        return
    kind.refuse_without_library()
    folder = converted_folder(run, kind)
    if not folder.is_dir():
        tell(message("Converting {run} for {kind}, once.", run=run.path, kind=kind.name))
        try:
            export_run(run.path, folder, kind.format)
        except RunError as problem:
            words = message("{problem} Triptych answers itself.", problem=str(problem))
            tell(words)
            return
    engine = _opened(kind, folder, predictor)
    version = importlib.metadata.version(kind.library)
    found = _remembered(folder, version)
    if found is None:
        examples = _development(predictor, run)
        if examples:
            found = checked(predictor, engine, examples, version)
            values = json.dumps(dataclasses.asdict(found)) + "\n"
            write_file(folder / CHECK, values.encode())
    predictor.engine = engine
    tell(
        message(
            "{kind}: not checked, because the run's development data is not here. Compare with: "
            "{command}",
            kind=kind.name,
            command=shell_command("triptych", "evaluate", run.path, "--engine", kind.name),
        )
        if found is None
        else found.sentence(kind.name)
    )


def _opened(kind: RuntimeKind, folder: Path, predictor: Predictor) -> Runtime:
    try:
        return kind.open(folder, predictor)
    except Exception as problem:  # each library has its own
        raise RunError(
            "{kind} cannot open {folder}: {problem}. Delete that folder, and it is written again.",
            kind=kind.name, folder=folder, problem=brief(problem),
        ) from None  # fmt: skip


def converted_folder(run: Run, kind: RuntimeKind) -> Path:
    """Return where the cache keeps a run for a runtime, by the SHA-256 of all that answers."""
    names = sorted(path for part in PARTS for path in run.path.glob(part))
    whole = [str(fingerprint(path)["sha256"]) for path in (run.weights(), *names)]
    key = hashlib.sha256(" ".join(whole).encode()).hexdigest()
    return cache_folder() / "engines" / f"{key[:32]}-{kind.format}"


def _remembered(folder: Path, version: str) -> RuntimeCheck | None:
    """Return the check of this version of the runtime, if there was one."""
    path = folder / CHECK
    if not path.is_file():
        return None
    values = parsed(read_text(path), path, "Delete it.")
    try:
        found = RuntimeCheck(**values)
    except TypeError:  # written by another version of this package
        return None
    return found if found.version == version else None


def _development(predictor: Predictor, run: Run) -> list[Example]:
    """Return up to MOST examples of the run's validation split; none where it is not here."""
    try:
        data, needs = Recipe.load(run.path, {}).data, predictor.task.needs
        examples = load_split(data, "validation", None, needs)
    except (TriptychError, OSError):
        return []
    return evenly_spaced([one for one in examples if not predictor.is_empty(one)], MOST)
