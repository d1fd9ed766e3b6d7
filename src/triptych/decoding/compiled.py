"""A decoder's step as one compiled program: torch's AOTInductor writes it in C++ for this
processor, and a C++ compiler builds it.

A small model spends most of a step on the way from one operation to the next, and oneDNN's product
of a single row costs several times what reading the weights does. One program has neither. To build
it takes about a minute; it is kept in the user's cache, by what went into it, and found there the
next time. Steps that no program serves are taken plainly (docs/decisions/013-compiled-step.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from .. import model as model_package
from ..errors import TriptychWarning, UsageError
from ..model.attention import Attention, Context
from ..model.cache import CrossKeys, TransformerState, whole_lanes
from ..model.interface import AnyModel
from ..model.linear import Product
from ..model.ops.attention import CachedKeys
from ..model.transformer import Transformer
from .settings import DecodingSettings

COMPILERS = ("g++", "c++", "clang++")
# of torch's inductor
OPTIONS = {"freezing": True, "max_autotune": True, "max_autotune_gemm_backends": "CPP,ATEN"}
# of the example that a program is traced with: any number will do later, products are chosen for
# this one
SLOTS, SOURCES = 48, 32
BUILDS = 2  # programs that one process builds for a model; what more it would need is taken plainly
# of a program beside plain steps, as a share of the norm
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}
BUILDER = Path(__file__).with_name("compiled_build.py")
LOCK = threading.Lock()  # two threads that decode side by side need the same program

ProgramKey = tuple[bool, int, int]  # of a program: whether for a single source, beams, threads


def can_compile() -> bool:
    """Whether there is a C++ compiler at hand."""
    return any(shutil.which(name) for name in COMPILERS)


def programs_folder() -> Path:
    """Where programs are kept."""
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych" / "programs"
    )


def compile_step(model: AnyModel, settings: DecodingSettings, folder: Path | None = None) -> None:
    """From now on `model` takes a compiled program for a step, where one fits. Raises UsageError
    where that cannot be.

    settings: programs are for as many rows of a source as these ask for.
    """
    if (
        not isinstance(model, Transformer)
        or model.config.decoder is None
        or model.embedding.weight.device.type != "cpu"
    ):
        raise UsageError("decoding.compile is for Transformers that write, on a CPU. Leave it out.")
    if not can_compile():
        raise UsageError(
            f"decoding.compile needs a C++ compiler, and none of {', '.join(COMPILERS)} is at "
            "hand. Leave it out."
        )
    if model.compiled is None:
        model.compiled = CompiledStep(model, folder or programs_folder())
    draws = max(settings.n_best, settings.samples) if settings.temperature > 0 else 1
    model.compiled.beams.add(settings.beams if settings.beams > 1 else draws)


class Slots:
    """Stands for a State inside a program: new keys and values go where `slots` (T,) says."""

    def __init__(
        self,
        slots: Tensor,
        keys: list[Tensor],
        values: list[Tensor],
        cross: CrossKeys | None,
    ) -> None:
        self.slots, self.keys, self.values, self.cross = slots, keys, values, cross

    def cross_keys(self, layer: int) -> CachedKeys:
        """As `TransformerState.cross_keys`."""
        assert self.cross is not None
        return self.cross.of_layer(layer)

    def joined(self, layer: int, attention: Attention, x: Tensor) -> Product:
        """As `TransformerState.joined`, put together inside the program."""
        return attention.joined(x)

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """As `TransformerState.append`."""
        keys, values = self.keys[layer], self.values[layer]
        shape = (keys.shape[0], -1, *key.shape[2:])
        keys.index_copy_(2, self.slots, key.reshape(shape).transpose(1, 2))
        values.index_copy_(2, self.slots, value.reshape(shape).transpose(1, 2))
        return keys, values


class StepModule(nn.Module):
    """What is compiled: one token in each of R x `beams` rows. A module, so that its weights are
    constants and can be laid out anew.
    """

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        x: Tensor,
        cosine: Tensor,
        sine: Tensor,
        mask: Tensor,
        slots: Tensor,
        keys: list[Tensor],
        values: list[Tensor],
        cross: tuple[list[Tensor], list[Tensor], Tensor] | None,
    ) -> tuple[Tensor, Tensor]:
        """Compute one step for x (R, beams, D); cosine and sine of the positions (R, beams, E), E 0
        where they are not rotary; mask (R, 1, beams, 1, C); slots (beams,); keys and values of
        every layer (R, K, C, E), which are written to; of the memory (R, K, S, E) and its bias.
        Returns last states (R * beams, D), logits (R * beams, V).
        """
        rows = x.shape[0] * x.shape[1]
        seen = None if cross is None else CrossKeys(cross[0], cross[1], slots, cross[2])
        past = Slots(slots, keys, values, seen)
        angles = (
            (cosine.reshape(rows, 1, -1), sine.reshape(rows, 1, -1)) if cosine.shape[2] else None
        )
        context = Context(angles=angles, cache=past, shape=(rows, 1), slot_biases=(mask,))
        return self.model.decode_layers(x.reshape(rows, -1), context)


class CompiledStep:
    """`StepModule` of a model, built when first needed: for one source or many, a number of beams,
    a number of threads.
    """

    def __init__(self, model: Transformer, folder: Path) -> None:
        self.step, self.folder, self.contents = StepModule(model), folder, ""
        # rows of a source that are asked for; other numbers of rows come and go within a search
        self.beams: set[int] = set()
        self.idle: dict[ProgramKey, list[Any]] = {}  # loaded programs; each serves one thread
        self.plain: set[ProgramKey] = set()  # what no program serves
        self.built = 0

    def fits(self, state: TransformerState, steps: int) -> bool:
        """Whether this step is one for a program: one token a row after the first step, all rows of
        a source there, and not the last rows of a batch that has shrunk to one.
        """
        usual = steps == 1 and state.used > 0 and state.beams in self.beams
        sources = state.pool.keys[0].shape[0]
        return usual and (sources > 1 or sources == state.began == 1)

    def __call__(
        self, x: Tensor, context: Context, state: TransformerState
    ) -> tuple[Tensor, Tensor] | None:
        """Step x (R * beams, D) -> last states, logits; None where no program serves this step."""
        angles, masks = context.angles, list(context.slot_biases)
        sources, beams = state.pool.keys[0].shape[0], state.beams
        kind = (sources == 1, beams, torch.get_num_threads())
        if kind in self.plain or len(masks) > 1 or not self.fits(state, context.shape[1]):
            return None
        idle = self.idle.setdefault(kind, [])
        try:
            program = idle.pop()
        except IndexError:
            program = self._program(kind, x)
        if program is None:
            return None
        slots = torch.arange(state.used, state.pool.used)
        cross, cache = state.cross, [*state.pool.keys, *state.pool.values]
        seen: list[Tensor] = []
        if cross is not None:
            hidden = cross.bias
            if hidden is None:
                hidden = torch.zeros(sources, 1, 1, 1, cross.keys[0].shape[2], dtype=x.dtype)
            seen = [*cross.keys, *cross.values, hidden]
        cosine, sine = angles or 2 * (x.new_empty(sources, beams, 0, dtype=torch.float32),)
        turned = cosine.view(sources, beams, -1), sine.view(sources, beams, -1)
        given = [x.view(sources, beams, -1), *turned, masks[0], slots]
        # they are written to, so a copy would not do
        if not all(one.is_contiguous() for one in cache):
            return None
        # a program asks nothing about strides: it takes the numbers as if they stood one after the
        # other
        try:
            states, logits = program(
                [*(one.contiguous() for one in given), *cache, *(one.contiguous() for one in seen)]
            )
        except RuntimeError as error:
            self._give_up(kind, f"it failed ({str(error).strip().splitlines()[-1]})")
            return None
        idle.append(program)
        return states, logits

    def _program(self, kind: ProgramKey, x: Tensor) -> Any:
        """A program of this kind, loaded once more; built where there is none yet; None where there
        can be none.
        """
        from torch._inductor import aoti_load_package

        with LOCK:
            if kind in self.plain:
                return None
            self.contents = self.contents or contents(self.step.model)
            single, beams, threads = kind
            # Where there is none for so many threads, one that was made for a single thread will
            # do.
            paths = [
                self._path((single, beams, number), x.dtype)
                for number in dict.fromkeys((threads, 1))
            ]
            path = next((one for one in paths if one.exists()), paths[0])
            if not path.exists() and not self._make(kind, path, x.dtype):
                return None
            try:
                return aoti_load_package(str(path)).loader.boxed_run
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
        """Take steps of this kind plainly from now on, and say so."""
        self.plain.add(kind)
        single, beams, threads = kind
        steps = (
            f"steps of {'one text' if single else 'several texts'}, {beams} rows each, on "
            f"{threads} threads"
        )
        message = (
            f"decoding.compile: {steps} are taken without a compiled program, because {why}. The "
            "answers are the same."
        )
        warnings.warn(message, TriptychWarning, stacklevel=2)

    def _make(self, kind: ProgramKey, path: Path, precision: torch.dtype) -> bool:
        """Build a program and keep it; whether that could be done. What failed once is not tried
        again.
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
            f"building it failed: {problem.strip().splitlines()[-1]} (the whole story: {failed}; "
            "delete it to try again)",
        )
        return False

    def _build(self, kind: ProgramKey, place: Path, precision: torch.dtype) -> str:
        """Trace the step here, build `step.pt2` in `place` and try it in another process. Returns
        what went wrong, or "".
        """
        try:
            with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.export.save(self._traced(*kind[:2]), place / "traced.pt2")
                trials = self._trials(*kind[:2])
                save_file(
                    {name: one for each in trials for name, one in each.items()},
                    place / "trials.safetensors",
                )
                asked = {
                    "options": OPTIONS,
                    "threads": kind[2],
                    "trials": len(trials),
                    "tolerance": TOLERANCE.get(precision, 0.1),
                }
                (place / "asked.json").write_text(json.dumps(asked))
        except Exception as error:  # torch.export raises all kinds; the plain step goes on
            return f"{type(error).__name__}: {error}"
        done = subprocess.run(
            [sys.executable, "-P", str(BUILDER), str(place)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode:
            ended = f"the process that builds and tries it ended with {done.returncode}"
            return f"{done.stderr[-20_000:]}\n" + (
                ended if done.returncode < 0 or not done.stderr.strip() else ""
            )
        return ""

    def _traced(self, is_single: bool, beams: int) -> Any:
        from torch.export import Dim, export

        given = self._example(1 if is_single else SOURCES, beams)
        sources = {} if is_single else {0: Dim.DYNAMIC}
        cache = [{**sources, 2: Dim.DYNAMIC}] * len(given[5])
        memory = None if given[7] is None else (cache, cache, {**sources, 4: Dim.DYNAMIC})
        shapes = (sources, sources, sources, {**sources, 4: Dim.DYNAMIC}, {}, cache, cache, memory)
        return export(self.step, given, dynamic_shapes=shapes, strict=False)

    def _trials(self, is_single: bool, beams: int) -> list[dict[str, Tensor]]:
        """Steps of several shapes, and what the plain step makes of them, by the names that
        `build_program` knows.
        """
        found: list[dict[str, Tensor]] = []
        for sources, lanes in ((1, 1), (1, 5)) if is_single else ((2, 1), (7, 5), (SOURCES + 1, 3)):
            x, cosine, sine, mask, slots, keys, values, seen = self._example(
                sources, beams, 16 * lanes
            )
            mask[..., 5 + beams :] = float("-inf")
            cache, memory = [*keys, *values], () if seen is None else (*seen[0], *seen[1], seen[2])
            if seen is not None:
                seen[2][:1, ..., 7:] = float("-inf")
            given = [one.clone() for one in (x, cosine, sine, mask, slots, *cache, *memory)]
            wanted = [*self.step(x, cosine, sine, mask, slots, keys, values, seen), *cache]
            kinds = {"given": given, "wanted": [one.contiguous().clone() for one in wanted]}
            found.append(
                {
                    f"{len(found)} {kind} {place}": one
                    for kind, several in kinds.items()
                    for place, one in enumerate(several)
                }
            )
        return found

    def _example(self, sources: int, beams: int, room: int = SLOTS) -> tuple[Any, ...]:
        """Arguments of `StepModule.forward` to trace or to try it with: `room` slots, more where
        the beams need them.
        """
        model = self.step.model
        dials, precision = model.config.decoder, model.precision
        assert dials is not None
        blocks, width, rows = model.decoder.each, dials.size_of_head, (sources, beams)
        room = max(room, whole_lanes(5 + beams, precision))

        def cache(slots: int) -> list[Tensor]:
            return [
                torch.randn(sources, one.self_attention.key_heads, slots, width).to(precision)
                for one in blocks
            ]

        seen = None
        if model.config.encoder is not None:
            seen = (
                cache(room + 16),
                cache(room + 16),
                torch.zeros(sources, 1, 1, 1, room + 16, dtype=precision),
            )
        x = torch.randn(*rows, dials.width).to(precision)
        heads = 1 if model.decoder.position_bias is None else dials.heads
        mask = torch.zeros(sources, heads, beams, 1, room, dtype=precision)
        angle = torch.randn(*rows, width if dials.positions == "rotary" else 0)
        return (
            x,
            angle,
            angle.clone(),
            mask,
            torch.arange(5, 5 + beams),
            cache(room),
            cache(room),
            seen,
        )


def contents(model: nn.Module) -> str:
    """What a program depends on beside its kind: this source, torch, the processor's abilities, the
    dials and the weights.
    """
    found = hashlib.sha256()
    for path in (
        Path(__file__),
        BUILDER,
        *sorted(Path(str(model_package.__file__)).parent.rglob("*.py")),
    ):
        found.update(path.read_bytes())
    found.update(
        repr(
            (torch.__version__, torch.backends.cpu.get_cpu_capability(), _processor(), model.config)
        ).encode()
    )
    for name, weight in sorted(model.state_dict().items()):
        found.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        found.update(weight.detach().contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _processor() -> str:
    """The processor's name and abilities, where the system tells them: a program is built for
    them.
    """
    try:
        lines = (
            Path("/proc/cpuinfo")
            .read_text(encoding="utf-8", errors="replace")
            .split("\n\n")[0]
            .split("\n")
        )
    except OSError:
        import platform

        return platform.processor()
    return "\n".join(line for line in lines if line.startswith(("model name", "flags", "Features")))


def _keep(path: Path, built: Path) -> None:
    """Move a program into the cache, whole or not at all, where nobody but the user may write."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        shutil.copyfile(built, half)
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)
