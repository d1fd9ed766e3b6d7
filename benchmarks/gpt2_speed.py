"""How fast a GPT-2 trains and writes on the device at hand: tokens a second, and the share of the
device's arithmetic that training uses.

    python benchmarks/gpt2_speed.py [--preset gpt2] [--context 1024] [--batch 32] [--seconds 60]
    [--streams 1 64] [--new 256]
        [--device auto] [--peak TFLOPS] [--json FILE]

Training: the product's own loop, AdamW, bf16 with weights in fp32, no dropout, GPT-2's 50,257
tokens drawn by chance (which cost what a text costs), a step of --batch rows of --context tokens;
the first 20 steps are left out. Of a token's operations are counted 6 N + 12 L D T (Chowdhery et
al. 2022, appendix B): N all weights but those of positions, L layers of width D, T the context;
causal attention is counted in full, as is the custom. The share (model FLOPs utilisation) is of the
device's published bf16 peak without sparsity, or of --peak where the device is not known. Writing:
greedy, random weights in bf16, --new tokens after one; after a warm-up.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from language_model_speed import train_for
from triptych.data.batches.encoded import Encoded
from triptych.decoding.generate import search
from triptych.decoding.settings import DecodingSettings
from triptych.inference.prepack import prepack
from triptych.model.build import build
from triptych.model.config import ModelConfig
from triptych.presets import parameter_count
from triptych.presets.gpt import PRESETS
from triptych.training.precision import choose_device

VOCABULARY = 50_257
PEAKS = {"H200": 989.4, "A100": 312.0}  # TFLOP/s, bf16, dense; NVIDIA's data sheets


def operations_of(config: ModelConfig, context: int) -> float:
    """Of training with one token, forward and backward."""
    stack = config.decoder
    assert stack is not None, "a preset that writes"
    positions = stack.max_positions * stack.width if stack.positions == "learned" else 0
    return 6.0 * (parameter_count(config) - positions) + 12.0 * stack.layers * stack.width * context


def peak_of(device: torch.device, given: float | None) -> float | None:
    """TFLOP/s."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return given or next(
        (peak for part, peak in PEAKS.items() if part in name.replace("-", " ").split()), None
    )


def training(
    config: ModelConfig, options: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    """Tokens a second, and TFLOP/s."""

    def encode(epoch: int, index: int) -> list[Encoded]:
        ids = np.random.default_rng((epoch, index)).integers(0, VOCABULARY, options.context + 1)
        return [Encoded({"target": ids[:-1]}, {"tokens": ids[1:]}, index)]

    torch.manual_seed(1)
    found = train_for(
        build(config),
        encode,
        options.context,
        options.batch,
        options.seconds,
        precision="bfloat16",
        device=device.type,
        warm_up=options.warm_up,
    )
    return {
        **found,
        "tflops": found["tokens_per_second"] * operations_of(config, options.context) / 1e12,
    }


def writing(config: ModelConfig, streams: int, new: int, device: torch.device) -> float:
    """Tokens a second, of all streams together."""
    torch.manual_seed(1)
    model = build(config).eval()
    model.precision = torch.bfloat16  # type: ignore[assignment]
    model = model.to(device, torch.bfloat16)
    prepack(model, torch.bfloat16)

    def write(count: int) -> float:
        began = time.perf_counter()
        settings = DecodingSettings(max_length=count, min_length=count)
        answers = search(
            model,
            {},
            settings,
            begin=0,
            end=1,
            max_lengths=[count] * streams,
            prefixes=[[]] * streams,
        )
        assert all(len(one.tokens) == count for (one,) in answers), "every token is written"
        return streams * count / (time.perf_counter() - began)

    write(min(new, 20))
    return write(new)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=list(PRESETS), default="gpt2")
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=32, help="rows of a step")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm-up", type=int, default=20, help="steps that are left out")
    parser.add_argument(
        "--streams", type=int, nargs="*", default=[1, 64], help="texts written at once"
    )
    parser.add_argument("--new", type=int, default=256)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the device in bf16")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = choose_device(options.device, "--device")
    config = dataclasses.replace(PRESETS[options.preset], vocabulary_size=VOCABULARY)
    assert config.decoder is not None, "all of these presets write"
    config = dataclasses.replace(config, decoder=dataclasses.replace(config.decoder, dropout=0.0))
    told = {
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.machine(),
        "torch": torch.__version__,
    }
    found: dict[str, Any] = {
        **told,
        "preset": options.preset,
        "parameters": parameter_count(config),
        "context": options.context,
        "batch": options.batch,
        "training": training(config, options, device),
    }
    peak = peak_of(device, options.peak)
    if peak is not None:
        found["training"]["utilisation"] = 100.0 * found["training"]["tflops"] / peak
    print(json.dumps(found), flush=True)
    found["writing"] = {
        str(streams): writing(config, streams, options.new, device) for streams in options.streams
    }
    print(json.dumps({"tokens_per_second": found["writing"]}), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
