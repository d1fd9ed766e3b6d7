"""List the verbs in a typed table: what each does, and what loads its function.

A verb's module is imported only when the verb runs or its own help is printed, so `triptych --help`
imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..messages import Message, message

Command = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Verb:
    """Describe a command of `triptych`.

    Args:
        load: Imports and returns the function.
        help: What the command does, in one line.
        examples: Commands that its help shows.
        takes: Which keys can be given as --table.key VALUE, where the function takes any: those of
            a whole recipe, of the table `decoding`, or of that table only the size of a batch.
        makes_run: The run that it names is written, not read.
    """

    load: Callable[[], Command]
    help: Message
    examples: tuple[str, ...] = ()
    takes: Literal["recipe", "decoding", "batches"] = "decoding"
    makes_run: bool = False


def _init() -> Command:
    from .init import init

    return init


def _train() -> Command:
    from .train import train

    return train


def _evaluate() -> Command:
    from .evaluate_seeds import evaluate

    return evaluate


def _predict() -> Command:
    from .predict import predict

    return predict


def _translate() -> Command:
    from .subtitles import translate

    return translate


def _summarize() -> Command:
    from .summarize import summarize

    return summarize


def _transcribe() -> Command:
    from .transcribe import transcribe

    return transcribe


def _classify() -> Command:
    from .by_task import classify

    return classify


def _tag() -> Command:
    from .by_task import tag

    return tag


def _parse() -> Command:
    from .by_task import parse

    return parse


def _answer() -> Command:
    from .answer import answer

    return answer


def _index() -> Command:
    from .index import index

    return index


def _embed() -> Command:
    from .answer import embed

    return embed


def _complete() -> Command:
    from .by_task import complete

    return complete


def _chat() -> Command:
    from .chat import chat

    return chat


def _serve() -> Command:
    from .serve import serve

    return serve


def _inspect() -> Command:
    from .inspect import inspect

    return inspect


def _doctor() -> Command:
    from .doctor import doctor

    return doctor


def _compare() -> Command:
    from .compare import compare

    return compare


def _plot() -> Command:
    from .plot import plot

    return plot


def _import() -> Command:
    from .convert import import_

    return import_


def _export() -> Command:
    from .convert import export

    return export


def _info() -> Command:
    from .info import info

    return info


def _data(name: str) -> Callable[[], Command]:
    """Return what loads a verb of `triptych data`."""

    def load() -> Command:
        from . import data

        return getattr(data, name)

    return load


VERBS: dict[str, Verb] = {
    "init": Verb(
        _init,
        message("Write a recipe for your own files, with a forecast of minutes and memory."),
        (
            "triptych init translation --source my.en --target my.de",
            "triptych init classification --train my.csv --columns text=Comment,label=Kind",
        ),
    ),
    "train": Verb(
        _train,
        message("Train a model from a recipe (a name or a .toml file), or continue a run."),
        (
            "triptych train phrasebook",
            "triptych train my.toml --out runs/mine --training.minutes 30",
            "triptych train runs/mine --resume",
        ),
        takes="recipe",
    ),
    "evaluate": Verb(
        _evaluate,
        message("Score a run on its test data or on other data."),
        (
            "triptych evaluate runs/mine --bootstrap 1000",
            "triptych evaluate runs/mine --data other.tsv --json",
        ),
    ),
    "predict": Verb(
        _predict,
        message("Apply a run for any task to texts, or to stdin line by line."),
        (
            'triptych predict runs/mine "A text." "Another text."',
            "triptych predict runs/mine --jsonl < my.txt > my.jsonl",
            'triptych predict runs/mine -- "-5 degrees"',
        ),
    ),
    "translate": Verb(
        _translate,
        message("Translate texts, stdin line by line, or subtitles."),
        (
            'triptych translate phrasebook "I like cats." --to zh-Hant',
            "triptych translate runs/mine < my.en > my.de",
            "triptych translate runs/mine --srt film.en.srt > film.de.srt",
        ),
    ),
    "summarize": Verb(
        _summarize,
        message("Summarize texts, whole files, or stdin line by line."),
        (
            "triptych summarize runs/mine --file letter.txt",
            "triptych summarize runs/mine < letters.txt > summaries.txt",
        ),
    ),
    "transcribe": Verb(
        _transcribe,
        message("Write down what is said in files of sound, as text or as subtitles."),
        (
            "triptych transcribe runs/mine talk.wav",
            "triptych transcribe runs/mine talk.mp3 --srt > talk.srt",
        ),
    ),
    "classify": Verb(
        _classify,
        message("Classify texts, or stdin line by line: labels or a number."),
        (
            'triptych classify runs/mine "Where is my parcel?"',
            "triptych classify runs/mine --jsonl < my.txt > labels.jsonl",
        ),
        takes="batches",
    ),
    "tag": Verb(
        _tag,
        message("Tag texts, or stdin line by line: tags and entities."),
        (
            'triptych tag runs/mine "Angela Merkel spoke in Berlin."',
            "triptych tag runs/mine --words < tokenized.txt",
        ),
        takes="batches",
    ),
    "parse": Verb(
        _parse,
        message("Parse sentences, or stdin line by line: dependency trees."),
        (
            'triptych parse runs/mine "The dog sleeps."',
            "triptych parse runs/mine < my.txt > my.conllu",
        ),
        takes="batches",
    ),
    "answer": Verb(
        _answer,
        message("Answer questions from a passage, a folder of documents or an index."),
        (
            'triptych answer runs/mine "Who wrote it?" --passage letter.txt',
            'triptych answer runs/mine "Who wrote it?" --documents letters',
            'triptych answer runs/mine "Who wrote it?" --index indexes/letters',
        ),
    ),
    "index": Verb(
        _index,
        message("Index your own documents, to answer questions from them."),
        (
            "triptych index letters --out indexes/letters",
            "triptych index my.csv --columns text=Answer --out indexes/my --embedder runs/vectors",
            'triptych index my.sqlite --query "SELECT body FROM notes" --out indexes/notes',
        ),
    ),
    "embed": Verb(
        _embed,
        message("Turn texts into vectors, for example for search."),
        (
            'triptych embed runs/mine "A text."',
            "triptych embed runs/mine --npy vectors.npy < my.txt",
        ),
        takes="batches",
    ),
    "complete": Verb(
        _complete,
        message("Continue a prompt with a run that generates text."),
        (
            'triptych complete runs/mine "Once upon a time" --decoding.temperature 0.8',
            'triptych complete runs/mine "def mean(values):" --decoding.stop_at_dedent true',
        ),
    ),
    "chat": Verb(
        _chat,
        message("Chat with a run that was trained on conversations."),
        (
            "triptych chat runs/mine",
            'triptych chat runs/mine --system "Answer briefly." < turns.txt',
        ),
    ),
    "serve": Verb(
        _serve,
        message("Serve runs over HTTP, with the interface of OpenAI."),
        ("triptych serve runs/mine", "triptych serve chat=runs/one runs/other --port 8080"),
    ),
    "inspect": Verb(
        _inspect,
        message("Show what the model attended to, as text or as an HTML file."),
        (
            'triptych inspect phrasebook "I like cats." --to zh-Hant',
            'triptych inspect runs/mine "A text." --ablate --lens --html page.html',
        ),
    ),
    "doctor": Verb(
        _doctor,
        message("Check a run's model: batches, padding, cache, kernels, micro-batches."),
        ("triptych doctor runs/mine", "triptych doctor runs/mine --precision float32 --json"),
    ),
    "compare": Verb(
        _compare,
        message("Compare runs side by side: scores, lengths, speed, attention."),
        (
            "triptych compare runs/one runs/other",
            'triptych compare runs/one runs/other --html page.html --text "A text."',
        ),
    ),
    "plot": Verb(
        _plot,
        message("Draw the learning curves of runs, as an SVG picture or an HTML page."),
        ("triptych plot runs/mine", "triptych plot runs/one runs/other --out curves.html"),
    ),
    "import": Verb(
        _import,
        message("Turn a model of the transformers library or of llama2.c into a run."),
        ("triptych import path/to/bert runs/bert",),
        makes_run=True,
    ),
    "export": Verb(
        _export,
        message("Write a run as a folder that the transformers library loads."),
        ("triptych export runs/mine exported/mine",),
    ),
    "info": Verb(
        _info,
        message("Describe a run or a preset; without a name, list what is installed."),
        ("triptych info", "triptych info runs/mine", "triptych info gpt3-xl --world 8"),
    ),
}
DATA_VERBS: dict[str, Verb] = {
    "list": Verb(
        _data("list_sets"),
        message("List the public data sets known by name."),
        ("triptych data list",),
    ),
    "fetch": Verb(
        _data("fetch"),
        message("Download public data sets before training does, and check their SHA-256."),
        ("triptych data fetch multi30k sms-spam",),
    ),
    "check": Verb(
        _data("check"),
        message(
            "Report problems in data, with file and line; the exit code is 1 if there are any."
        ),
        ("triptych data check my.tsv", "triptych data check my.en my.de"),
    ),
    "stats": Verb(
        _data("stats"),
        message("Print counts, lengths, characters and writing systems."),
        ("triptych data stats my.tsv", "triptych data stats multi30k"),
    ),
    "convert": Verb(
        _data("convert"),
        message("Convert files, also those of other tools, to a format that Triptych reads."),
        ("triptych data convert my.tsv --to jsonl",),
    ),
    "shards": Verb(
        _data("shards"),
        message("Cut the texts of a streamed set into token shards before training does."),
        ("triptych data shards my.toml --processes 4",),
    ),
}
