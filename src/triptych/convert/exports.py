"""Export runs as folders that the library transformers loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..errors import RunError, UsageError
from ..interchange import huggingface
from ..interchange.config_reader import ACTIVATIONS
from ..interchange.name_map import NameMap
from ..interchange.sentence_transformers import write_pooling
from ..model.config import ModelConfig
from ..runs.run import Run, RunConfig
from ..runs.storage import read_tensors, whole_folder
from ..tasks.specs import SPECS
from . import speech
from .classes import RECURRENT, ExportClass, Form, export_class, refusals
from .formats import Format, Precision, Published, write_ctranslate2, write_gguf
from .heads import OWN, own_values
from .onnx import write_onnx
from .published_chat import KEY
from .shared import IMPORT, KEPT, VECTORS, copy_file
from .tokenizer_files import tokenizer_files

if TYPE_CHECKING:
    from torch import Tensor

# Keys of an imported config.json that a run says nothing of, or says otherwise.
ANSWER_KEYS = (
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "encoder_no_repeat_ngram_size",
)
# The presets that have a class, by architecture.
PRESETS = {
    "decoder": "presets gpt2 to gpt2-xl, decoder-small and those of Llama",
    "encoder": "presets bert-base, bert-large, distilbert-base and encoder-small",
    "encoder-decoder": "presets transformer-tiny to transformer-big",
}


def export_run(
    path: str | Path,
    dest: str | Path,
    format: Format = "huggingface",
    precision: Precision | None = None,
) -> list[str]:
    """Write a run as a folder that the library transformers loads, or for another runtime.

    Args:
        path: The run.
        dest: The folder to write; for GGUF it may be a file that ends in .gguf.
        format: "huggingface", "gguf" for llama.cpp, "ctranslate2" or "onnx".
        precision: The type of matrices; None: float16 in GGUF, else float32.

    Returns:
        What is worth knowing about the export, one sentence each.

    Raises:
        RunError: The text names every setting, option and tensor without a counterpart there.
    """
    run, dest = Run.open(path), Path(dest)
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise UsageError(f"{dest} already exists. Name another folder to export to.")
    config = run.read_config()
    if format == "ctranslate2":
        return write_ctranslate2(run, config, dest, precision or "float32")
    if format == "onnx" and precision in (None, "float32"):
        return write_onnx(run, config, dest)
    if format in ("huggingface", "onnx") and precision not in (None, "float32"):
        raise UsageError(
            "A folder of the library transformers keeps the types of its weights: leave out "
            "--precision, or give --format gguf or ctranslate2."
            if format == "huggingface"
            else "A graph of ONNX is written in float32: leave out --precision."
        )
    held, generation = _published(run, config)
    if format == "gguf":
        done = write_gguf(held, dest, config.name, precision or "float16")
        return [*done, *held.notes]
    with whole_folder(dest) as aside:
        huggingface.write_folder(
            aside,
            held.config,
            held.tensors,
            None if held.kept else held.tokenizer,
            held.tokenizer_config,
            _card_of_export(run, config, held.architecture),
            generation,
        )
        if config.task == speech.TASK and isinstance(config.model, ModelConfig):
            values = speech.preprocessor_of(config.model)
            huggingface.write_json(aside / speech.PREPROCESSOR, values)
        for name in held.kept:
            copy_file(run.path / KEPT / name, aside / name)
        if config.task == VECTORS:
            write_pooling(aside, config)
    return [f"{len(held.tensors):,} tensors as {held.architecture}.", *held.notes]


def _published(run: Run, config: RunConfig) -> tuple[Published, dict[str, object]]:
    """Return a run in the form of a Hugging Face folder, and its generation_config.json."""
    from ..model.lora import merged

    before = _import_of(run)
    form = Form(
        config.task,
        config.options,
        config.model,
        1 if before.get("kept") else len(config.tokenizers),
        before.get("model_type"),
        before.get("config", {}),
    )
    _refuse(run, config, form)
    chosen, tokenizer = export_class(form), Tokenizers.load(run.path).source
    labels = run.read_labels()
    tensors = merged(read_tensors(run.weights()))
    theirs = chosen.names.to_theirs(chosen.prepared(tensors), before.get("casts"), str(run.path))
    theirs |= chosen.constants()
    written = tokenizer_files(tokenizer, form, labels, chosen)
    values = _config_values(chosen, tokenizer, form, labels, before, theirs)
    own = before.get(OWN) if before else own_values(form, labels, chosen.names, tensors)
    values |= {OWN: own} if own else {}
    held = Published(
        architecture=chosen.architecture,
        config=values,
        tensors=theirs,
        tokenizer=written["tokenizer"],
        kept=[name for name in before.get("kept", ()) if Path(name).name == name],
        tokenizer_config=_tokenizer_config(before, written["config"]),
        notes=_notes(chosen.names, tensors, labels, written["notes"]),
    )
    if config.task == speech.TASK and not before:
        return held, speech.generation_of(tokenizer, config.decoding)
    return held, _generation(values, tokenizer, form, before)


def _tokenizer_config(
    before: Mapping[str, Any], written: Mapping[str, object]
) -> Mapping[str, object]:
    """Return that of the imported folder, with the chat template if it was in another file."""
    given = before.get("tokenizer_config")
    if not given:
        return written
    return {**{key: written[key] for key in (KEY,) if key in written}, **given}


def _refuse(run: Run, config: RunConfig, form: Form) -> None:
    """Raise RunError with everything that prevents the export."""
    if config.code is not None:
        raise RunError(
            f"{run.path} was trained with the code of {config.code.get('file')}, for which the "
            "library transformers has no class."
        )
    problems = refusals(form)
    if problems == [RECURRENT] or not isinstance(form.model, ModelConfig):
        raise RunError(
            f"{run.path} is a recurrent network, for which the library transformers has no model."
        )
    if problems:
        raise RunError(
            f"{run.path} cannot be exported, because the library transformers has no such model: "
            f"{'; '.join(problems)}. It has models for {PRESETS[form.model.architecture]}, of any "
            "size."
        )


def _config_values(
    chosen: ExportClass,
    tokenizer: Tokenizer,
    form: Form,
    labels: Mapping[str, Any],
    before: Mapping[str, Any],
    theirs: Mapping[str, Tensor],
) -> dict[str, object]:
    """Return the content of config.json, over that of the folder which was imported."""
    values: dict[str, object] = {**before.get("config", {}), "architectures": [chosen.architecture]}
    values |= chosen.values(tokenizer)
    values |= {key: before["config"][key] for key in ANSWER_KEYS if key in before.get("config", {})}
    values |= _spellings(values, before.get("config", {}))
    writes = isinstance(form.model, ModelConfig) and form.model.decoder is not None
    if not (before and form.model.architecture == "encoder-decoder"):
        values |= _ends(tokenizer) if writes else _labels_of(labels, form)
    dtypes = {tensor.dtype for tensor in theirs.values()}
    if len(dtypes) > 1 or before.get("casts"):
        values["dtype"] = str(next(iter(theirs.values())).dtype).removeprefix("torch.")
    return values


def _spellings(values: Mapping[str, object], before: Mapping[str, object]) -> dict[str, object]:
    """Return the imported names of activations: those of one function may differ in last bits."""
    return {
        key: old
        for key, old in before.items()
        if isinstance(old, str)
        and old in ACTIVATIONS
        and ACTIVATIONS.get(str(values.get(key))) == ACTIVATIONS[old]
    }


def _generation(
    values: Mapping[str, object], tokenizer: Tokenizer, form: Form, before: Mapping[str, Any]
) -> dict[str, object]:
    """Return the content of generation_config.json; nothing where config.json says it all.

    An encoder-decoder would stop after 20 tokens without it.
    """
    given, ends = before.get("generation_config"), _ends(tokenizer)
    if isinstance(form.model, ModelConfig) and form.model.architecture == "encoder-decoder":
        if before:
            return given or {}
        keys = ("decoder_start_token_id", "pad_token_id")
        longest = values.get("max_position_embeddings", form.longest)
        return {**ends, **{key: values[key] for key in keys}, "max_length": longest}
    return {**given, **ends} if given and "decoder" in form.model.stacks else {}


def _ends(tokenizer: Tokenizer) -> dict[str, object]:
    ends = list(tokenizer.end_ids)
    return {
        "bos_token_id": tokenizer.begin_id,
        "eos_token_id": ends if len(ends) > 1 else tokenizer.end_id,
    }


def _import_of(run: Run) -> dict[str, Any]:
    """Return import.json if the run was imported and not trained since, else nothing."""
    return run.read_import() if (run.path / IMPORT).is_file() else {}


def _labels_of(labels: Mapping[str, Any], form: Form) -> dict[str, object]:
    head = SPECS[form.task].head
    if head not in ("classifier", "tagger"):
        return {}
    names = labels.get("names" if head == "tagger" else "labels") or ["value"]
    numbers: dict[str, object] = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
    }
    if head == "tagger":
        return numbers
    several = form.options.get("learn") == "labels"
    kind = (
        "multi_label_classification"
        if several
        else "single_label_classification"
        if labels.get("labels")
        else "regression"
    )
    return {**numbers, "problem_type": kind}


def _notes(
    names: NameMap, tensors: Iterable[str], labels: Mapping[str, Any], of_tokenizer: list[str]
) -> list[str]:
    withheld = names.withheld(tensors)
    notes = [f"Not written: {name}, {reason}." for name, reason in withheld.items()]
    if labels.get("value"):
        scale = labels["value"]
        notes.append(
            f"Its number is in standard deviations: multiply by {scale['deviation']:g} and add "
            f"{scale['mean']:g}."
        )
    if labels.get("template"):
        notes.append(
            "Its conversations: tokenizer.apply_chat_template(messages, add_generation_prompt="
            "True)."
        )
    return [*notes, *of_tokenizer]


def _card_of_export(run: Run, config: RunConfig, architecture: str) -> str:
    card = run.path / "MODEL_CARD.md"
    before = card.read_text(encoding="utf-8") if card.is_file() else f"# {config.name}\n"
    return (
        f"{before.rstrip()}\n\n## Format\n\nWritten by `triptych export` for the library "
        f"transformers, as {architecture}.\n"
    )
