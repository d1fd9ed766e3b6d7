"""Export runs as folders that the library transformers loads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.tokenizers.imported import ImportedTokenizer
from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..errors import RunError, UsageError
from ..interchange import bert, gpt2, huggingface, llama
from ..interchange.name_map import NameMap
from ..interchange.sentence_transformers import write_pooling
from ..model.config import ModelConfig
from ..runs.run import Run, RunConfig
from ..runs.storage import read_tensors, whole_folder
from ..tasks.specs import SPECS, build_task
from .shared import IMPORT, VECTORS, refuse_activation


def export_run(path: str | Path, dest: str | Path) -> list[str]:
    """Write a run as a folder that the library transformers loads.

    Returns:
        What is worth knowing about the export, one sentence each.

    Raises:
        RunError: The text names every setting, option and tensor without a counterpart there.
    """
    from ..model.lora import merged

    run, dest = Run.open(path), Path(dest)
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise UsageError(f"{dest} already exists. Name another folder to export to.")
    config = run.read_config()
    if not isinstance(config.model, ModelConfig):
        raise RunError(
            f"{run.path} is a recurrent network, for which the library transformers has no model."
        )
    if config.code is not None:
        raise RunError(
            f"{run.path} was trained with the code of {config.code.get('file')}, for which the "
            "library transformers has no class."
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
    values: dict[str, object]


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
    refuse_activation(model, config.task, str(run.path))
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


def _ends(tokenizer: Tokenizer) -> dict[str, object]:
    ends = list(tokenizer.end_ids)
    return {
        "bos_token_id": tokenizer.begin_id,
        "eos_token_id": ends if len(ends) > 1 else tokenizer.end_id,
    }


def _import_of(run: Run) -> dict[str, Any]:
    """Return import.json if the run was imported and not trained since, else nothing."""
    return run.read_import() if (run.path / IMPORT).is_file() else {}


def _labels_of(labels: Mapping[str, Any], config: RunConfig) -> dict[str, object]:
    head = SPECS[config.task].head
    if head not in ("classifier", "tagger"):
        return {}
    names = labels.get("names" if head == "tagger" else "labels") or ["value"]
    numbers: dict[str, object] = {
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


def _tokenizer_config(tokenizer: Tokenizer, kind: str, config: ModelConfig) -> dict[str, object]:
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
    values: dict[str, object] = {
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
    names: NameMap, tensors: Iterable[str], tokenizer: Tokenizer, labels: Mapping[str, Any]
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
