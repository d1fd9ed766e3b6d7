"""What does a form cost that `triptych export` can write? Both forms of `init` on three sets.

    python benchmarks/exportable.py --out FOLDER [--sets ag-news conll2003 ud-english-ewt]
    [--minutes 20] [--seeds 1 2 3] [--json FILE]

For each set `triptych init` drafts a recipe as a user would, once as it is and once with
--exportable; both train for the same minutes with the same seeds and are scored on the test part.
No class of the library transformers parses, so ud-english-ewt is tagged with its parts of speech.
Where both recipes say the same, it is trained once: exporting costs nothing. The exportable runs
are exported too. What FOLDER holds already is not done again. $TRIPTYCH_DATA holds the sets.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMS = {"usual": (), "exportable": ("--exportable",)}
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Set:
    """How `init` is told about a set, and which score counts."""

    task: str
    score: str
    flags: tuple[str, ...] = ()


SETS = {
    "ag-news": Set("classification", "accuracy"),
    "conll2003": Set("tagging", "f1"),
    "ud-english-ewt": Set("tagging", "upos", ("--columns", "words=2,tags=4")),
}


def files_of(name: str, folder: Path) -> dict[str, Path]:
    """The parts of a set as files; ag-news has its validation part within its training file."""
    from triptych.data.load import load_split
    from triptych.data.sets import catalog
    from triptych.data.sets.files import locate
    from triptych.data.table import DataTable

    if SETS[name].task == "tagging":
        entry = catalog.entry(name)
        return {part: locate(entry, file) for part, file in zip(PARTS, entry.files, strict=True)}
    paths = {part: folder / f"{part}.jsonl" for part in PARTS}
    for part, path in paths.items():
        if not path.exists():
            rows = load_split(DataTable(set=name), part, None, ("text", "label"))
            lines = (json.dumps({"text": one.text, "label": one.label}) for one in rows)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return paths


def triptych(*given: object) -> None:
    from triptych.cli.main import run

    if run([str(one) for one in given]):
        raise SystemExit(f"triptych {' '.join(map(str, given))} failed")


def drafted(name: str, form: str, minutes: float, folder: Path) -> Path:
    recipe = folder / f"{form}.toml"
    if not recipe.exists():
        files = files_of(name, folder)
        given = [part for key, path in files.items() for part in (f"--{key}", path)]
        flags = ["--minutes", minutes, *SETS[name].flags, *FORMS[form]]
        triptych("init", SETS[name].task, *given, *flags, "--out", recipe)
    return recipe


def scored(name: str, recipe: Path, seed: int) -> dict[str, Any]:
    """Train with a seed and score the test part, or read what was found before."""
    from triptych.data.load import load_split
    from triptych.inference.loading import load
    from triptych.recipe.schema import Recipe
    from triptych.tasks.specs import build_task

    run = recipe.parent / f"{recipe.stem}-{seed}"
    found = run / "found.json"
    if found.exists():
        return json.loads(found.read_text())
    if not (run / "model.safetensors").exists():
        resume = ["--resume"] if run.exists() else []
        triptych("train", recipe, "--out", run, "--training.seed", seed, *resume)
    predictor = load(run)
    test = load_split(Recipe.load(run).data, "test", None, predictor.task.needs)
    score = SETS[name].score
    result = {"set": name, "form": recipe.stem, "seed": seed}
    result[score] = predictor.evaluate(test).scores.values[score]
    if recipe.stem == "exportable" and "decoding" in predictor.task.options:
        # The library takes each word's likeliest tag, whatever the tags beside it.
        options = {**predictor.task.options, "decoding": "greedy"}
        predictor.task = build_task(predictor.task.name, options)
        result["there"] = predictor.evaluate(test).scores.values[score]
    if recipe.stem == "exportable" and not (run.parent / f"{run.name}-there").exists():
        triptych("export", run, run.parent / f"{run.name}-there")
    found.write_text(json.dumps(result))
    return result


def settings(recipe: Path) -> dict[str, Any]:
    from triptych.recipe.schema import Recipe

    return Recipe.load(recipe).to_values()


def compare(name: str, minutes: float, seeds: list[int], out: Path) -> list[dict[str, Any]]:
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    recipes = {form: drafted(name, form, minutes, folder) for form in FORMS}
    same = settings(recipes["usual"]) == settings(recipes["exportable"])
    forms = ["exportable"] if same else list(FORMS)
    # Seed by seed, so that both forms see the machine at its quiet and busy hours alike.
    return [scored(name, recipes[form], seed) for seed in seeds for form in forms]


def show(name: str, found: list[dict[str, Any]]) -> str:
    """One line of a set: mean and standard deviation of both forms, and the difference.

    by transformers: what the exported tagger reaches there.
    """
    score = SETS[name].score
    usual, exportable, there = (
        [one[key] for one in found if one["form"] == form and key in one]
        for form, key in (("usual", score), ("exportable", score), ("exportable", "there"))
    )
    named = {"usual": usual, "exportable": exportable, "by transformers": there}
    means = {form: statistics.mean(values) for form, values in named.items() if values}
    parts = [
        f"{form} {mean:.2f}"
        + (f" ± {statistics.stdev(named[form]):.2f}" if len(named[form]) > 1 else "")
        for form, mean in means.items()
    ]
    if not usual:
        return f"{name:16s} {score:9s} {'  '.join(parts)}; the usual recipe is the same"
    difference = means["exportable"] - means["usual"]
    return f"{name:16s} {score:9s} {'  '.join(parts)}  difference {difference:+.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    everything, lines = [], []
    for name in options.sets:
        found = compare(name, options.minutes, options.seeds, options.out)
        everything += found
        lines.append(show(name, found))
        print(lines[-1], flush=True)
    print("\n".join(["", f"{options.minutes:g} minutes, seeds {options.seeds}:", *lines]))
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
