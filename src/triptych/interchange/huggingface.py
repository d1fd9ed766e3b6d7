"""Read and write folders of the library transformers, without pickle.

They hold config.json, model.safetensors (whole or in shards) and tokenizer.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RunError, brief
from ..runs.mapped import MappedFile, map_tensors
from ..runs.storage import fingerprint, parsed, write_file, write_tensors, writing
from . import tokenizer_sources

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
GENERATION = "generation_config.json"
TWO_TOKENIZERS = ("source.spm", "target.spm")  # of Marian
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(kw_only=True)
class Folder:
    """Hold the content of such a folder, or of a file of another format in its form.

    weights: its files, not read yet; places: tensor -> file, for shards.

    reader: Reads the tensors of another format, whose shapes are `shapes`; quantised: how many of
    them are of each type that holds no floating point.
    """

    path: Path
    config: dict[str, object]
    weights: Sequence[Path]
    places: Mapping[str, str]
    tokenizer: str = field(repr=False)
    tokenizer_config: dict[str, object] = field(default_factory=dict)
    generation_config: dict[str, object] = field(default_factory=dict)
    reader: Callable[[], dict[str, Tensor]] | None = field(default=None, repr=False)
    shapes: Sequence[tuple[int, ...]] | None = field(default=None, repr=False)
    quantised: Mapping[str, int] = field(default_factory=dict)
    tokenizer_file: str = tokenizer_sources.JSON
    target_tokenizer: str | None = field(default=None, repr=False)  # of a Marian
    notes: Sequence[str] = ()
    kept: tuple[str, ...] = ()
    mapped: list[MappedFile] = field(default_factory=list, repr=False)

    @property
    def kind(self) -> str:
        """Return the model_type as text; a list or a number is an unknown type."""
        return str(self.config.get("model_type"))

    @property
    def tokenizer_path(self) -> str:
        """Return the file that the tokenizer was read from."""
        return str(self.path / self.tokenizer_file)

    def bounds(self) -> tuple[object, object]:
        """Return the begin token and all end tokens of a text, as the library transformers does.

        They are from generation_config.json, else config.json, else tokenizer_config.json. The
        first end in config.json stays first.
        """
        values, tokens = self.config, self.tokenizer_config
        begin, end = (
            values.get(f"{side}_token_id", tokens.get(f"{side}_token")) for side in ("bos", "eos")
        )
        several = self.generation_config.get("eos_token_id")
        if several is not None:
            several = several if isinstance(several, list) else [several]
            first = end[0] if isinstance(end, list) and end else end
            end = [*[first] * (first in several), *(one for one in several if one != first)]
        return self.generation_config.get("bos_token_id") if begin is None else begin, end

    def read_weights(self) -> tuple[dict[str, Tensor], dict[str, dict[str, int | str]]]:
        """Map all tensors, of all shards, and read the size and SHA-256 of each file.

        `drop` gives the memory of what is read of them back.
        """
        tensors: dict[str, Tensor] = {} if self.reader is None else self.reader()
        for path in self.weights if self.reader is None else ():
            self.mapped.append(map_tensors(path))
            tensors |= self.mapped[-1].tensors
        problems = [
            f"'{name}' is missing in {place}"
            for name, place in self.places.items()
            if name not in tensors
        ]
        if problems:
            raise RunError(
                f"{self.path / INDEX} does not fit its files: {'; '.join(problems)}. Copy the "
                "whole folder."
            )
        return tensors, {path.name: fingerprint(path) for path in self.weights}

    def drop(self) -> None:
        """Give the memory back of what was read of the weights; it is read again when needed."""
        for one in self.mapped:
            one.drop()


def is_folder(path: str | Path) -> bool:
    """Tell whether `path` is another library's folder: its config.json names a model_type."""
    try:
        values = json.loads((Path(path) / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and "model_type" in values and "format_version" not in values


def read_folder(path: str | Path) -> Folder:
    """Read a folder. Raises RunError naming all missing files, or the one that is not readable."""
    path = Path(path)
    if path.is_file():
        raise RunError(
            f"{path} is a file. Name its folder, which must hold the tokenizer too "
            "(tokenizer.json; for llama2.c tok*.bin)."
        )
    if not path.is_dir():
        raise RunError(
            f"There is no folder {path}. Name one with config.json, model.safetensors and "
            "tokenizer.json."
        )
    lacking = [] if (path / "config.json").is_file() else ["config.json"]
    lacking += [] if tokenizer_sources.is_there(path) else [tokenizer_sources.JSON]
    if not (path / WEIGHTS).is_file() and not (path / INDEX).is_file():
        lacking.append(WEIGHTS)
    if lacking:
        raise RunError(f"{path} has no {' and no '.join(lacking)}.{_way_out(path, lacking)}")
    weights, places = _weights(path)
    extra, generation = (
        read_json(path / name) if (path / name).is_file() else {}
        for name in ("tokenizer_config.json", GENERATION)
    )
    config = read_json(path / "config.json")
    source = tokenizer_sources.read_source(path, config, extra)
    return Folder(
        path=path,
        config=config,
        weights=weights,
        places=places,
        tokenizer=source.text,
        tokenizer_file=source.file,
        target_tokenizer=source.target,
        notes=source.notes,
        kept=source.kept,
        tokenizer_config=extra,
        generation_config=generation,
    )


def _way_out(path: Path, lacking: list[str]) -> str:
    save = "from_pretrained('SOURCE').save_pretrained('DEST')\""
    if WEIGHTS in lacking and any((path / name).is_file() for name in PICKLES):
        return (
            f" {PICKLES[0]} is a pickle, which can run any code when it is read, so it is "
            "refused. If you trust it, convert it: "
            f'python -c "from transformers import AutoModel; AutoModel.{save}'
        )
    if lacking == ["tokenizer.json"]:
        if all((path / name).is_file() for name in TWO_TOKENIZERS):
            return (
                f" It has two tokenizers, {' and '.join(TWO_TOKENIZERS)}, of which no single "
                "tokenizer.json with the tokens of both was made."
            )
        return (
            ' The library transformers writes one: python -c "from transformers import '
            f"AutoTokenizer; AutoTokenizer.{save}"
        )
    return " Copy the whole folder."


def _weights(path: Path) -> tuple[list[Path], dict[str, str]]:
    """Return the files of weights and, for shards, tensor -> file."""
    if (path / WEIGHTS).is_file():
        return [path / WEIGHTS], {}
    places = read_json(path / INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise RunError(f"{path / INDEX} has no weight_map from tensors to files. Copy it again.")
    shards = sorted(set(places.values()))
    outside = [name for name in shards if Path(name).name != name]
    if outside:
        raise RunError(
            f"{path / INDEX} names files outside its folder ({brief(', '.join(outside))}), which "
            "are not read. Copy the whole folder."
        )
    held = {one.name for one in path.iterdir()}  # is_file() would fail on names that are too long
    lacking = [name for name in shards if name not in held]
    if lacking:
        raise RunError(
            f"{path} lacks {brief(', '.join(lacking))}, which {INDEX} names. Copy the whole folder."
        )
    return [path / name for name in shards], places


def write_folder(
    path: Path,
    config: Mapping[str, object],
    tensors: dict[str, Tensor],
    tokenizer: Mapping[str, object] | None,
    tokenizer_config: Mapping[str, object],
    card: str,
    generation: Mapping[str, object],
) -> None:
    """Write a folder that AutoModel and AutoTokenizer load.

    config.json is written last, so that a folder with it is complete. tokenizer: None if other
    files of the folder hold it.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    write_tensors(path / WEIGHTS, tensors, {"format": "pt"})
    if tokenizer is not None:
        write_json(path / "tokenizer.json", tokenizer)
    write_json(path / "tokenizer_config.json", tokenizer_config)
    write_file(path / "README.md", card.encode())
    if generation:
        write_json(path / GENERATION, generation)
    write_json(path / "config.json", config)


def read_json(path: Path) -> dict[str, object]:
    values = parsed(read_text(path), path, "Copy it again.")
    if not isinstance(values, dict):
        raise RunError(f"{path} is not a JSON object. Copy it again.")
    return values


def write_json(path: Path, values: Mapping[str, object] | list[dict[str, object]]) -> None:
    write_file(path, (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode())


def read_text(path: Path) -> str:
    """Read a file of UTF-8 text. Raises RunError naming it."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not UTF-8 text (byte {error.start}). Copy it again.") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from None
