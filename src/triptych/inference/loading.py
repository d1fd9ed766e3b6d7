"""From a run folder to a Predictor."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from .. import own_code
from ..data.tokenizers.sides import Tokenizers
from ..decoding.drafts import Drafted, ModelDraft, NgramDraft
from ..decoding.settings import DecodingSettings
from ..errors import RunError, TriptychWarning, UsageError, shell_command
from ..messages import message
from ..model.build import build, without_draws
from ..runs.mapped import MappedFile
from ..runs.run import WORDS_FOLDER, Run, RunConfig
from ..runs.sizes import refuse_unlike
from ..tasks.specs import build_task, known
from ..tasks.task import Task
from ..training.precision import choose_device, choose_precision
from ..training.settings import TrainingSettings
from ..training.transfer import with_teacher
from .heads import head_of
from .predictor import Predictor
from .prepack import prepack

Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]


NGRAM = "ngram"


def load(
    path: str | Path,
    precision: Precision = "float32",
    draft: str | Path | None = None,
    device: Device = "auto",
    code: str | Path | None = None,
) -> Predictor:
    """Load a run folder.

    Args:
        path: The run folder.
        precision: Of weights and arithmetic; "auto" takes bfloat16 where the processor multiplies
            it faster.
        draft: A smaller run with the same tokenizer, or "ngram": proposes tokens for this one to
            check, which changes no answer.
        device: "auto" takes an accelerator where there is one; "cpu"; "cuda".
        code: The user's own file, for a run that was trained with one. It is executed.

    Raises:
        RunError: A file is missing, damaged or of another run; the error names it.
        UsageError: The own file cannot be used.
    """
    with own_code.given(code):
        run = Run.open(path)
        config = run.read_config()
        with own_code.as_recorded(config.code, run.path / "config.json"):
            predictor = _loaded(run, config, precision, device)
        if draft is not None:
            with_draft(predictor, draft, precision, device)
    return predictor


def _loaded(run: Run, config: RunConfig, precision: Precision, device: Device) -> Predictor:
    where = run.path / "config.json"
    task, decoding = _task_of(config, where, device), _decoding_of(config, where)
    labels, tokenizers = run.read_labels(), Tokenizers.load(run.path)
    refuse_unlike(config.model, where, [run.weights()])
    _warn_unfinished(run)
    with without_draws():
        model = build(config.model, own_code.attention())
        head = head_of(run, task, config, labels, tokenizers)
    mapped = run.map_into(model, head)
    model, head = _placed(model, head, precision, device, mapped)
    mapped.drop()
    segmenter = (
        load(run.path / WORDS_FOLDER, precision, device=device)
        if labels.get("words", {}).get("rules") == "learned"
        else None
    )
    return Predictor(
        model=model,
        head=head,
        task=task,
        tokenizers=tokenizers,
        labels=labels,
        decoding=decoding,
        run=run,
        config=config,
        segmenter=segmenter,
    )


def _warn_unfinished(run: Run) -> None:
    """Warn of a run whose training has not ended: it is used as its newest checkpoint left it."""
    checkpoint = None if run.has_model() else run.latest_checkpoint()
    if checkpoint is not None:
        words = message(
            "{path} is not finished: its training stopped, or goes on. It is used as it was at "
            "step {step:,}. Continue with: {command}",
            path=run.path,
            step=checkpoint.step,
            command=shell_command("triptych", "train", run.path, "--resume"),
        )
        warnings.warn(words, TriptychWarning, stacklevel=2)


def _placed(
    model: nn.Module, head: nn.Module, precision: Precision, device: Device, mapped: MappedFile
) -> tuple[nn.Module, nn.Module]:
    """Return model and head ready to compute: without dropout, on their device, cast once."""
    chosen = choose_device(device, "device")
    model, head = model.eval().to(chosen), head.eval().to(chosen)
    kind = choose_precision(precision, chosen)
    model.precision = kind  # type: ignore[assignment]
    if kind != torch.float32:  # once, not at every product
        model, head = model.to(kind), head.to(kind)
    prepack(model, kind, mapped.drop_part, waits=True)
    return model, head


def _task_of(config: RunConfig, where: Path, device: Device) -> Task:
    """Build the task that a config.json names. Raise RunError for one that cannot be built."""
    if config.task not in known():
        raise RunError(
            "{where} names the task '{task}', which this triptych does not have. Update it.",
            where=where,
            task=config.task,
        )
    try:
        task = build_task(config.task, config.options)
    except (TypeError, ValueError, KeyError, AttributeError) as problem:
        raise RunError(
            "{where} has options that a run for {task} does not have ({problem}). Copy it again.",
            where=where,
            task=config.task,
            problem=problem,
        ) from None
    except UsageError as problem:
        raise RunError(
            "{where} holds a value that cannot be: {problem} Copy it again.",
            where=where,
            problem=problem,
        ) from None
    if task.with_teacher is None:
        return task
    settings = TrainingSettings(precision="float32", device=device)
    return with_teacher(task, str(config.options["reference"]), settings)


def _decoding_of(config: RunConfig, where: Path) -> DecodingSettings:
    """Return the run's decoding defaults. Raise RunError for a key of another version."""
    try:
        return DecodingSettings(**config.decoding)
    except TypeError as problem:
        raise RunError(
            "{where} does not fit this version of triptych: {problem}. Update triptych.",
            where=where,
            problem=problem,
        ) from None


def with_draft(
    predictor: Predictor,
    draft: str | Path,
    precision: Precision = "float32",
    device: Device = "auto",
) -> None:
    """From now on `draft`, a run folder or "ngram", proposes tokens for this predictor's model to
    check.

    Raises UsageError where one of the two does not write or they are not built alike, RunError
    where their tokens differ.
    """
    if predictor.task.request is None:
        raise UsageError(
            "A run for {name} writes nothing, so there is nothing to draft: leave out --draft.",
            name=predictor.task.name,
        )
    if str(draft) == NGRAM:
        predictor.drafted = Drafted(
            predictor.model, NgramDraft(sources=predictor.tokenizers.shared)
        )
        return
    other = load(draft, precision, device=device)
    if other.task.request is None:
        raise UsageError(
            "{draft} is a run for {name}, which writes nothing. Name a run that writes, or ngram.",
            draft=draft,
            name=other.task.name,
        )
    if not other.model.config.stacks:
        raise UsageError(
            "{draft} is an RNN, which cannot take back what it has read, as a "
            "draft must. Name a Transformer, or ngram.",
            draft=draft,
        )
    reads, drafts_from = ("source" if _has_encoder(one) else "prompt" for one in (predictor, other))
    if reads != drafts_from:
        raise UsageError(
            "{draft} writes from a {drafts_from} and this run from a {reads}; a "
            "draft must read what the run reads.",
            draft=draft,
            drafts_from=drafts_from,
            reads=reads,
        )
    for side in ("source", "target"):
        if (
            getattr(predictor.tokenizers, side).fingerprint
            != getattr(other.tokenizers, side).fingerprint
        ):
            raise RunError(
                "The tokenizer of {draft} is not that of {more}, so its tokens mean "
                "other texts. Train the draft on the same data with the same table "
                "[tokenizer], or take --draft ngram.",
                draft=draft,
                more=predictor.run.path if predictor.run else "this run",
            )
    predictor.drafted = Drafted(predictor.model, ModelDraft(other.model))


def _has_encoder(predictor: Predictor) -> bool:
    return predictor.model.config.architecture != "decoder"
