"""Translation: one language to one or several others, chosen by a tag before the source (Johnson et al. 2017, section 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..data.batching import Batch, Encoded
from ..data.example import Example
from ..data.tokenizer import Tokenizers
from ..errors import DataError, RunError, UsageError, unknown
from .task import Labels, Prediction, Purpose, Scores, Task

OPTIONS: dict[str, Any] = {
    "label_smoothing": 0.1,  # Szegedy et al. 2016, section 7; 0: off
    "r_drop": 0.0,  # agreement of two passes with different dropout: alpha of Liang et al. 2021, who take 5 for translation
    "default_target": None,  # of several target languages, the one meant where none is named
    "tokenized_bleu": False,  # report `bleu_tokenized_lowercased` too: Multi30k's published scale (en, de, fr, cs)
}


def build(options: Mapping[str, Any]) -> Task:
    """The task with its options checked. Raises UsageError for an unknown key or a value that cannot be."""
    for key in options:
        if key not in OPTIONS:
            raise unknown("recipe key", f"task.{key}", [f"task.{name}" for name in ("name", *OPTIONS)])
    chosen = {**OPTIONS, **options}
    smoothing = chosen["label_smoothing"]
    if isinstance(smoothing, bool) or not isinstance(smoothing, int | float) or not 0 <= smoothing < 1:
        raise UsageError(f"task.label_smoothing is {smoothing!r}; it must be a number from 0 to below 1.")
    r_drop = chosen["r_drop"]
    if isinstance(r_drop, bool) or not isinstance(r_drop, int | float) or not 0 <= r_drop < math.inf:
        raise UsageError(f"task.r_drop is {r_drop!r}; it must be 0 (off) or more.")
    default, tokenized = chosen["default_target"], chosen["tokenized_bleu"]
    if default is not None and not isinstance(default, str):
        raise UsageError(f"task.default_target is {default!r}; it must be a target language, like 'de'.")
    if not isinstance(tokenized, bool):
        raise UsageError(f"task.tokenized_bleu is {tokenized!r}; it must be true or false.")
    return Task(
        name="translation", options=chosen, needs=("source", "target"),
        prepare=partial(prepare, default_target=default, tokenized_bleu=tokenized),
        encode=partial(encode, default_target=default), head=head,
        loss=partial(loss, label_smoothing=float(smoothing), r_drop=float(r_drop)),
        answer=answer, read=read, score=partial(score, tokenized_bleu=tokenized), passes=2 if r_drop else 1,
    )  # fmt: skip


def prepare(examples: Sequence[Example], default_target: str | None = None, tokenized_bleu: bool = False) -> Labels:
    """{"languages": {"source": [...], "targets": [...]}, "tags": [...]}, sorted; tags: the targets where there are several."""
    if not examples:
        raise DataError("There is nothing to train on: the training data holds no usable pair.")
    sources = sorted({example.source_language for example in examples if example.source_language})
    targets = sorted({example.target_language for example in examples if example.target_language})
    if default_target is not None and default_target not in targets:
        raise unknown("target language", default_target, targets, "in task.default_target")
    if tokenized_bleu:
        from ..metrics.moses import require

        if not targets:
            raise UsageError("task.tokenized_bleu goes by language; name the target's: data.target = 'de'.")
        for language in targets:
            require(language)
    return {"languages": {"source": sources, "targets": targets}, "tags": targets if len(targets) > 1 else []}


def encode(example: Example, tokenizers: Tokenizers, labels: Labels, purpose: Purpose,
           generator: np.random.Generator | None = None, *, default_target: str | None = None) -> list[Encoded]:  # fmt: skip
    """source = [tag] pieces end; target = begin pieces; tokens = pieces end. In use there is no target. Nothing is drawn.

    Raises UsageError for a target language that the run does not know, naming those it does.
    """
    if example.source is None:
        raise DataError(f"{example.place or 'An example'} has no source text.")
    tag = _tag(example, tokenizers, labels, default_target)
    source = tokenizers.source.encode(example.source)
    inputs = {"source": np.array([*tag, *source, tokenizers.source.end_id], dtype=np.int64)}
    if purpose == "use":
        return [Encoded(inputs)]
    if example.target is None:
        raise DataError(f"{example.place or 'An example'} has no target text to learn from.")
    target = tokenizers.target.encode(example.target)
    inputs["target"] = np.array([tokenizers.target.begin_id, *target], dtype=np.int64)
    return [Encoded(inputs, {"tokens": np.array([*target, tokenizers.target.end_id], dtype=np.int64)})]


def _tag(example: Example, tokenizers: Tokenizers, labels: Labels, default_target: str | None) -> list[int]:
    """The tag's id, or nothing for a model with one target language."""
    targets = labels["languages"]["targets"]
    wanted = example.target_language
    if wanted is not None and targets and wanted not in targets:
        raise unknown("target language", wanted, targets, f"({example.place})" if example.place else "")
    if len(targets) < 2:
        return []
    wanted = wanted or default_target
    if wanted is None:
        raise UsageError(f"This model translates to several languages; say which with --to: {', '.join(targets)}.")
    if wanted not in tokenizers.source.tags:
        raise RunError(f"The tokenizer has no tag for '{wanted}', which labels.json names; these files are not of one run.")
    return [tokenizers.source.tags[wanted]]


def head(config: Any, labels: Labels) -> Any:
    from ..model.heads import NextToken

    return NextToken()


def loss(output: Any, batch: Batch, label_smoothing: float = 0.0, r_drop: float = 0.0) -> dict[str, tuple[Any, int, float]]:
    """loss: label-smoothed cross-entropy, what is learnt; nll: without smoothing, reported. Sums in nats over target tokens.

    Where the batch holds two passes, their disagreement is part of the loss (`model/agreement.py`), and is reported too.
    """
    from ..model.agreement import agreeing_cross_entropy
    from ..model.kernels import projected_cross_entropy

    if batch.passes == 2:
        total, plain, apart = agreeing_cross_entropy(
            output.states, output.weight, output.bias, batch.targets["tokens"], label_smoothing, r_drop
        )  # fmt: skip
        count = batch.counts["tokens"]
        return {"loss": (total, count, 1.0), "nll": (plain.detach(), count, 0.0), "disagreement": (apart.detach(), count, 0.0)}
    smoothed, plain = projected_cross_entropy(
        output.states, output.weight, output.bias, batch.targets["tokens"], label_smoothing
    )  # fmt: skip
    count = batch.counts["tokens"]
    return {"loss": (smoothed, count, 1.0), "nll": (plain.detach(), count, 0.0)}


def answer(model: Any, head: Any, batch: Batch, settings: Any, tokenizers: Tokenizers) -> list[Any]:
    """One list of hypotheses, best first, for each source."""
    from ..decoding.search import search

    inputs = {name: batch.inputs[name] for name in ("source", "source_lengths")}
    target = tokenizers.target
    return search(model, inputs, settings, begin=target.begin_id, end=target.end_id, indices=batch.examples)


def read(raw: Sequence[Any], example: Example, tokenizers: Tokenizers) -> Prediction:
    """A source is never cut into windows, so there is one raw result: its n best."""
    assert len(raw) == 1, "a translation has one raw result an Example"
    best, *others = [
        Prediction(
            text=tokenizers.target.decode(one.tokens), score=one.score, log_probability=one.log_probability, tokens=one.tokens,
            token_log_probabilities=one.token_log_probabilities, cut=not one.finished,
        )
        for one in raw[0]
    ]  # fmt: skip
    best.alternatives = others
    return best


def score(predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float],
          tokenized_bleu: bool = False) -> Scores:  # fmt: skip
    """bleu, chrf, exact_match (and bleu_tokenized_lowercased), then loss (nats per target token, not smoothed) and perplexity.

    With several target languages each metric is the mean over them, and `<metric>_<language>` stands beside it.
    """
    from ..metrics import bleu as metrics

    by_language: dict[str, tuple[list[str], list[str]]] = {}
    for prediction, example in zip(predictions, examples, strict=True):
        if example.target is None:
            raise DataError(f"{example.place or 'An example'} has no reference to score against.")
        hypotheses, references = by_language.setdefault(example.target_language or "", ([], []))
        hypotheses.append(prediction.text)
        references.append(example.target)
    chosen: dict[str, metrics.Metric] = {"bleu": metrics.bleu, "chrf": metrics.chrf, "exact_match": metrics.exact_match}
    if tokenized_bleu:
        chosen["bleu_tokenized_lowercased"] = metrics.bleu_tokenized_lowercased
    values: dict[str, float] = {}
    signatures: dict[str, str] = {}
    for name, metric in chosen.items():
        found = {language: metric(*texts, language) for language, texts in sorted(by_language.items())}
        if not found:
            continue
        values[name] = sum(one.value for one in found.values()) / len(found)
        signatures[name] = ", ".join(dict.fromkeys(one.signature for one in found.values()))
        if len(found) > 1:
            signatures[name] = f"mean over {' '.join(found)} of {signatures[name]}"
            values |= {f"{name}_{language}": one.value for language, one in found.items()}
    if losses:
        values["loss"] = losses["nll"] if "nll" in losses else losses["loss"]
        values["perplexity"] = math.exp(min(values["loss"], 700.0))
    return Scores(values, signatures)
