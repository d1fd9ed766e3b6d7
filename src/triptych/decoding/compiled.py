"""Run a decoder step as one compiled program.

torch's AOTInductor writes the program in C++ for this processor, and a C++ compiler builds it. A
small model spends most of a step between operations, and oneDNN's product of a single row costs
several times what reading the weights does; a compiled program avoids both. Building it takes about
a minute. It is kept in the user's cache under a hash of its inputs. Steps that no program fits run
without one (docs/decisions/013-compiled-step.md).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ..errors import TriptychWarning, UsageError
from ..model.attention import Attention, Context
from ..model.cache import TransformerState
from ..model.experts import SparseFeedForward
from ..model.interface import AnyModel
from ..model.transformer import Transformer
from .compiled_program import Program, ProgramKey, StepModule, build_program, contents
from .settings import DecodingSettings

COMPILERS = ("g++", "c++", "clang++")
BUILDS = 2  # programs that one process builds for a model; further steps run uncompiled
LOCK = threading.Lock()  # two decoding threads may need the same program at once


def can_compile() -> bool:
    """Tell whether a C++ compiler is installed."""
    return any(shutil.which(name) for name in COMPILERS)


def programs_folder() -> Path:
    """Return the folder that programs are cached in."""
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych" / "programs"
    )


def compile_step(model: AnyModel, settings: DecodingSettings, folder: Path | None = None) -> None:
    """Let `model` run a compiled program for each step that one fits.

    Args:
        model: A Transformer with a decoder, on a CPU.
        settings: Programs are built for the number of beams or samples that these set.
        folder: Where programs are cached; by default `programs_folder()`.

    Raises:
        UsageError: The model cannot be compiled, or there is no C++ compiler.
    """
    if (
        not isinstance(model, Transformer)
        or model.config.decoder is None
        or model.embedding.weight.device.type != "cpu"
    ):
        raise UsageError(
            "decoding.compile needs a Transformer with a decoder on a CPU. Leave it out."
        )
    if model.decoder.is_recurrent:
        raise UsageError(
            "decoding.compile works with attention, and this decoder has recurrent units in its "
            "place. Leave it out."
        )
    if any(type(block.self_attention) is not Attention for block in model.decoder.each):
        raise UsageError(
            "decoding.compile works with the attention of triptych, not with one of your own. "
            "Leave it out."
        )
    if len(model.decoder.masks) > 1 or len(model.decoder.rotaries) > 1:
        message = (
            "decoding.compile: steps run without a compiled program, because the blocks of this "
            "model differ in their windows or rotations. The answers are the same."
        )
        warnings.warn(message, TriptychWarning, stacklevel=2)
        return
    if any(isinstance(block.feed_forward, SparseFeedForward) for block in model.decoder.each):
        raise UsageError(
            "decoding.compile works with dense feed-forward layers, and this model has experts. "
            "Leave it out."
        )
    if not can_compile():
        raise UsageError(
            f"decoding.compile needs a C++ compiler, and none of {', '.join(COMPILERS)} is "
            "installed. Install one, or leave it out."
        )
    if model.compiled is None:
        model.compiled = CompiledStep(model, folder or programs_folder())
    draws = max(settings.n_best, settings.samples) if settings.temperature > 0 else 1
    model.compiled.beams.add(settings.beams if settings.beams > 1 else draws)


class CompiledStep:
    """Compile the step of one model on demand.

    There is one program for each kind of step: a single source or several, a number of beams, a
    number of threads.
    """

    def __init__(self, model: Transformer, folder: Path) -> None:
        self.step, self.folder, self.contents = StepModule(model), folder, ""
        # numbers of rows per source that settings ask for; a search passes through others
        self.beams: set[int] = set()
        self.idle: dict[
            ProgramKey, list[Program]
        ] = {}  # loaded programs; a program runs in one thread at a time
        self.plain: set[ProgramKey] = set()  # kinds of steps that run uncompiled
        self.built = 0

    def fits(self, state: TransformerState, steps: int) -> bool:
        """Tell whether a program may run this step.

        It must be one token a row after the first step, with all rows of each source present, and
        not the rest of a batch that has shrunk to one source.
        """
        usual = steps == 1 and state.used > 0 and state.beams in self.beams
        sources = state.pool.keys[0].shape[0]
        return usual and (sources > 1 or sources == state.began == 1)

    def __call__(
        self, x: Tensor, context: Context, state: TransformerState
    ) -> tuple[Tensor, Tensor] | None:
        """Map x (R * beams, D) -> last states and logits, or None where no program fits."""
        angles, masks = context.angles, list(context.slot_biases)
        sources, beams = state.pool.keys[0].shape[0], state.beams
        kind = (sources == 1, beams, torch.get_num_threads())
        if kind in self.plain or not self.fits(state, context.shape[1]):
            return None
        idle = self.idle.setdefault(kind, [])
        try:
            program = idle.pop()
        except IndexError:
            program = self._program(kind, x)
        if program is None:
            return None
        first = state.pool.first[0]  # there is one mask
        slots = torch.arange(state.used - first, state.pool.used - first)
        cross, cache = state.cross, [*state.pool.keys, *state.pool.values]
        seen: list[Tensor] = []
        if cross is not None:
            hidden = cross.bias
            if hidden is None:
                hidden = torch.zeros(sources, 1, 1, 1, cross.keys[0].shape[2], dtype=x.dtype)
            seen = [*cross.keys, *cross.values, hidden]
        nothing = x.new_empty(sources, beams, 0, dtype=torch.float32)
        cosine, sine = angles[0] if angles else (nothing, nothing)
        turned = cosine.view(sources, beams, -1), sine.view(sources, beams, -1)
        given = [x.view(sources, beams, -1), *turned, masks[0], slots]
        # The program writes into the cache, so it cannot be given a copy.
        if not all(one.is_contiguous() for one in cache):
            return None
        # A program does not check strides: it reads every tensor as contiguous.
        try:
            states, logits = program(
                [*(one.contiguous() for one in given), *cache, *(one.contiguous() for one in seen)]
            )
        except RuntimeError as error:
            self._give_up(kind, f"it failed ({str(error).strip().splitlines()[-1]})")
            return None
        idle.append(program)
        return states, logits

    def _program(self, kind: ProgramKey, x: Tensor) -> Program | None:
        """Load a program of this kind, built first if needed; None if that fails."""
        from torch._inductor import aoti_load_package

        with LOCK:
            if kind in self.plain:
                return None
            self.contents = self.contents or contents(self.step.model)
            single, beams, threads = kind
            # A program that was built for a single thread also works with several.
            paths = [
                self._path((single, beams, number), x.dtype)
                for number in dict.fromkeys((threads, 1))
            ]
            path = next((one for one in paths if one.exists()), paths[0])
            if not path.exists() and not self._make(kind, path, x.dtype):
                return None
            try:
                package = cast(Any, aoti_load_package(str(path)))
                return cast(Program, package.loader.boxed_run)
            except RuntimeError as error:
                self._give_up(
                    kind,
                    f"{path} could not be loaded ({str(error).strip().splitlines()[-1]}); delete "
                    "it",
                )
                return None

    def _path(self, kind: ProgramKey, precision: torch.dtype) -> Path:
        name = hashlib.sha256(repr((self.contents, kind, str(precision))).encode()).hexdigest()[:32]
        return self.folder / f"{name}.pt2"

    def _give_up(self, kind: ProgramKey, why: str) -> None:
        """Run steps of this kind uncompiled from now on, and warn."""
        self.plain.add(kind)
        single, beams, threads = kind
        steps = (
            f"steps of {'one text' if single else 'several texts'}, {beams} rows each, on "
            f"{threads} threads"
        )
        message = (
            f"decoding.compile: {steps} run without a compiled program, because {why}. The "
            "answers are the same."
        )
        warnings.warn(message, TriptychWarning, stacklevel=2)

    def _make(self, kind: ProgramKey, path: Path, precision: torch.dtype) -> bool:
        """Build a program into the cache and tell whether that worked.

        A kind that failed once is not tried again, in this process or a later one.
        """
        failed = path.with_suffix(".failed")
        if failed.exists():
            self._give_up(kind, f"building it failed before (delete {failed} to try again)")
            return False
        if self.built >= BUILDS:
            self._give_up(
                kind,
                f"{BUILDS} programs were built in this run already; the next run builds the next",
            )
            return False
        self.built += 1
        place = Path(tempfile.mkdtemp(prefix="triptych-"))
        try:
            problem = self._build(kind, place, precision)
            if not problem:
                _keep(path, place / "step.pt2")
                return True
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            failed.write_text(problem, encoding="utf-8")
        finally:
            shutil.rmtree(place, ignore_errors=True)
        self._give_up(
            kind,
            f"building it failed: {problem.strip().splitlines()[-1]} (full output: {failed}; "
            "delete it to try again)",
        )
        return False

    def _build(self, kind: ProgramKey, place: Path, precision: torch.dtype) -> str:
        """Build `step.pt2` in `place`; return what went wrong, or ""."""
        return build_program(self.step, kind, place, precision)


def _keep(path: Path, built: Path) -> None:
    """Copy a program into the cache atomically; only the user may write there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        shutil.copyfile(built, half)
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)
