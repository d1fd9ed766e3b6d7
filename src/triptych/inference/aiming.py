"""Aim at the answer to one text: a probe of it, with the names of its tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..data.batches.encoded import collate
from ..data.example import Example
from ..decoding.settings import DecodingSettings
from ..errors import UsageError
from ..messages import message

if TYPE_CHECKING:
    from ..inspection.probe import Probe
    from .predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class Aimed:
    """Hold a probe of one text with the names of its tokens.

    wanted: the token that each row of the decoder predicts. prompt: how many rows were given before
    the answer, for a decoder-only model.
    """

    probe: Probe
    source: list[str]
    target: list[str]
    written: list[str]
    name_of: Callable[[int], str]
    wanted: list[int]
    prompt: int = 0


def aimed(
    predictor: Predictor,
    example: Example,
    settings: DecodingSettings,
    *,
    target: str | None = None,
    token: int | None = None,
    rival: str | None = None,
) -> Aimed:
    """Answer an Example, and return the probe of its answer.

    Args:
        predictor: A loaded run.
        example: Only its inputs are read, and its target if it is a training example.
        settings: How the answer is decoded.
        target: A text to read as the answer instead; for a classifier the label asked about.
        token: As in `Interventions`.
        rival: As in `Interventions`.

    Raises:
        UsageError: There is no such token, or rival.
    """
    if predictor.task.spec.architecture == "encoder":
        found = _of_output(predictor, example, target, token)
    else:
        found = _of_tokens(predictor, example, settings, target, token)
    number = None if rival is None else _number_of(predictor, rival)
    return dataclasses.replace(found, probe=found.probe.compared(number, found.name_of))


def aimed_again(
    predictor: Predictor, example: Example, found: Aimed, token: int | None = None
) -> Probe:
    """Return the probe of the same answer by a model of other weights.

    Args:
        predictor: A run with the same tokens, like a checkpoint.
        example: The text that was answered.
        found: The answer.
        token: As in `Interventions`.
    """
    from ..inspection.probe import token_probe

    probe = found.probe
    if predictor.task.spec.architecture == "encoder":
        target = probe.name if probe.kind == "label" else None
        return _of_output(predictor, example, target, token).probe
    rows = list(range(found.prompt - 1, len(found.wanted)))
    chosen = rows if token is None else [rows[token - 1]]
    return token_probe(predictor.model, probe.inputs, found.wanted, chosen, probe.name)


def _of_output(
    predictor: Predictor, example: Example, target: str | None, token: int | None
) -> Aimed:
    """Return the probe of the head's output, for an encoder-only run."""
    from ..inspection.probe import output_probe
    from ..inspection.scores import score_of

    task, tokenizer = predictor.task, predictor.tokenizers.source
    score = score_of(task, predictor.labels, tokenizer, example, target)
    if score is None:
        raise UsageError("A run for {task} gives no score that could be measured.", task=task.name)
    encoded, *_ = task.encode(example, predictor.tokenizers, predictor.labels, "use", None)
    inputs = collate([encoded]).to(predictor.device).inputs
    names = predictor.labels.get("labels") or predictor.labels.get("names")
    chosen = None if target is None or names is None else list(names).index(target)
    model, head = predictor.model, predictor.head
    probe = output_probe(model, head, encoded, inputs, score, (token or 1) - 1, chosen)
    name_of = _token_names(tokenizer) if names is None else lambda number: str(names[number])
    shown = token_labels(tokenizer, encoded.inputs["source"].tolist())
    return Aimed(probe=probe, source=shown, target=[], written=[], name_of=name_of, wanted=[])


def _of_tokens(
    predictor: Predictor,
    example: Example,
    settings: DecodingSettings,
    target: str | None,
    token: int | None,
) -> Aimed:
    """Return the probe of the tokens that a decoder wrote, or was given to read."""
    from ..inspection.probe import token_probe
    from .traces import answer_ids

    tokenizer = predictor.tokenizers.target
    inputs: dict[str, list[int]] = {}
    if predictor.task.spec.architecture == "encoder-decoder":
        inputs["source"], begin, wanted = answer_ids(predictor, example, settings, target)
        inputs["target"], prompt = [begin, *wanted[:-1]], 1
    else:
        whole, prompt = _script_ids(predictor, example, settings, target)
        inputs["target"], wanted = whole[:-1], whole[1:]
        _refuse_long(predictor, inputs["target"])
    rows = list(range(prompt - 1, len(wanted)))
    if token is not None and not 1 <= token <= len(rows):
        raise UsageError(
            "--token is {token}, and the answer has {count} tokens. Give a number from 1 to "
            "{count}.",
            token=token,
            count=len(rows),
        )
    written = token_labels(tokenizer, wanted)
    chosen = rows if token is None else [rows[token - 1]]
    probe = token_probe(
        predictor.model,
        {
            key: value
            for side, ids in inputs.items()
            for key, value in (
                (side, torch.tensor(ids, device=predictor.device)),
                (f"{side}_lengths", torch.tensor([len(ids)], device=predictor.device)),
            )
        },
        wanted,
        chosen,
        "" if token is None else written[chosen[0]],
    )
    return Aimed(
        probe=probe,
        source=token_labels(predictor.tokenizers.source, inputs.get("source", [])),
        target=token_labels(tokenizer, inputs["target"]),
        written=written,
        name_of=_token_names(tokenizer),
        wanted=wanted,
        prompt=prompt,
    )


def _script_ids(
    predictor: Predictor, example: Example, settings: DecodingSettings, target: str | None
) -> tuple[list[int], int]:
    """Return the ids of a text with its continuation, and how many were there before that."""
    from .traces import script_of, traced_settings

    task, tokenizer = predictor.task, predictor.tokenizers.target
    whole = example
    if target is not None and task.input == "text":
        whole = dataclasses.replace(example, text=(example.text or "") + target)
    script = script_of(predictor, whole, traced_settings(settings), target)[0]
    prompt = len(script.ids)
    if target is not None:  # it begins with the first token that the text alone does not have
        (alone,) = task.encode(example, predictor.tokenizers, predictor.labels, "use", None)
        pairs = zip(script.ids, alone.inputs["target"].tolist(), strict=False)
        prompt = next((place for place, (a, b) in enumerate(pairs) if a != b), None) or min(
            len(script.ids), len(alone.inputs["target"])
        )
    ids = [*script.ids, *script.own, *([tokenizer.end_id] if script.ended else [])]
    if prompt >= len(ids):
        raise UsageError(message("There is nothing to inspect: the answer is empty."))
    return ids, max(1, prompt)


def _refuse_long(predictor: Predictor, ids: Sequence[int]) -> None:
    most = predictor.task.options.get("context") or predictor.model.config.context("target")
    if most is not None and len(ids) > most:
        raise UsageError(
            "Interventions read one window of {most} tokens, and the text with its answer has "
            "{count}. Give a shorter text.",
            most=most,
            count=len(ids),
        )


def token_labels(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """Return what to print for each token of a text."""
    from ..inspection.cells import label_of

    before, found = "", list[str]()
    for number in ids:
        found.append(label_of(tokenizer, number, before))
        before = tokenizer.decode([number]) or before
    return found


def _token_names(tokenizer: Any) -> Callable[[int], str]:
    from ..inspection.cells import label_of

    return lambda number: label_of(tokenizer, number)


def _number_of(predictor: Predictor, rival: str) -> int:
    """Return the label or token that a text names; of several tokens the first."""
    names = predictor.labels.get("labels") or predictor.labels.get("names")
    if predictor.task.spec.architecture == "encoder" and names is not None:
        if rival not in names:
            raise UsageError(
                "--rival {rival} is not a label of this run. Its labels: {names}.",
                rival=rival,
                names=", ".join(map(str, names)),
            )
        return list(names).index(rival)
    tokenizer = predictor.tokenizers.target
    ids = tokenizer.encode(rival)
    if not ids:
        raise UsageError(
            message("--rival needs a text, for example a word that could stand there.")
        )
    return ids[0]
