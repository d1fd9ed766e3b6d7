"""Read and write how states become one vector, in the files of sentence-transformers."""

from __future__ import annotations

from pathlib import Path

from ..errors import RunError, brief
from ..messages import message
from ..model.config import ModelConfig
from ..runs.run import RunConfig
from ..runs.storage import parsed
from .huggingface import read_json, write_json

MODULES = "modules.json"
PLACES = ("1_Pooling", "2_Normalize")  # folders where no modules.json names them
POOLINGS = {"mean": "mean", "mean_tokens": "mean", "cls": "first", "cls_token": "first"}


def read_pooling(path: Path) -> dict[str, object]:
    """Return the options of the task embedding from the files of sentence-transformers.

    Raises RunError for a pooling or a further module that triptych does not have.
    """
    modules = _modules(path)
    place = path / modules.get("Pooling", PLACES[0]) / "config.json"
    if not place.is_file():
        return {}
    values = read_json(place)
    given = values.get("pooling_mode")  # of newer files: a name or several
    modes = given if isinstance(given, list) else [given]
    if given is None:
        modes = [
            key.removeprefix("pooling_mode_")
            for key, value in values.items()
            if key.startswith("pooling_mode_") and value is True
        ]
    pooling = POOLINGS.get(str(modes[0])) if len(modes) == 1 else None
    if pooling is None:
        raise RunError(
            "{place} uses a pooling that triptych does not support: {pooling}. Supported are the "
            "mean and the first token.",
            place=place,
            pooling=brief(", ".join(map(str, modes))) or message("none"),
        )
    normalizes = "Normalize" in modules or (path / PLACES[1]).is_dir()
    return {"pooling": pooling, "normalize": normalizes}


def _modules(path: Path) -> dict[str, str]:
    """Return the modules that modules.json lists: kind -> folder.

    Raises RunError naming those that compute something else.
    """
    place = path / MODULES
    if not place.is_file():
        return {}
    given = parsed(_text(place), place, "Copy it again.")
    listed = given if isinstance(given, list) else [given]
    modules: dict[str, str] = {}
    for one in listed:
        table = one if isinstance(one, dict) else {}
        kind, folder = table.get("type"), table.get("path", "")
        if not isinstance(kind, str) or not isinstance(folder, str) or ".." in Path(folder).parts:
            raise RunError(
                "{place} must list modules, each with a type and a path. Copy it again.",
                place=place,
            )
        modules[kind.rsplit(".", 1)[-1]] = folder
    others = sorted(modules.keys() - {"Transformer", "Pooling", "Normalize"})
    if others:
        raise RunError(
            "{place} has the module {modules}, which triptych does not compute. To import the "
            "model without it, remove {name}.",
            place=place,
            modules=brief(", ".join(others)),
            name=MODULES,
        )
    return modules


def _text(place: Path) -> str:
    try:
        return place.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RunError(f"{place} cannot be read: {error.strerror}.") from None


def write_pooling(dest: Path, config: RunConfig) -> None:
    """Write the pooling for sentence-transformers: how the states become one vector."""
    assert isinstance(config.model, ModelConfig) and config.model.encoder is not None, (
        "a BERT has an encoder"
    )
    modules = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        *([("2_Normalize", "Normalize")] if config.options.get("normalize") else []),
    ]
    (dest / "1_Pooling").mkdir(exist_ok=True)
    first = config.options.get("pooling") == "first"
    pooling = {
        "word_embedding_dimension": config.model.encoder.width,
        "pooling_mode_cls_token": first,
        "pooling_mode_mean_tokens": not first,
    }
    write_json(dest / "1_Pooling" / "config.json", pooling)
    for folder, _ in modules[2:]:
        (dest / folder).mkdir(exist_ok=True)
    write_json(
        dest / "modules.json",
        [
            {
                "idx": place,
                "name": str(place),
                "path": folder,
                "type": f"sentence_transformers.models.{kind}",
            }
            for place, (folder, kind) in enumerate(modules)
        ],
    )
