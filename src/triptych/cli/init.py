"""triptych init: from a person's files to a fitting recipe, with a forecast."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError, UsageError, unknown
from ..setup.forecast import estimated_tokens
from ..tasks import classification, translation
from .columns import line_of, parsed, settled
from .console import field, put, talk

if TYPE_CHECKING:
    from ..data.example import Example
    from ..data.table import DataTable
    from .measured import Measured

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True)
class PairsSize:
    """What fits so many pairs."""

    pairs: int  # up to
    preset: str
    vocabulary: int
    epochs: int
    dropout: float
    batch_tokens: int
    warmup: int
    learning_rate: float = 3e-3


# Judgement, not measurement: fewer pairs need fewer pieces, more dropout and more epochs.
SIZES = (
    PairsSize(3_000, "transformer-tiny", 1_000, 80, 0.3, 1024, 100),
    PairsSize(15_000, "transformer-tiny", 3_000, 40, 0.25, 2048, 200),
    PairsSize(60_000, "transformer-small", 6_000, 25, 0.25, 4096, 400),
    PairsSize(400_000, "transformer-small", 10_000, 12, 0.15, 4096, 1000),
    PairsSize(10**12, "transformer-base", 24_000, 6, 0.1, 8192, 4000, 7e-4),
)


def init(
    task: str,
    /,
    *,
    source: Path | None = None,
    target: Path | None = None,
    train: Path | None = None,
    validation: list[Path] | None = None,
    test: list[Path] | None = None,
    source_language: str | None = None,
    target_language: str | None = None,
    columns: str | None = None,
    out: Path | None = None,
    minutes: float | None = None,
    start: Path | None = None,
) -> int:
    """Check the files, choose a size, forecast minutes and memory, write a recipe. Prints the
    recipe's path.

    Parameters
    ----------
    task
        What to learn: translation from --source; classification, tagging, parsing,
        question-answering, masked-words, language-modelling, chat or summarization from --train.
    source
        Text file, one sentence a line; or one TSV, CSV or JSONL file with both sides.
    target
        The other side's file, line for line.
    train
        For a task that is no translation: TSV, CSV or JSONL with columns or keys like text and
        label; words and tags (CoNLL); trees (CoNLL-U); questions with passages (SQuAD's JSON);
        plain text; conversations (JSONL with messages of role and content); texts with summaries
        (JSONL with source and target).
    validation
        File or two files for validation; a part of the training data is kept for it otherwise.
    test
        The same for the test.
    source_language
        Code of the source language, like en; read off a file name like a.en otherwise.
    target_language
        Code of the target language.
    columns
        Which columns or keys of one file are read, by name or by number from 1:
        source=English,target=Deutsch or text=3,label=1. header=yes or header=no beside numbers says
        whether the first line is a header. The recipe keeps them as data.columns.
    out
        Where the recipe is written; NAME.toml after the source file otherwise. Never overwrites.
    minutes
        Minutes to train; as many as the forecast says otherwise.
    start
        A run, or a BERT, DistilBERT, GPT-2 or Llama folder of the library transformers: the recipe
        fine-tunes that model.
    """
    from ..data.load import load_split

    sides = {
        "source": source,
        "target": target,
        "source-language": source_language,
        "target-language": target_language,
    }
    _refuse_unknown(
        task,
        [
            name
            for name, one in ({"train": train} if _is_of_pairs(task) else sides).items()
            if one is not None
        ],
    )
    if minutes is not None and not minutes > 0:
        raise UsageError(f"--minutes is {minutes}; it must be greater than 0.")
    given = source if _is_of_pairs(task) else train
    if given is None:
        pairs = "--source a.en --target a.de, or --source and one file with both sides"
        raise UsageError(
            f"Name what to learn from: {pairs if _is_of_pairs(task) else '--train my.tsv'}"
        )
    out = out or Path(f"{_stem(given)}.toml")
    _refuse_place(out)
    others = {
        name: [str(path.resolve()) for path in paths]
        for name, paths in (("validation", validation), ("test", test))
        if paths
    }
    if source is None:
        return _write(_other(task, given, others, minutes, out, start, columns), out)
    data = _pairs(
        source,
        target,
        (source_language or _language(source), target_language or _language(target)),
        others,
        columns,
    )
    _check(data, others)
    examples = load_split(data, "train", talk)
    if len(examples) < 20:
        raise DataError(
            f"{len(examples)} usable pairs are too few to learn from; give some thousands."
        )
    return _write(_translation(data, examples, minutes, out, start), out)


def _translation(
    data: DataTable, examples: list[Example], minutes: float | None, out: Path, start: Path | None
) -> str:
    """The recipe of a translator, new or from a pretrained one."""
    if start is not None:
        return _translation_from(start, data, examples, minutes, out)
    forecast = Forecast.of(examples, minutes)
    talk(f"{forecast.words()} Next: triptych train {out}")
    return _recipe(translation.SPEC.name, data, forecast)


def _translation_from(
    start: Path, data: DataTable, examples: list[Example], minutes: float | None, out: Path
) -> str:
    """The text of a recipe that goes on with a translator."""
    from . import init_start
    from .init_classification import files_of_recipe

    found = init_start.begin(start, translation.SPEC.name, {"label_smoothing": 0.1}, examples)
    talk(f"{found.words} Next: triptych train {out}")
    languages = "".join(
        f'{name} = "{code}"\n'
        for name, code in (("source", data.source), ("target", data.target))
        if code
    )
    files, held = files_of_recipe(data, "pairs")
    return init_start.text_of(
        translation.SPEC.name,
        found,
        languages + files,
        held,
        minutes,
        "\n[decoding]\nbeams = 5\n",
    )


def _pairs(
    source: Path,
    target: Path | None,
    spoken: tuple[str | None, str | None],
    others: dict[str, list[str]],
    columns: str | None,
) -> DataTable:
    """The data table of a translation, with the columns of one file that has both sides."""
    from ..data.formats.table_format import FIELDS
    from ..data.table import DataTable

    files = [str(path.resolve()) for path in (source, target) if path is not None]
    data = DataTable(
        source=spoken[0],
        target=spoken[1],
        train=files,
        columns=parsed(columns),
        **others,  # type: ignore[arg-type]
    )
    return (
        data
        if target is not None
        else replace(data, columns=settled(source, FIELDS, data.columns, spoken))
    )


def _is_of_pairs(task: str) -> bool:
    """Tell whether a task learns from two sides, which --source and --target name."""
    return task == translation.SPEC.name


def _refuse_unknown(task: str, idle: list[str]) -> None:
    """Raise UsageError for a task that is none of ours, and for flags of another."""
    from ..tasks.specs import SPECS
    from .init_others import PLANS

    known = [translation.SPEC.name, classification.SPEC.name, *PLANS]
    if task in SPECS and task not in known:
        raise UsageError(
            f"triptych init knows {', '.join(known)}; start a recipe for {task} from a packaged "
            "one."
        )
    if task not in known:
        raise unknown("task", task, known)
    if idle:
        raise UsageError(
            f"--{idle[0]} means nothing for {task}; it reads "
            f"{'--source' if _is_of_pairs(task) else '--train'}."
        )


def _refuse_place(out: Path) -> None:
    """Before time is spent: can the recipe be written there?"""
    if out.exists():
        raise UsageError(
            f"{out} is there already and is not overwritten. Name another file with --out."
        )
    if not out.parent.is_dir():
        raise UsageError(
            f"There is no folder {out.parent} for {out.name}. Make it, or name another with --out."
        )


def _other(
    task: str,
    train: Path,
    others: dict[str, list[str]],
    minutes: float | None,
    out: Path,
    start: Path | None,
    columns: str | None,
) -> str:
    """The recipe of a task that is no translation."""
    from .init_classification import recipe_for
    from .init_others import recipe_for as other_recipe
    from .init_start import offer

    if start is None:
        given = "" if columns is None else f" --columns {shlex.quote(columns)}"
        offer(task, train, f"triptych init {task} --train {train}{given} --out {out}")
    if task == classification.SPEC.name:
        return recipe_for(train, others, minutes, out, start, parsed(columns))
    return other_recipe(task, train, others, minutes, out, start, parsed(columns))


def _write(text: str, out: Path) -> int:
    """The recipe as a file that is not there yet; prints its path."""
    from ..recipe.schema import Recipe

    Recipe.parse(text, place=str(out)).model.config()  # what is written can be read
    try:
        with open(out, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            f"{out} is there already and is not overwritten. Name another file with --out."
        ) from None
    put(field(out))
    return 0


def _check(data: DataTable, others: dict[str, list[str]]) -> None:
    """Say what is wrong with the files; stop where training would fail."""
    from ..data.load import files_of, names_of
    from ..data.validation.pairs import check

    files = names_of(data.train or [])
    report = check(
        {name: files_of(names, data) for name, names in {"train": files, **others}.items()}
    )
    errors = [problem for problem in report.problems if problem.severity == "error"]
    fatal = [problem for problem in errors if not problem.reason.startswith(("empty side", "leak"))]
    if fatal:
        raise DataError(
            f"{fatal[0]}"
            + (
                f" ({len(fatal) - 1:,} more: triptych data check lists all.)"
                if len(fatal) > 1
                else ""
            )
        )
    for kind, count in report.counts.items():
        talk(f"Check: {count:,} x {kind}; triptych data check {' '.join(files)} lists all.")


@dataclass(frozen=True)
class Forecast:
    """What training will take here."""

    pairs: int
    tokens: float  # of one epoch, source and target
    size: PairsSize
    measured: Measured
    minutes: float
    memory: float  # bytes
    parameters: int
    one_script: bool  # both sides share letters

    @classmethod
    def of(cls, examples: list[Example], minutes: float | None) -> Forecast:
        import dataclasses

        from ..presets import configure, parameter_count
        from ..presets.estimate import estimated_memory
        from .measured import measured_speed

        size = next(size for size in SIZES if len(examples) <= size.pairs)
        tokens = sum(
            estimated_tokens(example.source or "") + estimated_tokens(example.target or "")
            for example in examples
        )
        config = dataclasses.replace(
            configure(size.preset, {"dropout": size.dropout}), vocabulary_size=size.vocabulary
        )
        measured = measured_speed(config, tokens / len(examples), size.batch_tokens)
        wanted = size.epochs * tokens / measured.speed / 60
        return cls(
            len(examples),
            tokens,
            size,
            measured,
            minutes or max(1.0, round(wanted, 1)),
            estimated_memory(config, size.batch_tokens, len(examples), True),
            parameter_count(config),
            one_script(examples),
        )

    def words(self) -> str:
        epochs = self.minutes * 60 * self.measured.speed / self.tokens
        model = f"{self.size.preset} with {self.parameters / 1e6:.1f} M parameters"
        costs = (
            f"{epochs:.0f} epochs in {self.minutes:g} minutes, with about {self.memory / 1e9:.1f} "
            "GB of memory"
        )
        return (
            f"{self.pairs:,} pairs, about {self.tokens:,.0f} tokens; {model} reads about "
            f"{self.measured.speed:,.0f} tokens/s here {self.measured.words}: {costs}."
        )


def one_script(examples: list[Example]) -> bool:
    """Whether a good part of one side's distinct letters stands on the other side too."""
    letters = [
        {letter for one in examples for letter in getattr(one, side) or "" if letter.isalpha()}
        for side in ("source", "target")
    ]
    return 2 * len(letters[0] & letters[1]) >= min(map(len, letters)) and max(
        map(len, letters)
    ) < 5 * min(map(len, letters))


def _stem(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    return name.rsplit(".", 1)[0] or name


def _language(path: Path | None) -> str | None:
    """Map "a.en" -> "en"; None where the ending is not a language."""
    if path is None:
        return None
    ending = path.name.removesuffix(".gz").rsplit(".", 1)[-1]
    return (
        ending
        if LANGUAGE.fullmatch(ending)
        and ending not in ("txt", "tsv", "csv", "src", "tgt")
        and "." in path.name
        else None
    )


def _recipe(task: str, data: object, forecast: Forecast) -> str:
    import json

    size, get = forecast.size, data.__getattribute__

    def listed(name: str) -> str:
        names = get(name)
        return f"{name} = {json.dumps(names, ensure_ascii=False)}\n" if names else ""

    source = f'source = "{get("source")}"\n' if get("source") else ""
    target = f'target = "{get("target")}"\n' if get("target") else ""
    kept = [name for name in ("validation", "test") if not get(name)]
    held = (
        (
            f"# {' and '.join(kept)}: 2.5 % of the pairs each, kept out of training by a hash of "
            "the source sentence\n"
        )
        if kept
        else ""
    )
    return f"""# Written by triptych init. {forecast.words()}
# Any key can be changed here or on the command line, for example: --training.minutes 30

[task]
name = "{task}"
label_smoothing = 0.1           # 0.1 of the probability is spread over all words: less certainty, better BLEU

[data]
{source}{target}{listed("train")}{line_of(get("columns"))}{listed("validation")}{listed("test")}{held}
[tokenizer]
kind = "bpe"                    # or "unigram"
vocabulary_size = {size.vocabulary}          # fewer pieces for fewer pairs
shared = {str(forecast.one_script).lower():5}                  # one vocabulary for both sides; false for two scripts

[model]
preset = "{size.preset}"    # triptych info {size.preset}
dropout = {size.dropout}                  # more for fewer pairs

[batches]
batch_tokens = {size.batch_tokens}             # source and target tokens of a step; less memory with fewer

[training]
minutes = {forecast.minutes:g}                   # or steps = 5000
learning_rate = {size.learning_rate}
schedule = "trapezoid"          # rises, stays, falls to the end
warmup_steps = {size.warmup}
average = 0.998                 # the weights used are a running mean over about 500 steps

[decoding]
beams = 5
"""  # noqa: E501
