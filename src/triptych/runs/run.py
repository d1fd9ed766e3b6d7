"""Read and write a run folder. Imports torch only where tensors are read or written.

    recipe.toml  config.json  model.safetensors
    tokenizer.json (or tokenizer.source.json + tokenizer.target.json)
    labels.json  data.json  metrics.jsonl  MODEL_CARD.md
    checkpoints/step-N/{model,optimizer,averages}.safetensors state.json COMPLETE
    or, of processes that share weights: model.safetensors, shards.json and shards in
    {model,optimizer,averages}/

Every file appears whole or not at all: it is written aside, flushed to the disk and renamed. No
pickle anywhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError, UsageError
from ..model.config import AnyConfig, RecurrentConfig
from ..model.dials import written
from .checkpoint import COMPLETE, MODEL, Checkpoint, begun, complete, load_weights
from .files import (
    WAY_OUT,
    checked_import,
    checked_labels,
    config_values,
    metrics_lines,
    model_config,
)
from .mapped import MappedFile, map_tensors, write_mapped
from .named import located
from .storage import (
    alone,
    flush,
    parsed,
    read_tensors,
    read_text,
    save_tensors,
    write_file,
    write_tensors,
    writing,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT_VERSION = 1
LOCK = "training.lock"  # exists while a process trains
# A run may hold a whole run that finds the words of its raw text.
WORDS_FOLDER = "words"
START = "start.json"  # the certificate of the published model that training started from


@dataclass(kw_only=True)
class RunConfig:
    """Hold config.json: enough to load the model and use it."""

    task: str
    model: AnyConfig
    options: dict[str, Any] = field(default_factory=dict)  # options of the task
    languages: dict[str, list[str]] = field(default_factory=dict)
    # {"shared": file} or {"source": file, "target": file}
    tokenizers: dict[str, str] = field(default_factory=dict)
    decoding: dict[str, Any] = field(default_factory=dict)  # default settings of decoding
    parameters: int = 0
    name: str = ""
    # name and SHA-256 of the user's own file, for a run that was trained with one
    code: dict[str, str] | None = None

    def to_json(self) -> dict[str, object]:
        kind = "recurrent" if isinstance(self.model, RecurrentConfig) else "transformer"
        values = dataclasses.asdict(self)
        if self.code is None:
            del values["code"]
        return {
            "format_version": FORMAT_VERSION,
            **values,
            "model": {"kind": kind, **written(self.model)},
        }


class Run:
    """Read and write one run folder.

    Opening checks nothing; every reading method raises RunError naming the file and what to do.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: str | Path, resume: bool = False) -> Run:
        """Create a folder to train in. Raise UsageError where a run exists and is not resumed."""
        run = cls(path)
        if run.path.exists() and not run.path.is_dir():
            raise UsageError(
                "{path} is a file; a run needs a folder. Name another path with --out.",
                path=run.path,
            )
        held = (
            [run.path / MODEL]
            if run.has_model()
            else sorted((run.path / "checkpoints").glob("step-*"))
        )
        if held and not resume:
            raise UsageError(
                "{path} already holds a run ({name}). Continue it with --resume, or "
                "name another folder with --out.",
                path=run.path,
                name=held[-1].name,
            )
        with writing(run.path):
            (run.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        return run

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open an existing run by its path, or by its name where runs are kept (see `named`).

        Raises RunError where there is none.
        """
        return cls(located(path))

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Hold the run while training. Raise UsageError where another process holds it."""
        return alone(self.path / LOCK)

    # Small files ----------------------------------------------------------------------------------

    def write_text(self, name: str, text: str) -> None:
        """Write `name` whole: aside, flushed, renamed."""
        write_file(self.path / name, text.encode())

    def read_text(self, name: str) -> str:
        return read_text(self.path / name)

    def write_json(self, name: str, value: object) -> None:
        self.write_text(name, json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def read_json(self, name: str) -> Any:
        """Return the value of a JSON file. Raise RunError naming the line for invalid JSON."""
        return parsed(self.read_text(name), self.path / name, WAY_OUT)

    def copy_to(self, path: str | Path) -> Run:
        """Copy what using this run needs to another folder."""
        copy, weights = Run(path), self.weights()
        names = [
            "recipe.toml",
            "config.json",
            "labels.json",
            *self.read_config().tokenizers.values(),
        ]
        copy.path.mkdir(parents=True, exist_ok=True)
        try:
            for name, source in [(MODEL, weights), *((name, self.path / name) for name in names)]:
                shutil.copyfile(source, copy.path / name)
        except OSError as problem:
            raise RunError(
                "{path} cannot be copied to {path2}: {value}.",
                path=self.path,
                path2=copy.path,
                value=problem.strerror or problem,
            ) from None
        return copy

    def write_config(self, config: RunConfig) -> None:
        self.write_json("config.json", config.to_json())

    def read_config(self) -> RunConfig:
        """Return config.json. Raise RunError for a format or a key that is unknown here."""
        values, path = self.read_json("config.json"), self.path / "config.json"
        if not isinstance(values, dict) or "format_version" not in values:
            raise RunError(
                "{path} has no format_version: it was not written by triptych.", path=path
            )
        version = values.pop("format_version")
        if version != FORMAT_VERSION:
            raise RunError(
                "{path} has format version {version}; this triptych reads "
                "{format_version}. Update triptych, or train the run again.",
                path=path,
                version=version,
                format_version=FORMAT_VERSION,
            )
        try:
            model = dict(values.pop("model"))
            return RunConfig(**config_values(values), model=model_config(model))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise RunError(
                "{path} does not fit this version of triptych: {error}. Update "
                "triptych, or train the run again.",
                path=path,
                error=error,
            ) from None

    def write_labels(self, labels: Mapping[str, object]) -> None:
        self.write_json("labels.json", labels)

    def read_labels(self) -> dict[str, Any]:
        return checked_labels(self.read_json("labels.json"), self.path / "labels.json")

    def read_import(self) -> dict[str, Any]:
        """Return the record of an imported run."""
        return checked_import(self.read_json("import.json"), self.path / "import.json")

    def read_start(self) -> dict[str, Any]:
        """Return the record of the import that training started from."""
        return checked_import(self.read_json(START), self.path / START)

    def write_recipe(self, toml: str) -> None:
        self.write_text("recipe.toml", toml)

    def read_recipe(self) -> str:
        return self.read_text("recipe.toml")

    def write_card(self, markdown: str) -> None:
        self.write_text("MODEL_CARD.md", markdown)

    def read_card(self) -> str:
        """Return MODEL_CARD.md; where there is none, a heading."""
        if not (self.path / "MODEL_CARD.md").is_file():
            return f"# {self.path.resolve().name}\n"
        return self.read_text("MODEL_CARD.md")

    # Metrics --------------------------------------------------------------------------------------

    def append_metrics(self, record: Mapping[str, object]) -> None:
        """Append one line to metrics.jsonl."""
        with writing(self.path / "metrics.jsonl"), open(self.path / "metrics.jsonl", "ab") as file:
            file.write((json.dumps(record, ensure_ascii=False) + "\n").encode())

    def metrics_size(self) -> int:
        """Return the bytes of metrics.jsonl, flushed to the disk."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return 0
        with writing(path):
            flush(path)
            return path.stat().st_size

    def truncate_metrics(self, size: int) -> None:
        """Remove what was written after a checkpoint."""
        path = self.path / "metrics.jsonl"
        if path.exists() and path.stat().st_size > size:
            with writing(path):
                os.truncate(path, size)

    def read_metrics(self, tell: Callable[[str], None] | None = None) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl without damaged ones.

        `tell` is called with a sentence that names those.
        """
        path = self.path / "metrics.jsonl"
        try:
            return metrics_lines(path.read_bytes(), path, tell) if path.exists() else []
        except OSError as error:
            raise RunError(
                "{path} cannot be read: {strerror}.", path=path, strerror=error.strerror
            ) from None

    # Weights --------------------------------------------------------------------------------------

    def write_model(self, tensors: dict[str, Tensor]) -> None:
        """Write model.safetensors: the model's parameters, and the head's under `head.`."""
        write_tensors(self.path / MODEL, tensors)

    def write_mapped(self, tensors: Mapping[str, Tensor], after: Callable[[], None]) -> None:
        """Write model.safetensors in float32, piece by piece. See `mapped.write_mapped`."""
        write_mapped(self.path / MODEL, tensors, after)

    def has_model(self) -> bool:
        return (self.path / MODEL).is_file()

    def weights(self) -> Path:
        """Return the weights to use: of the finished run, else of its newest checkpoint.

        Raises RunError where there are none.
        """
        if self.has_model():
            return self.path / MODEL
        checkpoint = self.latest_checkpoint()
        if checkpoint is None:
            raise RunError(
                "{path} has no weights: {model} is missing and there is no complete "
                "checkpoint. Train with --resume.",
                path=self.path,
                model=MODEL,
            )
        return checkpoint.weights()

    def load_into(self, model: nn.Module, head: nn.Module | None = None) -> None:
        """Copy the run's weights into `model` and `head`.

        Raises RunError listing every name or shape that does not fit.
        """
        from ..model.lora import merged

        path = self.weights()
        load_weights(path, merged(read_tensors(path)), model, head)

    def map_into(self, model: nn.Module, head: nn.Module | None = None) -> MappedFile:
        """Load the run's weights as `load_into` does, as views of their file where that can be.

        Until it is dropped, what was read of the file takes memory. No weight may be trained.
        """
        from ..model.lora import merged

        path = self.weights()
        mapped = map_tensors(path)
        load_weights(path, merged(mapped.tensors), model, head, mapped)
        return mapped

    # Checkpoints ----------------------------------------------------------------------------------

    def checkpoints(self) -> list[Checkpoint]:
        """Return those marked COMPLETE, oldest first; their files are not read."""
        found = []
        for path in (self.path / "checkpoints").glob("step-*"):
            number = path.name.removeprefix("step-")
            if number.isdigit() and (path / COMPLETE).is_file():
                found.append(Checkpoint(path, int(number)))
        return sorted(found, key=lambda checkpoint: checkpoint.step)

    def latest_checkpoint(self, passed_over: list[str] | None = None) -> Checkpoint | None:
        """Return the newest checkpoint whose files are whole.

        What is wrong with newer ones is appended to `passed_over`.
        """
        marked = {checkpoint.path: checkpoint for checkpoint in self.checkpoints()}
        paths = [
            path for path in (self.path / "checkpoints").glob("step-*") if path.name[5:].isdigit()
        ]
        for path in sorted(paths, key=lambda path: -int(path.name[5:])):
            problem = marked[path].problem() if path in marked else f"{path / COMPLETE} is missing"
            if problem is None:
                return marked[path]
            if passed_over is not None:
                passed_over.append(f"Checkpoint {path} is incomplete and skipped: {problem}.")
        return None

    def checkpoint(self, step: int) -> Checkpoint:
        """Return the checkpoint of a step, which must be there."""
        return Checkpoint(self.path / "checkpoints" / f"step-{step}", step)

    def write_checkpoint(
        self, step: int, tensors: dict[str, dict[str, Tensor]], state: Mapping[str, object]
    ) -> Checkpoint:
        """Write checkpoints/step-N from {file name: tensors} and the state.

        Raises TrainingError where the disk is full.
        """
        with begun(self.path, step) as aside:
            for name, values in tensors.items():
                if values:
                    save_tensors(aside / name, values)
            return complete(self.path, step, state)

    def prune_checkpoints(self, keep: int, best_step: int | None) -> None:
        """Keep the last `keep` and the best; remove the rest and leftovers of failed writes."""
        complete = self.checkpoints()
        kept = {checkpoint.path for checkpoint in complete[-keep:]} | {
            self.path / "checkpoints" / f"step-{best_step}"
        }
        newest = complete[-1].step if complete else -1
        for path in list((self.path / "checkpoints").iterdir()):
            number = path.name.removeprefix("step-")
            # A newer, incomplete checkpoint is kept, so that a user can examine it.
            torn = number.isdigit() and int(number) > newest
            if (
                path not in kept
                and not torn
                and path.is_dir()
                and path.name.lstrip(".").startswith("step-")
            ):
                shutil.rmtree(path, ignore_errors=True)
