"""Write what tests/test_goldens.py compares with: three tiny runs, and the names of others.

    PYTHONPATH=src python tests/goldens/make_runs.py

Run it with the package of the commit in tests/goldens/BASE, or after a change that is meant. It
writes runs/{classifier,writer,translator}, a run folder for each panel without checkpoints and
without paths of the machine; runs/answers.json with what they answer; and names.json with the names
and shapes of weights, and the keys of files and answers, of a toy of each task.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import torch
import toys
from bench import Bench, Values
from kinds_dials import PROMPTS, READER, RECURRENT, SMALL_RNN, SOURCES, TRANSLATOR, WRITER
from uses import recipe

HERE = Path(__file__).resolve().parent
RUNS = HERE / "runs"
NAMES = HERE / "names.json"
KEPT = (
    "config.json",
    "labels.json",
    "data.json",
    "metrics.jsonl",
    "model.safetensors",
    "recipe.toml",
)
SIZE: Values = {"model.width": 16, "model.heads": 2, "model.inner_width": 24, "model.layers": 1}
SIZE |= {"batches.batch_tokens": 256, "tokenizer.vocabulary_size": 320}
# run -> (recipe, data, what it is asked)
PANELS: dict[str, tuple[str, str, list[Any]]] = {
    "classifier": (READER, "label", SOURCES),
    "writer": (WRITER, "texts", PROMPTS[:2]),
    "translator": (TRANSLATOR, "pairs", SOURCES),
}
QUESTION = {"question": "who sees", "passage": "the cat sees the dog. a house."}
TURNS = {"messages": [{"role": "user", "content": "the cat"}]}
PAIR = {"text": SOURCES[0], "text_pair": SOURCES[1]}
TOYS: dict[str, tuple[str, str, list[Any]]] = {
    **PANELS,
    "labels": (recipe("classification", "encoder-tiny", 'learn = "labels"'), "labels", SOURCES),
    "value": (
        recipe("classification", "encoder-tiny", 'learn = "value"\npair = true\nbigrams = 64'),
        "value",
        [PAIR],
    ),
    "tagger": (recipe("tagging", "encoder-tiny", 'decoding = "crf"'), "spans", SOURCES),
    "parser": (recipe("parsing", "encoder-tiny", "arc_width = 24"), "trees", SOURCES),
    "answerer": (recipe("question-answering", "encoder-tiny"), "questions", [QUESTION]),
    "masked": (recipe("masked-words", "encoder-tiny"), "texts", ["the [MASK] sees"]),
    "chat": (recipe("chat", "decoder-tiny"), "talks", [TURNS]),
    "llama": (recipe("language-modelling", "llama-small"), "texts", PROMPTS[:2]),
    "gpt2": (recipe("language-modelling", "gpt2"), "texts", PROMPTS[:2]),
    "recurrent": (RECURRENT, "pairs", SOURCES),
}


def asked(run: Path, inputs: list[Any]) -> list[Values]:
    """Return the fields of the answers of a run that no processor changes by more than rounding."""
    fields = ("text", "score", "log_probability", "token_log_probabilities", "details")
    found = Bench(run, run, "float32").answers(run, inputs)["greedy"]
    return [{name: one[name] for name in fields} for one in found]


def shape_of(value: Any) -> Any:
    """Return a value with only its keys and the types of what stands there, of lists the first."""
    if isinstance(value, dict):
        return {key: shape_of(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])] if value else []
    return type(value).__name__


def names(bench: Bench) -> Values:
    """Return the names and shapes of weights, and the keys of files and answers, of each toy."""
    found: Values = {}
    for name, (text, data, inputs) in TOYS.items():
        size = SIZE if name != "recurrent" else SMALL_RNN
        run = bench.toy(name, text, data, {**size, **bench.settings(1), "validation.examples": 2})
        files = bench.files(run)
        found[name] = {
            "files": [one for one in files["files"] if not one.startswith("checkpoints")],
            "weights": {key: about[:2] for key, about in files["model.safetensors"].items()},
            "recipe": [line.split(" = ")[0] for line in files["recipe.toml"] if " = " in line],
            "config": shape_of(files["config.json"]),
            "labels": sorted(files["labels.json"]),
            "metrics": [sorted(line) for line in files["metrics.jsonl"]],
            "answer": shape_of(bench.answers(run, inputs)["greedy"][0]),
        }
    return found


def make(folder: Path, work: Path) -> None:
    """Train the three runs and write them, with their answers, into `folder`."""
    data = work / "data"
    toys.write(data)
    bench, answers = Bench(work, data, "float32"), {}
    shutil.rmtree(folder, ignore_errors=True)
    for name, (text, source, inputs) in PANELS.items():
        run, kept = bench.toy(name, text, source, {**SIZE, **bench.settings(60)}), folder / name
        answers[name] = {"asked": inputs, "answers": asked(run, inputs)}
        kept.mkdir(parents=True)
        for path in run.iterdir():
            if path.suffix in (".toml", ".jsonl") or path.suffix == ".json":
                text = path.read_text("utf-8").replace(f"{data}/", "")
                (kept / path.name).write_text(text, encoding="utf-8")
            elif path.name in KEPT:
                shutil.copyfile(path, kept / path.name)
    write_json(folder / "answers.json", answers)


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Write runs/ and names.json beside this file."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        make(RUNS, work / "runs")
        data = work / "runs" / "data"
        (work / "names").mkdir()
        write_json(NAMES, names(Bench(work / "names", data, "float32")))


if __name__ == "__main__":
    main()
