"""Draft, train and export a toy run of every kind of recipe that init writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from triptych.cli.main import run as run_command
from triptych.convert import export_run
from triptych.runs.run import MODEL, Run
from triptych.runs.storage import read_tensors, write_tensors

WHO = ("Ivo", "Mia", "Tom", "Zoe", "Lea", "Max")
TOLD = [(one, other) for one in WHO for other in WHO]
SMALL = {
    "training.steps": "2",
    "model.layers": "2",
    "model.width": "16",
    "model.heads": "2",
    "model.inner_width": "24",
    "tokenizer.vocabulary_size": "340",
    "training.precision": "float32",
    "batches.batch_tokens": "300",
}


@dataclass(frozen=True)
class Kind:
    """Describe a kind of recipe.

    rows: the content of a file of that kind. lost: what export loses without --exportable.
    """

    task: str
    name: str
    rows: Callable[[], Iterator[str]]
    architecture: str
    lost: str = ""
    flags: tuple[str, ...] = ()


def _pairs() -> Iterator[str]:
    yield "source\ttarget"
    yield from (f"{one} met {other}.\t{one} traf {other}." for one, other in TOLD)


def _two_scripts() -> Iterator[str]:
    here: dict[str, str] = dict(zip(WHO, "伊米湯佐莉麥", strict=True))
    yield "source\ttarget"
    yield from (f"{one} met {other}.\t{here[one]}遇見{here[other]}。" for one, other in TOLD)


def _labelled(fields: str, row: Callable[[str, str], str]) -> Callable[[], Iterator[str]]:
    def rows() -> Iterator[str]:
        yield fields
        yield from (row(one, other) for one, other in TOLD)

    return rows


def _several() -> Iterator[str]:
    for one, other in TOLD:
        yield json.dumps({"text": f"{one} met {other}", "labels": [one, other]})


def _tagged(tags: tuple[str, str, str, str]) -> Callable[[], Iterator[str]]:
    def rows() -> Iterator[str]:
        for one, other in TOLD:
            words = (one, "met", other, "unhappily")
            yield "\n".join(f"{word} {tag}" for word, tag in zip(words, tags, strict=True)) + "\n"

    return rows


def _glued(rows: tuple[tuple[str, str, bool], ...]) -> Callable[[], Iterator[str]]:
    """Return CoNLL-U with words that have no space after them: (word or place of one, tag, glued).

    "0" and "1" are the places of two names.
    """

    def written() -> Iterator[str]:
        for pair in TOLD:
            for place, (word, tag, glued) in enumerate(rows, 1):
                form = pair[int(word)] if word in "01" else word
                space = "SpaceAfter=No" if glued else "_"
                yield f"{place}\t{form}\t_\t{tag}\t_\t_\t0\troot\t_\t{space}"
            yield ""

    return written


def _asked(where: str, question: str) -> Callable[[], Iterator[str]]:
    def rows() -> Iterator[str]:
        for one, other in TOLD:
            passage = where.format(one=one, other=other)
            asked = question.format(other=other)
            answer = {"text": one, "start": passage.index(one)}
            yield json.dumps({"question": asked, "passage": passage, "answers": [answer]})

    return rows


def _texts() -> Iterator[str]:
    yield from (f"{one} met {other} at noon and told us all.\n" for one, other in TOLD)


def _talks() -> Iterator[str]:
    for one, other in TOLD:
        turns = [("user", f"Did {one} meet {other}?"), ("assistant", f"Yes, {one} met {other}.")]
        yield json.dumps({"messages": [{"role": who, "content": text} for who, text in turns]})


def _summaries() -> Iterator[str]:
    for one, other in TOLD:
        long = f"{one} went out. There {one} met {other} at noon."
        yield json.dumps({"source": long, "target": f"{one} met {other}."})


ESM_CLASSIFIER, ESM_TAGGER = "EsmForSequenceClassification", "EsmForTokenClassification"
WRITER, SEQUENCE = "Starcoder2ForCausalLM", "BlenderbotForConditionalGeneration"
CRF, READER = "task.decoding is 'crf'", "MegatronBertForQuestionAnswering"
KINDS: dict[str, Kind] = {
    "translation": Kind("translation", "t.tsv", _pairs, SEQUENCE),
    "two scripts": Kind("translation", "z.tsv", _two_scripts, SEQUENCE, "it has two tokenizers"),
    "summarization": Kind(
        "summarization", "s.jsonl", _summaries, SEQUENCE, "positions is 'rotary'"
    ),
    "label": Kind(
        "classification",
        "c.tsv",
        _labelled("text\tlabel", lambda one, other: f"{one} met {other}\t{one < other}"),
        ESM_CLASSIFIER,
        "task.shortcut is True instead of False",
    ),
    "pair": Kind(
        "classification",
        "p.tsv",
        _labelled(
            "text\ttext_pair\tlabel", lambda one, other: f"{one} came\t{other} too\t{one < other}"
        ),
        "MegatronBertForSequenceClassification",
        "task.pooling is 'compare' instead of 'first'",
    ),
    "labels": Kind("classification", "l.jsonl", _several, ESM_CLASSIFIER, "task.pooling"),
    "value": Kind(
        "classification",
        "v.tsv",
        _labelled("text\tvalue", lambda one, other: f"{one} met {other}\t{WHO.index(one)}"),
        ESM_CLASSIFIER,
        "task.pooling is 'mean' instead of 'first'",
    ),
    "spans": Kind("tagging", "n.conll", _tagged(("B-PER", "O", "B-PER", "O")), ESM_TAGGER, CRF),
    "parts of speech": Kind(
        "tagging", "u.conll", _tagged(("NOUN", "VERB", "NOUN", "ADV")), ESM_TAGGER
    ),
    "glued words": Kind(
        "tagging",
        "g.conllu",
        _glued((("0", "X", False), ("met", "V", False), ("1", "X", True), (".", "P", True))),
        ESM_TAGGER,
        flags=("--columns", "words=2,tags=4"),
    ),
    "characters": Kind(
        "tagging",
        "k.conllu",
        _glued(
            (("米山", "N", True), ("看見", "V", True), ("了", "P", True), ("雨", "N", True)) * 2
        ),
        ESM_TAGGER,
        flags=("--columns", "words=2,tags=4"),
    ),
    "questions": Kind(
        "question-answering",
        "q.jsonl",
        _asked("At noon {one} met {other}.", "Who met {other}?"),
        READER,
        "task.match_feature is True",
    ),
    "questions by character": Kind(
        "question-answering",
        "r.jsonl",
        _asked("中午的時候{one}遇見了{other}。", "誰遇見了{other}？"),
        READER,
        "task.match_feature is True",
    ),
    "masked words": Kind("masked-words", "m.txt", _texts, "EsmForMaskedLM"),
    "plain text": Kind("language-modelling", "w.txt", _texts, WRITER),
    "chat": Kind("chat", "h.jsonl", _talks, WRITER),
}


def drafted(kind: Kind, folder: Path, *flags: str) -> tuple[int, Path]:
    """Write the kind's file and a recipe for it; return the exit status and the recipe."""
    file, recipe = folder / kind.name, folder / "mine.toml"
    file.write_text("".join(f"{row}\n" for row in kind.rows()), encoding="utf-8")
    side = "--source" if kind.task == "translation" else "--train"
    more = ["--validation", file, "--test", file] if kind.task == "masked-words" else []
    given = ["init", kind.task, side, file, *more, "--out", recipe, *kind.flags, *flags]
    return run_command([str(one) for one in given]), recipe


def trained(recipe: Path, out: Path) -> Path:
    """Train a toy run, then add noise to every weight, so that none is at its start."""
    dials = [part for key, value in SMALL.items() for part in (f"--{key}", value)]
    assert run_command(["train", str(recipe), "--out", str(out), *dials]) == 0
    file = Run(out).path / MODEL
    torch.manual_seed(3)
    noisy = {
        name: one + 0.3 * torch.randn_like(one) if one.is_floating_point() else one
        for name, one in read_tensors(file).items()
    }
    if "head.temperature" in noisy:
        noisy["head.temperature"] = torch.tensor([1.7])
    write_tensors(file, noisy)
    return out


def exported(kind: Kind, folder: Path) -> tuple[Path, Path]:
    """Return a toy run of a kind and the folder that it is exported to."""
    folder.mkdir()
    code, recipe = drafted(kind, folder, "--exportable")
    assert code == 0
    run = trained(recipe, folder / "run")
    export_run(run, folder / "there")
    return run, folder / "there"
