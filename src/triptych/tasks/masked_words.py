"""Predict the masked tokens of a text (Devlin et al. 2018, section 3.1).

A text is cut into windows of about equal length. A share of a window's tokens is chosen; most are
replaced by the mask, some by a token drawn from the vocabulary, and the others are kept. Training
chooses anew in every epoch, an evaluation always the same. In use, `[MASK]` in a text marks a place
to be filled with one token.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..decoding.settings import DecodingSettings
from ..errors import DataError
from ..model.config import ModelConfig
from .encoders import encoder_alone
from .masking import even_cuts, hide, word_units
from .options import MaskedWordsOptions, read_options
from .task import Labels, Losses, Prediction, Purpose, Scores, Task, TaskSpec

if TYPE_CHECKING:
    from torch import nn

    from ..model.config import AnyConfig
    from ..model.heads.tokens import MaskedWords, TokenOutput
    from ..model.transformer import Transformer


GOES_ON = "##"  # WordPiece writes it before a piece that continues a word
MARK = "[MASK]"  # typed by a user; ordinary text in training
FILLINGS = 5  # answers for a place, unless decoding.n_best is larger
CANDIDATES = 200  # most probable tokens, from which the fillings are taken


class Blank(NamedTuple):
    """Describe a place to fill: its number, and if a space, or a letter or digit, precedes it."""

    number: int
    spaced: bool
    within: bool


class Filling(NamedTuple):
    """Hold a text for a masked place, with its probability."""

    text: str
    probability: float


# a masked place and what could fill it, most probable first
Filled = tuple[Blank, list[Filling]]


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    options = read_options(MaskedWordsOptions, values)
    given = asdict(options)
    if options.activation == "gelu":  # config.json stays as it was before this option
        del given["activation"]
    return Task(
        spec=SPEC,
        options=given,
        needs=("text",),
        prepare=prepare,
        encode=partial(encode, options=options),
        head=partial(head, options=options),
        loss=loss,
        answer=answer,
        read=read,
        score=score,
        draws=True,
        remask=partial(remask, options=options),
    )


def prepare(examples: Sequence[Example]) -> Labels:
    """Return {"mask": True}: the tokenizer has a mask."""
    if not examples:
        raise DataError("There is nothing to train on: the training data holds no text.")
    return {"mask": True}


# Encoding -----------------------------------------------------------------------------------------


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    options: MaskedWordsOptions,
) -> list[Encoded]:
    """Encode source = [begin] window [end], masked = 0 or 1 for each; tokens = the masked ones.

    In use the masked places are those that the text marks, in overlapping windows around them.
    Raises DataError for a text that marks none.
    """
    if example.text is None:
        raise DataError(f"{example.place or 'An example'} has no text.")
    tokenizer = tokenizers.source
    assert tokenizer.mask_id is not None, "the labels of `prepare` give the tokenizer a mask"
    if purpose == "use":
        return _marked(example, tokenizer, options.window)
    units = None
    if options.whole_words:
        ids, units = word_units(example.text, tokenizer)
    else:
        ids = np.array(tokenizer.encode(example.text), dtype=np.int64)
    found: list[Encoded] = []
    for first, last in even_cuts(len(ids), options.window):
        own = None if units is None else units[first:last]
        found.append(hide(ids[first:last], own, tokenizer, options, generator))
    return found


def remask(
    pieces: list[Encoded],
    tokenizers: Tokenizers,
    generator: np.random.Generator,
    *,
    options: MaskedWordsOptions,
) -> list[Encoded]:
    """Return the same windows with other tokens masked."""
    found: list[Encoded] = []
    for one in pieces:
        ids = one.inputs["source"].copy()
        ids[one.inputs["masked"] == 1] = one.targets["tokens"]
        drawn = hide(ids[1:-1], one.metadata, tokenizers.source, options, generator)
        found.append(replace(drawn, index=one.index))
    return found


# Learning -----------------------------------------------------------------------------------------


def head(config: AnyConfig, labels: Labels, options: MaskedWordsOptions) -> nn.Module:
    from ..model.heads.tokens import MaskedWords

    encoder = encoder_alone(config, SPEC.name, options.window, ends=2)
    is_narrow = isinstance(config, ModelConfig) and config.tied_embeddings
    return MaskedWords(
        encoder.width,
        config.vocabulary_size,
        encoder.norm_epsilon,
        config.embedding_width if is_narrow else None,
        activation=options.activation,
        has_bias=encoder.norm_bias,
    )


def loss(output: TokenOutput, batch: Batch) -> Losses:
    """Return the cross-entropy over masked tokens, in nats.

    Without gradients also `accuracy`: how many were found.
    """
    import torch

    from ..model.ops.cross_entropy import projected_cross_entropy

    tokens, count = batch.targets["tokens"], batch.counts["tokens"]
    total, _ = projected_cross_entropy(
        output.states, output.weight, output.bias, tokens, softcap=output.softcap
    )
    found: Losses = {"loss": (total, count, 1.0)}
    if not torch.is_grad_enabled():
        found["accuracy"] = ((output.logits.argmax(-1) == tokens).sum().float(), count, 0.0)
    return found


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return loss (nats per masked token), perplexity, and accuracy of the masked tokens."""
    if not losses:
        return Scores({})
    values = {
        "loss": losses["loss"],
        "perplexity": math.exp(min(losses["loss"], 700.0)),
        "accuracy": 100 * losses["accuracy"],
    }
    hidden = "over masked tokens, hidden by a fixed draw of each window"
    return Scores(values, dict.fromkeys(("perplexity", "accuracy"), hidden))


# In use -------------------------------------------------------------------------------------------


def _marked(example: Example, tokenizer: Tokenizer, window: int) -> list[Encoded]:
    """Encode windows that cover all marked places; metadata: the Blanks of each, in order.

    A place is as near the middle of its window as can be.
    """
    text, mask = example.text or "", tokenizer.mask_id
    before, *after = text.split(MARK)
    if not after:
        raise DataError(
            f"{example.place or 'The text'} marks no place to fill: write {MARK} where a word is "
            "missing."
        )
    ids: list[int] = []
    places: dict[int, Blank] = {}
    for number, part in enumerate((before, *after)):
        spaced = part.endswith(" ") and number < len(after)
        # A piece includes its word's leading space.
        ids += tokenizer.encode(part[:-1] if spaced else part)
        if number < len(after):
            places[len(ids)] = Blank(number, spaced, part[-1:].isalnum())
            ids.append(mask)  # type: ignore[arg-type]
    stride = max(1, window // 4)
    windows: dict[int, list[int]] = {}
    for place in places:
        first = max(0, min((place - window // 2) // stride * stride, len(ids) - window))
        windows.setdefault(first, []).append(place)
    found: list[Encoded] = []
    for first, inside in windows.items():
        own = ids[first : first + window]
        masked = np.zeros(len(own) + 2, dtype=np.int64)
        masked[[1 + place - first for place in inside]] = 1
        source = np.array([tokenizer.begin_id, *own, tokenizer.end_id], dtype=np.int64)
        found.append(
            Encoded({"source": source, "masked": masked}, metadata=[places[i] for i in inside])
        )
    return found


def answer(
    model: Transformer,
    head: MaskedWords,
    batch: Batch,
    settings: DecodingSettings,
    tokenizers: Tokenizers,
) -> list[list[Filled]]:
    """Return for each window its places with their fillings, most probable first."""
    import torch

    from ..model.heads.tokens import output_of

    with torch.no_grad():
        output: TokenOutput = output_of(model, head, batch.inputs)
        best = output.logits.float().softmax(-1).topk(min(CANDIDATES, output.weight.shape[0]), -1)
    probabilities: list[list[float]] = best.values.cpu().numpy().tolist()
    ids: list[list[int]] = best.indices.cpu().numpy().tolist()
    rows = iter(zip(probabilities, ids, strict=True))
    most, tokenizer = max(FILLINGS, settings.n_best), tokenizers.source
    return [
        [(place, _fillings(*next(rows), place, tokenizer, most)) for place in one.metadata]
        for one in batch.encoded
    ]


def fitting(ids: Sequence[int], place: Blank, tokenizer: Tokenizer) -> Iterator[tuple[int, str]]:
    """Yield (index in `ids`, its text) of those ids that fit a place.

    A piece that begins a word fits where a space was typed, and no other does; no special token and
    no half a character fits anywhere. If the tokenizer drops spaces, a piece that continues a word
    fits after a letter or digit, and no other does.
    """
    for which, number in enumerate(ids):
        text = tokenizer.decode([number])
        if tokenizer.keeps_spaces:
            fits = text.startswith(" ") == place.spaced
        else:
            fits = text.startswith(GOES_ON) == place.within
            text = text.removeprefix(GOES_ON)
        if fits and text.strip() and "\ufffd" not in text:
            yield which, text.strip()


def _fillings(
    probabilities: list[float], ids: list[int], place: Blank, tokenizer: Tokenizer, most: int
) -> list[Filling]:
    return [
        Filling(text, probabilities[which])
        for which, text in islice(fitting(ids, place, tokenizer), most)
    ]


def read(raw: Sequence[Sequence[Filled]], example: Example, tokenizers: Tokenizers) -> Prediction:
    """Return the text with its most probable fillings.

    details: the candidates for each marked place.
    """
    by_place = sorted(
        (found for window in raw for found in window), key=lambda found: found[0].number
    )
    text, parts = "", (example.text or "").split(MARK)
    masks: list[dict[str, object]] = []
    end = 0
    for part, (_, fillings) in zip(parts, by_place, strict=False):
        end += len(part)
        masks.append(
            {"start": end, "end": end + len(MARK), "fillings": [one._asdict() for one in fillings]}
        )
        text, end = text + part + (fillings[0].text if fillings else MARK), end + len(MARK)
    best = [fillings[0].probability for _, fillings in by_place if fillings]
    return Prediction(
        text=text + parts[-1], score=math.prod(best) if best else None, details={"masks": masks}
    )


SPEC = TaskSpec(
    name="masked-words",
    build=build,
    architecture="encoder",
    head="masked-tokens",
    view="fillings",
    windows=True,
    by_losses=True,
    starts=("masked-words", "embedding"),
)
