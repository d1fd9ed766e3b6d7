"""Draft a recipe that fine-tunes a pretrained model, with a forecast of its minutes."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.hub.repository import is_reference
from ...errors import RunError, UsageError, shell_command
from ...messages import Message, message
from . import measured as measuring

if TYPE_CHECKING:
    from ...data.example import Example, Notify
    from ...data.tokenizers.sides import Tokenizers
    from ...model.config import AnyConfig, ModelConfig, RecurrentConfig, Side
    from ...runs.run import Run
    from ...tasks.task import Architecture, Task
    from ...training.settings import TrainingSettings

EPOCHS, FEWEST_STEPS, MOST_EPOCHS = 3, 400, 20  # more epochs where three have fewer steps
USUAL_EXAMPLES, FEWEST_EXAMPLES = 32, 8  # per batch
BATCH_TOKENS = (512, 1024)  # more if the fewest examples need more
RATE_BY_WIDTH = 0.06  # the peak rate times the width: 1.6e-4 at 384, 8e-5 at 768
HEAD_RATE = 5.0
LEAST_PARAMETERS, LEAST_TOKENS = 1_000_000, 1_000_000  # of a run worth starting from
SAMPLE = 500  # examples that are encoded to estimate their length
# Options that are meant for a new model.
FROM_NOTHING = ("dropout", "token_dropout", "word_dropout", "match_feature")
# Model types of other libraries' folders that a task can start from.
MODEL_TYPES: dict[Architecture, tuple[str, ...]] = {
    "encoder": ("bert", "distilbert"),
    "decoder": ("gpt2", "llama"),
    "encoder-decoder": (),
}
STACKS: dict[str, str] = {
    "encoder": "an encoder alone",
    "decoder": "a decoder alone",
    "encoder-decoder": "an encoder and a decoder",
}

# options that a model with learned positions limits, and the side whose positions count
LIMITED: tuple[tuple[str, Side], ...] = (
    ("window", "source"),
    ("context", "target"),
    ("longest_source", "source"),
)


@dataclass(frozen=True)
class Start:
    """Hold what fine-tuning a pretrained model on these examples takes."""

    path: str  # written in the recipe
    config: ModelConfig | RecurrentConfig
    options: dict[str, Any]  # options of the task
    tokens: int  # tokens of all examples, by the model's own tokenizer
    batch_tokens: int
    epochs: int
    learning_rate: float
    minutes: float  # the forecast for these epochs
    words: str


def _forecast(
    examples: int,
    tokens: float,
    start: str,
    config: AnyConfig,
    measured: measuring.Measured,
    epochs: int,
    steps: int,
    minutes: float,
) -> Message:
    """Say how long fine-tuning takes."""
    from ...presets import parameter_count

    return message(
        "{examples:,} examples, about {tokens:,.0f} tokens. Here the model in {name} "
        "({millions:.1f} M parameters) trains on about {speed:,.0f} tokens/s {measured}: "
        "{epochs} epochs, about {updates:,} updates, in about {minutes:.1f} min.",
        examples=examples,
        tokens=tokens,
        name=start,
        millions=parameter_count(config) / 1e6,
        speed=measured.speed,
        measured=measured.words,
        epochs=epochs,
        updates=epochs * steps,
        minutes=max(0.1, minutes),
    )


def begin(
    start: Path | str,
    task: str,
    options: dict[str, Any],
    examples: Sequence[Example],
    settings: TrainingSettings,
) -> Start:
    """Open the model to start from, encode a sample with its tokenizer and time a few steps.

    Args:
        start: A run, a folder of another library, or a model of the hub.
        task: The task's name.
        options: The task's options for a new model.
        examples: The training examples.
        settings: Decide the device.

    Raises:
        UsageError: The task cannot start from the model.
        RunError: The model cannot be read.
    """
    from ...convert import open_origin
    from ...data.tokenizers.sides import Tokenizers

    if not is_reference(start) and not Path(start).is_dir():
        raise UsageError(
            "--start {start} is not a folder. Name a run, a folder of the library transformers, or "
            "a model of the hub: hf:org/name.",
            start=start,
        )
    origin = open_origin(start, task)
    config = origin.read_config().model
    options = fitted(options, task, config)
    tokens, usual = _tokens(
        _built(task, options, config, start), examples, Tokenizers.load(origin.path), origin
    )
    batch_tokens = max(
        min(max(USUAL_EXAMPLES * usual, BATCH_TOKENS[0]), BATCH_TOKENS[1]), FEWEST_EXAMPLES * usual
    )
    batch_tokens = 64 * round(batch_tokens / 64)
    steps = max(1, math.ceil(tokens / batch_tokens))
    epochs = max(EPOCHS, min(MOST_EPOCHS, math.ceil(FEWEST_STEPS / steps)))
    rate = float(f"{RATE_BY_WIDTH / _width(config):.1e}")
    measured = measuring.measured_speed(config, max(4, round(usual)), batch_tokens, settings)
    minutes = epochs * tokens / measured.speed / 60
    name = str(start) if is_reference(start) else Path(start).name
    words = _forecast(len(examples), tokens, name, config, measured, epochs, steps, minutes)
    return Start(
        str(start) if is_reference(start) else str(Path(start).resolve()),
        config,
        options,
        round(tokens),
        batch_tokens,
        epochs,
        rate,
        minutes,
        words,
    )


def fitted(options: dict[str, Any], task: str, config: AnyConfig) -> dict[str, Any]:
    """Return the task's options without those of new models, with a window that the model holds."""
    from ...tasks.specs import build_task

    kept = {key: value for key, value in options.items() if key not in FROM_NOTHING}
    options = {**build_task(task, {}).options, **kept}
    for key, side in LIMITED:
        most = config.context(side)
        room = math.inf if most is None else most - 2  # without the begin and end tokens
        if options.get(key) is not None and options[key] > room:
            kept[key] = room
            shares = {"stride": 3, "longest_question": 3} if key == "window" else {}
            kept |= {
                name: min(options[name], room // share)
                for name, share in shares.items()
                if name in options
            }
    return kept


def _built(task: str, options: dict[str, Any], config: AnyConfig, start: Path | str) -> Task:
    """Return the task, or raise UsageError if the model in `start` is not of its kind."""
    from ...recipe.schema import task_from
    from ...tasks.specs import SPECS

    wanted = SPECS[task].architecture
    if config.stacks and config.architecture != wanted:
        raise UsageError(
            f"--start {start} is {STACKS[config.architecture]}; {task} needs {STACKS[wanted]}."
        )
    return task_from({"name": task, **options})


def _tokens(
    task: Task, examples: Sequence[Example], tokenizers: Tokenizers, origin: Run
) -> tuple[float, float]:
    """Return the input tokens of all examples, and the tokens read at once.

    Both are estimated from an evenly spaced sample.
    """
    from ...data.load import evenly_spaced

    sample = evenly_spaced(list(examples), SAMPLE)
    labels = task.prepare(sample)
    if task.inherit_labels is not None:
        labels = task.inherit_labels(labels, origin.read_labels(), tokenizers)
    lengths = [
        one.length
        for example in sample
        for one in task.encode(example, tokenizers, labels, "train", None)
    ]
    total, read = max(1, sum(lengths)), max(1, len(lengths))
    return total / len(sample) * len(examples), min(total / read, task.window or math.inf)


def _width(config: Any) -> int:
    return next(iter(config.stacks.values()), config).width


def text_of(
    task: str, found: Start, files: str, held: str, minutes: float | None, decoding: str = ""
) -> str:
    """Return the text of the recipe.

    Args:
        task: The task's name.
        found: The model to start from.
        files: Lines of the table `data`.
        held: The remark on held-out data.
        minutes: Minutes that the user gave in place of the epochs.
        decoding: The table `decoding`.
    """
    options = "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in found.options.items()
    )
    limit = f"epochs = {found.epochs}                      # or minutes = 10, or steps = 500"
    limit = limit if minutes is None else f"minutes = {minutes:g}"
    return f"""# Written by triptych init. {found.words}
# Any key can be changed here or on the command line, for example: --training.epochs 5

[task]
name = "{task}"
{options}
[data]
{files}{held}
[model]
start = {json.dumps(found.path, ensure_ascii=False)}  # tokenizer, model, dropout and weights come from there

[batches]
batch_tokens = {found.batch_tokens}

[training]
{limit}
learning_rate = {found.learning_rate:g}         # small for a pretrained model, and smaller for a wider one
head_rate = {HEAD_RATE:g}                   # the new head learns this many times faster
schedule = "linear"
warmup_share = 0.1              # of the run
final_rate = 0.0
{decoding}"""  # noqa: E501


def offer(task: str, train: Path, command: Sequence[object], report: Notify) -> None:
    """Report pretrained models on this machine, because little data goes further with them."""
    found = list(starts(task, train))
    if found:
        more = f" (or {', '.join(str(path) for path, _ in found[1:3])})" if len(found) > 1 else ""
        report(
            message(
                "A pretrained model is in {found} ({found2}){more}. To fine-tune it: {command}",
                found=found[0][0],
                found2=found[0][1],
                more=more,
                command=shell_command("triptych", *command, "--start", found[0][0]),
            )
        )


def _is_pretrained(place: Path, config: Mapping[str, object]) -> bool:
    """Tell whether a run is finished, and larger and longer trained than a trial."""
    from ...runs.run import Run

    run, parameters = Run(place), config.get("parameters")
    if not run.has_model() or not isinstance(parameters, int) or parameters < LEAST_PARAMETERS:
        return False
    if not (place / "metrics.jsonl").is_file():
        return True  # an imported model, which was trained elsewhere
    try:
        tokens = [line.get("tokens") for line in run.read_metrics()]
    except RunError:
        return False
    return any(isinstance(one, int) and one >= LEAST_TOKENS for one in tokens)


def starts(task: str, train: Path) -> Iterator[tuple[Path, str]]:
    """Yield the pretrained models on this machine, as (folder, what it is).

    They are looked for in runs/, next to the training data and in Hugging Face's cache.
    """
    from ...tasks.specs import SPECS

    runs, types = SPECS[task].starts, MODEL_TYPES[SPECS[task].architecture]
    cache = Path(
        os.environ.get("HF_HUB_CACHE")
        or Path(os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface") / "hub"
    )
    places = [
        *sorted(Path("runs").glob("*")),
        *sorted(train.resolve().parent.glob("*")),
        *sorted(cache.glob("models--*/snapshots/*")),
    ]
    seen = set()
    for place in places:
        try:
            values = json.loads((place / "config.json").read_bytes())
            if place.resolve() in seen or not isinstance(values, dict):
                continue
        except (OSError, ValueError, RecursionError):
            continue
        seen.add(place.resolve())
        if "format_version" in values:
            if values.get("task") in runs and _is_pretrained(place, values):
                yield place, f"a run for {values['task']}"
        elif values.get("model_type") in types and any(place.glob("*.safetensors")):
            yield place, f"{values['model_type']} of the library transformers"
