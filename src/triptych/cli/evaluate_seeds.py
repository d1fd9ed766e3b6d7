"""Run `triptych evaluate` on a run, or on each run of a folder of several seeds."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, shell_command
from ..messages import Message, message
from ..runs.run import Run
from . import evaluate as one
from .console import Counting, talk
from .predict import decoding_changes, load_run

if TYPE_CHECKING:
    from ..inference.predictor import Predictor

TAKEN = ("split", "data", "to", "json_", "precision", "overrides")  # flags for several seeds


@wraps(one.evaluate)
def evaluate(run: str, /, **options: Any) -> int:
    """Call `evaluate` for a run; for a folder of several seeds print each one's scores."""
    from ..runs.named import find
    from ..runs.seeds import seed_folders

    place = find(run) or Path(run)
    if (place / "config.json").is_file() or not (folders := seed_folders(place)):
        return one.evaluate(run, **options)
    usual = inspect.signature(one.evaluate).parameters
    for name, value in options.items():
        if name not in TAKEN and value != usual[name].default:
            flag = _flag(name, value, usual[name].default)
            raise UsageError(
                "{run} holds the runs of several seeds, of which only the scores are compared. "
                "Evaluate one of them with {flag}: {command}",
                run=run,
                flag=flag,
                command=f"{shell_command('triptych', 'evaluate', next(iter(folders.values())))} "
                f"{flag}",
            )
    from .seeds import print_scores, summary_of

    split, found, notes = "", list[dict[str, Any]](), dict[str, None]()
    for seed, folder in folders.items():
        if not _has_weights(Run(folder)):
            talk(
                message(
                    "Seed {seed} is not trained yet and left out: {folder}.",
                    seed=seed,
                    folder=folder,
                )
            )
            continue
        predictor = load_run(str(folder), options.get("precision", "float32"))
        scores, split = _scores(predictor, options, notes)
        found.append({"seed": seed, "run": str(folder), "metrics": scores})
    if not found:
        raise UsageError(
            "No seed of {run} is trained yet. Go on: {command}",
            run=run,
            command=shell_command("triptych", "train", place, "--resume"),
        )
    for note in notes:  # each once, not for every seed
        talk(message("Note: {note}", note=note))
    print_scores(summary_of(found, list(folders), split), bool(options.get("json_")))
    return 0


def _flag(name: str, value: object, default: object) -> str:
    """Return the flag, as it is typed, that a value came from; several are in one parameter."""
    if is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            if getattr(value, one.name) != getattr(default, one.name):
                name = one.name
                break
    return f"--{name.rstrip('_').replace('_', '-')}"


def _has_weights(run: Run) -> bool:
    """Tell whether a run can be used: it has ended, or has a whole checkpoint."""
    is_begun = (run.path / "config.json").is_file()
    return is_begun and (run.has_model() or run.latest_checkpoint() is not None)


def _scores(
    predictor: Predictor, options: dict[str, Any], notes: dict[str, None]
) -> tuple[dict[str, float], str]:
    """Return the scores of one run and the name of what they are on; add warnings to `notes`."""
    from .evaluate_shown import Result

    overrides = dict(options.get("overrides") or {})
    leaks = overrides.pop("data.leaks", None)
    examples, name = one.chosen_examples(
        predictor, options.get("split", "test"), options.get("data"), options.get("to"), leaks
    )
    settings = predictor.settings(**decoding_changes(overrides))
    assert predictor.run is not None, "a loaded run has a folder"
    talk(
        message(
            "Evaluating {path} on {count:,} examples of {name}.",
            path=predictor.run.path,
            count=len(examples),
            name=Message(name),
        )
    )
    with Counting(len(examples), message("examples")) as counting:
        found = predictor.evaluate(examples, settings, counting.begin)
    result = Result.of(
        predictor,
        found,
        examples,
        name,
        intervals={},
        seconds=0.0,
        own=options.get("data") is None,
        with_baseline=False,
    )
    notes |= dict.fromkeys(result.notes)
    return dict(found.scores.values), name
