"""Fine-tune a pretrained encoder by `triptych init --start`, untouched, beside transformers: nine
sets, equal epochs.

    python benchmarks/fine_tuning.py SOURCE --out FOLDER [--sets stsb banking77] [--only peer|ours]
    [--seeds 1 2 3] [--rates 1e-4] [--epochs 3] [--fold 1] [--python PYTHON]

SOURCE is a BERT folder of the library transformers. Both sides read the same files, written to
FOLDER/data from the public sets ($TRIPTYCH_DATA), without their leaks. transformers tries the rates
with the first seed; the best on the development part serves the other seeds, and the test part is
read once a seed. Ours is what `init` writes, with the label for texts out of scope where the set
has one. What FOLDER holds already is not done again, so a run that was stopped goes on. PYTHON has
transformers, seqeval and scipy; this one where it is not given.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PEER = Path(__file__).resolve().parent / "peers" / "fine_tuning_transformers.py"
PARTS = ("train", "validation", "test")
RATES, EPOCHS = ("2e-5", "5e-5", "1e-4"), 3
SCOPED = ("accuracy_in_scope", "recall_out_of_scope")
OUT_OF_SCOPE = {"clinc-oos": "oos"}  # set -> the label of texts that belong to no other
SETS: dict[str, tuple[str, tuple[str, ...], str]] = {  # name -> kind, fields, score
    "stsb": ("value", ("text", "text_pair", "value"), "pearson"),
    "banking77": ("label", ("text", "label"), "accuracy"),
    "ag-news": ("label", ("text", "label"), "accuracy"),
    "conll2003": ("tags", ("text", "words", "tags"), "f1"),
    "sst2": ("label", ("text", "label"), "accuracy"),
    "bc5cdr": ("tags", ("text", "words", "tags"), "f1"),
    "ncbi-disease": ("tags", ("text", "words", "tags"), "f1"),
    "clinc-oos": ("label", ("text", "label"), "accuracy"),
    "unfair-clauses": ("labels", ("text", "labels"), "f1"),
}


def export(name: str, folder: Path, fold: int) -> None:
    """Write each part as JSON for the peer and as a table or CoNLL file for `triptych init`."""
    from triptych.data.load import load_split
    from triptych.data.table import DataTable

    kind, fields, _ = SETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if (folder / f"{part}.json").exists():
            continue
        table = DataTable(set=name, fold=fold if name == "unfair-clauses" else None)
        examples = load_split(table, part, None, fields)
        if kind == "tags":
            rows: list[Any] = [
                [[one.text[a:b] for a, b in one.words or ()], one.tags]
                for one in examples
                if one.text
            ]
            lines = (
                "".join(f"{word}\t{tag}\n" for word, tag in zip(*row, strict=True)) for row in rows
            )
            (folder / f"{part}.conll").write_text("\n".join(lines), encoding="utf-8")
        else:
            rows = [[one.text, one.text_pair, getattr(one, kind)] for one in examples]
            with (folder / f"{part}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(fields)
                for row in rows:
                    cells = ("|".join(cell) if isinstance(cell, list) else cell for cell in row)
                    writer.writerow([cell for cell in cells if cell is not None])
        (folder / f"{part}.json").write_text(json.dumps(rows))


def last_json(command: list[str]) -> dict[str, Any]:
    """Run a command; what its last line of output says. What it talks goes to our stderr."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"exit {done.returncode}: {' '.join(command)}")
    return json.loads(done.stdout.strip().splitlines()[-1])


class Results:
    """What was measured so far: FOLDER/results.jsonl, a line each."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "results.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def find(self, **wanted: Any) -> dict[str, Any] | None:
        return next(
            (
                row
                for row in self.rows
                if all(row.get(key) == value for key, value in wanted.items())
            ),
            None,
        )

    def add(self, **row: Any) -> dict[str, Any]:
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        return row


def peer(name: str, folder: Path, results: Results, options: argparse.Namespace) -> None:
    """Some rates with the first seed, the best one with the others; the test part once a seed."""
    kind, scope = SETS[name][0], OUT_OF_SCOPE.get(name)
    best: str | None = None
    for seed in options.seeds:
        tried = []
        for rate in options.rates if best is None else (best,):
            out = folder / "peer" / f"{name}-{seed}-{rate}"
            common = [
                options.python,
                str(PEER),
                str(folder / "data" / name),
                options.source,
                str(out),
                "--kind",
                kind,
                *(["--out-of-scope", scope] if scope else []),
            ]
            row = results.find(who="transformers", set=name, seed=seed, rate=rate)
            if row is None:
                found = last_json(
                    [*common, "--rate", rate, "--seed", str(seed), "--epochs", str(options.epochs)]
                )
                row = results.add(
                    **{**found, "who": "transformers", "set": name, "seed": seed, "rate": rate}
                )
            tried.append((row["validation"], rate, common))
        _, best, common = max(tried, key=lambda one: one[0])
        if results.find(who="transformers, test", set=name, seed=seed) is None:
            results.add(
                who="transformers, test",
                set=name,
                seed=seed,
                rate=best,
                **last_json([*common, "--test"]),
            )


def ours(name: str, folder: Path, results: Results, options: argparse.Namespace) -> None:
    """`init --start`, `train` with a seed, `evaluate`: nothing else."""
    kind, _, score = SETS[name]
    scope = OUT_OF_SCOPE.get(name)
    recipe, data = folder / "ours" / f"{name}.toml", folder / "data" / name
    recipe.parent.mkdir(exist_ok=True)
    triptych = [sys.executable, "-m", "triptych"]
    files = {part: str(data / f"{part}.{'conll' if kind == 'tags' else 'csv'}") for part in PARTS}
    if not recipe.exists():
        task = "tagging" if kind == "tags" else "classification"
        given = [word for part in PARTS for word in (f"--{part}", files[part])]
        subprocess.run(
            [*triptych, "init", task, *given, "--start", options.source, "--out", str(recipe)],
            check=True,
        )
    for seed in options.seeds:
        if results.find(who="triptych", set=name, seed=seed) is not None:
            continue
        run = folder / "ours" / f"{name}-{seed}"
        resume = ["--resume"] if run.exists() else []
        subprocess.run(
            [
                *triptych,
                "train",
                str(recipe),
                "--out",
                str(run),
                "--training.seed",
                str(seed),
                *(["--training.epochs", str(options.epochs)] if options.epochs != EPOCHS else []),
                *(["--task.out_of_scope", scope] if scope else []),
                *resume,
            ],
            check=True,
        )
        found = last_json([*triptych, "evaluate", str(run), "--json"])["metrics"]
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        chosen = [line for line in lines if line["split"] == "validation" and line["best"]][-1]
        results.add(
            who="triptych",
            set=name,
            seed=seed,
            validation=chosen[score],
            test=found[score],
            **{key: found[key] for key in SCOPED if key in found},
            step=chosen["step"],
            steps=lines[-1]["step"],
            epochs=lines[-1]["epoch"],
            minutes=round(lines[-1]["seconds"] / 60, 2),
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rates", nargs="+", default=RATES, help="that transformers tries")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--fold", type=int, default=1, help="of unfair-clauses; one FOLDER a fold")
    parser.add_argument("--only", choices=("peer", "ours"))
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results = Results(options.out)
    for name in options.sets:
        export(name, options.out / "data" / name, options.fold)
        if options.only != "ours":
            peer(name, options.out, results, options)
        if options.only != "peer":
            ours(name, options.out, results, options)


if __name__ == "__main__":
    main()
