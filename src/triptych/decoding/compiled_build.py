"""Build a compiled program and test it, in a separate process, so that a crash harms no one else.

    python compiled_build.py FOLDER

FOLDER holds `traced.pt2` (the exported step), `trials.safetensors` (arguments and results of some
uncompiled steps: "0 given 3" is the fourth argument of the first step) and `asked.json` (options,
threads, tolerance). This script writes `step.pt2` there, and exits with 0 only if the program gives
the results of the uncompiled steps. It imports nothing of triptych.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
import torch._inductor
from torch import Tensor

Program = Callable[[list[Tensor]], Sequence[Tensor]]
LOAD: Callable[[Path], dict[str, Tensor]] = cast(Any, safetensors.torch).load_file
NORM: Callable[[Tensor], Tensor] = cast(Any, Tensor).norm
INDUCTOR: Any = torch._inductor  # its functions have no types


def build(folder: Path, options: dict[str, Any]) -> Path:
    """Build the program of `folder` and return its file."""
    path = folder / "step.pt2"
    with torch.no_grad():
        INDUCTOR.aoti_compile_and_package(
            torch.export.load(folder / "traced.pt2"),
            package_path=str(path),
            inductor_configs=options,
        )
    return path


def farthest(program: Program, given: list[Tensor], wanted: list[Tensor]) -> float:
    """Return the largest relative error of a program's states, logits, keys and values."""
    written = given[5 : 5 + len(wanted) - 2]  # keys and values
    found = [*program(list(given)), *written]
    pairs = [(a.float(), b.float()) for a, b in zip(found, wanted, strict=True)]
    away = [float(NORM(a - b) / NORM(b).clamp(min=1e-6)) for a, b in pairs]
    return max(x if x == x else float("inf") for x in away)


def main(folder: Path) -> int:
    asked, trials = (
        json.loads((folder / "asked.json").read_text()),
        LOAD(folder / "trials.safetensors"),
    )
    torch.set_num_threads(asked["threads"])
    package: Any = INDUCTOR.aoti_load_package(str(build(folder, asked["options"])))
    program: Program = package.loader.boxed_run
    for number in range(asked["trials"]):
        names = {
            kind: sorted(
                (name for name in trials if name.startswith(f"{number} {kind} ")),
                key=lambda name: int(name.split()[2]),
            )
            for kind in ("given", "wanted")
        }
        given, wanted = ([trials[name] for name in names[kind]] for kind in ("given", "wanted"))
        away = farthest(program, given, wanted)
        if not away <= asked["tolerance"]:
            shapes = ", ".join(str(tuple(x.shape)) for x in given[:6])
            print(
                f"its results have a relative error of {away:.3g} for arguments of the shapes "
                f"{shapes}",
                file=sys.stderr,
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
