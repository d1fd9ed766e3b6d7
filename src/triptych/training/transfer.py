"""Start from another run's weights, freeze parts, add adapters, or learn from a teacher."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor, nn

from .. import own_code
from ..data.tokenizers.sides import Tokenizers
from ..errors import UsageError, unknown
from ..messages import Message, message
from ..model.build import build
from ..model.config import AnyConfig, ModelConfig, RecurrentConfig
from ..model.lora import adapt, merged
from ..runs.checkpoint import load_weights, weights_of
from ..runs.run import Run
from ..runs.sizes import refuse_unlike
from ..runs.storage import read_tensors
from ..tasks.distillation import Teacher, Weights, distilled
from ..tasks.specs import build_task
from ..tasks.task import Labels, Task
from .precision import choose_device, choose_precision
from .settings import TrainingSettings

BLOCK = re.compile(r"(?:^|\.)encoder\.blocks\.(\d+)\.")


# Starting from a run ------------------------------------------------------------------------------


def shape_from(origin: Run, named: str, layers: Sequence[int] | None) -> AnyConfig:
    """Return the configuration of a run, with only the given encoder layers.

    Args:
        origin: The run.
        named: What the user calls it, for messages.
        layers: Numbers of encoder layers; None: all.

    Raises:
        UsageError: The run has no such layers.
    """
    config = origin.read_config().model
    if layers is None:
        return config
    encoder = config.stacks.get("encoder")
    if encoder is None:
        raise UsageError(
            "model.start_layers chooses layers of an encoder, and {named} has no "
            "Transformer encoder. Leave it out.",
            named=named,
        )
    wrong = [layer for layer in layers if not 0 <= layer < encoder.layers]
    if wrong or not layers or len(set(layers)) < len(layers):
        raise UsageError(
            "model.start_layers is {list}; it must name different layers of "
            "{named}, from 0 to {layers}.",
            list=list(layers),
            named=named,
            layers=encoder.layers - 1,
        )
    return dataclasses.replace(config, encoder=dataclasses.replace(encoder, layers=len(layers)))


def start_from(
    origin: Run,
    named: str,
    layers: Sequence[int] | None,
    task: Task,
    labels: Labels,
    model: nn.Module,
    head: nn.Module,
) -> str:
    """Copy weights by name from another run.

    The head is copied too if task and labels are the same and its shapes or the options agree.

    Args:
        origin: The run to start from.
        named: What the user calls it, for messages.
        layers: Numbers of encoder layers to copy; None: all.
        task: The task to train.
        labels: Its labels.
        model: The model that receives the weights.
        head: The head that receives the weights.

    Returns:
        A sentence on what was copied.
    """
    path, config = origin.weights(), origin.read_config()
    tensors = merged(read_tensors(path))
    if layers is not None:
        tensors = copied(tensors, layers)
    stacks = {name: tensor for name, tensor in tensors.items() if not name.startswith("head.")}
    load_weights(path, stacks, model)
    same = config.task == task.name and origin.read_labels() == labels
    own = sum(parameter.numel() for parameter in head.parameters())
    heads = [
        {name: tensor.shape for name, tensor in one.items() if name.startswith("head.")}
        for one in (tensors, weights_of(model, head))
    ]
    # Different shapes are fine only if the options are the same: then loading names the mismatch.
    alike = heads[0] == heads[1] or config.options == task.options
    if own and same and alike:
        load_weights(path, tensors, model, head)
    if not own:
        of_head = message("the head has no weights of its own")
    elif same and alike:
        of_head = message("its head")
    else:
        why = message("its options") if same else message("task or labels")
        of_head = message("the head with {own:,} weights is new: {why} differ", own=own, why=why)
    return _taken(named, stacks, layers, of_head)


def _taken(
    named: str, stacks: Mapping[str, Tensor], layers: Sequence[int] | None, of_head: Message
) -> Message:
    """Say what was taken from a run."""
    listed = ", ".join(map(str, layers or ()))
    return message(
        "Taken from {named}: its tokenizer, {count:.1f} M weights of its stacks ({tensors} "
        "tensors){only}; {of_head}.",
        named=named,
        count=sum(tensor.numel() for tensor in stacks.values()) / 1e6,
        tensors=len(stacks),
        only="" if layers is None else message(", encoder layers {layers}", layers=listed),
        of_head=of_head,
    )


def copied(tensors: Mapping[str, Tensor], layers: Sequence[int]) -> dict[str, Tensor]:
    """Rename encoder layer layers[n] to n, and drop the others (Sanh et al. 2019, section 3)."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        inside = BLOCK.search(name)
        if inside is None:
            found[name] = tensor
        elif int(inside[1]) in layers:
            place = layers.index(int(inside[1]))
            found[f"{name[: inside.start(1)]}{place}{name[inside.end(1) :]}"] = tensor
    return found


def adapt_with(model: nn.Module, rank: int, alpha: float, targets: Sequence[str]) -> str:
    """Add LoRA adapters and return a sentence on how much of the model trains."""
    whole = sum(parameter.numel() for parameter in model.parameters())
    layers = adapt(model, rank, alpha, targets)
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return message(
        "LoRA of rank {rank} on {names} ({count} matrices): {count2:,} weights "
        "train besides the head, and the model's own {whole:,} are frozen.",
        rank=rank,
        names=", ".join(targets),
        count=len(layers),
        count2=count,
        whole=whole,
    )


# Frozen parts and rates ---------------------------------------------------------------------------


def freeze(parameters: Mapping[str, nn.Parameter], prefixes: Sequence[str]) -> str | None:
    """Freeze the parameters under one of `prefixes`: no gradient and no optimizer state.

    A prefix consists of whole parts of a name: "encoder.blocks.1" is not "encoder.blocks.10".

    Returns:
        A sentence on what is frozen, or None.

    Raises:
        UsageError: A prefix matches nothing, or nothing is left to train.
    """
    if not prefixes:
        return None
    for prefix in prefixes:
        if not any(_under(name, prefix) for name in parameters):
            parts = {
                ".".join(name.split(".")[:depth]) for name in parameters for depth in range(1, 4)
            }
            raise unknown("part of the model", prefix, parts, "in training.freeze")
    frozen = {
        name: one
        for name, one in parameters.items()
        if any(_under(name, prefix) for prefix in prefixes)
    }
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise UsageError(
            message("training.freeze leaves nothing to train. Leave out one of its parts.")
        )
    count, whole = (sum(one.numel() for one in some.values()) for some in (frozen, parameters))
    return message(
        "Frozen: {names}, {count:,} of {whole:,} weights.",
        names=", ".join(prefixes),
        count=count,
        whole=whole,
    )


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


# A teacher ----------------------------------------------------------------------------------------


def with_distillation(
    task: Task,
    settings: TrainingSettings,
    tokenizers: Tokenizers,
    labels: Labels,
    config: AnyConfig,
) -> Task:
    """Return `task` with a loss that also follows the teacher.

    Raises:
        UsageError: The teacher has another task, tokenizer, labels or width.
    """
    run = Run.open(settings.teacher or "")
    teacher_config = run.read_config()
    if teacher_config.task != task.name:
        raise UsageError(
            "The teacher {path} is a run for {task}, and this is one for {name}. "
            "Use a teacher for the same task.",
            path=run.path,
            task=teacher_config.task,
            name=task.name,
        )
    prints = [
        (one.source.fingerprint, one.target.fingerprint)
        for one in (Tokenizers.load(run.path), tokenizers)
    ]
    if prints[0] != prints[1]:
        raise UsageError(
            "The teacher {path} has another tokenizer. Start the student from it: "
            'model.start = "{path}".',
            path=run.path,
        )
    if run.read_labels() != labels:
        raise UsageError(
            "The teacher {path} has other labels than this data. Train both on the same.",
            path=run.path,
        )
    widths = [_states_width(one) for one in (teacher_config.model, config)]
    if settings.cosine_weight and widths[0] != widths[1]:
        raise UsageError(
            "training.cosine_weight compares hidden states and needs equal widths "
            "(teacher {widths}, student {widths2}). Set training.cosine_weight to "
            "0.",
            widths=widths[0],
            widths2=widths[1],
        )
    return distilled(
        task,
        _teacher(run, settings),
        Weights(settings.distill_temperature, settings.distill_weight, settings.cosine_weight),
    )


def _states_width(config: AnyConfig) -> int:
    """Return the width of the states that the head reads."""
    last = (config.decoder or config.encoder) if isinstance(config, ModelConfig) else None
    return (
        last.width
        if last is not None
        else config.readout_width
        if isinstance(config, RecurrentConfig)
        else 0
    )


def with_teacher(task: Task, path: str, settings: TrainingSettings) -> Task:
    """Return `task` with the frozen run that it compares its model with.

    The run is loaded when it is first used. Its path is saved as the option `reference`, so that a
    finished run can be scored.
    """
    assert task.with_teacher is not None, f"task {task.name} has no reference run"
    frozen = cache(lambda: _teacher(Run.open(path), settings, cast=False))

    def answer(inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return frozen()(inputs)

    return dataclasses.replace(
        task.with_teacher(answer),
        options={**task.options, "reference": str(path)},
    )


def refuse_other_reference(path: str, tokenizers: Tokenizers) -> None:
    """Check the frozen run that a task compares its model with.

    Raises:
        RunError: It does not exist.
        UsageError: It is not a decoder-only model with the same tokenizer.
    """
    run = Run.open(path)
    config = run.read_config().model
    if config.architecture != "decoder":
        raise UsageError(
            "task.reference is {path}, which is not a decoder-only model. Name one "
            "that the training could start from.",
            path=path,
        )
    if Tokenizers.load(run.path).target.fingerprint != tokenizers.target.fingerprint:
        raise UsageError(
            "task.reference is {path}, which has another tokenizer than the run "
            "that is trained. Name one with the same.",
            path=path,
        )


def _teacher(run: Run, settings: TrainingSettings, cast: bool = True) -> Teacher:
    """Load a run's model and head, in the student's precision and without dropout.

    Args:
        run: The teacher.
        settings: Device and precision.
        cast: Round its parameters once, not at every product. Not for a reference run: a model in
            training keeps fp32 parameters, and would differ from itself by their rounding.
    """
    config, labels = run.read_config(), run.read_labels()
    refuse_unlike(config.model, run.path / "config.json", [run.weights()])
    with own_code.as_recorded(config.code, run.path / "config.json"):
        model = build(config.model, own_code.attention())
        head = build_task(config.task, config.options).head(config.model, labels)
    run.load_into(model, head)
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    for module in (model, head):
        module.requires_grad_(False).to(device, precision if cast else None).eval()
    model.precision = precision

    def answer(inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            states: Tensor = model(**inputs)
            return states, head(model, states, inputs).logits

    return answer
