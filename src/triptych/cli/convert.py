"""Run `triptych import` and `triptych export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..errors import shell_command
from ..messages import message
from .console import field, put, talk

Format = Literal["huggingface", "gguf", "ctranslate2", "onnx"]
Precision = Literal["float32", "float16", "int8"]
ImportTask = Literal[
    "embedding",
    "masked-words",
    "classification",
    "tagging",
    "question-answering",
    "language-modelling",
    "translation",
    "summarization",
    "text-to-text",
    "chat",
]


def import_(
    source: Path,
    run: Path,
    /,
    *,
    task: ImportTask | None = None,
    allow_nonfinite: bool = False,
    base: Path | None = None,
    offline: bool = False,
) -> int:
    """Turn a model of another library, from a folder, a file or the hub, into a run.

    Prints which tensors were read, left out and shared, as the run's import.json keeps it.

    Parameters
    ----------
    source
        A folder with config.json, model.safetensors (whole or in shards) and tokenizer.json (BERT,
        GPT-2, Llama and others); a GGUF file of llama.cpp, whose weights are dequantised; or a
        folder with a model and its tokenizer (tok*.bin) as llama2.c writes them, or with a
        translator of the Marian toolkit (its own .bin, or .npz) and its SentencePiece file. Or
        hf:org/name, or hf:org/name@REVISION: a model of the Hugging Face hub, of which safetensors,
        JSON and tokenizer files are fetched. Or a LoRA adapter of the library peft
        (adapter_config.json and adapter_model.safetensors), which is added to its base.
    run
        The run folder to write; it must be new or empty.
    task
        The task of the run. By default it is that of the model's head: a classifier, a tagger, a
        reader that answers questions, or masked-words; an encoder without a head is imported for
        embedding, a decoder with a chat template for chat, any other for language-modelling.
    allow_nonfinite
        Accept weights that are NaN or infinite, which are refused otherwise.
    base
        The base of an adapter, if it is not where its adapter_config.json says: a folder, a model
        of the hub, or an imported run.
    offline
        Read a model of the hub from what was fetched before, and fetch nothing.
    """
    from ..convert import import_model

    for line in import_model(source, run, task, allow_nonfinite, base, offline, talk).lines():
        talk(line)
    command = shell_command("triptych", "train", "RECIPE", "--model.start", run)
    talk(message("Use it as it is, or fine-tune it: {command}", command=command))
    put(field(run))
    return 0


def export(
    run: Path,
    dest: Path,
    /,
    *,
    format_: Annotated[Format, Parameter(name="--format")] = "huggingface",
    precision: Precision | None = None,
    adapter: bool = False,
) -> int:
    """Write a run as a folder that the transformers library loads, or for another runtime.

    Parameters
    ----------
    run
        Folder of a trained or imported run.
    dest
        The folder to write; it must be new or empty. With --format gguf it may be a file that ends
        in .gguf.
    format_
        huggingface: for AutoModel and AutoTokenizer of the transformers library. gguf: one file of
        a decoder for llama.cpp. ctranslate2: a folder of a translator for CTranslate2. onnx: an
        encoder with its head as one graph, beside its tokenizer, for ONNX Runtime.
    precision
        Type of the weight matrices: float16 for gguf unless given (int8 is Q8_0 there), float32
        for ctranslate2.
    adapter
        Write only the LoRA adapter of a run that was trained from an imported model, as the library
        peft reads it.
    """
    from ..convert import export_adapter, export_run

    written = export_adapter(run, dest) if adapter else export_run(run, dest, format_, precision)
    for line in written:
        talk(line)
    put(field(dest))
    return 0
