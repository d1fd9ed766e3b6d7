"""Translate one language to one or several others, chosen by a tag before the source.

See Johnson et al. 2017, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np

from ..data.batches.encoded import Encoded
from ..data.batches.framed import Frame
from ..data.example import Example
from ..data.pair_table import values_of
from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..errors import DataError, RunError, UsageError, unknown
from .options import TranslationOptions, read_options
from .sequence_to_sequence import pair, slots, with_loss
from .task import Labels, Prediction, Purpose, Scores, Task, TaskSpec

TYPED = re.compile(r"(>>([^<>\s]+)<<)\s*(.*)", re.DOTALL)  # as users of Marian type a tag


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    options = read_options(TranslationOptions, values)
    default, tokenized = options.default_target, options.tokenized_bleu
    return Task(
        spec=SPEC,
        options=asdict(options),
        needs=("source", "target"),
        prepare=partial(prepare, default_target=default, tokenized_bleu=tokenized),
        encode=partial(encode, default_target=default),
        frame=partial(frame, default_target=default),
        score=partial(score, tokenized_bleu=tokenized),
        **slots(options.label_smoothing, options.r_drop),
    )


def prepare(
    examples: Sequence[Example], default_target: str | None = None, tokenized_bleu: bool = False
) -> Labels:
    """Return {"languages": {"source": [...], "targets": [...]}, "tags": [...]}, sorted.

    tags: the targets, where there are several.
    """
    if not examples:
        raise DataError("There is nothing to train on: the training data holds no usable pair.")
    sources, targets = (
        sorted({str(one) for one in values_of(examples, f"{side}_language") if one})
        for side in ("source", "target")
    )
    if default_target is not None and default_target not in targets:
        raise unknown("target language", default_target, targets, "in task.default_target")
    if tokenized_bleu:
        from ..metrics.moses import require

        if not targets:
            raise UsageError(
                "task.tokenized_bleu tokenises by language: name the target's, for example "
                "data.target = 'de'."
            )
        for language in targets:
            require(language)
    return {
        "languages": {"source": sources, "targets": targets},
        "tags": targets if len(targets) > 1 else [],
    }


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    default_target: str | None = None,
) -> list[Encoded]:
    """Encode source = [tag] pieces end; target = begin pieces; tokens = pieces end.

    In use there is no target. Nothing is drawn. Raises UsageError for a target language that the
    run was not trained on, naming those that it was.
    """
    if example.source is None:
        raise DataError(f"{example.place or 'An example'} has no source text.")
    example, tokenizer = _as_typed(example, tokenizers.source), tokenizers.source
    wanted = _wanted(example, tokenizers, labels, default_target)
    tag = [] if wanted is None or tokenizer.marks_answers else [tokenizer.tags[wanted]]
    ids = tokenizer.encode(example.source or "")
    source = tokenizer.source_of([*tag, *ids], example.source_language)
    return [pair(source, example, tokenizers, purpose, language=wanted)]


def frame(
    example: Example, tokenizers: Tokenizers, labels: Labels, default_target: str | None = None
) -> Frame:
    """Return the tokens around the ids of the texts, for tokenizers that were trained here.

    Raises as `encode`.
    """
    wanted = _wanted(example, tokenizers, labels, default_target)
    tag = [] if wanted is None else [tokenizers.source.tags[wanted]]
    return Frame(
        tag, tokenizers.source.source_of([]), tokenizers.target.starts(), tokenizers.target.end_id
    )


def _as_typed(example: Example, tokenizer: Tokenizer) -> Example:
    """Take the language from a tag before the text, like >>fr<<, where none is named otherwise."""
    found = TYPED.match(example.source or "") if example.target_language is None else None
    if found is None or tokenizer.number(found[1]) != tokenizer.tags.get(found[2], -1):
        return example
    return replace(example, source=found[3], target_language=found[2])


def _wanted(
    example: Example, tokenizers: Tokenizers, labels: Labels, default_target: str | None
) -> str | None:
    """Return the target language, or None for a model with one."""
    targets = labels["languages"]["targets"]
    wanted = example.target_language
    if wanted is not None and targets and wanted not in targets:
        raise unknown(
            "target language", wanted, targets, f"({example.place})" if example.place else ""
        )
    if len(targets) < 2:
        return None
    wanted = wanted or default_target
    if wanted is None:
        raise UsageError(
            "This model translates to several languages; choose one with --to: "
            f"{', '.join(targets)}."
        )
    if wanted not in tokenizers.source.tags:
        raise RunError(
            f"The tokenizer has no tag for '{wanted}', which labels.json names: these files are "
            "not of one run. Copy the whole run folder again."
        )
    return wanted


def score(
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    losses: Mapping[str, float],
    tokenized_bleu: bool = False,
) -> Scores:
    """Return bleu, chrf, exact_match (and bleu_tokenized_lowercased), then loss and perplexity.

    The loss is in nats per target token, not smoothed. With several target languages each metric is
    the mean over them, and `<metric>_<language>` is given beside it.
    """
    from ..metrics import bleu as metrics

    by_language: dict[str, tuple[list[str], list[str]]] = {}
    for prediction, example in zip(predictions, examples, strict=True):
        if example.target is None:
            raise DataError(f"{example.place or 'An example'} has no reference to score against.")
        hypotheses, references = by_language.setdefault(example.target_language or "", ([], []))
        hypotheses.append(prediction.text)
        references.append(example.target)
    chosen: dict[str, metrics.Metric] = {
        "bleu": metrics.bleu,
        "chrf": metrics.chrf,
        "exact_match": metrics.exact_match,
    }
    if tokenized_bleu:
        chosen["bleu_tokenized_lowercased"] = metrics.bleu_tokenized_lowercased
    values: dict[str, float] = {}
    signatures: dict[str, str] = {}
    for name, metric in chosen.items():
        found = {
            language: metric(*texts, language) for language, texts in sorted(by_language.items())
        }
        if not found:
            continue
        values[name] = sum(one.value for one in found.values()) / len(found)
        signatures[name] = ", ".join(dict.fromkeys(one.signature for one in found.values()))
        if len(found) > 1:
            signatures[name] = f"mean over {' '.join(found)} of {signatures[name]}"
            values |= {f"{name}_{language}": one.value for language, one in found.items()}
    return Scores(values | with_loss(losses), signatures)


SPEC = TaskSpec(
    name="translation",
    build=build,
    architecture="encoder-decoder",
    head="tokens",
    verbs=("translate",),
    view="cross-attention",
    labels=("languages.targets",),
    targets="languages",
    starts=("span-corruption",),
)
