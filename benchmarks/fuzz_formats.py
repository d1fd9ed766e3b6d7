"""The formats that are fuzzed: a user's files (fuzz_files.py), runs, folders of other libraries.

A format has several seeds: the files of a folder, which of them are damaged and how, and ways, each
a command line or a function, that are run one after the other in that folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import fuzz_files as user
import fuzz_folders
import fuzz_mutations as damage
import fuzz_trees as trees
from fuzz_files import Changes, Seed, Way

# Runs ---------------------------------------------------------------------------------------------


def _content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def folder_of(process: int) -> Path:
    """Give the folder in which a process reads and trains."""
    return Path(tempfile.gettempdir()).resolve() / f"triptych-fuzz-{process}"


@contextmanager
def here() -> Iterator[None]:
    """Be in the folder of this process, which is empty: a run remembers where its data lay."""
    folder = folder_of(os.getpid())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with chdir(folder):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def runs() -> tuple[dict[str, bytes], ...]:
    """Folders with a trained run each and the file it learnt from."""
    from triptych.api import train

    tables = user.columns("tsv", "\t")
    chosen = [
        *(tables[place] for place in (1, 2, 4, 6)),
        user.conll()[0],
        user.conllu()[0],
        user.squad()[0],
    ]
    chosen += [user.chat()[0], *user.texts()[:2]]
    made = []
    for seed in chosen:
        with here():
            for name, content in seed.files.items():
                Path(name).write_bytes(content)
            for _ in train("my.toml", "run"):
                pass
            made.append(_content(Path()))
    return tuple(made)


def _sealed() -> None:
    """Write the marks of changed files of a checkpoint anew: what it holds is looked at then."""
    for folder in Path("run/checkpoints").glob("step-*"):
        marks = {
            path.name: {
                "bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in sorted(folder.iterdir())
            if path.name != "COMPLETE"
        }
        (folder / "COMPLETE").write_text(json.dumps(marks))


USE: tuple[Way, ...] = (("info", "run"), ("predict", "run", "one red dogs"))
GO_ON: tuple[Way, ...] = (("info", "run"), ("train", "run", "--resume"))
BOTH: tuple[Way, ...] = (*USE, GO_ON[1])
RUN_FILES: dict[str, tuple[str, Changes, tuple[Way, ...]]] = {
    "config": ("config.json", trees.JSON, BOTH),
    "labels": ("labels.json", trees.JSON, BOTH),
    "metrics": ("metrics.jsonl", trees.JSONL, GO_ON),
    "tokenizer": ("tokenizer.json", trees.JSON, BOTH),
    "recipe": ("recipe.toml", trees.TOML, (*USE, ("train", "run", "--resume"))),
    "weights": ("model.safetensors", trees.TENSORS, USE),
    "data": ("data.json", trees.JSON, GO_ON),
    "state": ("checkpoints/step-2/state.json", trees.JSON, GO_ON),
    "complete": ("checkpoints/step-2/COMPLETE", trees.JSON, GO_ON),
    "optimizer": ("checkpoints/step-2/optimizer.safetensors", trees.TENSORS, GO_ON),
}


def run_files(which: str) -> list[Seed]:
    """Runs of every kind of task, one of their files damaged."""
    name, changes, ways = RUN_FILES[which]
    made = []
    for files in runs():
        asked = tuple(_asking(way, files) if isinstance(way, tuple) else way for way in ways)
        after = _sealed if which in ("state", "optimizer") else None
        if which in (
            "state",
            "optimizer",
            "complete",
        ):  # a run that is finished needs no checkpoint
            files = {key: value for key, value in files.items() if key != "run/model.safetensors"}
        made.append(Seed(files=files, damaged={f"run/{name}": changes}, ways=asked, after=after))
    return made


def _asking(way: tuple[str, ...], files: dict[str, bytes]) -> tuple[str, ...]:
    """A run that answers questions is asked one."""
    if way[0] == "predict" and b'"question-answering"' in files["run/config.json"]:
        return ("answer", "run", "Who?", "--passage", "one red dogs")
    return way


def imported() -> list[Seed]:
    """Runs that were imported: the load certificate, the tokenizer and the configuration."""
    from triptych.convert import import_folder

    made = []
    for kind, text in (("bert", ()), ("gpt2", ("--decoding.max_length", "4"))):
        with here():
            Path("theirs").mkdir()
            for name, content in fuzz_folders.folder(kind).items():
                (Path("theirs") / name).write_bytes(content)
            import_folder("theirs", "run")
            shutil.rmtree("theirs")
            files = _content(Path())
        names = ("import.json", "tokenizer.json", "config.json", "labels.json")
        damaged = {f"run/{name}": trees.JSON for name in names}
        asked = ("predict", "run", "one red dogs", *text)
        ways: tuple[Way, ...] = (("info", "run"), asked, ("export", "run", "out"))
        made.append(Seed(files=files, damaged=damaged, ways=ways))
    return made


# Folders of another library -----------------------------------------------------------------------


def _import_and_use() -> None:
    """Import, take up as a start, and cut some texts."""
    from triptych.data.tokenizers.sides import Tokenizers
    from triptych.runs.run import Run

    run(("import", "theirs", "out"))
    tokenizer = Tokenizers.load("out").source
    for text in (
        "",
        "one red dogs",
        "the cat's 貓 \x00 é",
        " a\n\nb ",
        "x" * 300,
        "[CLS] <s> </s>",
    ):
        tokenizer.decode(tokenizer.encode(text))
        tokenizer.encode_with_offsets(text)
        tokenizer.pieces(tokenizer.encode(text))
    writes = Run("out").read_config().task == "language-modelling"
    short = ("--decoding.max_length", "4") if writes else ()
    run(("predict", "out", "one red dogs", *short))
    run(("export", "out", "back"))


def _start() -> None:
    from triptych.convert import open_origin

    open_origin("theirs", "classification")


FAMILIES = ("bert", "distilbert", "gpt2", "llama")


def theirs(name: str, changes: Changes, kinds: tuple[str, ...] = FAMILIES) -> list[Seed]:
    """Folders of several families, one of their files damaged."""
    made = []
    for kind in kinds:
        files = {f"theirs/{key}": value for key, value in fuzz_folders.folder(kind).items()}
        damaged = {f"theirs/{name}": changes}
        made.append(Seed(files=files, damaged=damaged, ways=(_import_and_use, _start)))
    return made


FORMATS: dict[str, Callable[[], list[Seed]]] = {
    "pairs": user.pairs,
    "tsv": lambda: user.columns("tsv", "\t"),
    "csv": lambda: user.columns("csv", ","),
    "jsonl": user.json_lines,
    "text": user.texts,
    "conll": user.conll,
    "conllu": user.conllu,
    "squad": user.squad,
    "srt": user.srt,
    "chat": user.chat,
    "recipe": user.recipes,
    **{f"run-{name}": lambda name=name: run_files(name) for name in RUN_FILES},
    "run-imported": imported,
    "hf-config": lambda: theirs("config.json", trees.JSON),
    "hf-tokenizer": lambda: theirs("tokenizer.json", trees.JSON),
    "hf-tokenizer-config": lambda: theirs("tokenizer_config.json", trees.JSON),
    "hf-weights": lambda: theirs("model.safetensors", trees.TENSORS),
    "hf-index": lambda: theirs("model.safetensors.index.json", trees.JSON, ("sharded",)),
    "llama2.c": lambda: [
        *theirs("toy.bin", damage.ANY, ("llama2.c",)),
        *theirs("tok264.bin", damage.ANY, ("llama2.c",)),
    ],
}


def planted() -> list[Seed]:
    """Faults of our own, one for each kind: what does not find these finds nothing."""

    def planted_error() -> None:
        raise KeyError(Path("a").read_bytes()[:1])

    def planted_loop() -> None:
        while True:
            pass

    def planted_memory() -> None:
        bytearray(10**11)

    ways = ((planted_error,), (planted_loop,), (planted_memory,), ())
    return [Seed(files={"a": b"whole"}, damaged={"a": damage.ANY}, ways=one) for one in ways]


@cache
def seeds(name: str) -> list[Seed]:
    """Give the seeds of a format."""
    return planted() if name == "planted" else FORMATS[name]()


@cache
def _bound(way: tuple[str, ...]) -> Callable[[], Any]:
    """Give the call that a command line means; reading the line anew takes longer than most
    files.
    """
    from triptych.cli.main import build_app, split_overrides

    rest, overrides = split_overrides(list(way))
    command, bound, ignored = build_app().parse_args(rest, exit_on_error=False, print_error=False)
    more = {"overrides": overrides} if "overrides" in ignored else {}
    return partial(command, *bound.args, **bound.kwargs, **more)


def run(way: Way) -> None:
    """Do what a way says, in this folder."""
    (way if callable(way) else _bound(way))()
