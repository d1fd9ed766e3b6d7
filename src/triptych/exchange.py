"""Models of another library as runs, and runs as that library's models. For `prepare` and `cli` alone.

What came is written to the run folder as import.json: the load certificate, and the config.json and tokenizer_config.json as they were,
so that an export gives back what an import took.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from .data.imported_tokenizer import ImportedTokenizer
from .data.tokenizer import Tokenizer, Tokenizers
from .decoding.settings import DecodingSettings
from .errors import RunError, UsageError, unknown
from .model.config import ModelConfig
from .presets import bert, huggingface, parameter_count
from .presets.estimate import size_of
from .presets.name_map import Certificate, NameMap
from .recipe import ModelTable, Recipe
from .run import Run, RunConfig
from .storage import read_tensors
from .tasks.task import TASKS, Task

IMPORT = "import.json"
TASKS_OF_IMPORTS = ("embedding", "masked-words")


# In ---------------------------------------------------------------------------------------------------------------------


def import_folder(source: str | Path, out: str | Path, task: str | None = None) -> Certificate:
    """Read a folder of the library transformers (BERT or DistilBERT) and write it as the run folder `out`.

    task: "embedding" or "masked-words"; None: masked words where there is a head for them. Raises RunError listing everything
    that is missing or does not fit, and UsageError where `out` holds something.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already. Name another folder for the run.")
    folder = huggingface.read_folder(source)
    config = bert.read_config(folder.config, str(folder.path / "config.json"))
    kind, name = folder.config["model_type"], _task_of(folder, task)
    chosen = TASKS[name](_options(folder.path, name, config))
    labels = {"pooler": bert.has_pooler(folder.tensors)} if name == "embedding" else {"mask": True}
    tokenizer = ImportedTokenizer.take(folder.tokenizer, str(folder.path / "tokenizer.json"), config.vocabulary_size,
                                       folder.tokenizer_config)  # fmt: skip
    _refuse_activation(config, name, str(folder.path))
    names = bert.name_map(kind, name, folder.tensors)
    tensors, certificate = names.to_ours(folder.tensors, shapes(config, chosen, labels), str(folder.path))
    certificate.source, certificate.model_type, certificate.files = str(Path(source).resolve()), kind, folder.files
    run = Run.create(out)
    run.write_text("tokenizer.json", tokenizer.to_json())
    run.write_labels(labels)
    run.write_recipe(_recipe(kind, config, chosen, Path(source)))
    run.write_json(IMPORT, {**certificate.to_json(), "config": folder.config, "tokenizer_config": folder.tokenizer_config})
    run.write_card(_card_of_import(certificate, config, name, folder.path))
    run.write_model(tensors)
    run.write_config(
        RunConfig(
            task=name, model=config, options=dict(chosen.options), tokenizers=Tokenizers(tokenizer, tokenizer).files(),
            decoding=_decoding(), parameters=parameter_count(config), name=Path(source).resolve().name,
        )
    )  # fmt: skip
    return certificate


def open_origin(path: str | Path, task: str) -> Run:
    """The run of `model.start`: a run folder, or a folder of another library, imported into one that is gone with the process.

    task: of what is going to be trained; a head for masked words is taken where it is that.
    """
    if not huggingface.is_folder(path):
        return Run.open(path)
    weights = [Path(path) / name for name in (huggingface.WEIGHTS, huggingface.INDEX)]
    return _imported(Path(path).resolve(), task == "masked-words", sum(one.stat().st_mtime_ns for one in weights if one.exists()))


@lru_cache(maxsize=1)
def _imported(path: Path, masked: bool, _: int) -> Run:
    """Once, however often it is opened while a model is prepared."""
    held = Path(tempfile.mkdtemp(prefix="triptych-"))
    run = Run(held / path.name)
    weakref.finalize(run, shutil.rmtree, held, True)
    import_folder(path, run.path, None if masked else "embedding")
    return run


def shapes(config: ModelConfig, task: Task, labels: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a run, without drawing its weights."""
    import torch

    from .model.build import build
    from .run import weights_of

    with torch.device("meta"):
        model, head = build(config), task.head(config, labels)
    return {name: tuple(tensor.shape) for name, tensor in weights_of(model, head).items()}


def _task_of(folder: huggingface.Folder, task: str | None) -> str:
    has_head = bert.has_masked_words(folder.config["model_type"], folder.tensors)
    if task is None:
        return "masked-words" if has_head else "embedding"
    if task not in TASKS_OF_IMPORTS:
        raise unknown("task", task, TASKS_OF_IMPORTS, "for an import")
    if task == "masked-words" and not has_head:
        raise RunError(
            f"{folder.path} has no head that predicts masked words (cls.predictions or vocab_transform). Import it as embedding."
        )
    return task


def _refuse_activation(config: ModelConfig, task: str, where: str) -> None:
    """The head for masked words has GELU here, and there the activation of the blocks."""
    if task == "masked-words" and config.encoder is not None and config.encoder.activation != "gelu":
        raise RunError(f"{where} has the activation {config.encoder.activation}; a head for masked words is exchanged with gelu alone.")


def _options(path: Path, task: str, config: ModelConfig) -> dict[str, Any]:
    """Of the run's task: how to pool, and no window longer than the model has positions."""
    assert config.encoder is not None, "a BERT is an encoder"
    options = _pooling(path) if task == "embedding" else {}
    window, room = TASKS[task]({}).options.get("window"), config.encoder.max_positions - 2
    return {**options, "window": room} if window is not None and window > room else options


def _pooling(path: Path) -> dict[str, Any]:
    """Options of the task embedding as the files of sentence-transformers beside the model say them."""
    place = path / "1_Pooling" / "config.json"
    if not place.is_file():
        return {}
    values = huggingface.read_json(place)
    modes = [key for key, value in values.items() if key.startswith("pooling_mode_") and value is True]
    known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first"}
    if len(modes) != 1 or modes[0] not in known:
        raise RunError(
            f"{place} pools in a way that triptych does not: {', '.join(modes) or 'none'}. It knows the mean and the first token."
        )
    return {"pooling": known[modes[0]], "normalize": (path / "2_Normalize").is_dir() or "Normalize" in _modules(path)}


def _modules(path: Path) -> str:
    place = path / "modules.json"
    return place.read_text(encoding="utf-8", errors="replace") if place.is_file() else ""


def _recipe(kind: str, config: ModelConfig, task: Task, source: Path) -> str:
    preset = "bert-base" if kind == "bert" else "distilbert-base"
    base, stack = bert.PRESETS[preset].encoder, config.encoder
    assert base is not None and stack is not None, "a BERT is an encoder"
    changed = {key: value for key, value in dataclasses.asdict(stack).items() if value != getattr(base, key)}
    recipe = Recipe(name=source.resolve().name, task={"name": task.name, **task.options}, model=ModelTable(preset=preset, dials=changed))
    return f"# Imported, not trained here: import.json says from where.\n\n{recipe.to_toml()}"


def _decoding() -> dict[str, Any]:
    return dataclasses.asdict(DecodingSettings())


def _card_of_import(certificate: Certificate, config: ModelConfig, task: str, path: Path) -> str:
    licence = _licence(path)
    lines = [f"- {line}" for line in certificate.lines()]
    return "\n".join([
        "---", "library_name: triptych", f"tags: [triptych, {task}, imported]", *([f"license: {licence}"] if licence else []), "---", "",
        f"# {path.resolve().name}", "",
        f"A model for {task} ({size_of(config)}), imported from {certificate.source}. Triptych did not train it: what it learnt from and "
        "what its limits are stands with its source.", "", "## Load certificate", "", *lines, "",
        f"Licence: {licence or 'the source names none'}.", "",
    ])  # fmt: skip


def _licence(path: Path) -> str | None:
    """As the header of the source's README.md names it."""
    try:
        lines = (path / "README.md").read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return None
    if not lines or lines[0].strip() != "---":
        return None
    header = lines[1 : lines.index("---", 1)] if "---" in lines[1:] else []
    return next((line.split(":", 1)[1].strip() for line in header if line.startswith("license:")), None)


# Out --------------------------------------------------------------------------------------------------------------------


def export_run(path: str | Path, dest: str | Path) -> list[str]:
    """Write a run as a folder that the library transformers loads. Returns what is worth knowing, a sentence each.

    Raises RunError naming every dial, option and tensor that has no like there.
    """
    run, dest = Run.open(path), Path(dest)
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise UsageError(f"{dest} is there already. Name another folder to export to.")
    config = run.read_config()
    kind, export = _export_of(run, config)
    tokenizers = Tokenizers.load(run.path)
    labels, before = run.read_labels(), _import_of(run)
    names = bert.export_map(kind, export)
    tensors = read_tensors(run.weights())
    theirs = names.to_theirs(tensors, before.get("casts"), str(run.path))
    assert isinstance(config.model, ModelConfig), "_export_of let it pass"
    values = {**before.get("config", {}), "architectures": [export.architecture], **bert.write_config(config.model)}
    values |= _labels_of(labels, config)
    if any(one.dtype != next(iter(theirs.values())).dtype for one in theirs.values()) or before.get("casts"):
        values["dtype"] = str(next(iter(theirs.values())).dtype).removeprefix("torch.")
    tokenizer = tokenizers.source
    about = before.get("tokenizer_config") or _tokenizer_config(tokenizer, kind, config.model)
    huggingface.write_folder(dest, values, theirs, tokenizer.to_huggingface(), about, _card_of_export(run, config, export.architecture))
    if config.task == "embedding":
        _write_pooling(dest, config)
    return [f"{len(theirs):,} tensors as {export.architecture}.", *_notes(names, tensors, tokenizer, labels)]


def _export_of(run: Run, config: RunConfig) -> tuple[str, bert.Export]:
    """model_type and how the run is written. Raises RunError saying all that stands in the way."""
    if not isinstance(config.model, ModelConfig):
        raise RunError(f"{run.path} is a recurrent network; the library transformers has no model like it.")
    problems = bert.refusals(config.model)
    kind = "bert" if config.model.encoder is not None and config.model.encoder.segments else "distilbert"
    _refuse_activation(config.model, config.task, str(run.path))
    export = bert.EXPORTS.get((kind, config.task))
    if export is None:
        of = "DistilBERT" if kind == "distilbert" else "BERT"
        tasks = sorted(task for one, task in bert.EXPORTS if one == kind)
        problems.append(f"its task is {config.task}, and of a {of} there are {', '.join(tasks)}")
    else:
        problems += [f"task.{key} is {config.options.get(key)!r} instead of {value!r}" for key, value in export.options.items()
                     if config.options.get(key) != value]  # fmt: skip
    if len(config.tokenizers) > 1:
        problems.append("it has two tokenizers")
    if problems or export is None:
        raise RunError(
            f"{run.path} cannot be exported, because the library transformers has no model like it: {'; '.join(problems)}. "
            "It has one for presets bert-base, bert-large and distilbert-base, whatever their sizes."
        )
    return kind, export


def _import_of(run: Run) -> dict[str, Any]:
    """import.json, where the run was imported and not trained since."""
    return run.read_json(IMPORT) if (run.path / IMPORT).is_file() else {}


def _labels_of(labels: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    if config.task not in ("classification", "tagging"):
        return {}
    names = labels.get("names" if config.task == "tagging" else "labels") or ["value"]
    numbers: dict[str, Any] = {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}
    if config.task == "tagging":
        return numbers
    several = config.options.get("learn") == "labels"
    kind = "multi_label_classification" if several else "single_label_classification" if labels.get("labels") else "regression"
    return {**numbers, "problem_type": kind}


def _tokenizer_config(tokenizer: Tokenizer, kind: str, config: ModelConfig) -> dict[str, Any]:
    """Enough for AutoTokenizer. Our own tokenizers have no padding: the end serves, since a mask hides it."""
    assert config.encoder is not None, "a BERT is an encoder"
    begin, end = tokenizer.pieces([tokenizer.begin_id, tokenizer.end_id])
    pad = "[PAD]" if isinstance(tokenizer, ImportedTokenizer) and tokenizer.holds("[PAD]") else end
    values: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast", "cls_token": begin, "sep_token": end, "pad_token": pad,
        "model_max_length": config.encoder.max_positions, "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask", *(["token_type_ids"] if kind == "bert" else [])],
    }  # fmt: skip
    if tokenizer.mask_id is not None:
        values["mask_token"] = tokenizer.pieces([tokenizer.mask_id])[0]
    if isinstance(tokenizer, ImportedTokenizer) and tokenizer.holds("[UNK]"):
        values["unk_token"] = "[UNK]"
    return values


def _write_pooling(dest: Path, config: RunConfig) -> None:
    """For sentence-transformers: how the states become one vector."""
    assert isinstance(config.model, ModelConfig) and config.model.encoder is not None, "a BERT is an encoder"
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), *([("2_Normalize", "Normalize")] if config.options.get("normalize") else [])]
    (dest / "1_Pooling").mkdir(exist_ok=True)
    first = config.options.get("pooling") == "first"
    pooling = {
        "word_embedding_dimension": config.model.encoder.width,
        "pooling_mode_cls_token": first,
        "pooling_mode_mean_tokens": not first,
    }
    huggingface.write_json(dest / "1_Pooling" / "config.json", pooling)
    huggingface.write_json(dest / "modules.json", [
        {"idx": place, "name": str(place), "path": folder, "type": f"sentence_transformers.models.{kind}"}
        for place, (folder, kind) in enumerate(modules)
    ])  # fmt: skip


def _notes(names: NameMap, tensors: Mapping[str, Any], tokenizer: Tokenizer, labels: Mapping[str, Any]) -> list[str]:
    notes = [f"Not written: {name}, {reason}." for name, reason in names.withheld(tensors).items()]
    if not isinstance(tokenizer, ImportedTokenizer):
        begin, end = tokenizer.pieces([tokenizer.begin_id, tokenizer.end_id])
        notes.append(f"There a text that holds {begin} or {end} is read as holding the special token; here it is plain text.")
    if labels.get("value"):
        scale = labels["value"]
        notes.append(f"Its number is in standard deviations: times {scale['deviation']:g}, plus {scale['mean']:g}.")
    return notes


def _card_of_export(run: Run, config: RunConfig, architecture: str) -> str:
    card = run.path / "MODEL_CARD.md"
    before = card.read_text(encoding="utf-8") if card.is_file() else f"# {config.name}\n"
    return f"{before.rstrip()}\n\n## Format\n\nWritten by `triptych export` for the library transformers, as {architecture}.\n"
