"""Tagging: a label for every word, entities as spans (BIO, BIOES) or parts of speech; or the words
themselves, character by character.

Labels belong to words, not to pieces: each word is cut into pieces on its own, and its first piece
(or their mean) speaks for it. With `unit = "character"` every character is told to begin a word or
to go on with one: so words are found where none are written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.example import Example
from ..data.formats import bio
from ..data.segmentation import words as rules
from ..data.tokenizers.sides import Tokenizers
from ..decoding.chain import NEVER, Chain, best_path, marginals
from ..errors import DataError, UsageError, unknown
from .tagging_pieces import WordWindow, central, hidden, spelt, windows
from .tagging_scores import score
from .task import Labels, Prediction, Purpose, Task, TaskSpec

OPTIONS: dict[str, Any] = {
    # "bio", "bioes" or "plain"; None: as the training data is written. bioes: learnt and decoded
    # so, written as the data
    "scheme": None,
    # the best path without a broken span; "crf": a learnt chain (Lafferty et al. 2001); "greedy":
    # word by word
    "decoding": "constrained",
    # a word's state: its first piece's (Devlin et al. 2018, section 5.3), or the "mean" of its
    # pieces
    "pooling": "first",
    "unit": "word",  # or "character": the words of a text without spaces
    # of raw text: "unicode", "characters" or "spaces" (data/segmentation/words.py), or the folder
    # of a run with unit = "character"
    "words": "unicode",
    "window": 256,  # tokens read at once, begin and end included
    "stride": 192,  # tokens from the start of one window to the next
    "label_smoothing": 0.0,  # of constrained and greedy
    "dropout": 0.1,  # of word states before the last layer
    # the probability that training hides a word, so that its neighbours must speak for it
    "word_dropout": 0.0,
    # so many hashed weights for pairs of neighbouring pieces beside the states, say 65536
    "bigrams": 0,
}
CHOICES = {
    "scheme": (None, "bio", "bioes", "plain"),
    "decoding": ("constrained", "crf", "greedy"),
    "pooling": ("first", "mean"),
    "unit": ("word", "character"),
}
BEGINS, GOES_ON = "B", "I"  # of unit = "character"
LEARNED = "learned"


def build(options: Mapping[str, Any]) -> Task:
    """The task with its options checked. Raises UsageError for an unknown key or a value that
    cannot be.
    """
    for key in options:
        if key not in OPTIONS:
            raise unknown(
                "recipe key", f"task.{key}", [f"task.{name}" for name in ("name", *OPTIONS)]
            )
    chosen = {**OPTIONS, **options}
    for key, allowed in CHOICES.items():
        if chosen[key] not in allowed:
            raise unknown(f"task.{key}", str(chosen[key]), [name for name in allowed if name])
    for key in ("label_smoothing", "dropout", "word_dropout"):
        value = chosen[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise UsageError(f"task.{key} is {value!r}; it must be a number from 0 to below 1.")
    window, stride = chosen["window"], chosen["stride"]
    if (
        not isinstance(window, int)
        or window < 8
        or not isinstance(stride, int)
        or not 1 <= stride <= window - 2
    ):
        raise UsageError(
            f"task.window is {window!r} and task.stride {stride!r}; a window has 8 tokens or "
            "more, a stride at most window - 2."
        )
    if (
        isinstance(chosen["bigrams"], bool)
        or not isinstance(chosen["bigrams"], int)
        or chosen["bigrams"] < 0
    ):
        raise UsageError(
            f"task.bigrams is {chosen['bigrams']!r}; it must be 0 (off) or a whole number of "
            "weights."
        )
    if chosen["label_smoothing"] and chosen["decoding"] == "crf":
        raise UsageError(
            "task.label_smoothing is for decoding 'constrained' and 'greedy'; a CRF learns whole "
            "paths. Leave it at 0."
        )
    return Task(
        spec=SPEC,
        options=chosen,
        needs=("text", "tags"),
        draws=chosen["word_dropout"] > 0,
        prepare=partial(prepare, dials=chosen),
        encode=partial(encode, dials=chosen),
        head=partial(head, dials=chosen),
        loss=partial(loss, label_smoothing=float(chosen["label_smoothing"])),
        answer=answer,
        read=partial(read, dials=chosen),
        score=score,
    )


def prepare(examples: Sequence[Example], dials: Mapping[str, Any]) -> Labels:
    """{"names": labels in order, "scheme": decoded, "written": shown, "words": {"rules": ...},
    "spaces": "text" | "always"}.

    spaces: where no training text has two words without a space between, a space is put before
        every word in use too.
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
    labels: Labels = {"words": {"rules": _rule(dials)}, "spaces": "text" if glued else "always"}
    labels |= {"mask": True} if dials["word_dropout"] else {}
    if dials["unit"] == "character":
        return {
            **labels,
            "names": [BEGINS, GOES_ON],
            "scheme": "plain",
            "written": "plain",
            "unit": "character",
            "spaces": "text",
        }
    written = bio.scheme_of(tag for one in tags for tag in one)
    scheme = dials["scheme"] or written
    if scheme != "plain" and written == "plain":
        raise UsageError(
            f"task.scheme is '{scheme}', but the tags of the training data are no spans (B-PER, "
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


def _rule(dials: Mapping[str, Any]) -> str:
    """How raw text becomes words. Raises UsageError for what is neither a rule nor a run."""
    given = dials["words"]
    if dials["unit"] == "character" or given in rules.RULES:
        return "characters" if dials["unit"] == "character" else given
    if not _finds_words(Path(given) / "config.json"):
        raise UsageError(
            f"task.words is '{given}': neither a rule ({', '.join(rules.RULES)}) nor the folder "
            "of a run that finds words."
        )
    return LEARNED


def _finds_words(config: Path) -> bool:
    """Whether a config.json is that of a run that finds words."""
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
    dials: Mapping[str, Any],
) -> list[Encoded]:
    """Encode as source = begin pieces end, word_starts (S,); tags (W,), -1 for one not seen in
    training. Several where words do not fit a window.
    """
    text = example.text
    if text is None:
        raise DataError(f"{example.place or 'An example'} has no text to tag.")
    words, tags = _words_and_tags(example, labels, purpose)
    spelling, unseen = spelt(
        text,
        words,
        tokenizers.source,
        dials["window"] - 2,
        labels["spaces"] == "always",
        generator is None,
    )
    if (
        dials["word_dropout"]
        and purpose == "train"
        and generator is not None
        and tokenizers.source.mask_id is not None
    ):
        spelling = hidden(spelling, dials["word_dropout"], tokenizers.source.mask_id, generator)
    names = {name: number for number, name in enumerate(labels["names"])}
    begin, end, found = tokenizers.source.begin_id, tokenizers.source.end_id, []
    for first, last in windows(
        [len(pieces) for pieces in spelling], dials["window"] - 2, dials["stride"]
    ):
        ids, starts = [begin], [0]
        for pieces in spelling[first:last]:
            ids += pieces
            starts += [1, *[0] * (len(pieces) - 1)]
        inputs = {
            "source": np.array([*ids, end], dtype=np.int64),
            "word_starts": np.array([*starts, 0], dtype=np.int64),
        }
        targets = {}
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
    """What is tagged, and while training with what, in the scheme that is learnt."""
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


def head(config: Any, labels: Labels, dials: Mapping[str, Any]) -> Any:
    """Raises UsageError for a model without encoder, or with fewer positions than a window has
    tokens.
    """
    from ..model.heads.tagger import Tagger

    encoder = getattr(config, "encoder", None)
    if encoder is None or config.decoder is not None:
        raise UsageError(
            "Tagging needs a model with an encoder alone: give model.preset = 'encoder-small', "
            "for example."
        )
    if encoder.positions == "learned" and encoder.max_positions < dials["window"]:
        raise UsageError(
            f"task.window is {dials['window']}; this model has {encoder.max_positions} positions. "
            "Lower task.window and task.stride."
        )
    chain = constraints(labels)
    may = chain.pairs > NEVER / 2, chain.first > NEVER / 2, chain.last > NEVER / 2
    tagger = Tagger(
        encoder.width,
        len(labels["names"]),
        pooling=dials["pooling"],
        dropout_rate=float(dials["dropout"]),
        bigrams=dials["bigrams"],
        allowed=may if dials["decoding"] == "crf" else None,
    )
    tagger.labels = labels  # type: ignore[assignment]
    return tagger


def constraints(labels: Labels) -> Chain:
    """0 where a label may follow another, begin or end, NEVER where that would break a span."""
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


def loss(
    output: Any, batch: Batch, label_smoothing: float = 0.0
) -> dict[str, tuple[Any, int, float]]:
    """loss: cross-entropy of words, smoothed, or minus the log-probability of paths (CRF); nll: not
    smoothed, reported. Nats a word.
    """
    from torch.nn import functional

    from ..model.heads.tagger import chain_loss

    targets, count = batch.targets["tags"].to(output.scores.device), batch.counts["tokens"]
    if output.pairs is not None:
        return {"loss": (chain_loss(output, targets), count, 1.0)}
    smoothed = functional.cross_entropy(
        output.scores, targets, ignore_index=-1, reduction="sum", label_smoothing=label_smoothing
    )
    plain = functional.cross_entropy(
        output.scores.detach(), targets, ignore_index=-1, reduction="sum"
    )
    return {"loss": (smoothed, count, 1.0), "nll": (plain, count, 0.0)}


class Raw(NamedTuple):
    """Scores (W, L) of a window's words, its place, the chain where one is learnt, and the run's
    labels.
    """

    scores: np.ndarray
    place: WordWindow
    chain: Chain | None
    labels: Labels


def answer(model: Any, head: Any, batch: Batch, settings: Any, tokenizers: Tokenizers) -> list[Any]:
    """One Raw a window: log-probabilities of each label, or a CRF's scores. What they say is read
    when a text is whole again.
    """
    import torch

    from ..model.heads.tokens import output_of

    with torch.no_grad():
        output = output_of(model, head, batch.inputs)
        learnt = output.pairs is not None
        scores = (output.scores if learnt else output.scores.log_softmax(-1)).double().cpu().numpy()
        parts = (
            (one.double().cpu().numpy() for one in (output.pairs, output.first, output.last))
            if learnt
            else ()
        )
    chain = Chain(*parts) if learnt else None
    cuts = np.cumsum(output.words.tolist())[:-1]
    return [
        Raw(one, encoded.metadata, chain, head.labels)
        for one, encoded in zip(np.split(scores, cuts), batch.encoded, strict=True)
    ]


def read(
    raw: Sequence[Any], example: Example, tokenizers: Tokenizers, *, dials: Mapping[str, Any]
) -> Prediction:
    """Each word's scores come from the window where it stands most central; the path is found over
    the whole text.
    """
    labels, words, text = raw[0].labels, raw[0].place.words, example.text or ""
    scores = central([(one.place, one.scores) for one in raw])  # (W, L)
    if labels["unit"] == "character":
        for place, (start, _) in enumerate(words):
            if start and text[start - 1].isspace():  # a space ends a word
                scores[place, labels["names"].index(GOES_ON)] = NEVER
    if dials["decoding"] == "greedy":
        path, chances = scores.argmax(1).tolist(), np.exp(scores)
    else:
        chain = raw[0].chain or constraints(labels)
        path, chances = best_path(scores, chain), marginals(scores, chain)
    names, sure = labels["names"], chances[np.arange(len(path)), path]
    tags = [names[number] for number in path]
    if labels["unit"] == "character":
        prediction = _in_words(text, words, tags)
    else:
        shown = (
            bio.converted(tags, labels["written"])
            if labels["written"] != labels["scheme"]
            else tags
        )
        prediction = _tagged(text, words, shown, sure, labels["scheme"] != "plain")
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


def _in_words(text: str, places: rules.Words, tags: Sequence[str]) -> Prediction:
    """Characters to words: a character that goes on belongs to the word before it."""
    found: list[tuple[int, int]] = []
    for (start, end), tag in zip(places, tags, strict=True):
        if tag == BEGINS or not found:
            found.append((start, end))
        else:
            found[-1] = found[-1][0], end
    words = [text[start:end] for start, end in found]
    return Prediction(
        text=" ".join(words), details={"words": words, "offsets": [list(one) for one in found]}
    )


def _tagged(
    text: str, words: rules.Words, tags: list[str], sure: np.ndarray, spans: bool
) -> Prediction:
    """Entities in brackets in the text as it is, or word/TAG."""
    surface = [text[start:end] for start, end in words]
    details: dict[str, Any] = {
        "words": surface,
        "offsets": [list(one) for one in words],
        "tags": tags,
    }
    if not spans:
        return Prediction(
            text=" ".join(f"{word}/{tag}" for word, tag in zip(surface, tags, strict=True)),
            details=details,
        )
    entities, shown, at = [], [], 0
    for kind, first, last in bio.spans(tags):
        start, end = words[first][0], words[last - 1][1]
        chance = math.exp(float(np.log(np.maximum(sure[first:last], 1e-12)).mean()))
        entities.append(
            {
                "start": start,
                "end": end,
                "label": kind,
                "text": text[start:end],
                "score": round(chance, 4),
            }
        )
        shown += [text[at:start], f"[{kind} {text[start:end]}]"]
        at = max(at, end)
    details["entities"] = entities
    return Prediction(text="".join([*shown, text[at:]]), details=details)


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
