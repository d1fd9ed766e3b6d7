"""Classify texts or pairs of texts: one label, several labels, or a number (regression)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.batches.windows import windows_of_pair, windows_of_text
from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from ..decoding.settings import DecodingSettings
from ..errors import DataError, unknown
from .calibration import sigmoid, softmax
from .class_weights import weights_of
from .classification_calibration import calibrate
from .classification_scores import break_down, labels_of, score
from .encoders import encoder_alone, refuse_narrow
from .options import ClassificationOptions, ClassWeights, read_options
from .task import Labels, Losses, Prediction, Purpose, Task, TaskSpec

if TYPE_CHECKING:
    from torch import nn

    from ..model.config import AnyConfig
    from ..model.heads.classifier import Classifier, ClassOutput
    from ..model.transformer import Transformer


DEFAULT = ClassificationOptions()
UNSET = {
    "class_weights": None,
    "activation": "tanh",
    "head_layer": None,
    "out_of_scope": None,
    "in_scope_kept": DEFAULT.in_scope_kept,
}


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    options = read_options(ClassificationOptions, values)
    kind, given = options.learn, asdict(options)
    for key, unset in UNSET.items():
        if given[key] == unset:  # config.json stays as it was before these options
            del given[key]
    return Task(
        spec=SPEC,
        options=given,
        needs=("text", *(["text_pair"] if options.pair else []), kind),
        prepare=partial(
            prepare,
            kind=kind,
            positive=options.positive,
            class_weights=options.class_weights,
            out_of_scope=options.out_of_scope,
        ),
        encode=partial(encode, options=options),
        head=partial(head, options=options),
        loss=partial(
            loss, kind=kind, label_smoothing=options.label_smoothing, r_drop=options.r_drop
        ),
        answer=partial(answer, kind=kind),
        read=partial(read, kind=kind),
        score=partial(
            score, kind=kind, positive=options.positive, out_of_scope=options.out_of_scope
        ),
        break_down=None if kind == "value" else partial(break_down, kind=kind),
        passes=2 if options.r_drop else 1,
        draws=options.token_dropout > 0,
        calibrate=partial(
            calibrate,
            kind=kind,
            out_of_scope=options.out_of_scope,
            in_scope_kept=options.in_scope_kept,
        )
        if options.calibrate and kind != "value"
        else None,
        fit_head=fit_head,
    )


def prepare(
    examples: Sequence[Example],
    kind: str = "label",
    positive: str | None = None,
    class_weights: ClassWeights = None,
    out_of_scope: str | None = None,
) -> Labels:
    """Return {"labels": names, sorted}, or the scale of a number.

    The label that means out of scope is one of the names even if no training text has it. The
    scale is {"value": mean, deviation, lowest and highest of the training texts}. With weights of
    classes there is also {"class_weights": label -> weight}.
    """
    if not examples:
        raise DataError("There is nothing to train on: the training data holds no usable text.")
    for example in examples:
        if getattr(example, kind) is None:
            raise DataError(f"{example.place or 'An example'} has no {kind} to learn from.")
    if kind == "value":
        values = np.array([example.value for example in examples], dtype=float)
        deviation = float(values.std())
        if not deviation:
            raise DataError(
                f"All {len(values):,} training texts have the value {values[0]:g}: there is "
                "nothing to learn."
            )
        return {
            "value": {
                "mean": float(values.mean()),
                "deviation": deviation,
                "low": float(values.min()),
                "high": float(values.max()),
            }
        }
    given = {name for example in examples for name in labels_of(example, kind)}
    names = sorted(given if out_of_scope is None else given | {out_of_scope})
    if len(names) < (2 if kind == "label" else 1):
        raise DataError(
            f"All training texts have the label {names}: there is nothing to learn."
            if names
            else "No training text has a label."
        )
    if positive is not None and positive not in names:
        raise unknown("label", positive, names, "in task.positive")
    if class_weights is None:
        return {"labels": names}
    return {"labels": names, "class_weights": weights_of(examples, class_weights)}


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    options: ClassificationOptions = DEFAULT,
) -> list[Encoded]:
    """Encode each window as source = begin text end, or a pair as begin first end second end.

    A pair has segments 0 and 1, and between its texts what the tokenizer puts there.

    targets: {"text": (1,) ones, which the mean loss counts, "label":
    (1,) number | "labels": (C,) of 0 and 1 | "value": (1,) in standard deviations from the mean}. A
    label that is not in the training data is -1: it has no loss and is not counted, and its answer
    is wrong. With weights of classes there is "weight": (1,) as well.
    """
    tokenizer = tokenizers.source
    texts = [example.text, example.text_pair] if options.pair else [example.text]
    pieces: list[np.ndarray] = []
    for name, text in zip(("text", "text_pair"), texts, strict=False):
        if text is None:
            raise DataError(f"{example.place or 'An example'} has no {name}.")
        ids = np.array(tokenizer.encode(text), dtype=np.int64)
        if purpose == "train" and generator is not None and options.token_dropout:
            kept = ids[generator.random(len(ids)) >= options.token_dropout]
            ids = kept if len(kept) else ids
        pieces.append(ids)
    cut = windows_of_pair if options.pair else windows_of_text
    between = tokenizer.between if options.pair else []
    room = options.window - max(0, len(between) - 1)
    targets = _targets(example, labels, options.learn) if purpose == "train" else {}
    found: list[Encoded] = []
    for window in cut(*pieces, window=room, stride=min(options.stride, room - 2)):
        after = [*([between] if options.pair else []), [tokenizer.end_id]]
        parts = [np.append(*both) for both in zip(window, after, strict=True)]
        inputs = {"source": np.concatenate(([tokenizer.begin_id], *parts)).astype(np.int64)}
        if options.pair:
            inputs["segments"] = np.repeat(np.arange(2), (len(parts[0]) + 1, len(parts[1])))
        found.append(Encoded(inputs, dict(targets), metadata=max(1, sum(map(len, window)))))
    return found


def _targets(example: Example, labels: Labels, kind: str) -> dict[str, np.ndarray]:
    given = getattr(example, kind)
    if given is None:
        raise DataError(f"{example.place or 'An example'} has no {kind} to learn from.")
    counted: dict[str, np.ndarray] = {"text": np.ones(1, dtype=np.int64)}
    if kind == "value":
        scale = labels["value"]
        return {
            **counted,
            "value": np.array([(given - scale["mean"]) / scale["deviation"]], dtype=np.float32),
        }
    places = {name: place for place, name in enumerate(labels["labels"])}
    if kind == "label":
        place, weights = places.get(given, -1), labels.get("class_weights")
        if place < 0:
            counted["text"] = counted["text"][:0]
        if weights is not None:
            weight = weights[given] if place >= 0 else 0.0
            counted["weight"] = np.array([weight], dtype=np.float32)
        return {**counted, "label": np.array([place], dtype=np.int64)}
    row = np.zeros(len(places), dtype=np.float32)
    row[[places[name] for name in given if name in places]] = 1
    return {**counted, "labels": row}


def head(config: AnyConfig, labels: Labels, options: ClassificationOptions = DEFAULT) -> nn.Module:
    from ..model.heads.classifier import Classifier
    from ..model.heads.layer import head_layer

    encoder = encoder_alone(config, SPEC.name, options.window)
    needed = "value" if options.learn == "value" else "labels"
    if not labels.get(needed):
        raise ValueError(f"learn = '{options.learn}' needs '{needed}' in labels.json")
    refuse_narrow(config, options.shortcut)
    return Classifier(
        encoder.width,
        labels.get("labels", []),
        pooling=options.pooling,
        hidden=options.hidden,
        activation=options.activation,
        layer=head_layer(encoder, options.head_layer),
        shortcut=options.shortcut,
        bigrams=options.bigrams,
        drop=options.dropout,
        scale=labels.get("value"),
        vocabulary=config.source_vocabulary_size or config.vocabulary_size,
    )


def fit_head(head: Classifier, encoded: Sequence[list[Encoded]]) -> None:
    """Set the weight of each token where two texts are compared.

    It is log((1 + N) / (1 + texts that have it)), and 0 for begin and end.
    """
    if head.importance is None:
        return
    import torch

    texts, count = np.zeros(len(head.importance)), 0
    for one in (one for pieces in encoded for one in pieces):
        for segment in np.unique(one.inputs["segments"]):
            texts[np.unique(one.inputs["source"][one.inputs["segments"] == segment])] += 1
            count += 1
    weights = np.log((1 + count) / (1 + texts))
    weights[encoded[0][0].inputs["source"][0]] = 0.0  # begin, which only the first text has
    head.importance.copy_(torch.as_tensor(weights))


def loss(
    output: ClassOutput,
    batch: Batch,
    kind: str = "label",
    label_smoothing: float = 0.0,
    r_drop: float = 0.0,
) -> Losses:
    """Return what is learnt, and what is only reported.

    loss: cross-entropy in nats (smoothed, with R-Drop's disagreement), summed over texts, where
    each window counts as a text and has the weight of its class; nll: without smoothing and weights
    and with the fitted temperature, reported. For a number both are the squared error in variances.
    """
    from ..model.heads import classifier_loss

    count = batch.counts["tokens"]
    learnt, plain = classifier_loss.losses(
        output.logits,
        output.temperature,
        batch.targets[kind],
        kind,
        label_smoothing,
        batch.targets.get("weight"),
    )
    found = {"loss": (learnt, count, 1.0), "nll": (plain.detach(), count, 0.0)}
    if r_drop and batch.passes == 2:
        apart = classifier_loss.r_drop_divergence(output.logits, kind)
        found |= {
            "loss": (learnt + r_drop * apart, count, 1.0),
            "disagreement": (apart.detach(), count, 0.0),
        }
    return found


class Scored(NamedTuple):
    """Hold the outputs of one window, and what turns them into an answer.

    weight: tokens of the window. outputs (C,): divided by the temperature. names, thresholds and
    scale are the head's.
    """

    weight: int
    outputs: np.ndarray
    names: list[str]
    thresholds: np.ndarray
    scale: dict[str, float] | None


def answer(
    model: Transformer,
    head: Classifier,
    batch: Batch,
    settings: DecodingSettings,
    tokenizers: Tokenizers,
    kind: str = "label",
) -> list[Scored]:
    """Return the scaled outputs of each window."""
    import torch

    from ..model.heads.tokens import output_of

    with torch.no_grad():
        output: ClassOutput = output_of(model, head, batch.inputs)
        logits = (output.logits / output.temperature.float()).cpu().numpy().astype(float)
    thresholds = head.thresholds.float().cpu().numpy()
    return [
        Scored(one.metadata, row, head.names, thresholds, head.scale)
        for one, row in zip(batch.encoded, logits, strict=True)
    ]


def read(
    raw: Sequence[Scored], example: Example, tokenizers: Tokenizers, kind: str = "label"
) -> Prediction:
    """Average the outputs of the windows, weighted by their tokens.

    For one label the mean of log-probabilities, normalised, is the softmax of the mean of the
    outputs.
    """
    weights = np.array([one.weight for one in raw], dtype=float)
    merged = np.average(np.stack([one.outputs for one in raw]), axis=0, weights=weights)
    names, thresholds, scale = raw[0].names, raw[0].thresholds, raw[0].scale
    if kind == "value":
        assert scale is not None, "a head that learns a number has its scale"
        value = min(
            max(float(merged[0]) * scale["deviation"] + scale["mean"], scale["low"]), scale["high"]
        )
        return Prediction(f"{value:.3f}", score=value, details={"value": value})
    chances = softmax(merged) if kind == "label" else sigmoid(merged)
    order: list[int] = np.argsort(-chances, kind="stable").tolist()
    table = {names[place]: float(chances[place]) for place in order}
    if kind == "label":
        best = next(iter(table))
        return Prediction(best, score=table[best], details={"label": best, "probabilities": table})
    given = [name for name in table if table[name] >= thresholds[names.index(name)]]
    sure = min([table[name] if name in given else 1 - table[name] for name in table], default=1.0)
    return Prediction(
        ", ".join(given), score=sure, details={"labels": given, "probabilities": table}
    )


SPEC = TaskSpec(
    name="classification",
    build=build,
    architecture="encoder",
    head="classifier",
    verbs=("classify",),
    view="labels",
    windows=True,
    starts=("masked-words", "embedding"),
)
