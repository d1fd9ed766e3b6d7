"""Draft the recipe of a translator from a user's files."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ...data.formats.subtitle_kinds import is_subtitles
from ...data.formats.table_format import FIELDS
from ...data.load import files_of, split_files, training_part
from ...data.pair_table import values_of
from ...data.table import DataTable
from ...data.validation.pairs import check_and_read
from ...errors import DataError
from ...messages import message
from ...presets import configure, parameter_count
from ...presets.estimate import estimated_memory
from ...tasks.translation import SPEC
from . import measured as measuring
from . import small
from . import start as starting
from .measured import Measured
from .request import DraftRequest, file_lines, held_line, reading_lines, refuse_fatal
from .tokens import estimated_tokens

if TYPE_CHECKING:
    from ...data.example import Example

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
# Endings of files that look like codes of languages.
NO_LANGUAGES = {"txt", "tsv", "csv", "src", "tgt", "trg", "tmx", "xlf", "ods", "xls", "srt", "vtt"}
TOGETHER = 4096  # texts whose letters are collected in one go
FEWEST = 20  # fewest pairs to learn from
LEFT_OUT = ("empty side", "leak")  # problems of pairs that training leaves out
DECODING = "\n[decoding]\nbeams = 5\n"


@dataclass(frozen=True)
class PairsSize:
    """Hold the settings that fit a number of pairs."""

    pairs: int  # for up to this many
    preset: str
    vocabulary: int
    epochs: int
    dropout: float
    batch_tokens: int
    warmup: int
    learning_rate: float = 3e-3


# A judgement, not a measurement: fewer pairs need fewer subwords, more dropout and more epochs.
SIZES = (
    PairsSize(3_000, "transformer-tiny", 1_000, 80, 0.3, 1024, 100),
    PairsSize(15_000, "transformer-tiny", 3_000, 40, 0.25, 2048, 200),
    PairsSize(60_000, "transformer-small", 6_000, 25, 0.25, 4096, 400),
    PairsSize(400_000, "transformer-small", 10_000, 12, 0.15, 4096, 1000),
    PairsSize(10**12, "transformer-base", 24_000, 6, 0.1, 8192, 4000, 7e-4),
)


def recipe_text(request: DraftRequest) -> str:
    """Return the text of a recipe.

    Raises:
        DataError: Training would fail; the text names file and line.
    """
    data = _table(request)
    parts = split_files(data)
    files = parts["train"]
    notes = list[str]()
    files_by_part = {name: files_of(names, data) for name, names in parts.items()}
    report, tables = check_and_read(files_by_part, notes.append)
    refuse_fatal(report, " ".join(files), LEFT_OUT, request.report)
    for note in notes:
        request.report(note)
    examples = training_part(data, tables.pop("train"))
    if len(examples) < FEWEST:
        raise DataError(
            "{count} usable pairs are too few to learn from. Give some thousands.",
            count=len(examples),
        )
    data, examples = small.fitted(request, data, examples, message("pairs"))
    if request.start is not None:
        return _fine_tuned(request, request.start, data, examples)
    forecast = Forecast.of(examples, request)
    request.report_next(forecast.words())
    return _text(data, forecast)


def _table(request: DraftRequest) -> DataTable:
    """Return the data table, with the columns of a file that has both sides."""
    source, target = request.train, request.target
    languages = (
        request.languages[0] or _language(source),
        request.languages[1] or _language(target),
    )
    data = DataTable(
        source=languages[0],
        target=languages[1],
        train=[request.train_name, *([] if target is None else [str(target.resolve())])],
        columns=request.columns,
        encoding=request.encoding,
        **request.others,  # type: ignore[arg-type]
    )
    if target is not None:
        return data
    columns = request.chooser.settled(source, FIELDS, data.columns, languages, request.encoding)
    return replace(data, columns=columns)


def _fine_tuned(
    request: DraftRequest, start: Path | str, data: DataTable, examples: Sequence[Example]
) -> str:
    """Return the text of a recipe that fine-tunes a translator."""
    found = starting.begin(start, SPEC.name, {"label_smoothing": 0.1}, examples, request.training)
    request.report_next(found.words)
    languages = "".join(
        f'{name} = "{code}"\n'
        for name, code in (("source", data.source), ("target", data.target))
        if code
    )
    files, held = file_lines(data, "pairs")
    return starting.text_of(SPEC.name, found, languages + files, held, request.minutes, DECODING)


@dataclass(frozen=True)
class Forecast:
    """Hold what training will take on this machine."""

    pairs: int
    tokens: float  # source and target tokens of one epoch
    size: PairsSize
    measured: Measured
    minutes: float
    memory: float  # bytes
    parameters: int
    one_script: bool  # both sides share letters, or must share a vocabulary

    @classmethod
    def of(cls, examples: Sequence[Example], request: DraftRequest) -> Forecast:
        size = next(size for size in SIZES if len(examples) <= size.pairs)
        sides = (values_of(examples, side) for side in ("source", "target"))
        tokens = sum(
            estimated_tokens(str(one or "")) + estimated_tokens(str(other or ""))
            for one, other in zip(*sides, strict=True)
        )
        config = dataclasses.replace(
            configure(size.preset, {"dropout": size.dropout}), vocabulary_size=size.vocabulary
        )
        measured = measuring.measured_speed(
            config, tokens / len(examples), size.batch_tokens, request.training
        )
        wanted = size.epochs * tokens / measured.speed / 60
        return cls(
            len(examples),
            tokens,
            size,
            measured,
            request.minutes or max(1.0, round(wanted, 1)),
            estimated_memory(config, size.batch_tokens, len(examples), True),
            parameter_count(config),
            request.exportable or one_script(examples),
        )

    def words(self) -> str:
        epochs = self.minutes * 60 * self.measured.speed / self.tokens
        model = message(
            "{preset} with {millions:.1f} M parameters",
            preset=self.size.preset,
            millions=self.parameters / 1e6,
        )
        costs = message(
            "{epochs:,.0f} epochs in {minutes:g} min, with about {memory:.1f} GB of memory",
            epochs=epochs,
            minutes=self.minutes,
            memory=self.memory / 1000000000.0,
        )
        return message(
            "{pairs:,} pairs, about {tokens:,.0f} tokens. Here {model} trains on about "
            "{speed:,.0f} tokens/s {words}: {costs}.",
            pairs=self.pairs,
            tokens=self.tokens,
            model=model,
            speed=self.measured.speed,
            words=self.measured.words,
            costs=costs,
        )


def one_script(examples: Sequence[Example]) -> bool:
    """Tell whether many of one side's distinct letters also occur on the other side."""
    letters = [_letters(examples, side) for side in ("source", "target")]
    return 2 * len(letters[0] & letters[1]) >= min(map(len, letters)) and max(
        map(len, letters)
    ) < 5 * min(map(len, letters))


def _letters(examples: Sequence[Example], side: str) -> set[str]:
    """Return the distinct letters of one side."""
    found, pending = set[str](), (str(one or "") for one in values_of(examples, side))
    while block := "".join(islice(pending, TOGETHER)):
        found |= set(block)
    return set(filter(str.isalpha, found))


def _language(path: Path | None) -> str | None:
    """Map "a.en" to "en"; None where the ending is not a language."""
    if path is None:
        return None
    name = path.name.removesuffix(".gz")
    if is_subtitles(name):  # film.en.srt
        name = name.rsplit(".", 1)[0]
    ending = name.rsplit(".", 1)[-1]
    return ending if LANGUAGE.fullmatch(ending) and ending not in NO_LANGUAGES | {name} else None


def _text(data: DataTable, forecast: Forecast) -> str:
    size, get = forecast.size, data.__getattribute__

    def listed(name: str) -> str:
        names = get(name)
        return f"{name} = {json.dumps(names, ensure_ascii=False)}\n" if names else ""

    source = f'source = "{get("source")}"\n' if get("source") else ""
    target = f'target = "{get("target")}"\n' if get("target") else ""
    held = held_line(data, "pairs", "the source sentence")
    return f"""# Written by triptych init. {forecast.words()}
# Any key can be changed here or on the command line, for example: --training.minutes 30

[task]
name = "{SPEC.name}"
label_smoothing = 0.1           # spreads 0.1 of the probability over all tokens: less overconfidence, better BLEU

[data]
{source}{target}{listed("train")}{reading_lines(data)}{listed("validation")}{listed("test")}{small.split_lines(data)}{held}
[tokenizer]
kind = "bpe"                    # or "unigram"
vocabulary_size = {size.vocabulary}          # fewer subwords for fewer pairs
shared = {str(forecast.one_script).lower():5}                  # one vocabulary for both sides; false for two scripts

[model]
preset = "{size.preset}"    # triptych info {size.preset}
dropout = {size.dropout}                  # more for fewer pairs

[batches]
batch_tokens = {size.batch_tokens}             # source and target tokens per step; fewer need less memory

[training]
minutes = {forecast.minutes:g}                   # or steps = 5000
learning_rate = {size.learning_rate}
schedule = "trapezoid"          # warms up, stays constant, decays to the end
warmup_steps = {size.warmup}
average = 0.998                 # the final weights are a running mean over about 500 steps

[decoding]
beams = 5
"""  # noqa: E501
