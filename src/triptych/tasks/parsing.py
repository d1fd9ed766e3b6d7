"""Parse each word's part of speech, head and relation (biaffine attention, Dozat & Manning 2017).

One Encoded is one sentence: `[begin] pieces [end]`, each word cut into pieces on its own. Words
that are given (in evaluation, or with --words) are one sentence. A raw text is cut into sentences
and words by rules, and each sentence is parsed alone. A sentence with more pieces than `window` is
parsed in parts: in a raw text each part keeps its own tree; with given words the later parts are
attached to the root of the first ("parataxis").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.example import Example
from ..data.formats.conllu import as_text
from ..data.tokenizers.sides import Tokenizers
from ..decoding.settings import DecodingSettings
from ..errors import DataError
from .encoders import encoder_alone
from .options import ParsingOptions, read_options
from .parsing_parts import SentencePart, encode_part, parts_of, pieces_of
from .tagging_pieces import hidden
from .task import Labels, Losses, Prediction, Purpose, Scores, Task, TaskSpec

if TYPE_CHECKING:
    from torch import nn

    from ..model.config import AnyConfig
    from ..model.heads.biaffine import Arcs, Biaffine
    from ..model.transformer import Transformer


# dobj and ...pass are of Universal Dependencies version 1.
SUBJECTS, OBJECTS = ("nsubj", "csubj", "nsubjpass", "csubjpass"), ("obj", "iobj", "dobj")
JOINED = "parataxis"  # the relation of later parts of a sentence that is too long


@dataclass(frozen=True, slots=True)
class Parsed:
    """Hold the raw result of one Encoded.

    For each word of its part: the head in that part (0: the root), relation and part of speech.
    """

    part: SentencePart
    heads: list[int]
    relations: list[str]
    upos: list[str]


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    options = read_options(ParsingOptions, values)
    return Task(
        spec=SPEC,
        options=asdict(options),
        needs=("text", "words", "upos", "heads", "relations"),
        prepare=partial(prepare, word_dropout=options.word_dropout),
        encode=partial(
            encode,
            window=options.window,
            word_pieces=options.word_pieces,
            word_dropout=options.word_dropout,
        ),
        head=partial(head, options=options),
        loss=partial(loss, upos_weight=options.upos_weight),
        answer=answer,
        read=read,
        score=score,
        draws=options.word_dropout > 0,
    )


def prepare(examples: Sequence[Example], word_dropout: float = 0.0) -> Labels:
    """Return {"upos": [...], "relations": [...]}, sorted, and "mask" where words are masked."""
    if not examples:
        raise DataError(
            "There is nothing to train on: the training data holds no sentence with a tree."
        )
    upos = sorted({tag for example in examples for tag in example.upos or ()})
    relations = sorted({name for example in examples for name in example.relations or ()})
    return {"upos": upos, "relations": relations, **({"mask": True} if word_dropout else {})}


# Encoding -----------------------------------------------------------------------------------------


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    window: int,
    word_pieces: int,
    word_dropout: float = 0.0,
) -> list[Encoded]:
    """Encode source = begin, pieces, end, word_starts, and targets heads, relations, upos (W,).

    A label that is not in the training data is -1. A training sentence over the window gives no
    Encoded, because its tree cannot be cut. Raises DataError where a tree does not fit its words.
    """
    if example.text is None:
        raise DataError(f"{example.place or 'An example'} has no text.")
    tokenizer, text = tokenizers.source, example.text
    if purpose == "use":
        return [
            encode_part(part, pieces, tokenizer)
            for part, pieces in parts_of(text, example.words, tokenizer, window, word_pieces)
        ]
    words = example.words or []
    if not (
        example.upos
        and example.heads
        and example.relations
        and len(words) == len(example.upos) == len(example.heads)
    ):
        raise DataError(
            f"{example.place or 'An example'} has no part of speech, head and relation for each "
            "of its words to learn from."
        )
    pieces = [pieces_of(text, word, tokenizer, word_pieces)[0] for word in words]
    if sum(map(len, pieces)) > window - 2:
        return []
    if word_dropout and generator is not None and tokenizer.mask_id is not None:
        pieces = hidden(pieces, word_dropout, tokenizer.mask_id, generator)
    one = encode_part(SentencePart(words, 0, False, 0), pieces, tokenizer)
    one.targets = {
        "heads": np.array(example.heads, dtype=np.int64),
        "relations": _numbers(example.relations, labels["relations"]),
        "upos": _numbers(example.upos, labels["upos"]),
    }
    return [one]


def _numbers(names: Sequence[str], known: Sequence[str]) -> np.ndarray:
    place = {name: number for number, name in enumerate(known)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)


# Model --------------------------------------------------------------------------------------------


def head(config: AnyConfig, labels: Labels, options: ParsingOptions) -> nn.Module:
    """Build the head. Raise UsageError for a model that is not encoder-only, or is too short."""
    from ..model.heads.biaffine import Biaffine

    encoder = encoder_alone(config, SPEC.name, options.window)
    return Biaffine(
        encoder.width,
        labels["upos"],
        labels["relations"],
        options.arc_width,
        options.relation_width,
        options.dropout,
    )


def loss(output: Arcs, batch: Batch, upos_weight: float = 1.0) -> Losses:
    """Return arcs + relations of the gold arcs + weighted parts of speech, in nats over words.

    Each part is also reported by itself.
    """
    from torch.nn.functional import cross_entropy

    targets, count = batch.targets, batch.counts["tokens"]
    arcs = cross_entropy(output.arcs, targets["heads"], reduction="sum")
    relations = cross_entropy(
        output.relations(targets["heads"]), targets["relations"], reduction="sum", ignore_index=-1
    )
    upos = cross_entropy(output.upos, targets["upos"], reduction="sum", ignore_index=-1)
    total = arcs + relations + upos_weight * upos
    parts = {"arc_loss": arcs, "relation_loss": relations, "upos_loss": upos}
    return {"loss": (total, count, 1.0)} | {
        name: (value.detach(), count, 0.0) for name, value in parts.items()
    }


def answer(
    model: Transformer,
    head: Biaffine,
    batch: Batch,
    settings: DecodingSettings,
    tokenizers: Tokenizers,
) -> list[Parsed]:
    """Return one Parsed for each sentence.

    It holds the best tree with one root, then the best relation for each of its arcs.
    """
    import torch

    from ..decoding.tree import best_tree

    with torch.no_grad():
        output: Arcs = head(model, model(**batch.inputs), batch.inputs)
        arcs = output.arcs.log_softmax(-1).cpu().numpy()  # (n, W + 1)
        trees: list[list[int]] = []
        first = 0
        for count in output.word_lengths.cpu().numpy().tolist():
            trees.append(best_tree(arcs[first : first + count, : count + 1]))
            first += count
        heads = torch.tensor([one for tree in trees for one in tree], device=output.arcs.device)
        relations = output.relations(heads)
        names = head.relation_names
        # The relation "root" goes to the root's dependent and to no other word.
        if "root" in names and len(names) > 1:
            relations[:, names.index("root")] = torch.where(heads == 0, float("inf"), float("-inf"))
        chosen: list[int] = relations.argmax(-1).cpu().numpy().tolist()
        upos: list[int] = output.upos.argmax(-1).cpu().numpy().tolist()
    found: list[Parsed] = []
    first = 0
    for tree, one in zip(trees, batch.encoded, strict=True):
        last = first + len(tree)
        found.append(
            Parsed(
                one.metadata,
                tree,
                [names[k] for k in chosen[first:last]],
                [head.upos_names[k] for k in upos[first:last]],
            )
        )
        first = last
    return found


# Reading ------------------------------------------------------------------------------------------


def read(raw: Sequence[Parsed], example: Example, tokenizers: Tokenizers) -> Prediction:
    """Write the trees as CoNLL-U, a block for each sentence.

    details: "words" with "id", "text", "start", "end", "upos", "head", "relation", "sentence" (ids
    begin anew in each), and among them the "subject", "verb", "object" and "root" words. verb: the
    root, where it is a verb; in a copular sentence its copula. "of" is the id of the word that they
    belong to.
    """
    text = example.text or ""
    sentences: list[list[dict[str, Any]]] = []
    for one in raw:
        if not one.part.goes_on:
            sentences.append([])
        _add(sentences[-1], one, text, len(sentences))
    words = [word for sentence in sentences for word in sentence]
    for word in words:
        word["glued"] = word["end"] < len(text) and not text[word["end"]].isspace()
    blocks = [
        as_text(one, text[one[0]["start"] : max(word["end"] for word in one)])
        for one in sentences
        if one
    ]
    details: dict[str, Any] = {
        "words": [{key: value for key, value in word.items() if key != "glued"} for word in words]
    }
    details |= parts_of_speech(details["words"])
    unseen = sum(one.part.unseen for one in raw)
    return Prediction(text="\n\n".join(blocks), details=details, truncated_input_tokens=unseen)


def _add(sentence: list[dict[str, Any]], one: Parsed, text: str, number: int) -> None:
    """Append the words of one part to a sentence.

    The root of a later part is attached to the first root.
    """
    before = len(sentence)
    root = next((word["id"] for word in sentence if word["head"] == 0), 0)
    for place, (start, end) in enumerate(one.part.words):
        head, relation = one.heads[place] + before, one.relations[place]
        if one.heads[place] == 0:
            head, relation = (root, JOINED) if root else (0, relation)
        sentence.append(
            {
                "id": before + place + 1,
                "text": text[start:end],
                "start": start,
                "end": end,
                "upos": one.upos[place],
                "head": head,
                "relation": relation,
                "sentence": number,
            }
        )


def parts_of_speech(words: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return {"subject", "verb", "object", "root"}: lists of words in the order of the text."""
    found: dict[str, list[dict[str, Any]]] = {"subject": [], "verb": [], "object": [], "root": []}
    verbal = {
        word["sentence"]: word["upos"] in ("VERB", "AUX") for word in words if word["head"] == 0
    }
    roots = {word["sentence"]: word["id"] for word in words if word["head"] == 0}
    for word in words:
        kind = word["relation"].split(":")[0]
        entry = {
            "id": word["id"],
            "sentence": word["sentence"],
            "text": word["text"],
            "start": word["start"],
            "end": word["end"],
            "of": word["head"],
        }
        if kind in SUBJECTS:
            found["subject"].append(entry)
        elif kind in OBJECTS:
            found["object"].append(entry)
        elif word["head"] == 0:
            found["root"].append(entry)
            if verbal[word["sentence"]]:
                found["verb"].append(entry)
        elif (
            kind == "cop"
            and word["head"] == roots.get(word["sentence"])
            and not verbal[word["sentence"]]
        ):
            found["verb"].append(entry)
    return found


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return las, uas and upos on gold words as CoNLL 2018 counts them, and the loss.

    loss: nats a word, for arcs, relations and parts of speech together.
    """
    from ..metrics.dependencies import SIGNATURE, Tagged, attachment

    predicted: list[Tagged | None] = []
    gold: list[Tagged] = []
    for prediction, example in zip(predictions, examples, strict=True):
        if example.heads is None or example.relations is None or example.upos is None:
            raise DataError(f"{example.place or 'An example'} has no tree to score against.")
        gold.append(Tagged(example.upos, example.heads, example.relations))
        words = prediction.details.get("words")
        columns = (
            [[word[key] for word in words] for key in ("upos", "head", "relation")]
            if words
            else None
        )
        predicted.append(None if columns is None else Tagged(*columns))
    values = attachment(predicted, gold)
    return Scores(
        values | ({"loss": losses["loss"]} if "loss" in losses else {}),
        dict.fromkeys(("las", "uas", "upos"), SIGNATURE),
    )


SPEC = TaskSpec(
    name="parsing",
    build=build,
    architecture="encoder",
    head="biaffine",
    verbs=("parse",),
    view="arcs",
    labels=("upos", "relations"),
    windows=True,
    block=True,
    reads_words=True,
    starts=("masked-words", "embedding"),
)
