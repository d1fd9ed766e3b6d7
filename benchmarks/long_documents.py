"""Does a document read whole pay? Every line of terms of service labelled, in three ways.

Unfair-clauses (nlp-unibo): 50 terms of service, whose lines have none, one or several of 18 labels;
five folds by company. `whole`: the document at once, with block-sparse attention (Zaheer et al.
2020). `windows`: windows of 512 tokens, merged. `lines`: each line alone. All have the same
encoder, tokens a batch, epochs and learning rate. Five training companies of each fold are the
development part: it chooses the weights and the threshold. The ten test companies are read once.
Test lines that also stand in training count too.

    python benchmarks/long_documents.py --work FOLDER [--folds 0 1 2 3 4] [--language en]
    python benchmarks/long_documents.py --work FOLDER --start RUN     from an imported encoder
    python benchmarks/long_documents.py --work FOLDER --tiny          a check

With `--start` (all-MiniLM-L6-v2, imported) learned positions are repeated up to the longest
document. A call that was stopped goes on when it is repeated; the result of each fold and way is in
FOLDER/results.jsonl, and the table is printed at the end. The data is read from $TRIPTYCH_DATA.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import tarfile
import time
from pathlib import Path
from typing import Any

CODE = Path(__file__).with_name("line_labels.py")
WAYS = ("lines", "windows", "whole")
LONGEST = 40_960  # positions of a document
DEVELOPMENT = 5  # companies
THRESHOLDS = [number / 20 for number in range(1, 20)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--language", choices=("en", "de"), default="en")
    parser.add_argument("--start", type=Path, help="a run to start from; none: from scratch")
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--batch-tokens", type=int, default=16384)
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    if given.tiny:
        small = {"epochs": 1, "layers": 1, "width": 32, "batch_tokens": 4096}
        vars(given).update(small)
    return given


def documents(language: str) -> tuple[dict[str, list[tuple[str, str]]], list[list[str]]]:
    """Return the lines and tags of each company, and the companies that each fold tests."""
    path = Path(os.environ["TRIPTYCH_DATA"]) / "unfair-clauses" / "corpus.tar.gz"
    with tarfile.open(path) as tar:

        def read(name: str) -> list[str]:
            file = tar.extractfile(f"corpus/{name}")
            assert file is not None, name
            return file.read().decode().split("\n")

        names = [one for one in read("lists/LIST_ALL.txt") if one]
        known = set(read("list_tags.txt")) - {""}
        folds = [[one for one in read(f"lists/LIST_TEST_{fold}.txt") if one] for fold in range(5)]
        found: dict[str, list[tuple[str, str]]] = {}
        for name in names:
            lines, tags = (
                read(f"{kind}/{language}/original/{name}") for kind in ("sentences", "tags")
            )
            tags += [""] * (len(lines) - len(tags))
            found[name] = [
                (" ".join(line.split()), "|".join(sorted(known & set(tag.split()))) or "O")
                for line, tag in zip(lines, tags, strict=False)
                if line.strip()
            ]
    return found, folds


def write(path: Path, each: list[list[tuple[str, str]]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [
        {"words": [line for line, _ in one], "tags": [tag for _, tag in one]} for one in each
    ]
    path.write_text(
        "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), encoding="utf-8"
    )


def split(given: argparse.Namespace, fold: int) -> dict[str, str]:
    """Write the three parts of a fold; return their paths."""
    found, folds = documents(given.language)
    rest = [name for name in found if name not in folds[fold]]
    cut = 2 if given.tiny else DEVELOPMENT
    parts = {"validation": rest[::7][:cut], "test": folds[fold]}
    parts["train"] = [name for name in rest if name not in parts["validation"]]
    if given.tiny:
        parts = {part: names[:2] for part, names in parts.items()}
    paths = {part: given.work / f"fold-{fold}" / f"{part}.jsonl" for part in parts}
    for part, names in parts.items():
        write(paths[part], [found[name] for name in names])
    return {part: str(path) for part, path in paths.items()}


def longer(start: Path, work: Path, block: int) -> Path:
    """Copy a run, with block-sparse attention and its learned positions repeated."""
    import torch

    from triptych.model.config import ModelConfig
    from triptych.runs.run import Run
    from triptych.runs.storage import read_tensors

    copy = work / "longer"
    if (copy / "model.safetensors").exists():
        return copy
    run = Run.open(start)
    config, tensors = run.read_config(), read_tensors(run.weights())
    model = config.model
    assert isinstance(model, ModelConfig), "the start is a Transformer"
    assert model.encoder is not None, "the start has an encoder"
    first, name = model.encoder.first_position, "encoder_entrance.positions.weight"
    table = tensors[name][first:]
    repeats = -(-LONGEST // len(table))
    tensors[name] = torch.cat([tensors[name][:first], table.repeat(repeats, 1)])
    stack = dataclasses.replace(
        model.encoder,
        max_positions=len(tensors[name]),
        attention_blocks={"size": block, "random": 0},
    )
    found = run.copy_to(copy)
    found.write_config(dataclasses.replace(config, model=dataclasses.replace(model, encoder=stack)))
    found.write_model(tensors)
    return copy


def recipe_of(given: argparse.Namespace, way: str, paths: dict[str, str]) -> Any:
    from triptych.recipe.schema import Recipe

    task: dict[str, Any] = {"name": "line-labels", "alone": way == "lines"}
    if way == "whole":
        task |= {"window": LONGEST, "stride": LONGEST - 2}
    values: dict[str, Any] = {
        "task": task,
        "data": {part: paths[part] for part in ("train", "validation", "test")},
        "batches": {"batch_tokens": given.batch_tokens},
        "training": {
            "epochs": given.epochs, "seed": given.seed, "learning_rate": given.rate,
            "schedule": "trapezoid", "warmup_steps": 20, "checkpoint_every_minutes": 5,
        },
        "validation": {"metric": "f1_micro"},
    }  # fmt: skip
    if given.start is not None:
        start = longer(given.start, given.work, given.block) if way == "whole" else given.start
        values["model"] = {"start": str(start)}
        return Recipe.from_values(values)
    stack: dict[str, Any] = {
        "layers": given.layers, "width": given.width, "heads": max(1, given.width // 48),
        "inner_width": 4 * given.width, "positions": "rotary",
    }  # fmt: skip
    if way == "whole":
        stack["attention_blocks"] = {"size": given.block, "random": 0}
    values["tokenizer"] = {"kind": "bpe", "vocabulary_size": 4000}
    values["model"] = {"preset": "encoder-small", "encoder": stack}
    return Recipe.from_values(values)


def measure(given: argparse.Namespace, fold: int, way: str) -> dict[str, Any]:
    """Train one way on one fold, or go on with it, and test it."""
    import triptych
    from triptych.data.load import load_split
    from triptych.data.table import DataTable
    from triptych.own_code import given as with_code
    from triptych.runs.run import Run

    clock = time.process_time if given.clock == "cpu" else time.perf_counter
    paths, out = split(given, fold), given.work / f"fold-{fold}" / way
    log = out.with_suffix(".seconds")
    with with_code(CODE):
        import line_labels  # of this folder; the same file as CODE

        if not (out / "model.safetensors").exists():
            began = clock()
            before = float(log.read_text()) if log.exists() else 0.0
            resume = bool(Run(out).checkpoints())
            recipe = recipe_of(given, way, paths)
            for _ in triptych.train(recipe, out, resume=resume, code=CODE):
                log.write_text(str(before + clock() - began))
        model = triptych.load(out, code=CODE)
        found: dict[str, Any] = {"fold": fold, "way": way, "train_seconds": float(log.read_text())}
        best, fields = 0.5, ("text", "tags")
        for part in ("validation", "test"):
            examples = load_split(DataTable(train=paths[part]), "train", None, fields)
            began = clock()
            answers = model.predict([{"text": one.text, "words": one.words} for one in examples])
            found[f"{part}_seconds"] = round(clock() - began, 2)
            if part == "validation":
                scored = {cut: line_labels.f1_micro(answers, examples, cut) for cut in THRESHOLDS}
                best = max(scored, key=lambda cut: (scored[cut], -abs(cut - 0.5)))
                found |= {"threshold": best, "validation_f1_micro": round(scored[best], 2)}
            else:
                found["f1_micro"] = round(line_labels.f1_micro(answers, examples, best), 2)
                found["f1_micro_at_half"] = round(line_labels.f1_micro(answers, examples, 0.5), 2)
                found["lines"] = sum(len(one.words or ()) for one in examples)
                tokenizer = model.tokenizers.source
                counts = [len(tokenizer.encode(one.text or "")) for one in examples]
                found["tokens_a_document"] = {
                    "median": statistics.median(counts), "most": max(counts),
                }  # fmt: skip
    return found


def main() -> None:
    given = arguments()
    given.work.mkdir(parents=True, exist_ok=True)
    results = given.work / "results.jsonl"
    done = (
        [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    )
    for fold in given.folds:
        for way in given.ways:
            if not any((one["fold"], one["way"]) == (fold, way) for one in done):
                done.append(measure(given, fold, way))
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[-1]) + "\n")
                print(json.dumps(done[-1]), flush=True)
    for way in given.ways:
        own = [one for one in done if one["way"] == way]
        each = ", ".join(f"{one['f1_micro']:.2f}" for one in own)
        mean = statistics.mean(one["f1_micro"] for one in own)
        seconds = statistics.mean(one["train_seconds"] for one in own)
        use = statistics.mean(one["test_seconds"] for one in own)
        print(f"{way}: micro-F1 {mean:.2f} ({each}), {seconds:.0f} s of training a fold, "
              f"{use:.1f} s for the ten test documents")  # fmt: skip


if __name__ == "__main__":
    main()
