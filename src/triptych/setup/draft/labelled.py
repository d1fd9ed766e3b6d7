"""Draft a recipe for classification from texts with labels, with a forecast."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError, UsageError
from ...messages import message
from ...tasks.classification import SPEC
from . import exportable, small
from . import measured as measuring
from . import start as starting
from .public_set import labelled_needs, table_of
from .request import DraftRequest, file_lines, refuse_fatal

if TYPE_CHECKING:
    from ...data.example import Example
    from ...data.table import DataTable
    from ...model.config import AnyConfig

FEWEST = 20  # fewest texts to learn from
# Labels that mean that a text belongs to no other label, case and separators aside.
OUT_OF_SCOPE = ("oos", "out of scope", "out of domain")
LEFT_OUT = ("empty text", "no label", "leak")  # problems that training leaves out


@dataclass(frozen=True)
class TextsSize:
    """Hold the settings that fit a number of texts."""

    texts: int  # for up to this many
    vocabulary: int
    width: int
    layers: int
    dropout: float
    token_dropout: float
    epochs: int
    learning_rate: float = 2e-3


# A judgement, not a measurement: fewer texts need fewer subwords, more dropout and more epochs.
SIZES = (
    TextsSize(3_000, 1_500, 128, 2, 0.3, 0.2, 60),
    TextsSize(15_000, 4_000, 128, 2, 0.3, 0.2, 40),
    TextsSize(100_000, 8_000, 192, 3, 0.25, 0.1, 15),
    TextsSize(10**12, 16_000, 256, 6, 0.1, 0.0, 4, 1e-3),
)


def recipe_text(request: DraftRequest) -> str:
    """Return the text of a recipe.

    Raises:
        DataError: Training would fail; the text names file and line.
    """
    from ...data.load import load_split

    data = table_of(request)
    if data is None:
        data, needs = _table_of_files(request)
    else:
        needs = labelled_needs(str(data.set))
    examples = load_split(data, "train", request.report, needs)
    if len(examples) < FEWEST:
        raise DataError(
            "{count} usable texts are too few to learn from. Give some hundreds for each label.",
            count=len(examples),
        )
    options = {"learn": needs[-1], "pair": "text_pair" in needs}
    data, examples = small.fitted(request, data, examples, message("texts"), options)
    scope = _out_of_scope(examples)
    if scope is not None:
        request.report(
            message(
                "The label '{label}' is given where no other label is likely enough "
                "(task.out_of_scope).",
                label=scope,
            )
        )
    if request.start is not None:
        return _fine_tuned(request, request.start, data, needs, examples)
    size = next(size for size in SIZES if len(examples) <= size.texts)
    words, minutes = forecast(examples, size, needs, request)
    request.report_next(words)
    return text_of(data, needs, size, words, minutes, request.exportable, scope)


def _table_of_files(request: DraftRequest) -> tuple[DataTable, tuple[str, ...]]:
    """Return the data table of the user's files, checked, and the fields that are read."""
    from ...data.formats.columns import needs_of, refuse_unknown_fields
    from ...data.load import split_files
    from ...data.table import DataTable
    from ...data.validation.columns import check

    refuse_unknown_fields(request.columns)
    request = _of_folder(request)
    train, columns = request.train, request.columns
    needs = needs_of(train, columns, request.encoding)
    if needs is None:
        columns, needs = _asked(request), ("text", "label")
    columns = request.chooser.settled(train, needs, columns, encoding=request.encoding)
    data = DataTable(
        train=request.train_name,
        columns=columns,
        encoding=request.encoding,
        **request.others,  # type: ignore[arg-type]
    )
    names = split_files(data)
    report = check(names, needs, data.named(needs), data.encoding)
    refuse_fatal(report, names["train"][0], LEFT_OUT, request.report)
    return data, needs


def _out_of_scope(examples: Sequence[Example]) -> str | None:
    """Return the label that means out of scope, if there are at least two others."""
    labels = sorted({one.label for one in examples if one.label is not None})
    plain = {" ".join(name.casefold().replace("_", " ").replace("-", " ").split()): name
             for name in labels}  # fmt: skip
    return next((plain[name] for name in OUT_OF_SCOPE if name in plain and len(labels) > 2), None)


def _of_folder(request: DraftRequest) -> DraftRequest:
    """Return the request with the folders `train`, `validation` and `test` of its folder."""
    from ...data.formats.foreign.label_folders import is_labelled, parts_of

    parts = parts_of(request.train) if request.train.is_dir() else {}
    if not parts or not is_labelled(request.train):
        return request
    others = {
        part: [str(folder.resolve())] for part, folder in parts.items() if is_labelled(folder)
    }
    train = others.pop("train")
    request.report(
        f"{request.train}: {', '.join(f'{part}: {parts[part].name}/' for part in parts)}."
    )
    return dataclasses.replace(request, train=Path(train[0]), others=others | request.others)


def _asked(request: DraftRequest) -> dict[str, str | int]:
    """Return the columns of text and label of a file that does not name them.

    Raises:
        UsageError: Nobody can be asked.
    """
    from ...data.formats.flag_columns import advice
    from ...data.formats.foreign.own_lines import own_lines
    from ...data.formats.table_format import sniffed
    from ...data.formats.tagged_content import refuse_tags
    from ...data.formats.titles import refuse_titles

    train = request.train
    refuse_tags(train)
    lines = own_lines(train, encoding=request.encoding)
    form = sniffed(train, lines, [])
    doubt = message(
        "{train} does not say which column is the text and which its label. "
        "Give it a header, text and label with a tab between them (or "
        "text_pair; labels; value), or JSONL with these keys.",
        train=train,
    )
    refuse_titles(form, lines)
    if form.kind == "text" or not form.first:
        raise UsageError(doubt)
    flags = advice(form, lines)
    doubts = [doubt, *([message("{way}.", way=flags)] if flags else [])]
    return request.chooser.asked(form, lines, ("text", "label"), None, doubts)


def _fine_tuned(
    request: DraftRequest,
    start: Path | str,
    data: DataTable,
    needs: tuple[str, ...],
    examples: Sequence[Example],
) -> str:
    """Return the text of a recipe that fine-tunes a pretrained model."""
    pair = exportable.classifier_options("text_pair" in needs, request.exportable)
    scope = _out_of_scope(examples)
    options = {"learn": needs[-1], **pair, **({} if scope is None else {"out_of_scope": scope})}
    found = starting.begin(start, SPEC.name, options, examples, request.training)
    request.report_next(found.words)
    return starting.text_of(SPEC.name, found, *file_lines(data, "texts"), request.minutes)


def forecast(
    examples: Sequence[Example], size: TextsSize, needs: tuple[str, ...], request: DraftRequest
) -> tuple[str, float]:
    """Return a forecast in words and minutes from a few training steps on made-up texts."""
    from ...data.validation.columns import label_counts
    from ...presets import configure, parameter_count
    from .tokens import estimated_tokens

    tokens = sum(
        estimated_tokens(example.text or "") + estimated_tokens(example.text_pair or "")
        for example in examples
    )
    config: AnyConfig = configure("encoder-tiny", _model_lines(size))
    config = dataclasses.replace(config, vocabulary_size=size.vocabulary)
    measured = measuring.measured_speed(
        config, max(4, round(tokens / len(examples))), settings=request.training
    )
    speed = measured.speed
    minutes = request.minutes or max(1.0, round(size.epochs * tokens / speed / 60, 1))
    labels = label_counts(examples)
    learnt = (
        message("{count} labels", count=len(labels))
        if needs[-1] != "value"
        else message("a number each")
    )
    return (
        message(
            "{count:,} texts with {learnt}, about {tokens:,.0f} tokens. Here a model with "
            "{millions:.1f} M parameters trains on about {speed:,.0f} tokens/s {measured}: "
            "{epochs:,.0f} epochs in {minutes:g} min.",
            count=len(examples),
            learnt=learnt,
            tokens=tokens,
            millions=parameter_count(config) / 1e6,
            speed=speed,
            measured=measured.words,
            epochs=minutes * 60 * speed / tokens,
            minutes=minutes,
        )
    ), minutes


def _model_lines(size: TextsSize) -> dict[str, Any]:
    return {
        "layers": size.layers,
        "width": size.width,
        "heads": size.width // 32,
        "inner_width": 2 * size.width,
        "dropout": size.dropout,
    }


def text_of(
    data: DataTable,
    needs: tuple[str, ...],
    size: TextsSize,
    words: str,
    minutes: float,
    is_exportable: bool = False,
    out_of_scope: str | None = None,
) -> str:
    pair, learn, model = "text_pair" in needs, needs[-1], _model_lines(size)
    files, held = file_lines(data, "texts")
    smoothing = (
        ""
        if learn == "value"
        else "label_smoothing = 0.1           # less overconfidence on few texts\n"
    )
    first, last = exportable.classifier_lines(pair, is_exportable)
    scope = (
        ""
        if out_of_scope is None
        else f"out_of_scope = {json.dumps(out_of_scope, ensure_ascii=False)}\n"
    )
    positions = f"{exportable.POSITIONS}\n" if pair and is_exportable else ""
    return f"""# Written by triptych init. {words}
# Any key can be changed here or on the command line, for example: --training.minutes 30

[task]
name = "classification"
learn = "{learn}"                 # label: one; labels: several; value: a number
{first}token_dropout = {size.token_dropout}             # leaves out tokens of every text, others in each epoch
{smoothing}dropout = {size.dropout}
{scope}{last}
[data]
{files}{held}
[tokenizer]
vocabulary_size = {size.vocabulary}          # fewer subwords for fewer texts

[model]
preset = "encoder-tiny"         # triptych info encoder-tiny
layers = {model["layers"]}
width = {model["width"]}
heads = {model["heads"]}
inner_width = {model["inner_width"]}
dropout = {model["dropout"]}                  # more for fewer texts
{positions}
[batches]
batch_tokens = 4096
bpe_dropout = 0.1               # splits words into other subwords in each epoch

[training]
minutes = {minutes:g}                   # or steps = 2000
learning_rate = {size.learning_rate}
schedule = "trapezoid"          # warms up, stays constant, decays to the end
warmup_steps = 100
average = 0.99
"""  # noqa: E501
