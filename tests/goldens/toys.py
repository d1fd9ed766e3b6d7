"""Write small data files, the same on every machine, from which toy recipes of every task learn."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

NOUNS: tuple[str, ...] = ("cat", "dog", "bird", "tree", "house", "river", "teacher", "child")
VERBS: tuple[str, ...] = ("sees", "likes", "finds", "follows", "paints")
ADJECTIVES: tuple[str, ...] = ("small", "old", "red", "quiet", "strange")
GERMAN: dict[str, str] = dict(
    zip(
        (*NOUNS, *VERBS, *ADJECTIVES, "the", "and", "not"),
        (
            "Katze",
            "Hund",
            "Vogel",
            "Baum",
            "Haus",
            "Fluss",
            "Lehrer",
            "Kind",
            "sieht",
            "mag",
            "findet",
            "folgt",
            "malt",
            "kleine",
            "alte",
            "rote",
            "stille",
            "fremde",
            "der",
            "und",
            "nicht",
        ),
        strict=True,
    )
)
CHINESE = "貓狗鳥樹家河師童見愛尋隨畫小老紅靜奇這和不"
SENTENCES = 160
TAGS = {
    **dict.fromkeys(NOUNS, "NOUN"),
    **dict.fromkeys(VERBS, "VERB"),
    **dict.fromkeys(ADJECTIVES, "ADJ"),
}


def sentence(draw: random.Random) -> list[str]:
    """Return the words of one sentence of the toy grammar."""
    words = ["the"]
    if draw.random() < 0.5:
        words.append(draw.choice(ADJECTIVES))
    words += [draw.choice(NOUNS), draw.choice(VERBS), "the"]
    if draw.random() < 0.4:
        words.append(draw.choice(ADJECTIVES))
    words.append(draw.choice(NOUNS))
    if draw.random() < 0.3:
        words += ["and", "not", "the", draw.choice(NOUNS)]
    return words


def german(words: Sequence[str]) -> str:
    """Return the sentence word for word in another language."""
    return " ".join(GERMAN[word] for word in words)


def chinese(words: Sequence[str]) -> str:
    """Return the sentence as one character a word, without spaces."""
    places = list(GERMAN)
    return "".join(CHINESE[places.index(word)] for word in words)


def pairs(draw: random.Random) -> str:
    words = sentence(draw)
    return f"{' '.join(words)}\t{german(words)}"


def labelled(draw: random.Random) -> str:
    words = sentence(draw)
    return f"{' '.join(words)}\t{words[-1] if words[-1] in NOUNS[:3] else 'other'}"


def several(draw: random.Random) -> str:
    words = sentence(draw)
    return json.dumps(
        {"text": " ".join(words), "labels": sorted({one for one in words if one in NOUNS[:4]})}
    )


def valued(draw: random.Random) -> str:
    words, others = sentence(draw), sentence(draw)
    return f"{' '.join(words)}\t{' '.join(others)}\t{len(set(words) & set(others)) / 2}"


def tagged(draw: random.Random) -> str:
    return "".join(f"{word}\t{TAGS.get(word, 'X')}\n" for word in sentence(draw))


def spans(draw: random.Random) -> str:
    lines, inside = [], False
    for word in sentence(draw):
        is_entity = word in ADJECTIVES or word in NOUNS
        lines.append(f"{word}\t{('I-THING' if inside else 'B-THING') if is_entity else 'O'}\n")
        inside = is_entity
    return "".join(lines)


def words_of_characters(draw: random.Random) -> str:
    words = chinese(sentence(draw))
    cut = [words[place : place + 2] for place in range(0, len(words), 2)]
    rows = [
        f"{number}\t{word}\t_\tNOUN\t_\t_\t{head}\t{'dep' if head else 'root'}\t_\tSpaceAfter=No"
        for number, word in enumerate(cut, 1)
        for head in (min(1, number - 1),)
    ]
    return "\n".join([f"# text = {words}", *rows]) + "\n"


def tree(draw: random.Random) -> str:
    words = sentence(draw)
    root = next(place for place, word in enumerate(words) if word in VERBS)
    rows = []
    for place, word in enumerate(words):
        is_left = place < root
        head = 0 if place == root else root + 1
        relation = "root" if place == root else "nsubj" if is_left and word in NOUNS else "det"
        rows.append(
            f"{place + 1}\t{word}\t{word}\t{TAGS.get(word, 'X')}\t_\t_\t{head}\t{relation}\t_\t_"
        )
    return "\n".join([f"# text = {' '.join(words)}", *rows]) + "\n"


def question(draw: random.Random) -> str:
    passage = ". ".join(" ".join(sentence(draw)) for _ in range(3)) + "."
    words = passage.split()
    place = draw.randrange(len(words) - 2)
    answer = words[place].rstrip(".")
    start = len(" ".join(words[:place])) + (1 if place else 0)
    return json.dumps(
        {
            "question": f"what stands before {words[place + 1].rstrip('.')}",
            "passage": passage,
            "answers": [{"text": answer, "start": start}],
        }
    )


def talk(draw: random.Random) -> str:
    turns = [{"role": "system", "content": "answer in german"}] if draw.random() < 0.3 else []
    for _ in range(draw.choice((1, 2))):
        words = sentence(draw)
        turns += [
            {"role": "user", "content": " ".join(words)},
            {"role": "assistant", "content": german(words)},
        ]
    return json.dumps({"messages": turns})


def preference(draw: random.Random) -> str:
    words = sentence(draw)
    return json.dumps(
        {"prompt": " ".join(words), "chosen": german(words), "rejected": german(words[::-1])}
    )


def plain(draw: random.Random) -> str:
    return ". ".join(" ".join(sentence(draw)) for _ in range(2)) + "."


def many_words(draw: random.Random) -> str:
    """Return a pair of made-up words, so many that a large vocabulary has its use."""
    words = [
        "".join(draw.choice("abcdefghijklmnop") for _ in range(draw.choice((3, 4, 5))))
        for _ in range(6)
    ]
    return f"{' '.join(words)}\t{' '.join(word[::-1].upper() for word in words)}"


def summary(draw: random.Random) -> str:
    words = sentence(draw)
    return json.dumps(
        {"source": f"{' '.join(words)}. {plain(draw)}", "target": " ".join(words[1:])}
    )


def several_tasks(draw: random.Random) -> str:
    words = sentence(draw)
    task = draw.choice(("translate", "shorten"))
    return json.dumps(
        {
            "source": " ".join(words),
            "target": german(words) if task == "translate" else words[-1],
            "target_language": task,
        }
    )


def code(draw: random.Random) -> str:
    name, other = draw.choice(NOUNS), draw.choice(VERBS)
    number = draw.randrange(9)
    lines = (f"def {other}({name}):", f"    if {name}:", f"        return {name} + {number}")
    return "\n".join((*lines, "    return None", ""))


# file name without its part -> (ending, how a record is written, what stands before all of them)
FILES: dict[str, tuple[str, Callable[[random.Random], str], str]] = {
    "pairs": (".tsv", pairs, "en\tde\n"),
    "many": (".tsv", many_words, "en\tde\n"),
    "label": (".tsv", labelled, "text\tlabel\n"),
    "labels": (".jsonl", several, ""),
    "value": (".tsv", valued, "text\ttext_pair\tvalue\n"),
    "tags": (".conll", tagged, ""),
    "spans": (".conll", spans, ""),
    "characters": (".conllu", words_of_characters, ""),
    "trees": (".conllu", tree, ""),
    "questions": (".jsonl", question, ""),
    "talks": (".jsonl", talk, ""),
    "preferences": (".jsonl", preference, ""),
    "texts": (".txt", plain, ""),
    "summaries": (".jsonl", summary, ""),
    "tasks": (".jsonl", several_tasks, ""),
    "code": (".txt", code, ""),
}
PARTS = {"train": SENTENCES, "validation": 10, "test": 16}


def write(folder: Path) -> None:
    """Write NAME.PART.ENDING for every toy data set into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (ending, record, header) in FILES.items():
        for part, count in PARTS.items():
            draw = random.Random(f"{name} {part}")  # a text seeds the same on every machine
            text = header + "".join(f"{record(draw)}\n" for _ in range(count))
            (folder / f"{name}.{part}{ending}").write_text(text, encoding="utf-8")


def table(folder: Path, name: str) -> dict[str, str]:
    """Return the keys of a recipe's table `data` that name the files of a toy data set."""
    return {f"data.{part}": str(folder / f"{name}.{part}{FILES[name][0]}") for part in PARTS}


def write_wide(folder: Path) -> None:
    """Write two aligned files so long that one batch of them has millions of logits."""
    draw = random.Random("wide")
    lines = [many_words(draw).split("\t") for _ in range(900)]
    for side, ending in enumerate(("en", "de")):
        text = "".join(f"{line[side]}\n" for line in lines)
        (folder / f"wide.{ending}").write_text(text, encoding="utf-8")
