"""Train, load and use runs through Triptych's public face, and turn what comes of it into JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import random
import re
import shutil
import struct
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import toys

import triptych
from triptych.cli.main import main

Precision = Literal["float32", "bfloat16"]
Values = dict[str, Any]
# Keys, and values, that tell how long something took or when it was.
TIMES = re.compile(
    r"second|minute|speed|duration|equal_cost|(^|_)date(_|$)|^time$|^modified$|^finished$"
)
# What is left of a picture without its words.
MARKUP = re.compile(r"<[^>]*>|[-+]?\d[\d.,]*")
DURATION = re.compile(r"[0-9.]+ (minutes|seconds)")
STEPS = {"float32": 30, "bfloat16": 8}
FEW = {"float32": 12, "bfloat16": 6}  # more than the steps after which averaged weights move
TINY = {"model.width": 32, "model.heads": 2, "model.inner_width": 48, "batches.batch_tokens": 256}


class SkippedKind(Exception):
    """Say why a kind cannot be run here."""


@dataclass
class Bench:
    """Hold one kind's own folder and the toy data; train and use runs in it.

    Args:
        work: The folder of this kind. Its path is written as WORK in all results.
        data: The folder of the toy data. Its path is written as DATA.
        precision: The precision of training and use.
    """

    work: Path
    data: Path
    precision: Precision

    @property
    def steps(self) -> int:
        """Steps of a training: few in bfloat16, where every new shape costs much on a CPU."""
        return STEPS[self.precision]

    @property
    def few(self) -> int:
        """Steps of a training that tries one dial."""
        return FEW[self.precision]

    def settings(self, steps: int) -> Values:
        """Return overrides that end a training after `steps` and make it log and validate twice."""
        return {
            "training.steps": steps,
            "training.precision": self.precision,
            "training.device": "cpu",
            "training.log_every_steps": max(1, steps // 6),
            "validation.every_steps": max(1, steps // 2),
        }

    def train(self, name: str, recipe: triptych.Recipe, **how: Any) -> Path:
        """Train `recipe` into the folder `name`.

        Args:
            how: What `triptych.train` takes, and `until`: the step at which to break off.
        """
        until, out = how.pop("until", None), self.work / name
        course = triptych.train(recipe, out, **how)
        with contextlib.closing(course):
            for progress in course:
                if until is not None and progress.event == "step" and progress.step == until:
                    break
        return out

    def toy(
        self,
        name: str,
        text: str,
        data: str,
        overrides: Mapping[str, Any] | None = None,
        **how: Any,
    ) -> Path:
        """Train a toy recipe.

        Args:
            text: The recipe's tables as TOML.
            data: The name of a toy data set.
        """
        given = {
            "tokenizer.vocabulary_size": 400,
            **self.settings(self.steps),
            "validation.examples": 6,
            **toys.table(self.data, data),
            **(overrides or {}),
        }
        if "model.start" in given or "[model]\nstart" in text:
            given.pop("tokenizer.vocabulary_size")
        path = self.work / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return self.train(name, triptych.Recipe.load(path, given), **how)

    def load(self, run: Path, **how: Any) -> triptych.Predictor:
        return triptych.load(run, **{"precision": self.precision, "device": "cpu", **how})

    def need_set(self, recipe: triptych.Recipe) -> None:
        """Raise SkippedKind where the public set of `recipe` is not on this machine."""
        name = tomllib.loads(recipe.to_toml())["data"].get("set")
        rows = [row for row in self.cli("data", "list", "--json")["json"] if row["name"] == name]
        if rows and not rows[0]["at_hand"]:
            raise SkippedKind(f"The set {name} is not in $TRIPTYCH_DATA.")

    def cli(self, *arguments: str | Path, stdin: str = "") -> Values:
        """Call a verb in this process. Return its code and its stdout, as JSON where it is that."""
        out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
        before, code = sys.stdin, 0
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        finally:
            sys.stdin = before
        if code and not (arguments[0] == "data" and code == 1):  # which says that data has faults
            said = err.getvalue().strip()
            raise RuntimeError(f"triptych {arguments[0]} ended with {code}: {said}")
        out.seek(0)
        lines = out.read().splitlines()
        with contextlib.suppress(ValueError):
            return {
                "code": code,
                "json": without_times([json.loads(line) for line in lines if line]),
            }
        return {"code": code, "out": lines}

    def plain(self, value: Any) -> Any:
        """Return JSON without the machine's paths; long texts stay whole, arrays become lists."""
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {
                one.name: self.plain(getattr(value, one.name)) for one in dataclasses.fields(value)
            }
        if isinstance(value, Mapping):
            return {self.plain(str(key)): self.plain(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(one) for one in value]
        if isinstance(value, np.ndarray | torch.Tensor):
            return self.plain(value.tolist())
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, str | Path):
            return str(value).replace(str(self.work), "WORK").replace(str(self.data), "DATA")
        return value

    def seeded(self) -> None:
        """Seed every generator, so that a kind does not depend on those before it."""
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)

    # What a run is --------------------------------------------------------------------------------

    def files(self, run: Path) -> Values:
        """Return a folder's files: small ones as values, weights and tokenizers as SHA-256."""
        found: Values = {
            "files": sorted(
                str(path.relative_to(run))
                for path in run.rglob("*")
                if path.is_file() and "training.lock" not in path.name
            )
        }
        for path in sorted(run.rglob("*")):
            name = str(path.relative_to(run))
            if path.suffix == ".safetensors":
                found[name] = tensors(path)
            elif path.name.startswith(("tokenizer", "vocab", "merges")) or path.suffix in (
                ".bin",
                ".model",
            ):
                found[name] = digest(path.read_bytes())
            elif path.suffix == ".json" and "checkpoints" not in name:
                found[name] = self.plain(without_times(json.loads(path.read_text("utf-8"))))
            elif path.name == "recipe.toml":
                found[name] = self.plain(path.read_text("utf-8").splitlines())
            elif path.name == "metrics.jsonl":
                found[name] = [
                    without_times(json.loads(line)) for line in path.read_text("utf-8").splitlines()
                ]
        return found

    # What a run answers ---------------------------------------------------------------------------

    def answers(
        self, run: Path, inputs: Sequence[Any], ways: Mapping[str, Values] | None = None, **how: Any
    ) -> Values:
        """Return all fields of the predictions, greedy and in each of the `ways` (dials)."""
        model = self.load(run, **how)
        return {
            name: self.plain(model.predict(inputs, **dials))
            for name, dials in {"greedy": {}, **(ways or {})}.items()
        }

    def streams(self, run: Path, one: Any, ways: Mapping[str, Values], **how: Any) -> Values:
        """Return the pieces of a streamed answer, and whether it ended by itself."""
        model, found = self.load(run, **how), {}
        for name, dials in ways.items():
            course, pieces = model.stream(one, **dials), []
            while True:
                try:
                    pieces.append(next(course))
                except StopIteration as end:
                    found[name] = {"pieces": pieces, "ended": end.value}
                    break
        return found

    def trace(self, run: Path, one: Any, **how: Any) -> Any:
        return json.loads(self.load(run).trace(one, **how).to_json())

    def scored(self, run: Path, *arguments: str) -> Values:
        """Return what `evaluate --json` says of the test data, and the answers that it writes."""
        answers = self.work / "answers.txt"
        answers.unlink(missing_ok=True)
        found = self.cli("evaluate", run, "--json", "--precision", self.precision, *arguments)
        return found | (
            {"answers": answers.read_text("utf-8").splitlines()} if answers.exists() else {}
        )

    def page(self, run: Path, text: str, *arguments: str | Path) -> Values:
        """Return the SHA-256 of the traces and the pictures of the page of `inspect --html`.

        Script, style and words may change: of pictures only elements and numbers are compared.
        """
        path = self.work / "page.html"
        path.unlink(missing_ok=True)
        found = self.cli("inspect", run, text, "--html", path, *arguments)
        content = path.read_text("utf-8").replace(str(self.work), "WORK") if path.exists() else ""
        pictures = content.partition("<main")[2].partition("</main>")[0]
        traces = content.partition(' id="traces">')[2].partition("</script>")[0]
        return {
            **found,
            "pictures": digest("".join(MARKUP.findall(pictures)).encode()),
            "traces": digest(traces.encode()),
        }


def attempt(action: Callable[[Bench], Values], bench: Bench) -> Values:
    """Run one kind in its own empty folder. Return its values, or the error that ended it."""
    shutil.rmtree(bench.work, ignore_errors=True)
    bench.work.mkdir(parents=True)
    bench.seeded()
    return bench.plain(action(bench))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tensors(path: Path) -> Values:
    """Return type, shape and SHA-256 of each tensor of a safetensors file, by name."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__", None)
    begin = 8 + size
    return {
        name: [
            about["dtype"],
            about["shape"],
            digest(content[begin + about["data_offsets"][0] : begin + about["data_offsets"][1]]),
        ]
        for name, about in sorted(header.items())
    }


def without_times(value: Any) -> Any:
    """Return JSON without times, speeds and dates, which differ from run to run."""
    if isinstance(value, dict):
        return {key: without_times(one) for key, one in value.items() if not TIMES.search(key)}
    if isinstance(value, list):
        return [without_times(one) for one in value]
    return "..." if isinstance(value, str) and DURATION.fullmatch(value) else value
