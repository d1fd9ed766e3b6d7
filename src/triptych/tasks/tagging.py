"""Tag every word: entities as spans (BIO, BIOES), or parts of speech; or find the words.

Labels belong to words, not to pieces: each word is cut into pieces on its own, and its first piece
(or their mean) represents it. With `unit = "character"` each character is tagged as the beginning
of a word or as inside one: so words are found where none are written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.example import Example
from ..data.formats import bio
from ..data.segmentation import words as rules
from ..data.tokenizers.sides import Tokenizers
from ..decoding.chain import NEVER, Chain, best_path, marginals
from ..decoding.settings import DecodingSettings
from ..errors import DataError, UsageError
from .encoders import encoder_alone
from .options import TaggingOptions, read_options
from .tagging_answers import BEGINS, GOES_ON, in_words, tag_prediction
from .tagging_pieces import WordWindow, central, hidden, spelt, windows
from .tagging_scores import break_down, score
from .task import Labels, Losses, Prediction, Purpose, Task, TaskSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..model.config import AnyConfig
    from ..model.heads.tagger import TagOutput
    from ..model.interface import AnyNetwork
    from ..model.transformer import Transformer


LEARNED = "learned"


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    options = read_options(TaggingOptions, values)
    given = asdict(options)
    if options.head_layer is None:  # config.json stays as it was before this option
        del given["head_layer"]
    return Task(
        spec=SPEC,
        options=given,
        needs=("text", "tags"),
        draws=options.word_dropout > 0,
        prepare=partial(prepare, options=options),
        encode=partial(encode, options=options),
        head=partial(head, options=options),
        loss=partial(loss, label_smoothing=options.label_smoothing),
        answer=answer,
        read=partial(read, options=options),
        score=score,
        break_down=None if options.unit == "character" else break_down,
    )


def prepare(examples: Sequence[Example], options: TaggingOptions) -> Labels:
    """Return the labels of the run.

    They are {"names": labels in order, "scheme": decoded, "written": shown, "words": {"rules":
    ...}, "spaces": "text" | "always"}. spaces: "always" where in the training texts every word
    follows a space, so that a space is put before every word in use too.
    """
    tags = [list(example.tags) for example in examples if example.tags]
    if not tags:
        raise DataError(
            "There is nothing to train on: the training data holds no sentence with tags."
        )
    glued = any(
        first[1] == second[0]
        for one in examples
        for first, second in zip(one.words or (), (one.words or ())[1:], strict=False)
    )
    labels: Labels = {"words": {"rules": _rule(options)}, "spaces": "text" if glued else "always"}
    labels |= {"mask": True} if options.word_dropout else {}
    if options.unit == "character":
        return {
            **labels,
            "names": [BEGINS, GOES_ON],
            "scheme": "plain",
            "written": "plain",
            "unit": "character",
            "spaces": "text",
        }
    written = bio.scheme_of(tag for one in tags for tag in one)
    scheme = options.scheme or written
    if scheme != "plain" and written == "plain":
        raise UsageError(
            f"task.scheme is '{scheme}', but the tags of the training data are not spans (B-PER, "
            "I-PER, O). Leave it out."
        )
    names = {tag for one in tags for tag in bio.converted(one, scheme)}
    names = sorted(names) if scheme == "plain" else [bio.OUTSIDE, *sorted(names - {bio.OUTSIDE})]
    return {
        **labels,
        "names": names,
        "scheme": scheme,
        "written": written if scheme != "plain" else "plain",
        "unit": "word",
    }


def _rule(options: TaggingOptions) -> str:
    """Return how raw text becomes words. Raise UsageError for an unknown rule or run."""
    given = options.words
    if options.unit == "character" or given in rules.RULES:
        return "characters" if options.unit == "character" else given
    if not _finds_words(Path(given) / "config.json"):
        raise UsageError(
            f"task.words is '{given}'; it must be a rule ({', '.join(rules.RULES)}) or the folder "
            "of a run that finds words."
        )
    return LEARNED


def _finds_words(config: Path) -> bool:
    """Tell whether a config.json is that of a run that finds words."""
    try:
        return json.loads(config.read_bytes())["options"]["unit"] == "character"
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    options: TaggingOptions,
) -> list[Encoded]:
    """Encode source = begin pieces end, word_starts (S,) and tags (W,).

    A tag that is not in the training data is -1. Words that do not fit one window give several.
    """
    text = example.text
    if text is None:
        raise DataError(f"{example.place or 'An example'} has no text to tag.")
    words, tags = _words_and_tags(example, labels, purpose)
    spelling, unseen = spelt(
        text,
        words,
        tokenizers.source,
        options.window - 2,
        labels["spaces"] == "always",
        generator is None,
    )
    if (
        options.word_dropout
        and purpose == "train"
        and generator is not None
        and tokenizers.source.mask_id is not None
    ):
        spelling = hidden(spelling, options.word_dropout, tokenizers.source.mask_id, generator)
    names = {name: number for number, name in enumerate(labels["names"])}
    begin, end = tokenizers.source.begin_id, tokenizers.source.end_id
    found: list[Encoded] = []
    for first, last in windows(
        [len(pieces) for pieces in spelling], options.window - 2, options.stride
    ):
        ids, starts = [begin], [0]
        for pieces in spelling[first:last]:
            ids += pieces
            starts += [1, *[0] * (len(pieces) - 1)]
        inputs = {
            "source": np.array([*ids, end], dtype=np.int64),
            "word_starts": np.array([*starts, 0], dtype=np.int64),
        }
        targets: dict[str, np.ndarray] = {}
        if tags is not None:
            targets["tags"] = np.array(
                [names.get(tag, -1) for tag in tags[first:last]], dtype=np.int64
            )
        place = WordWindow(first, last, words, unseen if first == 0 else 0)
        found.append(Encoded(inputs, targets, metadata=place))
    return found


def _words_and_tags(
    example: Example, labels: Labels, purpose: Purpose
) -> tuple[rules.Words, list[str] | None]:
    """Return the words, and in training their tags in the scheme that is learnt."""
    text, words, tags = example.text or "", example.words, example.tags
    if words is not None:
        words = [(start, end) for start, end in words]
        rules.check(words, text, example.place)
    if labels["unit"] == "character":
        places = rules.split(text, "characters")
        if purpose == "use":
            return places, None
        if words is None:
            raise DataError(f"{example.place or 'An example'} has no words to learn from.")
        begins = {start for start, _ in words}
        return places, [BEGINS if start in begins else GOES_ON for start, _ in places]
    if words is None:
        rule = labels["words"]["rules"]
        words = rules.split(text, "characters" if rule == LEARNED else rule)
    if purpose == "use":
        return words, None
    if tags is None or len(tags) != len(words):
        raise DataError(
            f"{example.place or 'An example'} has {len(words)} words and {len(tags or ())} tags; "
            "every word needs one."
        )
    return words, bio.converted(tags, labels["scheme"])


def head(config: AnyConfig, labels: Labels, options: TaggingOptions) -> nn.Module:
    """Build the head. Raise UsageError for a model that is not encoder-only, or is too short."""
    from ..model.heads.layer import head_layer
    from ..model.heads.tagger import Tagger

    encoder = encoder_alone(config, SPEC.name, options.window)
    chain = constraints(labels)
    may = chain.pairs > NEVER / 2, chain.first > NEVER / 2, chain.last > NEVER / 2
    tagger = Tagger(
        encoder.width,
        len(labels["names"]),
        pooling=options.pooling,
        dropout_rate=options.dropout,
        bigrams=options.bigrams,
        layer=head_layer(encoder, options.head_layer),
        allowed=may if options.decoding == "crf" else None,
    )
    tagger.labels = labels  # type: ignore[assignment]
    return tagger


def constraints(labels: Labels) -> Chain:
    """Return 0 where a label may follow another, begin or end, NEVER where it breaks a span."""
    names, scheme = labels["names"], labels["scheme"]

    def cost(before: str | None, after: str | None) -> float:
        return 0.0 if bio.follows(before, after, scheme) else NEVER

    pairs = np.array([[cost(before, after) for after in names] for before in names]).reshape(
        len(names), len(names)
    )
    first = np.array([cost(None, name) for name in names])
    if labels["unit"] == "character":
        first[names.index(GOES_ON)] = NEVER
    return Chain(pairs, first, np.array([cost(name, None) for name in names]))


def loss(output: TagOutput, batch: Batch, label_smoothing: float = 0.0) -> Losses:
    """Return the cross-entropy of words, smoothed, or minus the log-probability of paths (CRF).

    nll: without smoothing, reported. Nats a word, over the words whose tag is known.
    """
    from torch.nn import functional

    from ..model.heads.tagger import chain_loss

    targets = batch.targets["tags"].to(output.scores.device)
    count = _known_words(batch, by_sentence=output.pairs is not None)
    if output.pairs is not None:
        return {"loss": (chain_loss(output, targets), count, 1.0)}
    smoothed = functional.cross_entropy(
        output.scores, targets, ignore_index=-1, reduction="sum", label_smoothing=label_smoothing
    )
    plain = functional.cross_entropy(
        output.scores.detach(), targets, ignore_index=-1, reduction="sum"
    )
    return {"loss": (smoothed, count, 1.0), "nll": (plain, count, 0.0)}


def _known_words(batch: Batch, by_sentence: bool) -> int:
    """Count the words that have a loss; a CRF leaves out a sentence with an unknown tag.

    In training all tags are known.
    """
    tags = [one.targets["tags"] for one in batch.encoded]
    if by_sentence:
        return sum(len(each) for each in tags if (each >= 0).all())
    return sum(int((each >= 0).sum()) for each in tags)


class LabelledTagger(Protocol):
    """Describe a Tagger that holds the run's labels."""

    labels: Labels

    def __call__(
        self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]
    ) -> TagOutput: ...


class Raw(NamedTuple):
    """Hold scores (W, L) of a window's words, its place, the chain if learnt, and the labels."""

    scores: np.ndarray
    place: WordWindow
    chain: Chain | None
    labels: Labels


def answer(
    model: Transformer,
    head: LabelledTagger,
    batch: Batch,
    settings: DecodingSettings,
    tokenizers: Tokenizers,
) -> list[Raw]:
    """Return one Raw for each window: log-probabilities of each label, or a CRF's scores.

    `read` finds the best labels when it has all windows of a text.
    """
    import torch

    from ..model.heads.tokens import output_of

    with torch.no_grad():
        output: TagOutput = output_of(model, head, batch.inputs)
        scores = output.scores if output.pairs is not None else output.scores.log_softmax(-1)
        scores = scores.double().cpu().numpy()
        parts = [
            one.double().cpu().numpy()
            for one in (output.pairs, output.first, output.last)
            if one is not None
        ]
    chain = Chain(*parts) if parts else None
    cuts = np.cumsum(output.words.cpu().numpy())[:-1]
    return [
        Raw(one, encoded.metadata, chain, head.labels)
        for one, encoded in zip(np.split(scores, cuts), batch.encoded, strict=True)
    ]


def read(
    raw: Sequence[Raw], example: Example, tokenizers: Tokenizers, *, options: TaggingOptions
) -> Prediction:
    """Merge windows and decode the path over the whole text.

    Each word's scores come from the window where it is nearest the middle.
    """
    labels, words, text = raw[0].labels, raw[0].place.words, example.text or ""
    scores = central([(one.place, one.scores) for one in raw])  # (W, L)
    if labels["unit"] == "character":
        for place, (start, _) in enumerate(words):
            if start and text[start - 1].isspace():  # a space ends a word
                scores[place, labels["names"].index(GOES_ON)] = NEVER
    if options.decoding == "greedy":
        path, chances = scores.argmax(1).tolist(), np.exp(scores)
    else:
        chain = raw[0].chain or constraints(labels)
        path, chances = best_path(scores, chain), marginals(scores, chain)
    names, sure = labels["names"], chances[np.arange(len(path)), path]
    tags = [names[number] for number in path]
    if labels["unit"] == "character":
        prediction = in_words(text, words, tags)
    else:
        shown = (
            bio.converted(tags, labels["written"])
            if labels["written"] != labels["scheme"]
            else tags
        )
        prediction = tag_prediction(text, words, shown, sure, labels["scheme"] != "plain")
    prediction.score = float(sure.mean()) if len(sure) else None
    prediction.truncated_input_tokens = sum(one.place.unseen for one in raw)
    gold = example.tags or () if labels["unit"] == "word" else ()
    unseen = sorted(
        {
            tag
            for tag, learnt in zip(gold, bio.converted(gold, labels["scheme"]), strict=True)
            if learnt not in names
        }
    )
    prediction.details |= {"unseen_labels": unseen} if unseen else {}
    return prediction


SPEC = TaskSpec(
    name="tagging",
    build=build,
    architecture="encoder",
    head="tagger",
    verbs=("tag",),
    view="tags",
    labels=("names", "scheme", "written", "unit", "spaces", "words.rules"),
    windows=True,
    reads_words=True,
    starts=("masked-words", "embedding"),
)
