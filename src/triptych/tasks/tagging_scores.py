"""Score tagging: spans, single tags, or words where characters are tagged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.example import Example
from ..data.formats import bio
from ..errors import DataError
from ..metrics import classes
from ..metrics import spans as metrics
from .task import Prediction, Scores

PARTS_OF_SPEECH = frozenset(
    [  # CONJ is of Universal Dependencies version 1.
        "ADJ",
        "ADP",
        "ADV",
        "AUX",
        "CCONJ",
        "CONJ",
        "DET",
        "INTJ",
        "NOUN",
        "NUM",
        "PART",
        "PRON",
        "PROPN",
        "PUNCT",
        "SCONJ",
        "SYM",
        "VERB",
        "X",
    ]
)


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return the metrics of the tags, and the loss (nats a word).

    Entities: f1 (precision, recall, accuracy, f1_TYPE); plain tags: accuracy, or upos for Universal
    Dependencies'; tagged characters: f1 of words.
    """
    for example in examples:
        if example.tags is None and example.words is None:
            raise DataError(f"{example.place or 'An example'} has no tags to score against.")
    if any("words" in one.details and "tags" not in one.details for one in predictions):
        values, signatures = _of_words(predictions, examples)
    else:
        values, signatures = _of_tags(predictions, examples)
    if "loss" in losses:
        values["loss"] = losses["nll"] if "nll" in losses else losses["loss"]
    elif losses:
        signatures["loss"] = "not known: no word has a tag of the training data"
    return Scores(values, signatures)


def _of_words(
    predictions: Sequence[Prediction], examples: Sequence[Example]
) -> tuple[dict[str, float], dict[str, str]]:
    answers = [
        [("", start, end) for start, end in one.details.get("offsets", ())] for one in predictions
    ]
    references = [[("", start, end) for start, end in one.words or ()] for one in examples]
    counts = metrics.compare(answers, references).all
    values = {"f1": counts.f1, "precision": counts.precision, "recall": counts.recall}
    return values, {"f1": "words, both ends right, micro-averaged"}


def break_down(predictions: Sequence[Prediction], examples: Sequence[Example]) -> classes.Breakdown:
    """Return the scores of each type of entity; or of each plain tag, with their confusions."""
    answers, references = _both(predictions, examples)
    if not _are_plain(answers, references):
        return classes.Breakdown(
            "entities", classes.of_spans(metrics.span_scores(answers, references))
        )
    ours, theirs = ([tag for tags in side for tag in tags] for side in (answers, references))
    return classes.Breakdown(
        "words", classes.of_labels(ours, theirs), classes.confusion(ours, theirs)
    )


def _both(
    predictions: Sequence[Prediction], examples: Sequence[Example]
) -> tuple[list[list[str]], list[list[str]]]:
    """Return the tags of answers and references, in one scheme.

    Raises DataError where a sentence has not as many tags in both.
    """
    references = [list(one.tags or ()) for one in examples]
    answers: list[list[str]] = [
        one.details.get("tags", [bio.OUTSIDE] * len(tags))
        for one, tags in zip(predictions, references, strict=True)
    ]
    for example, answer, reference in zip(examples, answers, references, strict=True):
        if len(answer) != len(reference):
            raise DataError(
                f"{example.place}: {len(reference)} words have tags, and {len(answer)} were "
                "answered; give the words with the text."
            )
    schemes: list[bio.Scheme] = [
        bio.scheme_of(tag for tags in side for tag in tags) for side in (answers, references)
    ]
    if set(schemes) == {"bio", "bioes"}:  # write the references in the scheme of the answers
        references = [bio.converted(tags, schemes[0]) for tags in references]
    return answers, references


def _are_plain(answers: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> bool:
    return bio.scheme_of({tag for tags in (*answers, *references) for tag in tags}) == "plain"


def _of_tags(
    predictions: Sequence[Prediction], examples: Sequence[Example]
) -> tuple[dict[str, float], dict[str, str]]:
    answers, references = _both(predictions, examples)
    kinds = {tag for tags in references for tag in tags}
    accuracy = metrics.tag_accuracy(answers, references)
    unseen = sorted(
        {label for one in predictions for label in one.details.get("unseen_labels", ())}
    )
    note = f"; labels not seen in training, never right: {', '.join(unseen)}" if unseen else ""
    if _are_plain(answers, references):
        name = "upos" if kinds and kinds <= PARTS_OF_SPEECH else "accuracy"
        return {name: accuracy}, {name: f"single tags of given words{note}"}
    found = metrics.span_scores(answers, references)
    if not found.all.given:
        note += "; the references have no entity, so f1 and recall of 0 say nothing"
    values = {
        "f1": found.all.f1,
        "precision": found.all.precision,
        "recall": found.all.recall,
        "accuracy": accuracy,
    }
    strict = metrics.span_scores(answers, references, "strict").all.f1
    values |= {"f1_strict": strict} if strict != found.all.f1 else {}
    values |= {f"f1_{kind}": counts.f1 for kind, counts in found.by_type.items()}
    return values, {"f1": metrics.SIGNATURE.format("conlleval") + note}
