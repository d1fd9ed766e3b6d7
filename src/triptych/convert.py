"""Turn models of another library into runs, and runs into that library's models.

Only `setup` and `cli` import this module. What is imported is recorded in the run folder as
import.json: the load certificate, and the original config.json and tokenizer_config.json, so that
an export gives back what was imported.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .data.tokenizers.imported import ImportedTokenizer
from .data.tokenizers.scored_pieces import tokenizer_json
from .data.tokenizers.sides import Tokenizers
from .data.tokenizers.subwords import Tokenizer
from .decoding.settings import DecodingSettings
from .errors import RunError, UsageError, brief, unknown
from .interchange import bert, gpt2, huggingface, llama
from .interchange import llama2c as llama_file
from .interchange.name_map import Certificate, NameMap
from .interchange.sentence_transformers import read_pooling, write_pooling
from .model.config import ModelConfig
from .presets import PRESETS, parameter_count
from .presets.estimate import size_of
from .recipe.schema import ModelTable, Recipe
from .runs.run import Run, RunConfig
from .runs.sizes import refuse_unlike
from .runs.storage import read_tensors, whole_folder
from .tasks import embedding, language_modelling, masked_words
from .tasks.specs import SPECS, build_task
from .tasks.task import Task

IMPORT = "import.json"
# The tasks of imported models.
VECTORS, MASKED = embedding.SPEC.name, masked_words.SPEC.name
NEXT_TOKENS = language_modelling.SPEC.name
WRITERS: dict[str, Any] = {"gpt2": gpt2, "llama": llama}  # model_type -> the family's module


# In -----------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Import:
    """Hold a model of another library as it was read, and how its tensors map to ours.

    `metadata` holds its config, tokenizer_config and generation_config.
    """

    path: Path
    kind: str
    task: str
    options: dict[str, Any]
    labels: dict[str, Any]
    config: ModelConfig
    tokenizer: ImportedTokenizer
    tensors: dict[str, Any] = field(repr=False)
    names: NameMap = field(repr=False)
    files: dict[str, dict[str, Any]]
    metadata: dict[str, Any] = field(default_factory=dict)


def import_folder(
    source: str | Path, out: str | Path, task: str | None = None, allow_nonfinite: bool = False
) -> Certificate:
    """Read a model of the library transformers or of llama2.c and write it as a run folder.

    The former may be BERT, DistilBERT, GPT-2 or Llama; `task` is "embedding" or "masked-words" for
    an encoder, by default the latter if it has a head for it. `out` appears whole or not at all.

    Raises:
        RunError: Something is missing or does not fit; the text lists everything.
        UsageError: `out` is not empty.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} already exists. Name another folder for the run.")
    found = (
        _from_llama_file(source, task)
        if llama_file.is_folder(source)
        else _from_huggingface(source, task)
    )
    chosen, name = build_task(found.task, found.options), Path(source).resolve().name
    tensors, certificate = found.names.to_ours(
        found.tensors, shapes(found.config, chosen, found.labels), str(found.path)
    )
    certificate.source, certificate.model_type, certificate.files = (
        str(Path(source).resolve()),
        found.kind,
        found.files,
    )
    if not allow_nonfinite:
        found.names.refuse_nonfinite(tensors, str(found.path))
    with whole_folder(out) as aside:
        run = Run.create(aside)
        run.write_text("tokenizer.json", found.tokenizer.to_json())
        run.write_labels(found.labels)
        run.write_recipe(_recipe(found.kind, found.config, chosen, name))
        run.write_json(IMPORT, {**certificate.to_json(), **found.metadata})
        run.write_card(_card_of_import(certificate, found.config, found.task, found.path))
        run.write_model(tensors)
        run.write_config(
            RunConfig(
                task=found.task,
                model=found.config,
                options=dict(chosen.options),
                decoding=dataclasses.asdict(DecodingSettings()),
                tokenizers=Tokenizers(found.tokenizer, found.tokenizer).files(),
                parameters=parameter_count(found.config),
                name=name,
            )
        )
    return certificate


def _from_huggingface(source: str | Path, task: str | None) -> Import:
    folder = huggingface.read_folder(source)
    kind, path, values = folder.kind, folder.path, folder.config
    where = str(path / "config.json"), str(path / "tokenizer.json")
    if kind not in (*bert.KEYS, *WRITERS):
        given = brief(repr(values.get("model_type")))
        raise RunError(
            f"{where[0]} is of model_type {given}; triptych takes "
            f"{', '.join((*bert.KEYS, *WRITERS))}.{bert.why(kind)}"
        )
    config = WRITERS.get(kind, bert).read_config(values, where[0])
    refuse_unlike(config, where[0], folder.weights)
    tensors, files = folder.read_weights()
    rest: dict[str, Any] = {
        "kind": kind,
        "path": path,
        "config": config,
        "tensors": tensors,
        "files": files,
        "metadata": {
            "config": values,
            "tokenizer_config": folder.tokenizer_config,
            "generation_config": folder.generation_config,
        },
    }
    if kind in WRITERS:
        tokenizer = ImportedTokenizer.take_writer(
            folder.tokenizer, where[1], *folder.bounds(), config.vocabulary_size
        )
        return Import(
            task=_writing(task),
            options=_context(config),
            labels={},
            tokenizer=tokenizer,
            names=WRITERS[kind].name_map(tensors, config.tied_embeddings),
            **rest,
        )
    name = _task_of(path, kind, tensors, task)
    tokenizer = ImportedTokenizer.take(
        folder.tokenizer, where[1], config.vocabulary_size, folder.tokenizer_config
    )
    _refuse_activation(config, name, str(path))
    labels = {"pooler": bert.has_pooler(tensors)} if name == VECTORS else {"mask": True}
    return Import(
        task=name,
        options=_options(path, name, config),
        labels=labels,
        tokenizer=tokenizer,
        names=bert.name_map(kind, SPECS[name].head, tensors),
        **rest,
    )


def _from_llama_file(source: str | Path, task: str | None) -> Import:
    held = llama_file.read_folder(source)
    begin = llama_file.SPECIALS[1]  # llama2.c generates until the begin token of another text
    text = json.dumps(tokenizer_json(held.pieces, held.scores, llama_file.SPECIALS))
    tokenizer = ImportedTokenizer.take_writer(
        text, str(held.path), begin, begin, held.config.vocabulary_size
    )
    return Import(
        path=held.path,
        kind=llama.KIND,
        task=_writing(task),
        options=_context(held.config),
        labels={},
        config=held.config,
        tokenizer=tokenizer,
        tensors=held.tensors,
        names=held.names,
        files=held.files,
    )


def _writing(task: str | None) -> str:
    """Return the task of a decoder."""
    if task not in (None, NEXT_TOKENS):
        raise UsageError(
            f"--task {task} is for an encoder; a decoder-only model is imported for {NEXT_TOKENS}."
        )
    return NEXT_TOKENS


def _context(config: ModelConfig) -> dict[str, Any]:
    assert config.decoder is not None, "a decoder-only model has a decoder"
    return {"context": config.decoder.max_positions}


def open_origin(path: str | Path, task: str) -> Run:
    """Open the run of `model.start`: a run folder, or an imported folder of another library.

    The latter is imported into a run that is deleted with the process. `task` is the task to be
    trained; a head for masked words is imported only for that task.
    """
    in_one_file = llama_file.is_folder(path)
    if not in_one_file and not huggingface.is_folder(path):
        return Run.open(path)
    writes = (
        in_one_file
        or str(huggingface.read_json(Path(path) / "config.json").get("model_type")) in WRITERS
    )
    wanted = None if writes or task == MASKED else VECTORS
    return _imported(Path(path).resolve(), wanted)


def _imported(path: Path, task: str | None) -> Run:
    """Import a folder of another library into a run that is deleted with the process."""
    held = Path(tempfile.mkdtemp(prefix="triptych-"))
    run = Run(held / path.name)
    weakref.finalize(run, shutil.rmtree, held, True)
    import_folder(path, run.path, task)
    return run


def shapes(config: ModelConfig, task: Task, labels: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor of a run, without drawing its weights."""
    import torch

    from .model.build import build
    from .runs.checkpoint import weights_of

    with torch.device("meta"):
        model, head = build(config), task.head(config, labels)
    return {name: tuple(tensor.shape) for name, tensor in weights_of(model, head).items()}


def _task_of(path: Path, kind: str, tensors: Mapping[str, Any], task: str | None) -> str:
    has_head = bert.has_masked_words(kind, tensors)
    if task is None:
        return MASKED if has_head else VECTORS
    if task not in (VECTORS, MASKED):
        raise unknown("task", task, (VECTORS, MASKED), "for an import")
    if task == MASKED and not has_head:
        raise RunError(
            f"{path} has no head that predicts masked words (cls.predictions or vocab_transform). "
            "Import it as embedding."
        )
    return task


def _refuse_activation(config: ModelConfig, task: str, where: str) -> None:
    """Raise RunError for a masked-words model whose blocks do not use GELU, as our head does."""
    if task == MASKED and config.encoder is not None and config.encoder.activation != "gelu":
        raise RunError(
            f"{where} has the activation {config.encoder.activation}; a head for masked words is "
            "exchanged with gelu alone."
        )


def _options(path: Path, task: str, config: ModelConfig) -> dict[str, Any]:
    """Return the task's options: the pooling, and a window that the model's positions hold."""
    assert config.encoder is not None, "a BERT is an encoder"
    options = read_pooling(path) if task == VECTORS else {}
    window, room = build_task(task, {}).options.get("window"), config.encoder.max_positions - 2
    return {**options, "window": room} if window is not None and window > room else options


def _recipe(kind: str, config: ModelConfig, task: Task, name: str) -> str:
    preset = (
        WRITERS[kind].PRESET
        if kind in WRITERS
        else "bert-base"
        if kind == "bert"
        else "distilbert-base"
    )
    base, changed = PRESETS[preset], {}
    assert isinstance(base, ModelConfig), "an imported model is not a recurrent network"
    for ours, theirs in ((config.encoder, base.encoder), (config.decoder, base.decoder)):
        if ours is not None and theirs is not None:
            changed |= {
                key: value
                for key, value in dataclasses.asdict(ours).items()
                if value != getattr(theirs, key)
            }
    if config.tied_embeddings != base.tied_embeddings:
        changed["tied_embeddings"] = config.tied_embeddings
    recipe = Recipe(
        name=name,
        task={"name": task.name, **task.options},
        model=ModelTable(preset=preset, dials=changed),
    )
    return f"# Imported, not trained here: import.json says from where.\n\n{recipe.to_toml()}"


def _card_of_import(certificate: Certificate, config: ModelConfig, task: str, path: Path) -> str:
    licence = _licence(path)
    lines = [f"- {line}" for line in certificate.lines()]
    return "\n".join(
        [
            "---",
            "library_name: triptych",
            f"tags: [triptych, {task}, imported]",
            *([f"license: {licence}"] if licence else []),
            "---",
            "",
            f"# {path.resolve().name}",
            "",
            (
                f"A model for {task} ({size_of(config)}), imported from {certificate.source}. "
                "Triptych did not train it: see its source for its training data and its limits."
            ),
            "",
            "## Load certificate",
            "",
            *lines,
            "",
            f"Licence: {licence or 'the source names none'}.",
            "",
        ]
    )


def _licence(path: Path) -> str | None:
    """Return the licence that the header of the source's README.md names."""
    try:
        lines = (path / "README.md").read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return None
    if not lines or lines[0].strip() != "---":
        return None
    header = lines[1 : lines.index("---", 1)] if "---" in lines[1:] else []
    return next(
        (line.split(":", 1)[1].strip() for line in header if line.startswith("license:")), None
    )


# Out ----------------------------------------------------------------------------------------------


def export_run(path: str | Path, dest: str | Path) -> list[str]:
    """Write a run as a folder that the library transformers loads.

    Returns:
        What is worth knowing about the export, one sentence each.

    Raises:
        RunError: The text names every setting, option and tensor without a counterpart there.
    """
    from .model.lora import merged

    run, dest = Run.open(path), Path(dest)
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise UsageError(f"{dest} already exists. Name another folder to export to.")
    config = run.read_config()
    if not isinstance(config.model, ModelConfig):
        raise RunError(
            f"{run.path} is a recurrent network, for which the library transformers has no model."
        )
    writes = config.model.encoder is None
    out = (
        _writer_out(run, config, config.model)
        if writes
        else _encoder_out(run, config, config.model)
    )
    tokenizers = Tokenizers.load(run.path)
    labels, before = run.read_labels(), _import_of(run)
    tensors = merged(read_tensors(run.weights()))
    theirs = out.names.to_theirs(tensors, before.get("casts"), str(run.path))
    tokenizer = tokenizers.source
    values = {**before.get("config", {}), "architectures": [out.architecture], **out.values}
    values |= _ends(tokenizer) if writes else _labels_of(labels, config)
    if any(one.dtype != next(iter(theirs.values())).dtype for one in theirs.values()) or before.get(
        "casts"
    ):
        values["dtype"] = str(next(iter(theirs.values())).dtype).removeprefix("torch.")
    extra = before.get("tokenizer_config") or _tokenizer_config(tokenizer, out.kind, config.model)
    card = _card_of_export(run, config, out.architecture)
    generation = (
        {**before.get("generation_config", {}), **_ends(tokenizer)}
        if before.get("generation_config") and writes
        else {}
    )
    with whole_folder(dest) as aside:
        huggingface.write_folder(
            aside, values, theirs, tokenizer.to_huggingface(end=not writes), extra, card, generation
        )
        if config.task == VECTORS:
            write_pooling(aside, config)
    return [
        f"{len(theirs):,} tensors as {out.architecture}.",
        *_notes(out.names, tensors, tokenizer, labels),
    ]


@dataclass(frozen=True, kw_only=True)
class Out:
    """Hold how a run is written: model_type and class there, rules for tensors, config.json."""

    kind: str
    architecture: str
    names: NameMap
    values: dict[str, Any]


def _writer_out(run: Run, config: RunConfig, model: ModelConfig) -> Out:
    """Describe the export of a decoder; raise RunError with everything that prevents it."""
    assert model.decoder is not None, "a model has a stack"
    family = llama if model.decoder.norm == "rms" else gpt2
    problems = family.refusals(model) + _two_tokenizers(config)
    writers = [one.name for one in SPECS.values() if one.architecture == "decoder"]
    if config.task not in writers:
        problems.append(
            f"its task is {config.task}, but decoders are exported for {', '.join(writers)}"
        )
    if problems:
        raise _no_like(run, problems, "presets gpt2 to gpt2-xl and those of Llama")
    values = family.write_config(model, config.options.get("context", 0))
    return Out(
        kind=family.KIND,
        architecture=family.ARCHITECTURE,
        names=family.export_map(model.tied_embeddings),
        values=values,
    )


def _encoder_out(run: Run, config: RunConfig, model: ModelConfig) -> Out:
    """Describe the export of an encoder; raise RunError with everything that prevents it."""
    problems = bert.refusals(model)
    kind = "bert" if model.encoder is not None and model.encoder.segments else "distilbert"
    _refuse_activation(model, config.task, str(run.path))
    export = bert.EXPORTS.get((kind, SPECS[config.task].head))
    if export is None:
        of = "DistilBERT" if kind == "distilbert" else "BERT"
        tasks = sorted(one.name for one in SPECS.values() if (kind, one.head) in bert.EXPORTS)
        problems.append(f"its task is {config.task}, but a {of} is exported for {', '.join(tasks)}")
    else:
        given = build_task(config.task, config.options).options  # an older run has fewer
        problems += [
            f"task.{key} is {given[key]!r} instead of {value!r}"
            for key, value in export.options.items()
            if given[key] != value
        ]
    problems += _two_tokenizers(config)
    if problems or export is None:
        raise _no_like(run, problems, "presets bert-base, bert-large and distilbert-base")
    return Out(
        kind=kind,
        architecture=export.architecture,
        names=bert.export_map(kind, export),
        values=bert.write_config(model),
    )


def _two_tokenizers(config: RunConfig) -> list[str]:
    return ["it has two tokenizers"] if len(config.tokenizers) > 1 else []


def _no_like(run: Run, problems: list[str], presets: str) -> RunError:
    return RunError(
        f"{run.path} cannot be exported, because the library transformers has no such model: "
        f"{'; '.join(problems)}. It has models for {presets}, of any size."
    )


def _ends(tokenizer: Tokenizer) -> dict[str, Any]:
    ends = list(tokenizer.end_ids)
    return {
        "bos_token_id": tokenizer.begin_id,
        "eos_token_id": ends if len(ends) > 1 else tokenizer.end_id,
    }


def _import_of(run: Run) -> dict[str, Any]:
    """Return import.json if the run was imported and not trained since, else nothing."""
    return run.read_import() if (run.path / IMPORT).is_file() else {}


def _labels_of(labels: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    head = SPECS[config.task].head
    if head not in ("classifier", "tagger"):
        return {}
    names = labels.get("names" if head == "tagger" else "labels") or ["value"]
    numbers: dict[str, Any] = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
    }
    if head == "tagger":
        return numbers
    several = config.options.get("learn") == "labels"
    kind = (
        "multi_label_classification"
        if several
        else "single_label_classification"
        if labels.get("labels")
        else "regression"
    )
    return {**numbers, "problem_type": kind}


def _tokenizer_config(tokenizer: Tokenizer, kind: str, config: ModelConfig) -> dict[str, Any]:
    """Return enough for AutoTokenizer; padding uses the end token, which a mask hides."""
    begin, end = tokenizer.pieces([tokenizer.begin_id, tokenizer.end_id])
    if config.encoder is None:
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": begin,
            "eos_token": end,
            "clean_up_tokenization_spaces": False,
        }
    pad = "[PAD]" if isinstance(tokenizer, ImportedTokenizer) and tokenizer.holds("[PAD]") else end
    values: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "cls_token": begin,
        "sep_token": end,
        "pad_token": pad,
        "model_max_length": config.encoder.max_positions,
        "clean_up_tokenization_spaces": False,
        "model_input_names": [
            "input_ids",
            "attention_mask",
            *(["token_type_ids"] if kind == "bert" else []),
        ],
    }
    if tokenizer.mask_id is not None:
        values["mask_token"] = tokenizer.pieces([tokenizer.mask_id])[0]
    if isinstance(tokenizer, ImportedTokenizer) and tokenizer.holds("[UNK]"):
        values["unk_token"] = "[UNK]"
    return values


def _notes(
    names: NameMap, tensors: Mapping[str, Any], tokenizer: Tokenizer, labels: Mapping[str, Any]
) -> list[str]:
    notes = [f"Not written: {name}, {reason}." for name, reason in names.withheld(tensors).items()]
    if not isinstance(tokenizer, ImportedTokenizer):
        begin, end = tokenizer.pieces([tokenizer.begin_id, tokenizer.end_id])
        notes.append(
            f"The library reads {begin} or {end} in a text as the special token; in triptych it "
            "is plain text."
        )
    if labels.get("value"):
        scale = labels["value"]
        notes.append(
            f"Its number is in standard deviations: multiply by {scale['deviation']:g} and add "
            f"{scale['mean']:g}."
        )
    if labels.get("template"):
        notes.append(
            "Not written: the template of its conversations, "
            f"{json.dumps(labels['template'], ensure_ascii=False)}."
        )
    return notes


def _card_of_export(run: Run, config: RunConfig, architecture: str) -> str:
    card = run.path / "MODEL_CARD.md"
    before = card.read_text(encoding="utf-8") if card.is_file() else f"# {config.name}\n"
    return (
        f"{before.rstrip()}\n\n## Format\n\nWritten by `triptych export` for the library "
        f"transformers, as {architecture}.\n"
    )
