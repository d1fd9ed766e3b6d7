"""Import folders of other libraries as runs."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..data.tokenizers.imported import ImportedTokenizer
from ..data.tokenizers.scored_pieces import tokenizer_json
from ..data.tokenizers.sides import Tokenizers
from ..decoding.settings import DecodingSettings
from ..errors import RunError, UsageError, brief, unknown
from ..interchange import bert, gpt2, huggingface, llama
from ..interchange import llama2c as llama_file
from ..interchange.name_map import Certificate, NameMap
from ..interchange.sentence_transformers import read_pooling
from ..model.config import ModelConfig
from ..presets import PRESETS, parameter_count
from ..presets.estimate import size_of
from ..recipe.schema import ModelTable, Recipe
from ..runs.run import Run, RunConfig
from ..runs.sizes import refuse_unlike
from ..runs.storage import whole_folder
from ..tasks import language_modelling
from ..tasks.specs import SPECS, build_task
from ..tasks.task import Task
from .shared import IMPORT, MASKED, VECTORS, refuse_activation, shapes

if TYPE_CHECKING:
    from torch import Tensor


class Family(Protocol):
    """Describe the module of a family of decoders in `interchange/`."""

    @property
    def PRESET(self) -> str: ...

    def read_config(self, values: Mapping[str, object], where: str) -> ModelConfig: ...

    def name_map(self, names: Collection[str], tied: bool) -> NameMap: ...


NEXT_TOKENS = language_modelling.SPEC.name  # the task of an imported decoder
WRITERS: dict[str, Family] = {"gpt2": gpt2, "llama": llama}  # model_type -> the family's module


@dataclass(kw_only=True)
class Import:
    """Hold a model of another library as it was read, and how its tensors map to ours.

    `metadata` holds its config, tokenizer_config and generation_config.
    """

    path: Path
    kind: str
    task: str
    options: dict[str, object]
    labels: dict[str, object]
    config: ModelConfig
    tokenizer: ImportedTokenizer
    tensors: dict[str, Tensor] = field(repr=False)
    names: NameMap = field(repr=False)
    files: dict[str, dict[str, int | str]]
    metadata: dict[str, object] = field(default_factory=dict)


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
    labels: dict[str, object] = {}
    if kind in WRITERS:
        tokenizer = ImportedTokenizer.take_writer(
            folder.tokenizer, where[1], *folder.bounds(), config.vocabulary_size
        )
        chosen, options = _writing(task), _context(config)
        names = WRITERS[kind].name_map(tensors, config.tied_embeddings)
    else:
        chosen = _task_of(path, kind, tensors, task)
        tokenizer = ImportedTokenizer.take(
            folder.tokenizer, where[1], config.vocabulary_size, folder.tokenizer_config
        )
        refuse_activation(config, chosen, str(path))
        labels = {"pooler": bert.has_pooler(tensors)} if chosen == VECTORS else {"mask": True}
        options = _options(path, chosen, config)
        names = bert.name_map(kind, SPECS[chosen].head, tensors)
    return Import(
        path=path,
        kind=kind,
        task=chosen,
        options=options,
        labels=labels,
        config=config,
        tokenizer=tokenizer,
        tensors=tensors,
        names=names,
        files=files,
        metadata={
            "config": values,
            "tokenizer_config": folder.tokenizer_config,
            "generation_config": folder.generation_config,
        },
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


def _context(config: ModelConfig) -> dict[str, object]:
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


def _task_of(path: Path, kind: str, tensors: Collection[str], task: str | None) -> str:
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


def _options(path: Path, task: str, config: ModelConfig) -> dict[str, object]:
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
