"""Export encoders with their heads to ONNX, in a folder that says how it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..data.tokenizers.imported import ImportedTokenizer
from ..data.tokenizers.sides import Tokenizers
from ..errors import RunError
from ..interchange import onnx_writer
from ..messages import message
from ..model.build import build, without_draws
from ..model.config import ModelConfig
from ..runs.run import Run, RunConfig
from ..runs.storage import tensor_shapes, whole_folder, write_file
from ..tasks.specs import SPECS, build_task, known
from .classes import RECURRENT, Form
from .tokenizer_files import with_steps

LONGEST = 4096  # tokens that a graph without a limit of its own reads
CHAIN = ("pairs", "first", "last")


def write_onnx(run: Run, config: RunConfig, dest: Path) -> list[str]:
    """Write an encoder with its head as model.onnx, beside its tokenizer, config and labels.

    Returns notes, one sentence each.

    Raises:
        RunError: The text names everything that is not written as a graph.
        UsageError: The library onnx is missing.
    """
    problems = _refusals(run, config)
    if problems or not isinstance(config.model, ModelConfig):
        raise RunError(
            "{path} cannot be exported to ONNX: {problems}.",
            path=run.path, problems="; ".join(problems),
        )  # fmt: skip
    from ..model.transformer import Transformer

    onnx_writer.refuse_without_library()
    task, labels = build_task(config.task, config.options), run.read_labels()
    with without_draws():
        model, head = build(config.model), task.head(config.model, labels)
    run.load_into(model, head)
    assert isinstance(model, Transformer), "built from the configuration of one"
    model, head = model.eval().float(), head.eval().float()
    form = Form(config.task, config.options, config.model)
    names = onnx_writer.inputs_of(config.model, task.spec.head, dict(task.options))
    longest = config.model.context("source") or LONGEST
    tokenizer: Any = (source := Tokenizers.load(run.path).source).to_huggingface()
    if not isinstance(source, ImportedTokenizer):
        tokenizer = with_steps(tokenizer, form, labels)
    values = _described(task.spec.head, names, dict(task.options), labels, head, longest)
    with whole_folder(dest) as aside:
        outputs = onnx_writer.write_graph(
            aside / onnx_writer.MODEL, model, head, names, dict(task.options), longest
        )
        described = {"task": config.task, "name": config.name, **values, "outputs": outputs}
        for name, held in (
            ("tokenizer.json", tokenizer), ("labels.json", labels), ("config.json", described),
        ):  # fmt: skip
            write_file(aside / name, (json.dumps(held, ensure_ascii=False) + "\n").encode())
    return [
        message(
            "{count:,} parameters as ONNX, opset {opset}, float32; inputs {inputs}, outputs "
            "{outputs}.",
            count=sum(one.numel() for part in (model, head) for one in part.parameters()),
            opset=onnx_writer.OPSET,
            inputs=", ".join(names),
            outputs=", ".join(outputs),
        )
    ]


def _refusals(run: Run, config: RunConfig) -> list[str]:
    """List why a run is not written as a graph, each as part of a sentence."""
    if config.code is not None:
        return [message("it was trained with the code of {file}", file=config.code.get("file"))]
    if not isinstance(config.model, ModelConfig):
        return [RECURRENT]
    parameters = sum(_product(shape) for shape in tensor_shapes(run.weights()).values())
    found = onnx_writer.refusals(config.model, parameters)
    spec = known().get(config.task)
    if spec is None or spec.head not in onnx_writer.HEADS:
        tasks = [one.name for one in SPECS.values() if one.head in onnx_writer.HEADS]
        found.append(
            message(
                "its task is {task}, but {tasks} are written",
                task=config.task,
                tasks=", ".join(sorted(tasks)),
            )
        )
    return found


def _product(shape: tuple[int, ...]) -> int:
    found = 1
    for size in shape:
        found *= size
    return found


def _described(
    kind: str,
    names: list[str],
    options: dict[str, Any],
    labels: dict[str, Any],
    head: Any,
    longest: int,
) -> dict[str, Any]:
    """Return what config.json says of a graph's inputs and of what its outputs mean."""
    values: dict[str, Any] = {
        "format": "onnx",
        "opset": onnx_writer.OPSET,
        "precision": "float32",
        "head": kind,
        "options": options,
        "longest": longest,
        "inputs": {name: ["batch", "length"] for name in names},
    }
    if kind in ("classifier", "tagger"):
        outputs = labels.get("names" if kind == "tagger" else "labels") or ["value"]
        values["id2label"] = dict(enumerate(outputs))
    held = ("temperature", "thresholds") if kind == "classifier" else ("threshold",)
    for name in held:
        if (tensor := getattr(head, name, None)) is not None:
            values[name] = [_json(one) for one in tensor.reshape(-1).tolist()]
    if kind == "tagger" and (chain := head.chain())[0] is not None:  # which no graph decodes
        values["chain"] = {name: one.tolist() for name, one in zip(CHAIN, chain, strict=True)}
    return values


def _json(number: float) -> float | None:
    """Return a number, or None for infinity, which JSON does not have."""
    return number if abs(number) != float("inf") else None
