"""Import folders of other libraries as runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.tokenizers.answer_sides import Sides
from ..data.tokenizers.imported import ImportedTokenizer
from ..data.tokenizers.scored_pieces import tokenizer_json
from ..data.tokenizers.sides import Tokenizers
from ..decoding.settings import DecodingSettings, written_settings
from ..errors import RunError, UsageError, brief, unknown
from ..interchange import (  # fmt: skip
    ctranslate2,
    ctranslate2_reader,
    ctranslate2_whisper,
    gguf,
    gguf_models,
    huggingface,
    llama,
    marian_files,
)
from ..interchange import llama2c as llama_file
from ..interchange.families import OF_FILES, READ
from ..interchange.family import Family, PublishedClass
from ..interchange.name_map import Certificate, NameMap
from ..interchange.rules import Rename
from ..interchange.sentence_transformers import read_pooling
from ..model.config import ModelConfig
from ..presets import parameter_count
from ..runs.mapped import written_type
from ..runs.run import Run, RunConfig
from ..runs.sizes import refuse_unlike
from ..runs.storage import whole_folder
from ..tasks.specs import SPECS, build_task
from . import hub, speech
from .answers import numbers_of, rewriting, sides_of
from .cards import card_of_import
from .generation import decoding_of
from .heads import OWN, TASKS, Use, own_use, use_of
from .published_chat import NEXT_TOKENS, use_of_decoder
from .shared import IMPORT, VECTORS, keep_files, shapes
from .written_recipe import written_recipe

if TYPE_CHECKING:
    from torch import Tensor


HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")


@dataclass(kw_only=True)
class Import:
    """Hold a model of another library as it was read, and how its tensors map to ours.

    `metadata` holds its config, tokenizer_config and generation_config.
    """

    path: Path
    kind: str
    use: Use
    config: ModelConfig
    tokenizers: Tokenizers
    tensors: dict[str, Tensor] = field(repr=False)
    names: NameMap = field(repr=False)
    files: dict[str, dict[str, int | str]]
    metadata: dict[str, object] = field(default_factory=dict)
    quantised: Mapping[str, int] = field(default_factory=dict)
    decoding: DecodingSettings = field(default_factory=DecodingSettings)
    notes: list[str] = field(default_factory=list)
    kept: tuple[str, ...] = ()  # files of the folder that an export gives back
    drop: Callable[[], None] = field(default=lambda: None, repr=False)


def refuse_taken(out: Path) -> None:
    """Raise UsageError unless a folder can be written."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} already exists. Name another folder for the run.")


def import_folder(
    source: str | Path,
    out: str | Path,
    task: str | None = None,
    allow_nonfinite: bool = False,
    fetched: hub.Fetched | None = None,
    trained: str | None = None,
) -> Certificate:
    """Read a model of the library transformers, GGUF or llama2.c and write it as a run folder.

    The first two may be of any family in `interchange/families.py` that is read. `task` is one
    whose head the folder holds, or "embedding"; by default that of its class; `trained` is the task
    that it will be trained for, if that is another. `out` appears whole or not at all. `fetched`
    says from where on the hub the folder came.

    Raises:
        RunError: Something is missing or does not fit; the text lists everything.
        UsageError: `out` is not empty.
    """
    out = Path(out)
    refuse_taken(out)
    found = (
        _from_llama_file(source, task)
        if llama_file.is_folder(source)
        else _from_published(_opened(source), task, trained)
    )
    use, place = found.use, str(Path(source).resolve())
    name = Path(place).name.removesuffix(".gguf")
    if fetched is not None:
        name, place = fetched.name.split("/")[1], fetched.source
        found.metadata["hub"] = {"name": fetched.name, "revision": fetched.revision}
    chosen = build_task(use.task, use.options)
    wanted = shapes(found.config, chosen, use.labels)
    tensors, certificate = found.names.to_ours(found.tensors, wanted, str(found.path), cast=False)
    tensors |= _held(use, tensors, str(found.path))
    certificate.source, certificate.model_type = place, found.kind
    certificate.quantised = dict(found.quantised)
    certificate.files, certificate.notes = found.files, found.notes
    if not allow_nonfinite:
        found.names.refuse_nonfinite(tensors, str(found.path), found.drop)
    with whole_folder(out) as aside:
        run = Run.create(aside)
        _write_tokenizers(run, found)
        run.write_labels(use.labels)
        run.write_recipe(written_recipe(found.kind, found.config, chosen, name))
        run.write_json(IMPORT, {**certificate.to_json(), **found.metadata})
        run.write_card(card_of_import(certificate, found.config, use.task, found.path, name))
        run.write_mapped(tensors, found.drop)
        run.write_config(
            RunConfig(
                task=use.task,
                model=found.config,
                options=dict(chosen.options),
                decoding=written_settings(found.decoding),
                tokenizers=found.tokenizers.files(),
                parameters=parameter_count(found.config),
                name=name,
            )
        )
    return certificate


def _write_tokenizers(run: Run, found: Import) -> None:
    for side, file in found.tokenizers.files().items():
        one = found.tokenizers.target if side == "target" else found.tokenizers.source
        run.write_text(file, one.to_json())
    keep_files(found.path, found.kept, run.path)


def _held(use: Use, tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Return the tensors that an exported folder holds as numbers, in the shapes of ours."""
    import torch

    found: dict[str, Tensor] = {}
    for name, numbers in use.held.items():
        if name not in tensors:
            raise RunError(f"{where}: {OWN}.held has {brief(repr(name))}, which the run has not.")
        try:
            found[name] = torch.tensor(numbers, dtype=written_type(tensors[name]))
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise RunError(f"{where}: {OWN}.held.{name} does not hold numbers.") from None
        if found[name].shape != tensors[name].shape:
            raise RunError(
                f"{where}: {OWN}.held.{name} has shape {tuple(found[name].shape)} instead of "
                f"{tuple(tensors[name].shape)}."
            )
    return found


def family_of(kind: str, given: object, where: str) -> Family:
    """Return the family of a model_type. Raise RunError naming the nearest for an unknown one."""
    found = READ.get(kind) or OF_FILES.get(kind)
    if found is None:
        near = [one for one in (f"{kind}_text",) if one in READ] or get_close_matches(
            kind, READ, 1, 0.6
        )
        raise RunError(
            f"{where} is of model_type {brief(repr(given))}; triptych takes {', '.join(READ)}."
            + (f" The nearest is {near[0]}." if near else "")
        )
    return found


def _opened(source: str | Path) -> huggingface.Folder:
    """Read what `source` holds, whatever its format, in the form of a Hugging Face folder."""
    if gguf.is_gguf(source):
        return gguf_models.read_model(source)
    if ctranslate2.is_folder(source):
        if ctranslate2.specification_of(source) == ctranslate2_whisper.SPECIFICATION:
            return ctranslate2_whisper.read_model(source)
        return ctranslate2_reader.read_model(source)
    if marian_files.is_folder(source):
        return marian_files.read_model(source)
    return huggingface.read_folder(source)


def _from_published(
    folder: huggingface.Folder, task: str | None, trained: str | None = None
) -> Import:
    """Read a folder for a task; `trained` is the one that it will be trained for, if any."""
    kind, path, values = folder.kind, folder.path, folder.config
    where = str(path / "config.json"), folder.tokenizer_path
    if folder.reader is not None:
        where = str(path), str(path)
    family = family_of(kind, values.get("model_type"), where[0])
    assert family.read_config is not None, "families of READ are read"
    config = family.read_config(values, where[0])
    refuse_unlike(config, where[0], folder.weights, folder.shapes)
    tensors, files = folder.read_weights()
    config = family.fitted(config, tensors)
    own = own_use(values, where[0])
    if own is not None and task not in (None, own.task):
        own = None
    decoding, notes = DecodingSettings(), list(folder.notes)
    if family.architecture == "decoder":
        _refuse_head(values, path)
        tokenizer = ImportedTokenizer.take_writer(
            folder.tokenizer, where[1], *folder.bounds(), config.vocabulary_size
        )
        published = family.classes[0]
        plain = Use(task=NEXT_TOKENS, options=_context(config), labels={})
        use, tokenizer = use_of_decoder(
            path, folder.tokenizer_config, tokenizer, task, own or plain
        )
        both = Tokenizers(tokenizer, tokenizer)
    elif family.architecture == "encoder-decoder":
        published = family.classes[0]
        both, use, decoding, unread = _of_both(folder, where[1], config, family, task, own)
        notes += unread
    else:
        published = _published(family, folder, tensors, task if own is None else own.task)
        tokenizer = ImportedTokenizer.take(
            folder.tokenizer, where[1], config.vocabulary_size, folder.tokenizer_config
        )
        both = Tokenizers(tokenizer, tokenizer)
        fitting = published if trained is None else family.class_of(SPECS[trained].head)
        config = (fitting or published).configured(config)
        use = own or _use(family, published, folder, config, tensors)
    return Import(
        path=path,
        kind=kind,
        use=use,
        config=config,
        tokenizers=both,
        decoding=decoding,
        notes=notes,
        kept=folder.kept,
        tensors=tensors,
        names=family.name_map(published, config, tensors),
        files=files,
        metadata=_metadata(folder),
        quantised=folder.quantised,
        drop=folder.drop,
    )


def _of_both(
    folder: huggingface.Folder,
    where: str,
    config: ModelConfig,
    family: Family,
    task: str | None,
    own: Use | None,
) -> tuple[Tokenizers, Use, DecodingSettings, list[str]]:
    """Return tokenizers, use and settings of an encoder-decoder, and notes on what is not read."""
    speaks = family.task == speech.TASK
    sides = speech.sides_of(folder) if speaks else sides_of(folder)
    both = _both_sides(folder, where, config.vocabulary_size, sides)
    if speaks:
        return both, own or speech.use_of(task, sides, config), *speech.decoding_of(folder, sides)
    use = own or rewriting(task or family.task or "", sides, config)
    return both, use, *decoding_of(folder, sides)


def _both_sides(folder: huggingface.Folder, where: str, rows: int, sides: Sides) -> Tokenizers:
    """Return the tokenizers of an encoder-decoder, of which most have one."""
    ends = numbers_of(folder, folder.bounds()[1], "eos_token_id")
    source = ImportedTokenizer.take_sides(folder.tokenizer, where, rows, ends, sides)
    if folder.target_tokenizer is None:
        return Tokenizers(source, source)
    return Tokenizers(
        source,
        ImportedTokenizer.take_sides(folder.target_tokenizer, where, rows, ends, sides),
    )


def _metadata(folder: huggingface.Folder) -> dict[str, object]:
    """Return what import.json keeps of a folder's files, for an export."""
    values = folder.config
    return {
        "config": {key: value for key, value in values.items() if key != OWN},
        "tokenizer_config": folder.tokenizer_config,
        "generation_config": folder.generation_config,
        **({"kept": list(folder.kept)} if folder.kept else {}),
        **({OWN: values[OWN]} if OWN in values else {}),
    }


def _refuse_head(values: Mapping[str, object], path: Path) -> None:
    """Refuse the class of a decoder that does not write: our heads are for encoders."""
    given = values.get("architectures")
    for one in given if isinstance(given, list) else []:
        if isinstance(one, str) and one.endswith(HEADS):
            raise RunError(
                "{file} is of class {name}, a decoder with a head that does not write; triptych "
                "has such heads on encoders only. Import the language model that it was trained "
                "from.",
                file=path / "config.json",
                name=brief(one),
            )


def _published(
    family: Family, folder: huggingface.Folder, names: Collection[str], task: str | None
) -> PublishedClass:
    """Return the class of an encoder's folder, or the one that a task reads of it."""
    if task is None:
        return family.published(folder.config.get("architectures"), names, folder.config)
    fitting = [one for one in family.classes if one.fits(folder.config)]
    tasks = {TASKS[one.head]: one for one in reversed(fitting)}
    if task not in tasks:
        raise unknown("task", task, tuple(tasks), "for an import")
    if not family.holds(tasks[task], names):
        raise RunError(
            f"{folder.path} has no head for {task} "
            f"({', '.join(_first_names(tasks[task]))}). Import it as {VECTORS}."
        )
    return tasks[task]


def _first_names(published: PublishedClass) -> list[str]:
    return [rule.theirs for rule in published.rules if isinstance(rule, Rename)][:1]


def _use(
    family: Family,
    published: PublishedClass,
    folder: huggingface.Folder,
    config: ModelConfig,
    names: Collection[str],
) -> Use:
    use = use_of(published, folder.config, config, str(folder.path / "config.json"))
    if published.head == "pooling":
        pooler = [rule.theirs for rule in published.body if isinstance(rule, Rename)]
        use.options |= read_pooling(folder.path)
        use.labels = {"pooler": any(name.endswith(tuple(pooler)) for name in names if pooler)}
    return use


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
        use=Use(task=_writing(task), options=_context(held.config), labels={}),
        config=held.config,
        tokenizers=Tokenizers(tokenizer, tokenizer),
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
    return {"context": config.decoder.usable_positions}
