"""Trace one decoder step, and compile it into a program that is tested in another process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from .. import model as model_package
from ..model.attention import Attention, Context
from ..model.cache import CrossKeys
from ..model.kv_pool import whole_lanes
from ..model.linear import Product
from ..model.ops.attention import CachedKeys
from ..model.transformer import Transformer

# options of torch's inductor
OPTIONS = {"freezing": True, "max_autotune": True, "max_autotune_gemm_backends": "CPP,ATEN"}
# Sizes of the example that a program is traced with. A program takes any size, but the fastest
# kernels were chosen for this one.
SLOTS, SOURCES = 48, 32
# the largest difference from an uncompiled step, as a share of the norm
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}
BUILDER = Path(__file__).with_name("compiled_build.py")

ProgramKey = tuple[bool, int, int]  # for a single source or for several, beams, threads
Program = Callable[[list[Tensor]], Sequence[Tensor]]
DynamicAxes = dict[int, Any]  # axis -> its `Dim` hint, whose class is private
CrossArguments = tuple[list[Tensor], list[Tensor], Tensor]
# the arguments of `StepModule.forward`
StepArguments = tuple[
    Tensor, Tensor, Tensor, Tensor, Tensor, list[Tensor], list[Tensor], CrossArguments | None
]

SAVE: Callable[[dict[str, Tensor], Path], None] = cast(Any, safetensors.torch).save_file
FORK_RNG: Any = cast(Any, torch.random).fork_rng  # their stubs have no types


class Slots:
    """Replace `TransformerState` inside a program: new keys and values go to `slots` (T,)."""

    def __init__(
        self,
        slots: Tensor,
        keys: list[Tensor],
        values: list[Tensor],
        cross: CrossKeys | None,
    ) -> None:
        self.slots, self.keys, self.values, self.cross = slots, keys, values, cross

    def cross_keys(self, layer: int) -> CachedKeys:
        """Return the memory's keys and values of a layer, as `TransformerState.cross_keys` does."""
        assert self.cross is not None
        return self.cross.of_layer(layer)

    def joined(self, layer: int, attention: Attention, x: Tensor) -> Product:
        """Return the joined product of a layer, which the program computes once."""
        return attention.joined(x)

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write new keys and values, as `TransformerState.append` does."""
        keys, values = self.keys[layer], self.values[layer]
        shape = (keys.shape[0], -1, *key.shape[2:])
        keys.index_copy_(2, self.slots, key.reshape(shape).transpose(1, 2))
        values.index_copy_(2, self.slots, value.reshape(shape).transpose(1, 2))
        return keys, values


class StepModule(nn.Module):
    """Compute one token in each of R x `beams` rows.

    It is a module, so that the compiler may treat the weights as constants and lay them out anew.
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
        cross: CrossArguments | None,
    ) -> tuple[Tensor, Tensor]:
        """Compute one step.

        Args:
            x: (R, beams, D).
            cosine: (R, beams, E) of the positions; E is 0 where they are not rotary.
            sine: The same.
            mask: (R, 1, beams, 1, C), added to scores.
            slots: (beams,) int64, where new keys go.
            keys: (R, K, C, E) of every layer, written in place.
            values: The same.
            cross: Keys and values (R, K, S, E) of the memory for every layer, and their bias.

        Returns:
            The last states (R * beams, D) and the logits (R * beams, V).
        """
        rows = x.shape[0] * x.shape[1]
        seen = None if cross is None else CrossKeys(cross[0], cross[1], slots, cross[2])
        past = Slots(slots, keys, values, seen)
        turned = cosine.reshape(rows, 1, -1), sine.reshape(rows, 1, -1)
        angles = (turned,) if cosine.shape[2] else ()
        context = Context(angles=angles, cache=past, shape=(rows, 1), slot_biases=(mask,))
        return self.model.decode_layers(x.reshape(rows, -1), context)


def build_program(step: StepModule, kind: ProgramKey, place: Path, precision: torch.dtype) -> str:
    """Trace a step, then build and test `step.pt2` in `place` in another process.

    Returns:
        What went wrong, or "".
    """
    try:
        with torch.inference_mode(False), torch.no_grad(), FORK_RNG(devices=[]):
            torch.export.save(_traced(step, *kind[:2]), place / "traced.pt2")
            trials = _trials(step, *kind[:2])
            SAVE(
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
    except Exception as error:  # torch.export raises many kinds; decoding goes on uncompiled
        return f"{type(error).__name__}: {error}"
    done = subprocess.run(
        [sys.executable, "-P", str(BUILDER), str(place)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        ended = f"the process that builds and tests it ended with {done.returncode}"
        return f"{done.stderr[-20_000:]}\n" + (
            ended if done.returncode < 0 or not done.stderr.strip() else ""
        )
    return ""


def _traced(step: StepModule, is_single: bool, beams: int) -> ExportedProgram:
    given = example(step, 1 if is_single else SOURCES, beams)
    sources: DynamicAxes = {} if is_single else {0: Dim.DYNAMIC}
    cache: list[DynamicAxes] = [{**sources, 2: Dim.DYNAMIC}] * len(given[5])
    mask: DynamicAxes = {**sources, 4: Dim.DYNAMIC}
    memory = None if given[7] is None else (cache, cache, mask)
    fixed: DynamicAxes = {}
    shapes = (sources, sources, sources, mask, fixed, cache, cache, memory)
    return export(step, given, dynamic_shapes=shapes, strict=False)


def _trials(step: StepModule, is_single: bool, beams: int) -> list[dict[str, Tensor]]:
    """Return arguments of several shapes and the uncompiled step's results.

    Their names are those that `compiled_build.py` reads.
    """
    found: list[dict[str, Tensor]] = []
    for sources, lanes in ((1, 1), (1, 5)) if is_single else ((2, 1), (7, 5), (SOURCES + 1, 3)):
        x, cosine, sine, mask, slots, keys, values, seen = example(step, sources, beams, 16 * lanes)
        mask[..., 5 + beams :] = float("-inf")
        cache, memory = [*keys, *values], () if seen is None else (*seen[0], *seen[1], seen[2])
        if seen is not None:
            seen[2][:1, ..., 7:] = float("-inf")
        given = [one.clone() for one in (x, cosine, sine, mask, slots, *cache, *memory)]
        wanted = [*step(x, cosine, sine, mask, slots, keys, values, seen), *cache]
        kinds = {"given": given, "wanted": [one.contiguous().clone() for one in wanted]}
        found.append(
            {
                f"{len(found)} {kind} {place}": one
                for kind, several in kinds.items()
                for place, one in enumerate(several)
            }
        )
    return found


def example(step: StepModule, sources: int, beams: int, room: int = SLOTS) -> StepArguments:
    """Make arguments of `StepModule.forward` with `room` slots, or more if the beams need them."""
    model = step.model
    config, precision = model.config.decoder, model.precision
    assert config is not None
    blocks, width, rows = model.decoder.each, config.size_of_head, (sources, beams)
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
    x = torch.randn(*rows, config.width).to(precision)
    heads = 1 if model.decoder.position_bias is None else config.heads
    mask = torch.zeros(sources, heads, beams, 1, room, dtype=precision)
    rotaries = model.decoder.rotaries
    angle = torch.randn(*rows, rotaries[0].width if rotaries else 0)
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
    """Hash what a program depends on besides its kind.

    That is this source code, torch, the processor, the configuration and the weights.
    """
    found = hashlib.sha256()
    for path in (
        Path(__file__),
        Path(__file__).with_name("compiled.py"),  # the order of arguments
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
    """Return the processor's name and instruction sets, for which a program is built."""
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
