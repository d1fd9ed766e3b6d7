"""Export runs to formats of other runtimes: GGUF for llama.cpp, folders for CTranslate2."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..data.tokenizers.tokenizer_file import tokens_by_id
from ..errors import RunError
from ..interchange import ctranslate2_whisper, ctranslate2_writer, gguf_models, whisper
from ..model.config import ModelConfig
from ..runs.run import Run, RunConfig
from ..runs.storage import read_tensors, whole, whole_folder, write_file
from . import speech
from .classes import FROM_TEXT, Form

if TYPE_CHECKING:
    from torch import Tensor

Format = Literal["huggingface", "gguf", "ctranslate2", "onnx"]
Precision = Literal["float32", "float16", "int8"]
MATRICES: dict[Precision, str] = {"float32": "F32", "float16": "F16", "int8": "Q8_0"}  # in GGUF
ENDING = ".gguf"


@dataclass(frozen=True, kw_only=True)
class Published:
    """Hold a run in the form of a Hugging Face folder, and what is worth knowing about it."""

    architecture: str
    config: Mapping[str, Any]
    tensors: dict[str, Tensor]
    tokenizer: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    notes: list[str]
    kept: Sequence[str] = ()  # files of the imported folder that hold the tokenizer


def write_gguf(held: Published, dest: Path, name: str, precision: Precision) -> list[str]:
    """Write a decoder as a GGUF file: `dest`, or model.gguf in the folder `dest`.

    Returns notes, one sentence each. Raises RunError for what llama.cpp does not compute.
    """
    kind = MATRICES[precision]

    def written(path: Path) -> list[str]:
        return gguf_models.write_model(
            path, held.config, held.tensors, held.tokenizer, held.tokenizer_config, kind, name
        )

    if dest.suffix == ENDING:
        with whole(dest) as aside:
            notes = written(aside)
    else:
        with whole_folder(dest) as aside:
            notes = written(aside / f"model{ENDING}")
    return [f"{len(held.tensors):,} tensors as {held.architecture}, matrices as {kind}.", *notes]


def write_ctranslate2(run: Run, config: RunConfig, dest: Path, precision: Precision) -> list[str]:
    """Write a translator as a folder that CTranslate2 runs, with its tokenizers.

    Returns notes, one sentence each. Raises RunError listing what CTranslate2 does not compute.
    """
    from ..model.lora import merged

    model = config.model
    if config.task == speech.TASK and isinstance(model, ModelConfig):
        return _write_whisper(run, config, model, dest, precision)
    problems = _refusals(config)
    if problems or not isinstance(model, ModelConfig):
        raise RunError(
            "{path} cannot be exported, because CTranslate2 has no such model: {problems}.",
            path=run.path, problems="; ".join(problems),
        )  # fmt: skip
    form = Form(config.task, config.options, model, len(config.tokenizers))
    both = Tokenizers.load(run.path)
    sizes = [model.source_vocabulary_size, model.vocabulary_size]
    sides = [(both.source, sizes[0] or sizes[1]), (both.target, sizes[1])]
    if sizes[0] is None:
        sides = sides[1:]
    files = [_tokenizer_json(tokenizer) for tokenizer, _ in sides]
    vocabularies = [
        tokens_by_id(values, rows) for values, (_, rows) in zip(files, sides, strict=True)
    ]
    last = both.target
    tensors = merged(read_tensors(run.weights()))
    with whole_folder(dest) as aside:
        names = ["tokenizer.json"] if len(files) == 1 else ["source.json", "target.json"]
        for name, values in zip(names, files, strict=True):
            write_file(aside / name, (json.dumps(values, ensure_ascii=False) + "\n").encode())
        ctranslate2_writer.write_model(
            aside, model, tensors, vocabularies,
            (vocabularies[-1][last.begin_id], vocabularies[-1][last.end_id]),
            form.longest, precision,
        )  # fmt: skip
    tags = [vocabularies[0][number] for number in both.source.tags.values()]
    return [
        f"{len(tensors):,} tensors as TransformerSpec, matrices as {precision}.",
        (
            f"Give translate_batch the tokens of {names[0]}, which end in "
            f"{vocabularies[0][both.source.end_id]}."
        ),
        *([f"A source begins with the token of its target language: {' '.join(tags)}."]
          if tags else []),
    ]  # fmt: skip


def _write_whisper(
    run: Run, config: RunConfig, model: ModelConfig, dest: Path, precision: Precision
) -> list[str]:
    """Write a Whisper. Raises RunError listing what CTranslate2 does not compute."""
    from ..model.lora import merged

    problems = whisper.refusals(model)
    if problems:
        raise RunError(
            "{path} cannot be exported, because CTranslate2 has no such model: {problems}.",
            path=run.path, problems="; ".join(problems),
        )  # fmt: skip
    tokenizer = Tokenizers.load(run.path).target
    values = _tokenizer_json(tokenizer)
    tensors = merged(read_tensors(run.weights()))
    with whole_folder(dest) as aside:
        text = json.dumps(values, ensure_ascii=False) + "\n"
        write_file(aside / "tokenizer.json", text.encode())
        ctranslate2_whisper.write_model(
            aside, model, tensors, tokens_by_id(values, model.vocabulary_size),
            speech.generation_of(tokenizer, config.decoding), precision,
        )  # fmt: skip
    return [f"{len(tensors):,} tensors as WhisperSpec, matrices as {precision}."]


def _tokenizer_json(tokenizer: Tokenizer) -> Mapping[str, Any]:
    return tokenizer.to_huggingface(begin=False)


def _refusals(config: RunConfig) -> list[str]:
    """List why a run is not written for CTranslate2, each as part of a sentence."""
    if config.code is not None:
        return [f"it was trained with the code of {config.code.get('file')}"]
    if not isinstance(config.model, ModelConfig):
        return ["it is a recurrent network"]
    problems = ctranslate2_writer.refusals(config.model)
    if len(config.tokenizers) > 1 and config.model.source_vocabulary_size is None:
        problems.append("its two tokenizers number the tokens of one vocabulary")
    if config.task not in FROM_TEXT:
        problems.append(f"its task is {config.task}, but {', '.join(FROM_TEXT)} are written")
    return problems
