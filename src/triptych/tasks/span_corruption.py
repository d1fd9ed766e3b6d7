"""Replace runs of tokens by a sentinel each and write the runs (Raffel et al. 2020, section 3.1.4).

This trains, from plain text, a start for any encoder-decoder (`model.start`). Source `Thank you <0>
me to your party <1> .`, target `<0> for inviting <1> last week <end>`; the end replaces the last
sentinel of the paper (section 3.3.4). With `target = "whole"` the decoder writes the whole text
instead (text infilling, Lewis et al. 2020, section 2.2; compared in Raffel et al., section 3.3.2):
every token is a target, and a step takes longer. Training draws the spans anew in every epoch, an
evaluation always the same. In use `[MASK]` marks a run to be written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np

from ..data.batches.encoded import Encoded
from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..decoding.requests import DecodedText
from ..errors import DataError, RunError
from .masked_words import MARK
from .masking import even_cuts, fixed
from .options import SpanCorruptionOptions, read_options
from .sequence_to_sequence import read, slots, with_loss
from .task import Labels, Prediction, Purpose, Scores, Task, TaskSpec


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    options = read_options(SpanCorruptionOptions, values)
    shared = slots(label_smoothing=0.0, r_drop=0.0, longest=options.window + 1)
    return Task(
        spec=SPEC,
        options=asdict(options),
        needs=("text",),
        prepare=partial(prepare, options=options),
        encode=partial(encode, options=options),
        head=shared["head"],
        loss=shared["loss"],
        request=shared["request"],
        read=partial(written_in, options=options),
        score=partial(score, options=options),
        draws=True,
        remask=partial(remask, options=options),
    )


def prepare(examples: Sequence[Example], *, options: SpanCorruptionOptions) -> Labels:
    """Return {"tags": the sentinels' names, which the tokenizer holds}."""
    if not examples:
        raise DataError("There is nothing to train on: the training data holds no text.")
    return {"tags": [f"span-{number}" for number in range(options.sentinels)]}


def sentinels_of(tokenizer: Tokenizer) -> list[int]:
    """Return the ids of the sentinels, in their order."""
    return [number for name, number in tokenizer.tags.items() if name.startswith("span-")]


# Encoding -----------------------------------------------------------------------------------------


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    options: SpanCorruptionOptions,
) -> list[Encoded]:
    """Encode windows of a text with runs masked; `metadata` keeps each window as it was.

    A text of one token has no context, so it gives no window.
    """
    if example.text is None:
        raise DataError(f"{example.place or 'An example'} has no text.")
    tokenizer = tokenizers.source
    if purpose == "use":
        return [_marked(example, tokenizer)]
    ids = np.array(tokenizer.encode(example.text), dtype=np.int64)
    windows = [
        ids[first:last] for first, last in even_cuts(len(ids), options.window) if last - first > 1
    ]
    return [corrupt(one, tokenizer, options, generator) for one in windows]


def remask(
    pieces: list[Encoded],
    tokenizers: Tokenizers,
    generator: np.random.Generator,
    *,
    options: SpanCorruptionOptions,
) -> list[Encoded]:
    """Return the same windows with other runs masked."""
    return [
        replace(corrupt(one.metadata, tokenizers.source, options, generator), index=one.index)
        for one in pieces
    ]


def corrupt(
    ids: np.ndarray,
    tokenizer: Tokenizer,
    options: SpanCorruptionOptions,
    generator: np.random.Generator | None,
) -> Encoded:
    """Encode a window (n,) of two tokens or more as source and target.

    Without a generator the window itself seeds one.
    """
    starts, ends = spans(len(ids), options, generator or fixed(ids))
    marks = sentinels_of(tokenizer)
    if len(marks) < len(starts):
        raise RunError(
            f"The tokenizer has {len(marks)} sentinels, and {len(starts)} are needed: these files "
            "are not of one run. Copy the whole run folder again."
        )
    source: list[int] = []
    target: list[int] = []
    place = 0
    for mark, start, end in zip(marks, starts.tolist(), ends.tolist(), strict=False):
        source += [*ids[place:start].tolist(), mark]
        target += [mark, *ids[start:end].tolist()]
        place = end
    source += [*ids[place:].tolist(), tokenizer.end_id]
    if options.target == "whole":
        target = ids.tolist()
    inputs = {
        "source": np.array(source, dtype=np.int64),
        "target": np.array([tokenizer.begin_id, *target], dtype=np.int64),
    }
    return Encoded(
        inputs, {"tokens": np.array([*target, tokenizer.end_id], dtype=np.int64)}, metadata=ids
    )


def spans(
    length: int, options: SpanCorruptionOptions, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return (starts, ends) of the masked runs of a window.

    All lengths and gaps that add up are equally likely; no two runs touch. The numbers of tokens
    and of runs follow rate and mean_span, rounded up or down at random so that the means are kept.
    """
    hidden = min(length - 1, max(1, int(options.rate * length + generator.random())))
    count = max(1, int(hidden / options.mean_span + generator.random()))
    count = min(count, hidden, length - hidden + 1)
    lengths = _parts(hidden, count, generator)
    # Gaps are before, between and after the runs; the first and the last may be empty.
    gaps = _parts(length - hidden + 2, count + 1, generator)
    gaps[[0, -1]] -= 1
    starts = np.cumsum(gaps[:-1]) + np.cumsum(lengths) - lengths
    return starts, starts + lengths


def _parts(total: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return `count` whole numbers from 1 that add up to `total`, each sum equally likely."""
    cuts = np.sort(generator.permutation(total - 1)[: count - 1]) + 1
    return np.diff(np.concatenate(([0], cuts, [total])))


def rebuilt(
    source: Sequence[int], written: Sequence[int], marks: Sequence[int], end: int
) -> list[int]:
    """Return the window, each sentinel of the source replaced by the run in the target."""
    runs, known, current = dict[int, list[int]](), set(marks), -1
    for number in written:
        if number in known:
            current = number
            runs.setdefault(number, [])
        elif number != end and current >= 0:
            runs[current].append(number)
    return [
        one
        for number in source
        if number != end
        for one in (runs.get(number, []) if number in known else [number])
    ]


# Answering and scoring ----------------------------------------------------------------------------


def _marked(example: Example, tokenizer: Tokenizer) -> Encoded:
    """Encode the text with a sentinel at every mark."""
    parts, marks = (example.text or "").split(MARK), sentinels_of(tokenizer)
    if not 1 < len(parts) <= len(marks) + 1:
        wrong = (
            "marks no run to write"
            if len(parts) == 1
            else f"marks {len(parts) - 1} runs, and at most {len(marks)} are possible"
        )
        raise DataError(
            f"{example.place or 'The text'} {wrong}: write {MARK} where words are missing."
        )
    ids: list[int] = []
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        # A piece includes its word's leading space.
        ids += tokenizer.encode(part if last else part.removesuffix(" "))
        ids += [] if last else [marks[number]]
    return Encoded({"source": np.array([*ids, tokenizer.end_id], dtype=np.int64)})


def written_in(
    raw: Sequence[Sequence[DecodedText]],
    example: Example,
    tokenizers: Tokenizers,
    *,
    options: SpanCorruptionOptions,
) -> Prediction:
    """Return the text with its most probable runs.

    details: what was written at each mark, and the other answers of an n-best list. A run that
    writes the whole text gives just that, without details.
    """
    best, tokenizer = read(raw, example, tokenizers), tokenizers.source
    if options.target == "whole":
        return best
    marks, parts = sentinels_of(tokenizer), (example.text or "").split(MARK)
    for one in (best, *best.alternatives):
        runs = [
            tokenizer.decode(rebuilt([mark], one.tokens, marks, tokenizer.end_id))
            for mark in marks[: len(parts) - 1]
        ]
        one.text = (
            "".join(part.removesuffix(" ") + run for part, run in zip(parts, runs, strict=False))
            + parts[-1]
        )
        one.details = {"spans": runs}
    if best.alternatives:
        best.details["alternatives"] = [
            {"text": one.text, "score": one.score, **one.details} for one in best.alternatives
        ]
    return best


def score(
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    losses: Mapping[str, float],
    *,
    options: SpanCorruptionOptions,
) -> Scores:
    """Return loss (nats per target token, sentinels included) and perplexity."""
    found = with_loss(losses)
    which = (
        "all tokens"
        if options.target == "whole"
        else "the tokens of hidden runs and their sentinels"
    )
    return Scores(found, dict.fromkeys(found, f"over {which}, by a fixed draw of each window"))


SPEC = TaskSpec(
    name="span-corruption",
    build=build,
    architecture="encoder-decoder",
    head="tokens",
    view="hidden-runs",
    by_losses=True,
)
