"""Whole small files of every kind that a user learns from, and the commands that read each of them.

No data is copied: every file is written here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import fuzz_mutations as damage
import fuzz_trees as trees

Way = tuple[str, ...] | Callable[[], None]
Changes = tuple[damage.Mutation, ...]

ENGLISH = ("one", "two", "red", "blue", "dogs", "cats", "birds", "house", "run", "sing")
GERMAN = ("eins", "zwei", "rot", "blau", "Hunde", "Katzen", "Vögel", "Haus", "laufen", "singen")
PAIR = 'learn = "value"\npair = true'
RECORDS = 24  # of a file: init wants twenty
DIALS = """
[tokenizer]
vocabulary_size = 330
[model]
preset = "{preset}"
width = 16
heads = 2
layers = 1
inner_width = 32
[batches]
batch_tokens = 400
[training]
steps = 2
warmup_steps = 1
log_every_steps = 1
checkpoint_every_steps = 2
precision = "float32"
[validation]
every_minutes = 1000.0
[decoding]
max_length = 8
"""


@dataclass(frozen=True, kw_only=True)
class Seed:
    """Whole files, the changes of those that are damaged, and what is run on them.

    after: called in the folder when the damaged file has been written.
    """

    files: dict[str, bytes] = field(repr=False)
    damaged: dict[str, Changes]
    ways: tuple[Way, ...]
    after: Callable[[], None] | None = None


def recipe(
    task: str,
    data: dict[str, Any],
    preset: str = "encoder-tiny",
    options: str = "",
) -> bytes:
    """Give the TOML of a tiny model for a task."""
    head = f'[task]\nname = "{task}"\n{options}\n[data]\n'
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in data.items())
    return f"{head}{lines}{DIALS.format(preset=preset)}".encode()


def sentence(number: int, words: tuple[str, ...] = ENGLISH) -> str:
    """Give the same short sentence for the same number in both languages."""
    size = 2 + number % 4
    step = 1 + number % 3
    return " ".join(words[(number * 3 + place * step) % len(words)] for place in range(size))


def joined(lines: Iterable[str]) -> bytes:
    """Give the bytes of lines."""
    return "".join(f"{line}\n" for line in lines).encode()


def objects(records: Iterable[Any]) -> bytes:
    """Give the bytes of JSONL."""
    return joined(json.dumps(one, ensure_ascii=False) for one in records)


def own_file(
    task: str, name: str, content: bytes, changes: Changes, *, preset: str = "encoder-tiny",
    options: str = "", check: bool = True, init: bool = True, train: bool = True,
) -> Seed:  # fmt: skip
    """Give the seed of one file for a task, with the commands that a user has for it."""
    flag = "--source" if task == "translation" else "--train"
    ways: list[Way] = [("data", "check", name), ("data", "stats", name)] if check else []
    ways += [("init", task, flag, name, "--out", "new.toml", "--minutes", "1")] if init else []
    if train:
        ways += [("train", "my.toml", "--dry-run"), ("data", "check", "my.toml")]
    files = {name: content, "my.toml": recipe(task, {"train": name}, preset, options)}
    return Seed(files=files, damaged={name: changes}, ways=tuple(ways))


# Texts in lines and columns -----------------------------------------------------------------------


def pairs() -> list[Seed]:
    """Two aligned text files."""
    files = {
        "a.en": joined(sentence(one) for one in range(RECORDS)),
        "a.de": joined(sentence(one, GERMAN) for one in range(RECORDS)),
    }
    files["my.toml"] = recipe("translation", {"train": ["a.en", "a.de"]}, "transformer-tiny")
    ways: tuple[Way, ...] = (
        ("data", "check", "a.en", "a.de"),
        ("data", "stats", "a.en", "a.de"),
        (
            "init",
            "translation",
            "--source",
            "a.en",
            "--target",
            "a.de",
            "--out",
            "new.toml",
            "--minutes",
            "1",
        ),
        ("train", "my.toml", "--dry-run"),
        ("data", "check", "my.toml"),
    )
    return [Seed(files=files, damaged={"a.en": damage.LINES, "a.de": damage.LINES}, ways=ways)]


def columns(ending: str, sign: str) -> list[Seed]:
    """Pairs, texts with a label, two texts with a value, texts with several labels; in columns."""
    both = [(sentence(one), sentence(one, GERMAN)) for one in range(RECORDS)]
    labels = [(f"{one} {sentence(one)}", ("good", "bad")[one % 2]) for one in range(RECORDS)]
    values = [(text, f"{one} {text}", f"{one / 7:.2f}") for one, (text, _) in enumerate(both)]
    several = [(f"{one} {sentence(one)}", "|".join(ENGLISH[: one % 3])) for one in range(RECORDS)]
    numbered = [(label, str(place), text) for place, (text, label) in enumerate(labels)]
    tables: list[tuple[str, str, list[Any]]] = [
        ("translation", "", both),
        ("translation", "", [("source", "target"), *both]),
        ("classification", 'learn = "label"', [("text", "label"), *labels]),
        ("classification", 'learn = "label"', [("label", "id", "text"), *numbered]),
        ("classification", PAIR, [("text", "text_pair", "value"), *values]),
        ("classification", 'learn = "labels"', [("text", "labels"), *several]),
        ("summarization", "", [("source", "target"), *both]),
    ]  # fmt: skip
    made = []
    for task, options, rows in tables:
        content = joined(sign.join(_quoted(one, sign) for one in row) for row in rows)
        preset = "encoder-tiny" if task == "classification" else "transformer-tiny"
        dials: dict[str, Any] = {"preset": preset, "options": options}
        made.append(own_file(task, f"a.{ending}", content, damage.LINES, **dials))
    return made


def _quoted(text: str, sign: str) -> str:
    return f'"{text}"' if sign != "\t" and len(text) % 3 == 0 else text


def json_lines() -> list[Seed]:
    """The same records as objects, and texts with several versions of what is written from them."""
    source = [{"source": sentence(one), "target": sentence(one, GERMAN)} for one in range(RECORDS)]
    numbered = [(one, f"{one} {sentence(one)}") for one in range(RECORDS)]
    label = [{"text": text, "label": ("good", "bad")[one % 2]} for one, text in numbered]
    labels = [{"text": text, "labels": list(ENGLISH[: one % 3])} for one, text in numbered]
    value = [{"text": text, "text_pair": f"{one}", "value": one / 7} for one, text in numbered]
    many = [{"source": text, "target": [sentence(one, GERMAN), "x"]} for one, text in numbered]
    asked = [{"passage": sentence(one), "question": f"{sentence(one)}?"} for one in range(RECORDS)]
    changes = trees.JSONL
    both: dict[str, Any] = {"preset": "transformer-tiny"}
    return [
        own_file("translation", "a.jsonl", objects(source), changes, **both),
        own_file("classification", "a.jsonl", objects(label), changes, options='learn = "label"'),
        own_file("classification", "a.jsonl", objects(labels), changes, options='learn = "labels"'),
        own_file(
            "classification",
            "a.jsonl",
            objects(value),
            changes,
            options=PAIR,
        ),
        own_file("summarization", "a.jsonl", objects(many), changes, **both),
        own_file("question-generation", "a.jsonl", objects(asked), changes, init=False, **both),
    ]


def texts() -> list[Seed]:
    """Plain text, JSONL with a text, code."""
    plain = joined(sentence(one) if one % 5 else "" for one in range(60))
    held = objects({"text": f"{sentence(one)}\n{sentence(one + 1)}"} for one in range(RECORDS))
    code = joined(f"{name} = {place}" for place, name in enumerate(ENGLISH * 3))
    write: dict[str, Any] = {"preset": "decoder-tiny", "options": "context = 16"}
    return [
        own_file("language-modelling", "a.txt", plain, damage.LINES, **write),
        own_file("masked-words", "a.txt", plain, damage.LINES),
        own_file("language-modelling", "a.jsonl", held, trees.JSONL, **write),
        own_file("language-modelling", "a.py", code, damage.LINES, **write),
    ]


# Words with tags and trees, questions, subtitles, conversations -----------------------------------


def conll() -> list[Seed]:
    """Words with tags: spaces, tabs, numbered with comments; running text; JSONL."""
    tags = ("O", "B-PER", "I-PER", "O", "B-LOC")
    sentences = [sentence(one).split() for one in range(RECORDS)]
    plain, tabbed, counted = [], [], []
    for words in sentences:
        for place, word in enumerate(words):
            plain.append(f"{word} NN {tags[place]}")
            tabbed.append(f"{word}\t{'NV'[place % 2]}")
            counted.append(f"{place + 1}\t{word}\t{tags[place]}")
        counted.insert(len(counted) - len(words), f"# text = {' '.join(words)}")
        for lines in (plain, tabbed, counted):
            lines.append("")
    named = (("a.conll", plain), ("a.conll", tabbed), ("a.iob2", counted))
    piped = (
        " ".join(f"{word}|{tag}" for word, tag in zip(words, tags, strict=False))
        for words in sentences
    )
    listed = [{"tokens": words, "tags": [*tags][: len(words)]} for words in sentences]
    marked = [
        {"text": " ".join(words), "spans": [{"start": 0, "end": len(words[0]), "label": "PER"}]}
        for words in sentences
    ]
    return [
        *(own_file("tagging", name, joined(lines), damage.LINES) for name, lines in named),
        own_file("tagging", "a.txt", joined(piped), damage.LINES),
        own_file("tagging", "a.jsonl", objects(listed), trees.JSONL),
        own_file("tagging", "a.jsonl", objects(marked), trees.JSONL),
    ]


def conllu() -> list[Seed]:
    """Trees with ranges and empty nodes; for parsing, and for tagging by their parts of speech."""
    lines: list[str] = []
    for one in range(RECORDS):
        words = sentence(one).split()
        lines += [f"# sent_id = {one}", f"# text = {' '.join(words)}"]
        for place, word in enumerate(words, 1):
            if place == 1 and one % 3 == 0:
                lines.append(f"1-2\t{words[0]}{words[1]}" + "\t_" * 8)
                lines[-2] = f"# text = {words[0]}{' '.join(words[1:])}"
            cells = (
                str(place),
                word,
                "_",
                "NV"[place % 2],
                "_",
                "_",
                str(place - 1),
                "root" if place == 1 else "obj",
                "_",
                "_",
            )
            lines.append("\t".join(cells))
        lines += ["2.1\tx" + "\t_" * 8] * (one % 4 == 0 and len(words) == 2)
        lines.append("")
    content = joined(lines)
    return [
        own_file("parsing", "a.conllu", content, damage.LINES),
        own_file("tagging", "a.conllu", content, damage.LINES),
        own_file("tagging", "a.conll", content, damage.LINES),
    ]


def squad() -> list[Seed]:
    """Questions with passages, with and without answers."""

    def one_of(number: int) -> dict[str, Any]:
        passage = f"{sentence(number)}. {sentence(number + 7)}."
        answer = passage.split()[1]
        answers = [{"text": answer, "answer_start": passage.index(answer)}]
        asked = {"id": f"q{number}", "question": f"Who {sentence(number)}?", "answers": answers}
        none = {"id": f"n{number}", "question": "Why?", "answers": [], "is_impossible": True}
        more = {
            "id": f"v{number}",
            "question": f"What {number}?",
            "answers": answers,
            "is_impossible": False,
        }
        return {"context": passage, "qas": [asked, *([none, more] if number % 2 else [])]}

    first = {
        "version": "1.1",
        "data": [{"title": "a", "paragraphs": [one_of(2 * one) for one in range(RECORDS)]}],
    }
    second = {
        "version": "v2.0",
        "data": [{"title": str(one), "paragraphs": [one_of(one)]} for one in range(RECORDS)],
    }
    options = "window = 48\nstride = 16\nlongest_question = 16"
    writes: dict[str, Any] = {"preset": "transformer-tiny", "init": False}
    older, newer = (json.dumps(one).encode() for one in (first, second))
    return [
        own_file("question-answering", "a.json", older, trees.JSON, options=options),
        own_file("question-answering", "a.json", newer, trees.JSON, options=options),
        own_file("generative-answering", "a.json", older, trees.JSON, **writes),
    ]


def srt() -> list[Seed]:
    """Subtitles, read, cut into what is translated, put together again and written."""
    lines: list[str] = []
    for one in range(RECORDS):
        times = f"00:00:{one:02d},000 --> 00:00:{one:02d},900"
        spoken = [sentence(one)] if one % 3 else [f"- {sentence(one)}", f"- <i>{one}</i>"]
        lines += [str(one + 1), times, *spoken, ""]

    def read() -> None:
        from triptych.data.formats.subtitle_units import translated, units
        from triptych.data.formats.subtitles import read_subtitles

        subtitles = read_subtitles("a.srt")
        parts = [unit for number, cue in enumerate(subtitles.cues) for unit in units(cue, number)]
        texts = [unit.text if unit.has_words else None for unit in parts]
        for width in (None, 20):
            translated(subtitles, parts, texts, width).to_bytes()
        subtitles.to_bytes()

    return [Seed(files={"a.srt": joined(lines)}, damaged={"a.srt": damage.LINES}, ways=(read,))]


def chat() -> list[Seed]:
    """Conversations, Alpaca's records, preferences; as JSONL and as a JSON list."""

    def said(number: int) -> list[dict[str, str]]:
        turns = [("user", sentence(number)), ("assistant", sentence(number, GERMAN))]
        said = [("system", "be kind")] * (number % 2) + turns * (1 + number % 2)
        return [{"role": role, "content": text} for role, text in said]

    talks = [{"messages": said(one)} for one in range(RECORDS)]
    asked = [(sentence(one), sentence(one, GERMAN)) for one in range(RECORDS)]
    alpaca = [{"instruction": one, "input": "x", "output": other} for one, other in asked]
    alpaca[::2] = [{"instruction": one, "input": "", "output": other} for one, other in asked[::2]]
    prefer = [{"prompt": one, "chosen": other, "rejected": "no"} for one, other in asked]
    dials: dict[str, Any] = {"preset": "decoder-tiny", "options": "context = 48"}
    return [
        own_file("chat", "a.jsonl", objects(talks), trees.JSONL, **dials),
        own_file("chat", "a.jsonl", objects(alpaca), trees.JSONL, **dials),
        own_file("chat", "a.json", json.dumps(talks, indent=1).encode(), trees.JSON, **dials),
        own_file("preference", "a.jsonl", objects(prefer), trees.JSONL, init=False, train=False),
    ]


# Recipes ------------------------------------------------------------------------------------------


def recipes() -> list[Seed]:
    """Recipe files, packaged ones among them."""
    from triptych.recipe.schema import packaged, packaged_text

    pair, labelled = pairs()[0], columns("tsv", "\t")[2]
    ways: tuple[Way, ...] = (
        ("train", "my.toml", "--print-config"),
        ("data", "check", "my.toml"),
        ("train", "my.toml", "--dry-run"),
    )
    damaged = {"my.toml": trees.TOML}
    own = [Seed(files=one.files, damaged=damaged, ways=ways) for one in (pair, labelled)]
    made = own * len(packaged())  # mostly these
    for name in packaged():
        files = {"my.toml": packaged_text(name).encode()}
        made.append(
            Seed(
                files=files,
                damaged={"my.toml": trees.TOML},
                ways=(("train", "my.toml", "--print-config"),),
            )
        )
    return made
