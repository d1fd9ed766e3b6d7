"""Run `triptych info`: describe a run, a preset, or what is installed here."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..errors import UsageError, shell_command
from ..messages import message
from ..runs.named import named
from .console import clock, put, table, talk

# Keys that an imported run does not have.
OF_TRAINING = (
    "recipe",
    "source_languages",
    "target_languages",
    "finished",
    "steps",
    "time",
    "epochs",
)
LIBRARIES = ("torch", "numpy", "tokenizers", "safetensors", "pydantic", "cyclopts", "sacrebleu")


def info(
    name: str | None = None,
    /,
    *,
    world: int | None = None,
    batch_tokens: int | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Describe a run or a preset; without a name, list what is installed.

    Parameters
    ----------
    name
        A run, by its folder or its name in the folder runs; or a preset, which is the shape of a
        published model (`triptych info` lists them). With --world also a recipe.
    world
        Compute what each of so many processes needs to train it: memory, and bytes that it sends
        in a step.
    batch_tokens
        With --world: tokens of a micro-batch; by default the recipe's.
    json_
        Print one JSON object instead of a table.
    """
    if world is not None or batch_tokens is not None:
        return _world(name, world, batch_tokens, json_)
    from ..presets import PRESETS, unknown_preset
    from ..recipe.schema import packaged

    if name is None:
        presets = {"presets": ", ".join(PRESETS)} if json_ else _presets()
        values = _here() | presets | {"recipes": ", ".join(packaged())}
    elif Path(name).is_dir():
        values = _run(name)
    elif name in PRESETS:
        values = _preset(name)
        _tell_hidden(name)
    elif named(name) is not None:
        values = _run(name)
    else:
        raise unknown_preset(name, "(and there is no such run folder)")
    if json_:
        put(json.dumps(values, ensure_ascii=False))
    else:
        put(
            table(
                [[key.replace("_", " "), _text(value)] for key, value in values.items()],
                right=False,
            )
        )
    return 0


def _world(name: str | None, world: int | None, batch_tokens: int | None, json_: bool) -> int:
    """Print what several processes need to train a model."""
    from .info_world import sized

    if name is None or world is None:
        raise UsageError(
            "--world and --batch-tokens size a training. Name a run, a preset or a recipe, and "
            "give the number of processes: {command}",
            command=shell_command("triptych", "info", "gpt2", "--world", 8),
        )
    found = sized(name, world, batch_tokens)
    put(json.dumps(found.to_json(), ensure_ascii=False) if json_ else found.to_table())
    return 0


def _tell_hidden(name: str) -> None:
    """Say where a run is that has the name of a preset."""
    found = named(name)
    if found is not None:
        talk(message("This is the preset. The run of that name is {path}.", path=found))


def _here() -> dict[str, object]:
    import platform

    import torch

    from .. import __version__
    from ..runs.model_card import hardware
    from ..training.precision import choose_device, choose_precision

    device = choose_device("auto")
    versions = {name: metadata.version(name) for name in LIBRARIES}
    return {
        "triptych": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        **versions,
        "hardware": hardware(),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "training_precision": str(choose_precision("auto", device)).removeprefix("torch."),
    }


def _presets() -> dict[str, object]:
    """Return the names of all presets, a line for each family."""
    from ..presets import FAMILIES

    lines: dict[str, list[str]] = {}
    for one in FAMILIES:
        lines.setdefault(one.family, []).extend(one.sizes)
    return {f"presets: {family}": ", ".join(names) for family, names in lines.items()}


def _preset(name: str) -> dict[str, object]:
    from ..model.dials import written
    from ..presets import counted, parameter_count, published
    from ..presets.estimate import size_of
    from ..presets.published import OWN

    sized, family = counted(name), published(name)
    values = {
        key: value
        for key, value in written(sized).items()
        if key not in ("vocabulary_size", "source_vocabulary_size")
    }
    origin = {} if family.family == OWN else {"family": family.family, "paper": family.paper}
    return {"preset": name, **origin, "shape": size_of(sized),
            "parameters": parameter_count(sized),
            "vocabulary_counted": sized.vocabulary_size, **values}  # fmt: skip


def _run(folder: str) -> dict[str, object]:
    from ..presets.estimate import size_of
    from ..runs.run import Run

    run = Run.open(folder)
    config = run.read_config()
    lines = run.read_metrics(talk)
    steps = [line for line in lines if line.get("split") == "train"]
    validations = [line for line in lines if line.get("split") == "validation"]
    best = next((line for line in reversed(validations) if line.get("best")), None)
    last: dict[str, Any] = max(lines, key=lambda line: line.get("step", 0), default={})
    checkpoint = run.latest_checkpoint()
    values: dict[str, object] = {
        "run": str(run.path),
        "recipe": config.name,
        "task": config.task,
        "source_languages": config.languages.get("source", []),
        "target_languages": config.languages.get("targets", []),
        "shape": size_of(config.model),
        "parameters": config.parameters,
        "vocabulary": config.model.vocabulary_size,
        "finished": run.has_model(),
        "steps": last.get("step", checkpoint.step if checkpoint else 0),
        "time": clock(last.get("seconds", 0)),
        "epochs": last.get("epoch", 0.0),
    }
    if (run.path / "import.json").is_file():
        values = {key: value for key, value in values.items() if key not in OF_TRAINING} | _import(
            run.read_import()
        )
    if steps:
        values["training_loss"] = steps[-1].get("loss")
        values["tokens_per_second"] = steps[-1].get("tokens_per_second")
    if best:
        values["best_validation"] = {
            key: round(value, 4)
            for key, value in best.items()
            if isinstance(value, float) and key not in ("epoch", "seconds")
        } | {"step": best.get("step", 0)}
    decoding = {key: value for key, value in config.decoding.items() if value is not None}
    if config.code is not None:
        values["code"] = config.code
    return values | {
        "decoding": decoding,
        "checkpoints": [found.path.name for found in run.checkpoints()],
    }


def _import(certificate: dict[str, Any]) -> dict[str, object]:
    """Return the origin of an imported run, in place of facts about its training."""
    hashes = {name: f"SHA-256 {mark['sha256']}" for name, mark in certificate["files"].items()}
    return {
        "imported_from": certificate["source"],
        "model_type": certificate["model_type"],
        "tensors": certificate["mapped"],
        "ignored": list(certificate["ignored"]),
        "tied": list(certificate["tied"]),
        "files": hashes,
    }


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {_text(inner)}" for key, inner in value.items() if inner is not None
        )
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
