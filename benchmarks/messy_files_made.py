"""Write public sets as files in the form that other tools give them, with their usual blemishes.

Each function writes one file or folder of a user as the tool named in its docstring writes it, from
records of a public set, and returns the arguments of `triptych init` that a reader of the
documentation would try. Used by `messy_files.py`.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from triptych.data.example import Example
from triptych.data.load import load_split
from triptych.data.table import DataTable

PAIRS, TEXTS, SENTENCES = 600, 600, 600  # records of a file
Maker = Callable[[Path], list[str]]


def pairs() -> list[tuple[str, str]]:
    """Return English and German sentences of Multi30k."""
    data = DataTable(set="multi30k", source="en", target="de")
    return [(one.source or "", one.target or "") for one in load_split(data, "train")[:PAIRS]]


def texts() -> list[tuple[str, str]]:
    """Return texts with labels: messages that are spam or not, about one in seven is."""
    found = load_split(DataTable(set="sms-spam"), "train", None, ("text", "label"))[:TEXTS]
    return [(one.text or "", one.label or "") for one in found]


def news() -> list[tuple[str, str]]:
    """Return texts with one of four labels."""
    found = load_split(DataTable(set="ag-news"), "train", None, ("text", "label"))[:TEXTS]
    return [(one.text or "", one.label or "") for one in found]


def sentences() -> list[tuple[list[str], list[str]]]:
    """Return sentences with BIO tags."""
    needs = ("text", "words", "tags")
    found = load_split(DataTable(set="wnut17"), "train", None, needs)
    return [
        ([(one.text or "")[begin:end] for begin, end in one.words or ()], list(one.tags or ()))
        for one in found
        if any(tag != "O" for tag in one.tags or ())
    ][:SENTENCES]


def spans(words: Sequence[str], tags: Sequence[str]) -> tuple[str, list[tuple[int, int, str]]]:
    """Return a sentence as a text, and its spans by characters."""
    text, found = "", []
    for word, tag in zip(words, tags, strict=True):
        begin = len(text) + bool(text)
        text = f"{text} {word}" if text else word
        if tag.startswith("I-") and found and found[-1][1] == begin - 1:
            found[-1] = (found[-1][0], len(text), found[-1][2])
        elif tag != "O":
            found.append((begin, len(text), tag[2:]))
    return text, found


def questions() -> Sequence[Example]:
    """Return questions on passages."""
    needs = ("question", "passage", "answers")
    return load_split(DataTable(set="xquad", source="en"), "test", None, needs)[:300]


def dialogues() -> list[list[tuple[str, str]]]:
    """Return pairs of an instruction and its answer."""
    found = load_split(DataTable(set="instruct-1100"), "train", None, ("messages",))[:300]
    return [[(one["role"], one["content"]) for one in example.messages or ()] for example in found]


def write(path: Path, text: str, encoding: str = "utf-8", newline: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.replace("\n", newline).encode(encoding))
    return path


def lines(records: Sequence[object]) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)


# --- translation


def spreadsheet(folder: Path) -> list[str]:
    """A bilingual spreadsheet (.xlsx): number, English, Deutsch, who and when; some cells empty."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Übersetzungen"
    sheet.append(["Nr.", "English", "Deutsch", "Status"])
    for number, (one, other) in enumerate(pairs(), 1):
        sheet.append([number, one, None if number % 97 == 0 else other, "ok"])
    book.save(folder / "translations.xlsx")
    return ["translation", "--source", "translations.xlsx"]


def excel_csv(folder: Path) -> list[str]:
    r"""A CSV as a German Excel saves it: semicolons, windows-1252, \\r\\n."""
    held = io.StringIO()
    out = csv.writer(held, delimiter=";", lineterminator="\n")
    out.writerow(["Englisch", "Deutsch"])
    for one, other in pairs():
        out.writerow([f"{one} – “ok”", other])
    write(folder / "export.csv", held.getvalue(), "cp1252", "\r\n")
    return ["translation", "--source", "export.csv"]


def tmx(folder: Path) -> list[str]:
    """A translation memory (TMX 1.4) of a translator: regions, inline tags, three languages."""
    units = "".join(
        f'<tu tuid="{number}" creationdate="20240105T120000Z"><prop type="project">P1</prop>'
        f'<tuv xml:lang="en-US"><seg>{escape(one)}<ph x="1">&lt;br/&gt;</ph></seg></tuv>'
        f'<tuv xml:lang="de-DE"><seg><bpt i="1">&lt;b&gt;</bpt>{escape(other)}'
        '<ept i="1">&lt;/b&gt;</ept></seg></tuv>'
        f'<tuv xml:lang="fr-FR"><seg>Phrase {number}</seg></tuv></tu>\n'
        for number, (one, other) in enumerate(pairs(), 1)
    )
    head = (
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n'
        '<tmx version="1.4"><header creationtool="T" creationtoolversion="1" segtype="sentence" '
        'o-tmf="T" adminlang="en" srclang="en-US" datatype="plaintext"/>\n<body>\n'
    )
    write(folder / "memory.tmx", f"{head}{units}</body></tmx>\n")
    return ["translation", "--source", "memory.tmx", "--source-language", "en",
            "--target-language", "de"]  # fmt: skip


def xliff(folder: Path) -> list[str]:
    """An XLIFF 1.2 file: some units are not translated yet."""
    units = "".join(
        f'<trans-unit id="{number}"><source>{escape(one)}<x id="1"/></source>'
        + ("" if number % 50 == 0 else f'<target state="translated">{escape(other)}</target>')
        + "</trans-unit>\n"
        for number, (one, other) in enumerate(pairs(), 1)
    )
    write(
        folder / "app.xlf",
        '<?xml version="1.0" encoding="UTF-8"?>\n<xliff version="1.2" '
        'xmlns="urn:oasis:names:tc:xliff:document:1.2"><file original="app.html" '
        f'source-language="en" target-language="de" datatype="html"><body>\n{units}'
        "</body></file></xliff>\n",
    )
    return ["translation", "--source", "app.xlf"]


def _time(seconds: float, comma: str = ",") -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{comma}{thousandths:03}"


def subtitles(folder: Path) -> list[str]:
    """Two .srt files of one film: shifted a little, one has a cue more, marks and notes inside."""
    for place, (name, shift) in enumerate((("film.en.srt", 0.0), ("film.de.srt", 0.12))):
        cues = [
            f"{number}\n{_time(3 * number + shift)} --> {_time(3 * number + 2.4 + shift)}\n"
            f"{both[place]}\n\n"
            for number, both in enumerate(pairs(), 1)
            if place == 0 or number % 40
        ]
        write(folder / name, "\ufeff" * place + "".join(cues), newline="\r\n")
    return ["translation", "--source", "film.en.srt", "--target", "film.de.srt"]


def hub_translation(folder: Path) -> list[str]:
    """JSONL of a hub's set: {"id", "translation": {"en", "de"}}."""
    write(
        folder / "train.jsonl",
        lines(
            [
                {"id": str(number), "translation": {"en": one, "de": other}}
                for number, (one, other) in enumerate(pairs())
            ]
        ),
    )
    return ["translation", "--source", "train.jsonl"]


def web_table(folder: Path) -> list[str]:
    """A TSV from the web, in UTF-16 as a spreadsheet's "Unicode text" is: english, german, link."""
    rows = ["english\tgerman\tlink"] + [
        f"{one}\t{other}\thttps://example.org/{number}"
        for number, (one, other) in enumerate(pairs())
    ]
    write(folder / "pairs.txt", "\n".join(rows) + "\n", "utf-16", "\r\n")
    return ["translation", "--source", "pairs.txt"]


# --- classification


def label_studio_choices(folder: Path) -> list[str]:
    """Label Studio's JSON export of a project with choices; some tasks were skipped."""
    tasks = [
        {
            "id": number,
            "annotations": [
                {
                    "id": 9000 + number,
                    "completed_by": 1,
                    "was_cancelled": number % 61 == 0,
                    "result": []
                    if number % 61 == 0
                    else [
                        {
                            "value": {"choices": [label]},
                            "id": f"r{number}",
                            "from_name": "topic",
                            "to_name": "text",
                            "type": "choices",
                            "origin": "manual",
                        }
                    ],
                }
            ],
            "predictions": [],
            "data": {"text": text},
            "meta": {},
            "project": 3,
        }
        for number, (text, label) in enumerate(news(), 1)
    ]
    write(folder / "project-3-at-2024.json", json.dumps(tasks, indent=2, ensure_ascii=False))
    return ["classification", "--train", "project-3-at-2024.json"]


def doccano_choices(folder: Path) -> list[str]:
    """JSONL of doccano's text classification: {"id", "text", "label": [..]}, some not labelled."""
    records = [
        {"id": number, "text": text, "label": [] if number % 70 == 0 else [label], "Comments": []}
        for number, (text, label) in enumerate(news(), 1)
    ]
    write(folder / "all.jsonl", lines(records))
    return ["classification", "--train", "all.jsonl"]


def prodigy_choices(folder: Path) -> list[str]:
    """Prodigy's JSONL of `textcat.manual`: options, accept and an answer."""
    labels = sorted({label for _, label in news()})
    options = [{"id": label, "text": label.upper()} for label in labels]
    answers = itertools.cycle(["accept"] * 30 + ["ignore", "reject"])
    records = [
        {
            "text": text,
            "options": options,
            "accept": [label] if answer == "accept" else [],
            "answer": answer,
            "_input_hash": number,
            "_task_hash": -number,
            "_view_id": "choice",
            "config": {"choice_style": "single"},
            "_timestamp": 1700000000 + number,
        }
        for number, ((text, label), answer) in enumerate(zip(news(), answers, strict=False))
    ]
    write(folder / "annotations.jsonl", lines(records))
    return ["classification", "--train", "annotations.jsonl"]


def folders(folder: Path) -> list[str]:
    """A folder per class with a text a file, as film reviews come; a file of the system in it."""
    for number, (text, label) in enumerate(texts()):
        write(folder / "mails" / label / f"{number:04}_7.txt", text)
    write(folder / "mails" / ".DS_Store", "x")
    return ["classification", "--train", "mails"]


def tickets(folder: Path) -> list[str]:
    """Tickets of a help desk: five classes, four texts in the rarest, headers of its own."""
    rare = itertools.chain(["legal"] * 4, itertools.repeat(""))
    held = io.StringIO()
    out = csv.writer(held, lineterminator="\n")
    out.writerow(["Ticket ID", "Created", "Body", "Queue"])
    for number, (text, label) in enumerate(news()):
        out.writerow([f"T-{number:05}", "2024-01-05", text, next(rare) or label])
    write(folder / "tickets.csv", held.getvalue())
    return ["classification", "--train", "tickets.csv", "--columns", "text=Body,label=Queue"]


def frame(folder: Path) -> list[str]:
    """A data frame saved as CSV with its index; labels are True and False, one row has no label."""
    held = io.StringIO()
    out = csv.writer(held, lineterminator="\n")
    out.writerow(["", "text", "label"])
    for number, (text, label) in enumerate(texts()):
        out.writerow([number, text, "" if number == 17 else label == "spam"])
    write(folder / "frame.csv", held.getvalue())
    return ["classification", "--train", "frame.csv"]


def old_comments(folder: Path) -> list[str]:
    """A tab-separated file in windows-1252 from an old database."""
    rows = ["text\tlabel"] + [
        f"It’s “{text.encode('ascii', 'ignore').decode()}” – naïve\t{label}"
        for text, label in texts()
    ]
    write(folder / "comments.tsv", "\n".join(rows) + "\n", "cp1252")
    return ["classification", "--train", "comments.tsv"]


# --- tagging


def label_studio_spans(folder: Path) -> list[str]:
    """Label Studio's JSON export of a project with labelled spans."""
    tasks = []
    for number, (words, tags) in enumerate(sentences(), 1):
        text, found = spans(words, tags)
        result = [
            {
                "value": {"start": begin, "end": end, "text": text[begin:end], "labels": [label]},
                "id": f"s{number}-{begin}",
                "from_name": "label",
                "to_name": "text",
                "type": "labels",
            }
            for begin, end, label in found
        ]
        tasks.append({"id": number, "data": {"text": text}, "annotations": [{"result": result}]})
    write(folder / "export.json", json.dumps(tasks, ensure_ascii=False))
    return ["tagging", "--train", "export.json"]


def doccano_spans(folder: Path) -> list[str]:
    """JSONL of doccano's sequence labelling: {"text", "label": [[begin, end, label]]}."""
    made = [spans(*one) for one in sentences()]
    write(folder / "admin.jsonl", lines([{"text": text, "label": found} for text, found in made]))
    return ["tagging", "--train", "admin.jsonl"]


def prodigy_spans(folder: Path) -> list[str]:
    """Prodigy's JSONL of `ner.manual`: tokens, spans and an answer."""
    records = []
    for number, (words, tags) in enumerate(sentences()):
        text, found = spans(words, tags)
        begins = list(itertools.accumulate([0] + [len(word) + 1 for word in words]))
        tokens = [
            {"text": word, "start": begin, "end": begin + len(word), "id": place, "ws": True}
            for place, (word, begin) in enumerate(zip(words, begins, strict=False))
        ]
        records.append(
            {
                "text": text,
                "tokens": tokens,
                "spans": [
                    {"start": begin, "end": end, "label": label} for begin, end, label in found
                ],
                "answer": "reject" if number % 45 == 0 else "accept",
                "_view_id": "ner_manual",
            }
        )
    write(folder / "ner.jsonl", lines(records))
    return ["tagging", "--train", "ner.jsonl"]


def piped(folder: Path) -> list[str]:
    """A sentence a line, each word with its tag after a bar, as old taggers write it."""
    rows = [
        " ".join(f"{word}|{tag}" for word, tag in zip(*one, strict=True))
        for one in sentences()
        if not any("|" in word for word in one[0])
    ]
    write(folder / "tagged.txt", "\n".join(rows) + "\n")
    return ["tagging", "--train", "tagged.txt"]


def bilou(folder: Path) -> list[str]:
    """BILOU tags in a .txt with Windows line ends, comments and a tab too many now and then."""
    out = []
    for number, (words, tags) in enumerate(sentences()):
        out.append(f"# id {number}\tdomain=web")
        following = [*tags[1:], "O"]
        for place, (word, tag, after) in enumerate(zip(words, tags, following, strict=True)):
            last = not after.startswith("I-")
            letter = {"B": "U" if last else "B", "I": "L" if last else "I"}.get(tag[0], "O")
            out.append(f"{word}\t{letter}{tag[1:]}" + "\t" * (place == 3))
        out.append("")
    write(folder / "entities.txt", "\n".join(out) + "\n", newline="\r\n")
    return ["tagging", "--train", "entities.txt"]


# --- questions and conversations


def reader_list(folder: Path) -> list[str]:
    """Questions in a list of {"context", "qas"}; some answers are not in their passage."""
    found = [
        {
            "context": one.passage,
            "qas": [
                {
                    "id": f"{number:05}",
                    "is_impossible": False,
                    "question": one.question,
                    "answers": [
                        {
                            "text": answer + ("!?" if number % 90 == 0 else ""),
                            "answer_start": str(start),
                        }
                        for answer, start in one.answers or ()
                    ],
                }
            ],
        }
        for number, one in enumerate(questions())
    ]
    write(folder / "train.json", json.dumps(found, ensure_ascii=False))
    return ["question-answering", "--train", "train.json"]


def hub_questions(folder: Path) -> list[str]:
    """JSONL of a hub's set: answers as {"text": [..], "answer_start": [..]}."""
    records = [
        {
            "id": str(number),
            "title": "T",
            "context": one.passage,
            "question": one.question,
            "answers": {
                "text": [answer for answer, _ in one.answers or ()],
                "answer_start": [start for _, start in one.answers or ()],
            },
        }
        for number, one in enumerate(questions())
    ]
    write(folder / "squad.jsonl", lines(records))
    return ["question-answering", "--train", "squad.jsonl"]


def share_gpt(folder: Path) -> list[str]:
    """Conversations as a browser's plug-in saves them: from and value, in one JSON list."""
    roles = {"user": "human", "assistant": "gpt", "system": "system"}
    records = [
        {
            "id": f"c{number}",
            "conversations": [{"from": roles[role], "value": text} for role, text in turns],
        }
        for number, turns in enumerate(dialogues())
    ]
    write(folder / "sharegpt.json", json.dumps(records, ensure_ascii=False))
    return ["chat", "--train", "sharegpt.json"]


def tool_calls(folder: Path) -> list[str]:
    """A file for fine-tuning at a provider: parts of content, and a few calls of tools."""
    records = []
    for number, turns in enumerate(dialogues()):
        messages: list[dict[str, object]] = [
            {"role": role, "content": [{"type": "text", "text": text}] if place == 0 else text}
            for place, (role, text) in enumerate(turns)
        ]
        if number % 60 == 1:
            messages[-1] = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
        records.append({"messages": messages})
    write(folder / "finetune.jsonl", lines(records))
    return ["chat", "--train", "finetune.jsonl"]


def old_books(folder: Path) -> list[str]:
    """A folder of texts in windows-1252."""
    found = load_split(DataTable(set="war-and-peace"), "validation", None, ("text",))
    for number, one in enumerate(found[:40]):
        text = f"“{one.text}” – naïve\n".encode("cp1252", "ignore").decode("cp1252")
        write(folder / "books" / f"{number:02}.txt", text, "cp1252")
    return ["language-modelling", "--train", "books"]


MAKERS: dict[str, Maker] = {
    make.__name__.replace("_", "-"): make
    for make in (
        spreadsheet, excel_csv, tmx, xliff, subtitles, hub_translation, web_table,
        label_studio_choices, doccano_choices, prodigy_choices, folders, tickets, frame,
        old_comments, label_studio_spans, doccano_spans, prodigy_spans, piped, bilou,
        reader_list, hub_questions, share_gpt, tool_calls, old_books,
    )
}  # fmt: skip
