"""Sparse attention beside dense attention on a CPU: does its cost grow linearly, and how much less?

The encoder of BigBird-base (Zaheer et al. 2020) with few layers: width 768, 12 heads, blocks of 64
tokens, three further blocks. One text of each length, forward only, random weights, products
prepacked as `triptych.load` does. Dense attention is the same weights without the pattern. A window
of 512 tokens is measured beside. Seconds are the least of the repetitions, of one clock (--clock
cpu: of this process alone, for a machine that others use too).

Then the cache of a decoder: bytes of keys and values after each thousand tokens, with a window in
every layer, in every second one, and without.

    python benchmarks/sparse_attention.py [--layers 2] [--longest 16384] [--out FOLDER]

It writes sparse_attention.json and sparse_attention.svg.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import torch

from triptych.inference.prepack import prepack
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer

LENGTHS = (1024, 2048, 4096, 8192, 16384)
COMPARED = 4096  # tokens at which dense attention is measured too
BLOCKS = {"size": 64, "random": 3}
KINDS: dict[str, dict[str, Any]] = {
    "blocks": {"attention_blocks": BLOCKS},
    "blocks, drawn": {"attention_blocks": {**BLOCKS, "seed": 0}},
    "window of 512": {"attention_window": 512},
    "dense": {},
}
COLORS = {
    "blocks": "#1f77b4",
    "blocks, drawn": "#2ca02c",
    "window of 512": "#9467bd",
    "dense": "#d62728",
}


def encoder(layers: int, longest: int, **dials: Any) -> Transformer:
    stack = StackConfig(
        layers=layers,
        width=768,
        heads=12,
        inner_width=3072,
        activation="gelu_tanh",
        positions="learned",
        max_positions=longest,
        embedding_norm=True,
        **dials,
    )
    return Transformer(ModelConfig(encoder=stack, vocabulary_size=1024, embedding_scale=False))


@torch.no_grad()
def speed(options: argparse.Namespace) -> dict[str, dict[int, float]]:
    """Return the seconds of a forward by kind and length, the kinds in turn."""
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    lengths = [one for one in LENGTHS if one <= options.longest]
    torch.manual_seed(0)
    models = {kind: encoder(options.layers, max(lengths), **KINDS[kind]).eval() for kind in KINDS}
    for model in models.values():
        model.load_state_dict(models["dense"].state_dict())
        model.precision = getattr(torch, options.precision)
        prepack(model.to(model.precision), model.precision)
    found: dict[str, dict[int, float]] = {kind: {} for kind in KINDS}
    for length in lengths:
        source, whole = torch.randint(0, 1024, (length,)), torch.tensor([length])
        for _ in range(options.repetitions):
            for kind, model in models.items():
                if kind == "dense" and length > COMPARED:
                    continue
                began = clock()
                model(source, whole)
                seconds = clock() - began
                found[kind][length] = min(seconds, found[kind].get(length, seconds))
        print(f"{length:,} tokens:", {kind: one.get(length) for kind, one in found.items()})
    return found


@torch.no_grad()
def cache(tokens: int = 4000, window: int = 512) -> dict[str, dict[int, int]]:
    """Return the bytes of a decoder's keys and values by the tokens read."""
    base = StackConfig(layers=4, width=64, heads=4, inner_width=64, positions="rotary")
    kinds = {
        "no window": base,
        "every second layer": dataclasses.replace(
            base, by_block={"attention_window": [window, "unset"]}
        ),
        "every layer": dataclasses.replace(base, attention_window=window),
    }
    found: dict[str, dict[int, int]] = {}
    for kind, stack in kinds.items():
        model = Transformer(ModelConfig(decoder=stack, vocabulary_size=64)).eval()
        state, found[kind] = model.start(None, 1), {}
        for read in range(0, tokens, 50):
            _, state = model.step(torch.randint(0, 64, (1, 50)), state)
            if (read + 50) % 1000 == 0:
                held = [*state.pool.keys, *state.pool.values]
                found[kind][read + 50] = sum(one.untyped_storage().nbytes() for one in held)
        print(f"cache, {kind}: {found[kind]}", flush=True)
    return found


def drawing(curves: dict[str, dict[int, float]]) -> str:
    """Return the curves as SVG, seconds over tokens."""
    wide, high, edge = 640, 400, 50
    most = max(max(curve.values()) for curve in curves.values())
    last = max(max(curve) for curve in curves.values())

    def point(length: float, seconds: float) -> tuple[float, float]:
        return edge + (wide - 2 * edge) * length / last, high - edge - (
            high - 2 * edge
        ) * seconds / most

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<path d="M{edge} {edge}V{high - edge}H{wide - edge}" fill="none" stroke="black"/>',
        f'<text x="{edge}" y="{edge - 12}">seconds of a forward</text>',
        f'<text x="{wide - edge}" y="{high - 12}" text-anchor="end">tokens of the text</text>',
    ]
    for length in sorted({length for curve in curves.values() for length in curve}):
        x, y = point(length, 0)
        parts.append(f'<text x="{x:.0f}" y="{y + 16:.0f}" text-anchor="middle">{length:,}</text>')
    for number in range(1, 5):
        x, y = point(0, most * number / 4)
        said = f"{most * number / 4:.1f}"
        parts.append(f'<text x="{x - 6:.0f}" y="{y + 4:.0f}" text-anchor="end">{said}</text>')
    for place, (kind, curve) in enumerate(curves.items()):
        points = [point(*one) for one in curve.items()]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        color = COLORS[kind]
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in points]
        parts.append(
            f'<text x="{edge + 12}" y="{edge + 16 * place + 8}" fill="{color}">{kind}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--longest", type=int, default=max(LENGTHS))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", type=Path, default=Path())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    curves = speed(options)
    at = min(COMPARED, options.longest)
    found = {
        "layers": options.layers,
        "threads": options.threads,
        "clock": options.clock,
        "precision": options.precision,
        "seconds": curves,
        "share_of_dense": {kind: curve[at] / curves["dense"][at] for kind, curve in curves.items()},
        "growth": {  # seconds a token at the longest text, as a multiple of those at `at`
            kind: max(curve.items())[1] / max(curve) / (curve[at] / at)
            for kind, curve in curves.items()
        },
        "cache_bytes": cache(),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "sparse_attention.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "sparse_attention.svg").write_text(drawing(curves))
    print(json.dumps({key: found[key] for key in ("share_of_dense", "growth")}))


if __name__ == "__main__":
    main()
