"""Train a recipe with several seeds, and print each seed's scores with their mean and spread."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import UsageError, brief, shell_command
from ..messages import Message, message
from ..metrics.spread import spread
from ..recipe.schema import Recipe
from ..runs.run import Run
from ..runs.seeds import SEEDS, seed_folder, seeds_of
from ..runs.storage import writing
from ..training.launch import remember_launch
from .console import field, put, table, talk
from .one_training import How, train_one

FOUR_DIGITS = ("loss", "perplexity")
MANY_SEEDS = 8
NOT_SCORES = ("epoch", "seconds")
MOST_SEED = 2**63 - 1


def read_seeds(text: str) -> list[int]:
    """Return the seeds of `--seeds 1,2,3`.

    Raises:
        UsageError: One is not a whole number from 0, or is there twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        word = part.strip()
        if not (word.isascii() and word.isdigit() and int(word[:20]) <= MOST_SEED):
            raise UsageError(
                "--seeds has {word!r}, which is not a seed. Give whole numbers from 0 to "
                "2^63 - 1, separated by commas: --seeds 1,2,3",
                word=brief(word, 40),
            )
        if int(word) in seeds:
            raise UsageError(
                "--seeds has {int} twice. The same seed gives the same run, so give "
                "each seed once.",
                int=int(word),
            )
        seeds.append(int(word))
    return seeds


def train_seeds(recipe: Recipe, folder: Path, seeds: Sequence[int], how: How, as_json: bool) -> int:
    """Train the recipe with each seed into folder/seed-N and return the exit code.

    With `how.resume` seeds that are finished are left as they are.
    """
    if how.dry_run:
        talk(f"Seeds {', '.join(map(str, seeds))}: a run each, in {seed_folder(folder, seeds[0])}"
             f"{' and so on' if len(seeds) > 1 else ''}. The first:")  # fmt: skip
        try:
            refuse_held(folder, how.resume)
        except UsageError as problem:
            talk(message("To train, this is in the way: {problem}", problem=problem.args[0]))
        return train_one(_with_seed(recipe, seeds[0]), seed_folder(folder, seeds[0]), how)
    from ..training.distributed import world

    is_main = world().is_main
    if is_main:
        refuse_held(folder, how.resume)
    pending = world().broadcast(
        [seed for seed in seeds if not is_finished(_with_seed(recipe, seed), folder, seed)]
    )
    if is_main and not pending:
        _begin(folder, recipe, seeds)
    said: set[str] = set()
    for number, seed in enumerate(seeds, 1):
        own = seed_folder(folder, seed)
        if is_main:
            given = {"seed": seed, "number": number, "count": len(seeds), "folder": own}
            talk(
                message("Seed {seed} ({number} of {count}): {folder}.", **given)
                if seed in pending
                else message(
                    "Seed {seed} ({number} of {count}): {folder}, which is finished.", **given
                )
            )
        if seed not in pending:
            continue
        begun = partial(_begin, folder, recipe, seeds) if seed == pending[0] else None
        own_way = dataclasses.replace(_how(how, folder, own, said), begun=begun)
        code = train_one(_with_seed(recipe, seed), own, own_way)
        if code:
            return code
        if is_main:
            write_summary(folder, seeds)
    if is_main:
        Run(folder).write_recipe(recipe.to_toml())  # its limits may have been raised
        print_scores(write_summary(folder, seeds), as_json)
        if not as_json:
            put(field(folder))
    return 0


def _how(how: How, folder: Path, own: Path, said: set[str]) -> How:
    """Return how one seed is trained: resumed if it was begun."""
    resume = how.resume and (own / "config.json").is_file()
    return dataclasses.replace(
        how,
        resume=resume,
        data_changed=how.data_changed and resume,
        track=None if how.track is None else track_of(how.track, folder, own),
        command=shell_command("triptych", "train", folder, "--resume"),
        prints=False,
        said=said,
    )


def refuse_held(folder: Path, resume: bool) -> None:
    """Raise UsageError if the folder holds something else, or seeds that are not resumed."""
    if (folder / "config.json").is_file():
        raise UsageError(
            "{folder} already holds a run of one seed. Name another folder with --out.",
            folder=folder,
        )
    if seeds_of(folder) and not resume:
        raise UsageError(
            "{folder} already holds the runs of several seeds. Continue them with "
            "--resume, or name another folder with --out.",
            folder=folder,
        )


def is_finished(recipe: Recipe, folder: Path, seed: int) -> bool:
    """Tell whether the run of a seed has its weights, and is trained as long as the recipe says."""
    own = seed_folder(folder, seed)
    if not (Run(own).has_model() and (own / "recipe.toml").is_file()):
        return False
    return Recipe.load(own).training == recipe.training


def track_of(track: Path, folder: Path, own: Path) -> Path:
    """Return the folder of the TensorBoard log of one seed."""
    return own / track.name if track.parent == folder else track / own.name


def _with_seed(recipe: Recipe, seed: int) -> Recipe:
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, seed=seed))


def _begin(folder: Path, recipe: Recipe, seeds: Sequence[int]) -> None:
    """Write the recipe, by which the seeds are continued, and their list."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    remember_launch(Run(folder))
    if not (folder / "recipe.toml").is_file():
        Run(folder).write_recipe(recipe.to_toml())
    write_summary(folder, seeds)


def write_summary(folder: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Write seeds.json, with the scores of the seeds that are finished, and return it."""
    runs = [(seed, Run(seed_folder(folder, seed))) for seed in seeds]
    scored = [(seed, run, *scores_of(run)) for seed, run in runs if run.has_model()]
    summary = summary_of(
        [
            {"seed": seed, "run": str(run.path), "step": step, "metrics": scores}
            for seed, run, step, scores in scored
        ],
        seeds,
        "validation",
    )
    Run(folder).write_json(SEEDS, summary)
    return summary


def scores_of(run: Run) -> tuple[int, dict[str, float]]:
    """Return the step of the weights that a finished run keeps, and their validation scores."""
    lines = [line for line in run.read_metrics(talk) if line.get("split") == "validation"]
    if Recipe.load(run.path).validation.keep == "best":
        lines = [line for line in lines if line.get("best")]
    if not lines:
        return 0, {}
    return int(lines[-1].get("step", 0)), {
        key: value
        for key, value in lines[-1].items()
        if isinstance(value, float) and key not in NOT_SCORES
    }


def summary_of(
    runs: Sequence[Mapping[str, Any]], seeds: Sequence[int], split: str
) -> dict[str, Any]:
    """Return each seed's scores, with mean and sample standard deviation, as JSON values."""
    means, deviations = spread([run["metrics"] for run in runs])
    return {
        "seeds": list(seeds),
        "split": split,
        "runs": [{**run, "metrics": _finite(run["metrics"])} for run in runs],
        "mean": means,
        "standard_deviation": deviations,
    }


def _finite(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Return scores as JSON can hold them."""
    return {key: value if abs(value) < float("inf") else None for key, value in scores.items()}


def print_scores(summary: Mapping[str, Any], as_json: bool) -> None:
    """Print the table of `summary_of`, one line for each score, or the object itself.

    With many seeds there is one line for each seed instead, so that the table stays narrow.
    """
    if as_json:
        put(json.dumps(summary, ensure_ascii=False))
        return
    names = list(summary["mean"])
    if not names:
        talk(message("There are no validation scores: the recipe has no validation data."))
        return
    columns = {f"seed {run['seed']}": run["metrics"] for run in summary["runs"]}
    columns |= {"mean": summary["mean"], "sd": summary["standard_deviation"]}
    rows = [["", *columns]]
    rows += [[name, *(_shown(name, one.get(name)) for one in columns.values())] for name in names]
    put(table(rows if len(summary["runs"]) <= MANY_SEEDS else zip(*rows, strict=True)))
    talk(
        message(
            "Scores of {split}; sd: sample standard deviation (n - 1).",
            split=Message(summary["split"]),
        )
    )


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if name in FOUR_DIGITS else f"{value:.2f}"
