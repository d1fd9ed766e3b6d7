"""Define Recipe: a whole run as one typed tree, read from TOML and written as TOML.

Tables: task, data, tokenizer, model, batches, training, validation, decoding. Precedence: defaults
< recipe < command line. Imports no torch; `setup/stages.py` builds and trains, and is loaded when
`train` is called.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Le, Unit

from ..checking import Count, Positive, fields_of, fitted
from ..data.table import DataTable
from ..decoding.settings import DecodingSettings, written_settings
from ..errors import UsageError, unknown
from ..messages import message
from ..model.config import AnyConfig, ModelConfig, RecurrentConfig, StackConfig
from ..presets import FROM_TOKENIZER, changed, configure
from ..presets.depth import DEEPEST, with_depth
from ..training.settings import BatchSettings, TrainingSettings, ValidationSettings
from .merge import STARTING, Tables, anchored, merged, without_none
from .readings import parse_toml, readings_of

if TYPE_CHECKING:
    from ..tasks.task import Task

LAYERS = Unit("layers")


@dataclass(frozen=True, kw_only=True)
class TokenizerTable:
    """Define how text is cut into subwords, learnt from the training data."""

    # code: BPE that also joins punctuation
    kind: Literal["bpe", "code", "unigram", "characters", "bytes"] = "bpe"
    vocabulary_size: Count = 8000  # special tokens, tags and 256 bytes included
    shared: bool = True  # one vocabulary for both sides


@dataclass(frozen=True, kw_only=True)
class ModelTable:
    """Name a preset and the settings changed in it, or a run to start from."""

    preset: str = "transformer-small"  # a size by name: triptych info PRESET
    # layers of a decoder-only model; sets its width, heads, batch and learning rate
    # (presets/depth.py)
    depth: Annotated[int, Ge(1), Le(DEEPEST), LAYERS] | None = None
    # a run, a folder of another library or hf:org/name@REVISION; tokenizer, model settings and
    # weights come from it, and only dropouts may be changed
    start: str | None = None
    # take only these layers of its encoder, counted from 0 (a student of Sanh et al. 2019)
    start_layers: list[Annotated[int, Ge(0)]] | None = None
    # train low-rank adapters in place of the started model's own weights (Hu et al. 2021), say 8
    lora_rank: Count | None = None
    lora_alpha: Positive = 16.0  # scale of the adapters: alpha / rank
    # layers of a block that get adapters (2021, section 4.2)
    lora_targets: list[str] = field(default_factory=lambda: ["query", "value"])
    dials: dict[str, Any] = field(default_factory=dict)

    def starting(self) -> list[str]:
        """Return the keys in use that describe how to start from a run."""
        return [
            *["start_layers"] * (self.start_layers is not None),
            *STARTING[2:] * (self.lora_rank is not None),
        ]

    def config(self, started: AnyConfig | None = None) -> AnyConfig:
        """Return the model's configuration, without the sizes of vocabularies.

        Those come from the tokenizer. With `started`, the configuration of the run that training
        starts from, it is that one with other dropouts.
        """
        if self.start is None and self.starting():
            raise UsageError(
                "model.{starting} applies only when training starts from a run. Name "
                "the run with model.start.",
                starting=self.starting()[0],
            )
        return (
            configure(self.preset, self.dials)
            if started is None
            else changed(started, self.dials, "the run that it starts from")
        )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Define one run.

    `load` reads a packaged name, a file or a run folder; `train` builds and trains it.
    """

    name: str = "recipe"
    task: dict[str, Any] = field(default_factory=lambda: {"name": "translation"})
    data: DataTable = field(default_factory=DataTable)
    tokenizer: TokenizerTable = field(default_factory=TokenizerTable)
    model: ModelTable = field(default_factory=ModelTable)
    batches: BatchSettings = field(default_factory=BatchSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    decoding: DecodingSettings = field(default_factory=DecodingSettings)

    @classmethod
    def load(cls, source: str | Path, overrides: Mapping[str, object] | None = None) -> Recipe:
        """Read a packaged name ("multi30k-en-de"), a .toml file, or a run folder.

        Then apply `overrides`, {"training.steps": 500}. Raises UsageError naming key and place.
        """
        name, text, place, folder = _find(str(source))
        return cls.parse(text, name=name, place=place, folder=folder, overrides=overrides)

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        name: str = "recipe",
        place: str = "the recipe",
        folder: Path | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> Recipe:
        """Read TOML text; relative file names in it are relative to `folder`."""
        try:
            written = parse_toml(text)
        except tomllib.TOMLDecodeError as error:
            way = (
                ""
                if folder is None or place.endswith(".toml")
                else " A recipe is a .toml file; triptych init writes one for your data."
            )
            raise UsageError(
                "{place} is not valid TOML: {error}.{way}", place=place, error=error, way=way
            ) from None
        values = checked(written, place)
        if folder is not None:
            values = anchored(values, folder)
        task = values.get("task", {}).get("name", "translation")
        given = anchored(nested(overrides or {}, task=task), Path())
        return cls._of(merged(with_depth(values, {}, given), with_depth(given, values)), name)

    @classmethod
    def from_values(cls, values: Mapping[str, object], name: str = "recipe") -> Recipe:
        """Read nested dictionaries, as TOML would give them.

        Relative file names are relative to the current folder. Raises UsageError naming the key.
        """
        return cls._of(
            merged(with_depth(anchored(checked(values, "these values"), Path()), {}), {}), name
        )

    @classmethod
    def _of(cls, values: Mapping[str, Mapping[str, Any]], name: str) -> Recipe:
        """Build a recipe of nested dictionaries that `checked` has returned."""
        tables = {key: TABLES[key](**values.get(key, {})) for key in TABLES if key != "model"}
        model = dict(values.get("model", {}))
        kept = {key: model.pop(key) for key in ("preset", "depth", *STARTING) if key in model}
        return cls(name=name, task={"name": "translation", **values.get("task", {})},
                   model=ModelTable(**kept, dials=model), **tables)  # fmt: skip

    def to_values(self) -> dict[str, Any]:
        """Return nested dictionaries with every value that is set, defaults included.

        What `model.start` decides is left out.
        """
        values: dict[str, object] = {"task": dict(self.task)}
        for table in (
            "data",
            "tokenizer",
            "model",
            "batches",
            "training",
            "validation",
            "decoding",
        ):
            if table == "model":
                started = {
                    "start": self.model.start,
                    **{key: getattr(self.model, key) for key in self.model.starting()},
                }
                new = {"preset": self.model.preset, "depth": self.model.depth}
                values["model"] = {
                    **(started if self.model.start is not None else new),
                    **self.model.dials,
                }
            elif table == "decoding":
                values["decoding"] = written_settings(self.decoding)
            elif table != "tokenizer" or self.model.start is None:
                values[table] = dataclasses.asdict(getattr(self, table))
        return without_none(values)

    def to_toml(self) -> str:
        import tomli_w

        return tomli_w.dumps(self.to_values())

    def build_task(self) -> Task:
        return task_from(self.task)


def task_from(table: Mapping[str, object]) -> Task:
    """Build the Task that a table `task` names. Raise UsageError for an unknown name or option."""
    from ..tasks.specs import build_task, known, unknown_task

    options = dict(table)
    name = str(options.pop("name", "translation"))
    if name not in known():
        raise unknown_task(name)
    return build_task(name, options)


def packaged() -> list[str]:
    """Return the names of the recipes that come with the package."""
    folder = resources.files("triptych") / "recipes"
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def packaged_text(name: str) -> str:
    return (resources.files("triptych") / "recipes" / f"{name}.toml").read_text("utf-8")


def _find(source: str) -> tuple[str, str, str, Path | None]:
    """Return (name, text, place, folder) of a recipe."""
    path = Path(source)
    if path.is_dir():
        if not (path / "recipe.toml").is_file():
            raise UsageError(
                "{source} is a folder without a recipe.toml. Name a recipe or a run folder.",
                source=source,
            )
        return path.resolve().name, _text(path / "recipe.toml"), str(path / "recipe.toml"), path
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise UsageError(
                "There is no recipe file {source}. Packaged recipes: {names}.",
                source=source,
                names=", ".join(packaged()),
            )
        return path.stem, _text(path), source, path.parent
    if source not in packaged():
        raise unknown("recipe", source, packaged(), "(and there is no such file)")
    return source, packaged_text(source), f"recipe {source}", None


def _text(path: Path) -> str:
    try:
        # Some editors write a byte order mark before the first letter.
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            "{path} is not UTF-8 text (byte {at}). Save it as UTF-8.", path=path, at=error.start
        ) from None
    except OSError as error:
        raise UsageError(
            "{path} cannot be read: {strerror}.", path=path, strerror=error.strerror
        ) from None


# The tree of keys and their types -----------------------------------------------------------------

TABLES: dict[str, type] = {
    "data": DataTable,
    "tokenizer": TokenizerTable,
    "model": ModelTable,
    "batches": BatchSettings,
    "training": TrainingSettings,
    "validation": ValidationSettings,
    "decoding": DecodingSettings,
}


@cache
def _model_keys() -> dict[str, object]:
    """Return every key of the table; `configure` refuses those that a preset does not have."""
    stack = fields_of(StackConfig)
    dials = {
        **fields_of(RecurrentConfig),
        **fields_of(ModelConfig),
        **stack,
        "encoder": stack,
        "decoder": stack,
    }
    table = {key: wanted for key, wanted in fields_of(ModelTable).items() if key != "dials"}
    table["start"] = str
    return table | {key: wanted for key, wanted in dials.items() if key not in FROM_TOKENIZER}


def key_types(task: object = "translation") -> dict[str, dict[str, object]]:
    """Return table -> key -> annotation; a dict where a key is a table itself.

    Raises UsageError for an unknown task. If the task is not even a text, no options are known.
    """
    from ..tasks.specs import known, unknown_task

    if isinstance(task, str) and task not in known():
        raise unknown_task(task)
    options = fields_of(known()[task].options) if isinstance(task, str) else {}
    tables = {
        key: _model_keys() if key == "model" else fields_of(kind) for key, kind in TABLES.items()
    }
    return {"task": {"name": str, **options}, **tables}


def checked(values: Mapping[str, object], place: str) -> Tables:
    """Return `values` with every key known and every value of its type.

    Raises UsageError naming the nearest key and `place`.
    """
    task = values.get("task")
    tree = key_types(task.get("name", "translation") if isinstance(task, dict) else "translation")
    return {
        name: dict(table)
        for name, table in _checked(values, place, tree).items()
        if isinstance(table, dict)
    }


def _checked(
    values: Mapping[str, object], place: str, tree: Mapping[str, object], path: str = ""
) -> dict[str, object]:
    """Return the values of one table, and of the tables in it, as `checked` does."""
    result: dict[str, object] = {}
    where = message("in {place}", place=place)
    for key, value in values.items():
        dotted = f"{path}{key}"
        if key not in tree:
            kind = message("recipe key") if path else message("recipe table")
            raise unknown(kind, dotted, (f"{path}{name}" for name in tree), where)
        wanted = tree[key]
        if isinstance(wanted, dict):
            if not isinstance(value, Mapping):
                raise UsageError(
                    "{dotted} in {place} is a table of keys, not a value: write [{dotted}] "
                    "or {dotted}.KEY = VALUE.",
                    dotted=dotted,
                    place=place,
                )
            result[key] = _checked(value, place, wanted, f"{dotted}.")
        else:
            result[key] = _fitted(value, [value], wanted, dotted, where)
    return result


def nested(
    overrides: Mapping[str, object],
    place: str = message("on the command line"),
    task: object = "translation",
) -> dict[str, dict[str, Any]]:
    """Return {"training.steps": "500"} as {"training": {"steps": 500}}.

    Texts are read by the type of their key.
    """
    whole = key_types(overrides.get("task.name", task))
    result: dict[str, dict[str, Any]] = {}
    for dotted, value in overrides.items():
        *tables, last = dotted.split(".")
        tree: Any = whole
        inner: dict[str, Any] = result
        for table in tables:
            tree = tree.get(table) if isinstance(tree, dict) else None
            inner = inner.setdefault(table, {})
        if not isinstance(tree, dict) or last not in tree or isinstance(tree[last], dict):
            near = whole[tables[0]] if tables and isinstance(whole.get(tables[0]), dict) else whole
            raise unknown(
                "recipe key",
                dotted,
                _flat(near, f"{tables[0]}." if near is not whole else ""),
                place,
            )
        where = place if place.startswith("on ") else message("in {place}", place=place)
        readings = readings_of(value)
        number = next((one for one in readings if type(one) in (int, float)), value)
        inner[last] = _fitted(number, readings, tree[last], dotted, where)
    return result


def _flat(tree: Mapping[str, object], path: str = "") -> Iterator[str]:
    for key, wanted in tree.items():
        if isinstance(wanted, dict):
            yield from _flat(wanted, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def _fitted(value: object, readings: list[object], wanted: object, key: str, where: str) -> object:
    """Return a value of its key's type; for a list, one element alone is accepted."""
    return fitted(value, wanted, key, where, [*readings, *([one] for one in readings)])
