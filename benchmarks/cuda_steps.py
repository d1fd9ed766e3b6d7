"""The three steps by which a GPU trains faster, each on and off: parity, and tokens a second.

    python benchmarks/cuda_steps.py [--preset gpt2] [--context 1024] [--batch 32] [--seconds 5]
        [--json FILE]

- attention: torch's fused kernels over dense rows (model/ops/cuda.py), or products and a softmax;
- chunks: the loss in chunks that follow the device's memory, or such as a CPU's cache holds;
- padding: the vocabulary's copy of a multiple of 64 rows, or as it is (50,257).

Parity is of one batch of ragged rows in bf16 beside all steps off: the loss's relative difference
and the gradients' relative distance. Speed is of forward, backward and AdamW on dense rows of
random tokens, without dropout, after three steps of warm-up. Without a GPU the same is done with a
toy, for parity alone; a speed of the CPU would say nothing and is not printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from triptych.model.build import build
from triptych.model.ops import attention, cpu, cross_entropy, cuda
from triptych.presets.gpt import PRESETS

VOCABULARY = 50_257
STEPS = {  # name -> attention, chunks, padding
    "all off": (False, False, False),
    "attention": (True, False, False),
    "chunks": (False, True, False),
    "padding": (False, False, True),
    "attention, chunks": (True, True, False),
    "all on": (True, True, True),
}


def choose(device: torch.device, fused: bool, large: bool, padded: bool) -> None:
    """Let the device run with these steps from now on."""
    attention.BY_DEVICE[device.type] = cuda.attention if fused else cpu.attention
    logits = cross_entropy.CHUNK_LOGITS
    if large and device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        logits = cuda.chunk_logits(memory, 2)
    chunks = cross_entropy.Chunks(logits, cuda.MULTIPLE if padded else 1)
    cross_entropy.BY_DEVICE[device.type] = lambda states: chunks


def loss_of(model: Any, ids: Tensor, lengths: Tensor) -> Tensor:
    """The mean loss of rows in which the next token is that of the row itself, shifted."""
    states = model(target=ids, target_lengths=lengths)
    weight, bias = model.output_projection()
    total, _ = cross_entropy.projected_cross_entropy(states, weight, bias, ids.roll(-1), 0.0)
    return total / ids.numel()


def parity(model: Any, device: torch.device, context: int) -> dict[str, tuple[float, float]]:
    """For each set of steps the differences of loss and gradients from those of none."""
    lengths = torch.tensor([context, context // 2, context - 3, 1], device=device)
    ids = torch.randint(0, model.config.vocabulary_size, (int(lengths.sum()),), device=device)
    found: dict[str, tuple[float, Tensor]] = {}
    for name, steps in STEPS.items():
        choose(device, *steps)
        model.zero_grad(set_to_none=True)
        loss = loss_of(model, ids, lengths)
        loss.backward()
        grads = [one.grad.reshape(-1).float() for one in model.parameters() if one.grad is not None]
        found[name] = float(loss.detach()), torch.cat(grads)
    plain, plain_grads = found["all off"]
    return {
        name: (abs(loss / plain - 1), float((grads - plain_grads).norm() / plain_grads.norm()))
        for name, (loss, grads) in found.items()
    }


def speed(model: Any, device: torch.device, options: argparse.Namespace) -> dict[str, float]:
    """Tokens a second of training with each set of steps."""
    lengths = torch.full((options.batch,), options.context, device=device)
    ids = torch.randint(0, VOCABULARY, (options.batch * options.context,), device=device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    found: dict[str, float] = {}
    for name, steps in STEPS.items():
        choose(device, *steps)
        count, began = -3, 0.0
        while count < 1 or time.perf_counter() - began < options.seconds:
            optimizer.zero_grad(set_to_none=True)
            loss_of(model, ids, lengths).backward()
            optimizer.step()
            count += 1
            torch.cuda.synchronize(device)
            began = time.perf_counter() if count == 0 else began
        found[name] = count * ids.numel() / (time.perf_counter() - began)
    return found


def main() -> None:
    """Print a row for each set of steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=list(PRESETS), default="gpt2")
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = PRESETS[options.preset]
    assert config.decoder is not None, "all of these presets write"
    stack = dataclasses.replace(config.decoder, dropout=0.0, attention_dropout=0.0)
    vocabulary = VOCABULARY
    if device.type == "cpu":
        stack = dataclasses.replace(stack, layers=2, width=64, heads=4, inner_width=128)
        vocabulary, options.context = 501, min(options.context, 64)
    torch.manual_seed(1)
    model: Any = build(dataclasses.replace(config, decoder=stack, vocabulary_size=vocabulary))
    model.to(device).train().precision = torch.bfloat16
    away = parity(model, device, options.context)
    on_device = device.type == "cuda"
    rates = speed(model, device, options) if on_device else {}
    name = torch.cuda.get_device_name(device) if on_device else "no GPU: parity of a toy, no speed"
    print(name)
    for step, (loss, gradient) in away.items():
        rate = f"{rates[step]:>12,.0f} tokens/s" if step in rates else ""
        print(f"{step:<20} loss {loss:8.1e}  gradients {gradient:8.1e} {rate}")
    if options.json:
        values = {"device": name, "parity": away, "tokens_per_second": rates}
        options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
