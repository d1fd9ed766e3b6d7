"""triptych init classification: from texts with labels to a fitting recipe, with a forecast."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, UsageError
from ..tasks.classification import SPEC
from .columns import asked, line_of, settled
from .console import talk

if TYPE_CHECKING:
    from ..data.example import Example
    from ..data.table import DataTable

FEWEST = 20  # texts


@dataclass(frozen=True)
class TextsSize:
    """What fits so many texts."""

    texts: int  # up to
    vocabulary: int
    width: int
    layers: int
    dropout: float
    token_dropout: float
    epochs: int
    learning_rate: float = 2e-3


# Judgement, not measurement: fewer texts need fewer pieces, more dropout and more epochs.
SIZES = (
    TextsSize(3_000, 1_500, 128, 2, 0.3, 0.2, 60),
    TextsSize(15_000, 4_000, 128, 2, 0.3, 0.2, 40),
    TextsSize(100_000, 8_000, 192, 3, 0.25, 0.1, 15),
    TextsSize(10**12, 16_000, 256, 6, 0.1, 0.0, 4, 1e-3),
)


def recipe_for(
    train: Path,
    others: dict[str, list[str]],
    minutes: float | None,
    out: Path,
    start: Path | None = None,
    columns: dict[str, str | int] | None = None,
) -> str:
    """The text of a recipe. Raises DataError naming file and line where training would fail."""
    from ..data.formats.columns import needs_of
    from ..data.load import load_split
    from ..data.table import DataTable

    needs = needs_of(train, columns)
    if needs is None:
        columns, needs = _asked(train), ("text", "label")
    columns = settled(train, needs, columns)
    data = DataTable(train=str(train.resolve()), columns=columns, **others)  # type: ignore[arg-type]
    _check(data, needs)
    examples = load_split(data, "train", talk, needs)
    if len(examples) < FEWEST:
        raise DataError(
            f"{len(examples)} usable texts are too few to learn from; give some hundreds for each "
            "label."
        )
    if start is not None:
        return _from(start, data, needs, examples, minutes, out)
    size = next(size for size in SIZES if len(examples) <= size.texts)
    words, found = forecast(examples, size, needs, minutes)
    talk(f"{words} Next: triptych train {out}")
    return text_of(data, needs, size, words, found)


def _asked(train: Path) -> dict[str, str | int]:
    """The columns of text and label of a file that does not name them. Raises UsageError where
    nobody can be asked.
    """
    from ..data.formats.lines import lines_of
    from ..data.formats.table_format import sniffed

    lines = lines_of(train)
    form = sniffed(train, lines, [])
    doubt = (
        f"{train} does not say which column is the text and which its label. Give it a header, "
        "text and label with a tab between them (or text_pair; labels; value), or JSONL with "
        "these keys."
    )
    if form.kind == "text" or not form.first:
        raise UsageError(doubt)
    return asked(form, lines, ("text", "label"), None, [doubt])


def _from(
    start: Path,
    data: DataTable,
    needs: tuple[str, ...],
    examples: list[Example],
    minutes: float | None,
    out: Path,
) -> str:
    """The text of a recipe that fine-tunes a pretrained model."""
    from . import init_start

    pair: dict[str, Any] = {"pair": True, "pooling": "compare"} if "text_pair" in needs else {}
    found = init_start.begin(start, SPEC.name, {"learn": needs[-1], **pair}, examples)
    talk(f"{found.words} Next: triptych train {out}")
    return init_start.text_of(SPEC.name, found, *files_of_recipe(data, "texts"), minutes)


def files_of_recipe(data: DataTable, records: str) -> tuple[str, str]:
    """The lines of the table `data` that name files and their columns, and the remark on what is
    kept out of training.
    """
    names = ("train", "validation", "test")
    files = "".join(
        f"{name} = {json.dumps(given, ensure_ascii=False)}\n"
        for name in names
        if (given := getattr(data, name))
    )
    kept = [name for name in names[1:] if not getattr(data, name)]
    held = (
        (
            f"# {' and '.join(kept)}: 2.5 % of the {records} each, kept out of training by a hash "
            "of the text\n"
        )
        if kept
        else ""
    )
    return files + line_of(data.columns), held


def _check(data: DataTable, needs: tuple[str, ...]) -> None:
    """Say what is wrong with the files; stop where training would fail."""
    from ..data.validation.columns import check
    from .checks import named_files

    names = named_files(data)
    report = check(names, needs, data.named(needs))
    fatal = [
        one
        for one in report.problems
        if one.severity == "error" and not one.reason.startswith(("empty text", "leak"))
    ]
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
        talk(f"Check: {count:,} x {kind}; triptych data check {names['train'][0]} lists all.")


def forecast(
    examples: list[Example], size: TextsSize, needs: tuple[str, ...], minutes: float | None
) -> tuple[str, float]:
    """(in words, minutes), from a few training steps on made-up texts of the usual length."""
    from ..data.validation.columns import label_counts
    from ..presets import configure, parameter_count
    from ..setup.forecast import estimated_tokens
    from .measured import measured_speed

    tokens = sum(
        estimated_tokens(example.text or "") + estimated_tokens(example.text_pair or "")
        for example in examples
    )
    config: Any = configure("encoder-tiny", _dials(size))
    config = dataclasses.replace(config, vocabulary_size=size.vocabulary)
    measured = measured_speed(config, max(4, round(tokens / len(examples))))
    speed = measured.speed
    minutes = minutes or max(1.0, round(size.epochs * tokens / speed / 60, 1))
    labels = label_counts(examples)
    learnt = f"{len(labels)} labels" if needs[-1] != "value" else "a number each"
    return (
        f"{len(examples):,} texts with {learnt}, about {tokens:,.0f} tokens; "
        f"{parameter_count(config) / 1e6:.1f} M parameters read about {speed:,.0f} tokens/s here "
        f"{measured.words}: {minutes * 60 * speed / tokens:.0f} epochs in {minutes:g} minutes."
    ), minutes


def _dials(size: TextsSize) -> dict[str, Any]:
    return {
        "layers": size.layers,
        "width": size.width,
        "heads": size.width // 32,
        "inner_width": 2 * size.width,
        "dropout": size.dropout,
    }


def text_of(
    data: DataTable, needs: tuple[str, ...], size: TextsSize, words: str, minutes: float
) -> str:
    pair, learn, dials = "text_pair" in needs, needs[-1], _dials(size)
    files, held = files_of_recipe(data, "texts")
    smoothing = (
        ""
        if learn == "value"
        else "label_smoothing = 0.1           # less certainty on few texts\n"
    )
    two = (
        'pair = true                     # text and text_pair\npooling = "compare"             # '
        "both means, their difference and product\n"
    )
    return f"""# Written by triptych init. {words}
# Any key can be changed here or on the command line, for example: --training.minutes 30

[task]
name = "classification"
learn = "{learn}"                 # label: one; labels: several; value: a number
{two if pair else ""}token_dropout = {size.token_dropout}             # of every text some tokens are left out, others in every epoch
{smoothing}dropout = {size.dropout}
shortcut = true                 # the words themselves beside what the model makes of them

[data]
{files}{held}
[tokenizer]
vocabulary_size = {size.vocabulary}          # fewer pieces for fewer texts

[model]
preset = "encoder-tiny"         # triptych info encoder-tiny
layers = {dials["layers"]}
width = {dials["width"]}
heads = {dials["heads"]}
inner_width = {dials["inner_width"]}
dropout = {dials["dropout"]}                  # more for fewer texts

[batches]
batch_tokens = 4096
bpe_dropout = 0.1               # words by other pieces in every epoch

[training]
minutes = {minutes:g}                   # or steps = 2000
learning_rate = {size.learning_rate}
schedule = "trapezoid"          # rises, stays, falls to the end
warmup_steps = 100
average = 0.99
"""  # noqa: E501
