"""Read and write how states become one vector, in the files of sentence-transformers."""

from __future__ import annotations

from pathlib import Path

from ..errors import RunError
from ..model.config import ModelConfig
from ..runs.run import RunConfig
from .huggingface import read_json, write_json


def read_pooling(path: Path) -> dict[str, object]:
    """Return the options of the task embedding from the files of sentence-transformers."""
    place = path / "1_Pooling" / "config.json"
    if not place.is_file():
        return {}
    values = read_json(place)
    modes = [
        key for key, value in values.items() if key.startswith("pooling_mode_") and value is True
    ]
    known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first"}
    if len(modes) != 1 or modes[0] not in known:
        raise RunError(
            f"{place} uses a pooling that triptych does not support: "
            f"{', '.join(modes) or 'none'}. Supported are the mean and the first token."
        )
    return {
        "pooling": known[modes[0]],
        "normalize": (path / "2_Normalize").is_dir() or "Normalize" in _modules(path),
    }


def _modules(path: Path) -> str:
    place = path / "modules.json"
    try:
        return place.read_text(encoding="utf-8", errors="replace") if place.is_file() else ""
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
