"""Draft a recipe for tags, trees, questions, plain text, conversations or summaries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError
from ...messages import message
from ...tasks import (
    chat,
    language_modelling,
    masked_words,
    parsing,
    question_answering,
    summarization,
    tagging,
)
from . import exportable, small
from . import measured as measuring
from . import start as starting
from .labelled import FEWEST
from .public_set import table_of
from .record_checks import check_questions, check_tags, check_trees
from .request import DraftRequest, file_lines, refuse_fatal

if TYPE_CHECKING:
    from ...data.example import Example
    from ...data.table import DataTable
    from ...data.validation.pairs import Report
    from ...model.config import AnyConfig


@dataclass(frozen=True)
class TokensSize:
    """Hold the settings that fit a number of tokens."""

    tokens: float  # for up to this many
    vocabulary: int
    presets: tuple[str, str, str]  # encoder, decoder, both
    dropout: float
    epochs: int  # for a task with answers; plain text takes half as many


SIZES = (
    TokensSize(1e5, 2_000, ("encoder-tiny", "decoder-tiny", "transformer-tiny"), 0.3, 60),
    TokensSize(1e6, 6_000, ("encoder-tiny", "decoder-tiny", "transformer-tiny"), 0.2, 30),
    TokensSize(1e12, 8_000, ("encoder-small", "decoder-small", "transformer-small"), 0.1, 8),
)
SEEN = 200  # examples that show how words are split
# Problems that training leaves out.
LEFT_OUT = ("leak", "wrong offset", "empty question", "empty passage", "unusable question")
ENCODER, DECODER, BOTH = range(3)  # places in TokensSize.presets


@dataclass(frozen=True)
class Plan:
    """Describe how a task's recipe is written.

    Args:
        records: What the examples are called.
        needs: The fields that the task reads.
        options: Returns lines of the table `task` for the Examples.
        check: Returns the report on files by part.
        batch_tokens: Tokens of a micro-batch.
        model: More lines of the table `model`.
        fewest: Examples that are enough to learn from.
        stacks: Which of TokensSize.presets is used.
        is_text_alone: The text itself is learnt: fewer epochs, and one split into subwords.
        decoding: Lines of the table `decoding`.
    """

    records: str
    needs: tuple[str, ...]
    options: Callable[[Sequence[Example]], list[str]]
    check: Callable[[dict[str, list[str]], DataTable], Report | None] = lambda names, data: None
    batch_tokens: int = 2048
    model: tuple[str, ...] = ()
    fewest: int = FEWEST
    stacks: int = ENCODER
    is_text_alone: bool = False
    decoding: tuple[str, ...] = ()


def recipe_text(request: DraftRequest) -> str:
    """Return the text of a recipe.

    Raises:
        DataError: Training would fail; the text names file and line.
    """
    from ...data.load import load_split, reader_of

    plan = _plan(request)
    data = table_of(request) or _table_of_files(request, plan)
    examples = load_split(data, "train", request.report, plan.needs)
    if data.set is None and len(examples) < plan.fewest:  # those kept out count, too
        count = len(reader_of(plan.needs)([str(data.train)], data, plan.needs, None))
        if count < plan.fewest:
            raise DataError(
                "{train} has {count} {records}, too few to learn from. Give some hundreds.",
                **{"train": request.train, "count": count, "records": plan.records},
            )
    data, examples = small.fitted(request, data, examples, plan.records)
    if request.start is not None:
        return _fine_tuned(request, request.start, plan, data, examples)
    words, size, minutes = forecast(plan, examples, request)
    request.report_next(words)
    return text_of(request.task, plan, data, size, words, minutes, examples)


def _table_of_files(request: DraftRequest, plan: Plan) -> DataTable:
    """Return the data table of the user's files, checked."""
    from ...data.load import refuse_idle_columns, split_files
    from ...data.table import DataTable

    train, columns = request.train, request.columns
    if "references" in plan.needs:
        named = tuple(need for need in plan.needs if need != "references")
        columns = request.chooser.settled(train, named, columns, encoding=request.encoding)
    given = {"train": request.train_name, "columns": columns, "encoding": request.encoding}
    data = DataTable(**given, **request.others)  # type: ignore[arg-type]
    refuse_idle_columns(data, plan.needs)
    names = split_files(data)
    if (report := plan.check(names, data)) is not None:
        refuse_fatal(report, names["train"][0], LEFT_OUT, request.report)
    return data


def _plan(request: DraftRequest) -> Plan:
    """Return the task's plan, without what no class of another library computes if so wanted."""
    task, plan = request.task, PLANS[request.task]
    if not request.exportable:
        return plan
    return dataclasses.replace(
        plan,
        options=lambda examples: exportable.option_lines(task, plan.options(examples)),
        model=exportable.MODEL.get(task, plan.model),
    )


def _fine_tuned(
    request: DraftRequest,
    start: Path | str,
    plan: Plan,
    data: DataTable,
    examples: Sequence[Example],
) -> str:
    """Return the text of a recipe that fine-tunes a pretrained model."""
    import tomllib

    options = tomllib.loads("\n".join(plan.options(examples)))
    found = starting.begin(start, request.task, options, examples, request.training)
    request.report_next(found.words)
    lines, decoding = file_lines(data, plan.records), _decoding_table(plan)
    return starting.text_of(request.task, found, *lines, request.minutes, decoding)


def _decoding_table(plan: Plan) -> str:
    return (
        "".join(f"{line}\n" for line in ("\n[decoding]", *plan.decoding)) if plan.decoding else ""
    )


def forecast(
    plan: Plan, examples: Sequence[Example], request: DraftRequest
) -> tuple[str, TokensSize, float]:
    """Return a forecast in words, the size, and the minutes.

    The speed is that of a few training steps on made-up texts of the usual length.
    """
    from ...presets import configure, parameter_count
    from .tokens import estimated_tokens

    texts = [text for one in examples for text in _texts(one)]
    tokens = sum(map(estimated_tokens, texts))
    size = next(size for size in SIZES if tokens <= size.tokens)
    config: AnyConfig = configure(size.presets[plan.stacks], {"dropout": size.dropout})
    config = dataclasses.replace(config, vocabulary_size=size.vocabulary)
    usual = min(256, max(4, round(tokens / len(examples))))
    batch_tokens = plan.batch_tokens if plan.stacks == BOTH else 4096
    measured = measuring.measured_speed(config, usual, batch_tokens, request.training)
    speed = measured.speed
    epochs = size.epochs / 2 if plan.is_text_alone else size.epochs
    minutes = request.minutes or max(1.0, round(epochs * tokens / speed / 60, 1))
    return (
        (
            message(
                "{count:,} {records}, about {tokens:,.0f} tokens. Here a model with {millions:.1f} "
                "M parameters trains on about {speed:,.0f} tokens/s {measured}: {epochs:,.0f} "
                "epochs in {minutes:g} min.",
                count=len(examples),
                records=plan.records,
                tokens=tokens,
                millions=parameter_count(config) / 1e6,
                speed=speed,
                measured=measured.words,
                epochs=minutes * 60 * speed / tokens,
                minutes=minutes,
            )
        ),
        size,
        minutes,
    )


def _texts(example: Example) -> list[str]:
    """Return the texts that are learnt from."""
    contents = [one["content"] for one in example.messages or ()]
    return [
        text
        for text in (
            example.text,
            example.question,
            example.passage,
            example.source,
            example.target,
            *contents,
        )
        if text
    ]


def text_of(
    task: str,
    plan: Plan,
    data: DataTable,
    size: TokensSize,
    words: str,
    minutes: float,
    examples: Sequence[Example],
) -> str:
    files, held = file_lines(data, plan.records)
    preset = size.presets[plan.stacks]
    model = "".join(f"{line}\n" for line in plan.model)
    varied = not plan.is_text_alone and plan.stacks != DECODER
    drops = (
        "bpe_dropout = 0.1               # splits words into other subwords in each epoch\n"
        if varied
        else ""
    )
    options = "\n".join(plan.options(examples))
    decoding = _decoding_table(plan)
    return f"""# Written by triptych init. {words}
# Any key can be changed here or on the command line, for example: --training.minutes 30

[task]
name = "{task}"
{options}

[data]
{files}{held}
[tokenizer]
vocabulary_size = {size.vocabulary}          # fewer subwords for fewer texts

[model]
preset = "{preset}"         # triptych info {preset}
dropout = {size.dropout}                   # more for fewer texts
{model}
[batches]
batch_tokens = {plan.batch_tokens}             # per step; fewer need less memory
{drops}
[training]
minutes = {minutes:g}                   # or steps = 2000
learning_rate = 2e-3
schedule = "trapezoid"          # warms up, stays constant, decays to the end
warmup_steps = 100
average = 0.99
{decoding}"""


# The tasks ----------------------------------------------------------------------------------------


def _tags(examples: Sequence[Example]) -> list[str]:
    from ...data.formats import bio

    lines = ["dropout = 0.3"]
    if bio.scheme_of(tag for one in examples for tag in one.tags or ()) != "plain":
        lines += [
            (
                'scheme = "bioes"                # spans are tagged by begin, inside and end; '
                "written as the data"
            ),
            'decoding = "crf"',
        ]
    if _unspaced(one.text for one in examples) and not _are_split_by_rule(examples):
        lines.append(
            'words = "characters"            # of raw text; or the folder of a run with unit = '
            '"character"'
        )
    return lines


def _are_split_by_rule(examples: Sequence[Example]) -> bool:
    """Tell whether words are those of the default of task.words, and not single characters."""
    from ...data.segmentation import words as rules

    some = [(one.words, one.text or "") for one in examples[:SEEN]]
    return all(words == rules.split(text) for words, text in some) and any(
        words != rules.split(text, "characters") for words, text in some
    )


def _trees(examples: Sequence[Example]) -> list[str]:
    return ["dropout = 0.33", "word_dropout = 0.1"]


def _questions(examples: Sequence[Example]) -> list[str]:
    east = _unspaced(one.passage for one in examples)
    lines = [
        "window = 384                    # tokens of question and passage read at once",
        "stride = 128",
        "match_feature = true            # marks words of the question in the passage",
    ]
    return (
        [*lines, "characters = true               # an answer can begin at any character"]
        if east
        else lines
    )


def _masked(examples: Sequence[Example]) -> list[str]:
    return ["whole_words = true"]


def _next_words(examples: Sequence[Example]) -> list[str]:
    return ["context = 256                   # tokens that the model reads at once"]


def _talk(examples: Sequence[Example]) -> list[str]:
    return ["context = 384                   # tokens of a conversation read at once"]


def _summaries(examples: Sequence[Example]) -> list[str]:
    return ["longest_source = 512            # tokens of a text that are read"]


def _unspaced(texts: Any) -> bool:
    """Tell whether many of the letters belong to a script written without spaces."""
    from ...data.formats.texts import UNSPACED

    letters = [letter for text in texts for letter in (text or "")[:200] if letter.isalpha()]
    return 4 * sum(bool(UNSPACED.match(letter)) for letter in letters) > len(letters)


PLANS: dict[str, Plan] = {
    tagging.SPEC.name: Plan(
        message("sentences"), ("text", "words", "tags"), _tags, check_tags, batch_tokens=1024
    ),
    parsing.SPEC.name: Plan(
        message("sentences"), ("text", "words", "upos", "heads", "relations"), _trees, check_trees
    ),
    question_answering.SPEC.name: Plan(
        message("questions"),
        ("question", "passage", "answers"),
        _questions,
        check_questions,
        batch_tokens=4096,
        model=("segments = 5                    # question, passage, and words in both",),
    ),
    masked_words.SPEC.name: Plan(
        message("texts"), ("text",), _masked, batch_tokens=4096, fewest=1, is_text_alone=True
    ),
    language_modelling.SPEC.name: Plan(
        message("texts"),
        ("text",),
        _next_words,
        batch_tokens=4096,
        fewest=1,
        stacks=DECODER,
        is_text_alone=True,
    ),
    chat.SPEC.name: Plan(
        message("conversations"),
        ("messages",),
        _talk,
        batch_tokens=4096,
        stacks=DECODER,
        decoding=(
            "temperature = 0.7",
            "top_p = 0.9",
            "max_length = 100                # tokens of an answer",
        ),
    ),
    summarization.SPEC.name: Plan(
        message("texts with summaries"),
        ("source", "target", "references"),
        _summaries,
        batch_tokens=4096,
        stacks=BOTH,
        model=(
            'positions = "rotary"            # relative positions: texts may be longer than '
            "those in training",
        ),
        decoding=("beams = 4", "max_length = 100                # tokens of a summary"),
    ),
}
