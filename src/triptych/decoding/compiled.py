"""A decoder's step as one compiled program: torch's AOTInductor writes it in C++ for this processor, and a C++ compiler builds it.

A small model spends most of a step on the way from one operation to the next, and oneDNN's product of a single row costs several times
what reading the weights does. One program has neither. To build it takes about a minute; it is kept in the user's cache, by what went
into it, and found there the next time (docs/decisions/013-compiled-step.md).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import model as model_package
from ..errors import UsageError
from ..model.positions import Angles
from ..model.state import CrossKeys, State
from ..model.transformer import Transformer

COMPILERS = ("g++", "c++", "clang++")
OPTIONS = {"freezing": True, "max_autotune": True, "max_autotune_gemm_backends": "CPP,ATEN"}  # of torch's inductor
SLOTS, SOURCES = 48, 32  # of the example that a program is traced with: any number will do later, products are chosen for this one
LOCK = threading.Lock()  # two threads that decode side by side need the same program


def can_compile() -> bool:
    """Whether there is a C++ compiler at hand."""
    return any(shutil.which(name) for name in COMPILERS)


def programs_folder() -> Path:
    """Where programs are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych" / "programs"


def compile_step(model: Any, folder: Path | None = None) -> None:
    """From now on `model` takes a compiled program for a step, where one fits. Raises UsageError where that cannot be."""
    if not isinstance(model, Transformer) or model.config.decoder is None or model.embedding.weight.device.type != "cpu":
        raise UsageError("decoding.compile is for Transformers that write, on a CPU. Leave it out.")
    if not can_compile():
        raise UsageError(f"decoding.compile needs a C++ compiler, and none of {', '.join(COMPILERS)} is at hand. Leave it out.")
    if model.compiled is None:
        model.compiled = CompiledStep(model, folder or programs_folder())


class Slots:
    """Stands for a State inside a program: new keys and values go where `slots` (T,) says."""

    def __init__(self, slots: Tensor, keys: list[Tensor], values: list[Tensor], fused: list[Any], cross: CrossKeys | None) -> None:
        self.slots, self.keys, self.values, self.fused, self.cross = slots, keys, values, fused, cross

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """As `State.append`."""
        keys, values = self.keys[layer], self.values[layer]
        shape = (keys.shape[0], -1, *key.shape[2:])
        keys.index_copy_(2, self.slots, key.reshape(shape).transpose(1, 2))
        values.index_copy_(2, self.slots, value.reshape(shape).transpose(1, 2))
        return keys, values


class Step(nn.Module):
    """What is compiled: one token in each of R x `beams` rows. A module, so that its weights are constants and can be laid out anew."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor, slots: Tensor, keys: list[Tensor], values: list[Tensor],
                cross: tuple[list[Tensor], list[Tensor], Tensor] | None) -> tuple[Tensor, Tensor]:  # fmt: skip
        """x (R, beams, D); cosine and sine of the positions (R, beams, E), E 0 where they are not rotary; mask (R, 1, beams, 1, C); slots
        (beams,); keys and values of every layer (R, K, C, E), which are written to; of the memory (R, K, S, E) and its bias.
        Returns last states (R * beams, D), logits (R * beams, V)."""
        rows = x.shape[0] * x.shape[1]
        fused = [block.self_attention.fused_now() for block in self.model.decoder.blocks]  # type: ignore[union-attr,operator]
        seen = None if cross is None else CrossKeys(cross[0], cross[1], slots, cross[2])
        past = Slots(slots, keys, values, fused, seen)
        angles = (cosine.reshape(rows, 1, -1), sine.reshape(rows, 1, -1)) if cosine.shape[2] else None
        return self.model.through(x.reshape(rows, -1), angles, (rows, 1), mask, past)


class CompiledStep:
    """`Step` of a model, built when first needed: for one source or many, a number of beams, a number of threads."""

    def __init__(self, model: Transformer, folder: Path) -> None:
        self.step, self.folder, self.contents = Step(model), folder, ""
        self.idle: dict[tuple[bool, int, int], list[Any]] = {}  # loaded programs; one runs for one thread at a time

    def fits(self, state: State, steps: int) -> bool:
        """Whether this step is one for a program: one token a row, and not the last rows of a batch that has shrunk to one."""
        return steps == 1 and (state.began == 1 or state.pool.keys[0].shape[0] > 1)

    def __call__(self, x: Tensor, angles: Angles | None, mask: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """x (R * beams, D), angles two of (R * beams, 1, E) or None, mask (R, 1, beams, 1, C) -> last states, logits."""
        sources, beams = state.pool.keys[0].shape[0], state.beams
        slots = torch.arange(state.used, state.pool.used)
        cross, given = state.cross, [*state.pool.keys, *state.pool.values]
        if cross is not None:
            hidden = cross.bias
            if hidden is None:
                hidden = torch.zeros(sources, 1, 1, 1, cross.keys[0].shape[2], dtype=x.dtype)
            given += [*cross.keys, *cross.values, hidden]
        kind = (sources == 1, beams, torch.get_num_threads())
        idle = self.idle.setdefault(kind, [])
        try:
            program = idle.pop()
        except IndexError:
            program = self._program(kind, x)
        cosine, sine = angles or 2 * (x.new_empty(sources, beams, 0, dtype=torch.float32),)
        cosine, sine = cosine.view(sources, beams, -1), sine.view(sources, beams, -1)
        states, logits = program([x.view(sources, beams, -1), cosine, sine, mask, slots, *given])
        idle.append(program)
        return states, logits

    def _program(self, kind: tuple[bool, int, int], x: Tensor) -> Any:
        """A program of this kind, loaded once more; built where there is none yet."""
        from torch._inductor import aoti_load_package

        with LOCK:
            self.contents = self.contents or contents(self.step.model)
            name = hashlib.sha256(repr((self.contents, kind, str(x.dtype))).encode()).hexdigest()[:32]
            path = self.folder / f"{name}.pt2"
            if not path.exists():
                _keep(path, self._build(*kind[:2]))
            return aoti_load_package(str(path)).loader.boxed_run

    def _build(self, is_single: bool, beams: int) -> Path:
        """A new program as a file in a folder of its own."""
        from torch._inductor import aoti_compile_and_package
        from torch.export import Dim, export

        with torch.inference_mode(False), torch.no_grad():
            given = self._example(1 if is_single else SOURCES, beams)
            sources = {} if is_single else {0: Dim.DYNAMIC}
            cache = [{**sources, 2: Dim.DYNAMIC}] * len(given[5])
            memory = None if given[7] is None else (cache, cache, {**sources, 4: Dim.DYNAMIC})
            shapes = (sources, sources, sources, {**sources, 4: Dim.DYNAMIC}, {}, cache, cache, memory)
            traced = export(self.step, given, dynamic_shapes=shapes, strict=False)
            place = Path(tempfile.mkdtemp(prefix="triptych-"))
            aoti_compile_and_package(traced, package_path=str(place / "step.pt2"), inductor_configs=OPTIONS)
        return place / "step.pt2"

    def _example(self, sources: int, beams: int) -> tuple[Any, ...]:
        """Arguments of `Step.forward` to trace it with."""
        model = self.step.model
        dials, precision = model.config.decoder, model.precision
        assert dials is not None
        heads, width, rows = dials.key_heads or dials.heads, dials.width // dials.heads, (sources, beams)

        def cache(slots: int) -> list[Tensor]:
            return [torch.randn(sources, heads, slots, width).to(precision) for _ in range(dials.layers)]

        seen = None
        if model.config.encoder is not None:
            seen = (cache(SLOTS + 16), cache(SLOTS + 16), torch.zeros(sources, 1, 1, 1, SLOTS + 16, dtype=precision))
        x = torch.randn(*rows, dials.width).to(precision)
        mask = torch.zeros(sources, 1, beams, 1, SLOTS, dtype=precision)
        angle = torch.randn(*rows, width if dials.positions == "rotary" else 0)
        return x, angle, angle.clone(), mask, torch.arange(5, 5 + beams), cache(SLOTS), cache(SLOTS), seen


def contents(model: nn.Module) -> str:
    """What a program depends on beside its kind: this source, torch, the processor's abilities, the dials and the weights."""
    found = hashlib.sha256()
    for path in (Path(__file__), *sorted(Path(str(model_package.__file__)).parent.glob("*.py"))):
        found.update(path.read_bytes())
    found.update(repr((torch.__version__, torch.backends.cpu.get_cpu_capability(), _processor(), model.config)).encode())
    for name, weight in sorted(model.state_dict().items()):
        found.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        found.update(weight.detach().contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _processor() -> str:
    """The processor's name and abilities, where the system tells them: a program is built for them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0].split("\n")
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
        shutil.rmtree(built.parent, ignore_errors=True)
