"""Toy Transformers that train and decode, sharded over processes or whole; as a script, the part of
one of two processes.

python toy_sharded.py FOLDER, under torchrun's environment
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor

from triptych.model.cache import Memory
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.heads.tokens import MaskedWords, NextToken, output_of
from triptych.model.masks import PackedLayout
from triptych.model.ops.cross_entropy import projected_cross_entropy
from triptych.model.transformer import Transformer
from triptych.training.distributed import World
from triptych.training.optimizer import Optimizers
from triptych.training.settings import TrainingSettings
from triptych.training.sharding import shard

STEPS, MICRO_BATCHES, VOCABULARY, WIDTH = 3, 4, 51, 32
SHAPE = {"layers": 2, "width": WIDTH, "heads": 4, "inner_width": 64, "attention_dropout": 0.1}
DIALS: dict[str, dict[str, Any]] = {
    "rotary": {
        "norm_placement": "pre",
        "norm": "rms",
        "positions": "rotary",
        "key_heads": 2,
        "gated": True,
        "activation": "silu",
        "bias": False,
    },
    "learned": {"positions": "learned", "max_positions": 32, "embedding_norm": True},
}
LENGTHS = torch.tensor([2, 1])  # of a memory that no encoder made
CASES = [
    f"{architecture} {dials}" for architecture in ("encoder", "decoder", "both") for dials in DIALS
]


def make(case: str) -> tuple[Transformer, nn.Module]:
    """A model and its head: masked words of an encoder alone, else the next token. Those with
    rotary positions tie no embeddings.
    """
    torch.manual_seed(7)
    architecture, dials = case.split()
    stack, untied = StackConfig(**SHAPE, **DIALS[dials]), dials == "rotary"
    config = ModelConfig(
        encoder=None if architecture == "decoder" else stack,
        decoder=None if architecture == "encoder" else stack,
        vocabulary_size=VOCABULARY,
        source_vocabulary_size=VOCABULARY if untied and architecture == "both" else None,
        tied_embeddings=not untied,
        output_bias=untied,
    )
    masked = architecture == "encoder"
    head = MaskedWords(WIDTH, VOCABULARY, 1e-5) if masked else NextToken()
    return Transformer(config), head


def batch(case: str, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs of three sequences a side, and the targets; lengths differ from seed to seed."""
    generator, inputs = torch.Generator().manual_seed(seed), {}
    for side in ("source", "target"):
        if case.startswith("decoder" if side == "source" else "encoder"):
            continue
        inputs[f"{side}_lengths"] = lengths = torch.randint(2, 9, (3,), generator=generator)
        inputs[side] = torch.randint(0, VOCABULARY, (int(lengths.sum()),), generator=generator)
    last = inputs["source" if case.startswith("encoder") else "target"]
    if case.startswith("encoder"):
        inputs["masked"] = (torch.arange(last.numel()) % 3 == 0).long()
        last = last[inputs["masked"] == 1]
    return inputs, last.roll(1)


def results(case: str, processes: World, mesh: DeviceMesh | None = None) -> dict[str, Tensor]:
    """What a model of `case` gives before, while and after it trains; it is sharded where a mesh is
    given.
    """
    model, head = make(case)
    if mesh is not None:
        shard(model, mesh)
    parameters = dict(model.named_parameters())  # before a pass puts whole ones in their places
    found = {f"before/{name}": tensor for name, tensor in used(model, case).items()}
    found |= trained(model, parameters, head, case, processes)
    found |= {f"weight/{name}": whole(weight).clone() for name, weight in parameters.items()}
    found |= {f"after/{name}": tensor for name, tensor in used(model, case).items()}
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.mul_(0.5)
        found["halved/states"] = model(**batch(case, 0)[0])
    return {name: tensor.detach() for name, tensor in found.items()}


def trained(
    model: Transformer,
    parameters: dict[str, nn.Parameter],
    head: nn.Module,
    case: str,
    processes: World,
) -> dict[str, Tensor]:
    """Take STEPS steps of MICRO_BATCHES each, shared by the processes; gives the first gradient."""
    model.train()
    settings = TrainingSettings(steps=STEPS, epsilon=1e-4)
    of_head = dict(head.named_parameters())  # no one shards it
    optimizers = [Optimizers(members, settings) for members in (parameters, of_head) if members]
    first: dict[str, Tensor] = {}
    for step in range(STEPS):
        seeds = range(step * MICRO_BATCHES, (step + 1) * MICRO_BATCHES)
        count = sum(batch(case, seed)[1].numel() for seed in seeds)
        for seed in seeds[processes.rank :: processes.size]:
            inputs, targets = batch(case, seed)
            model.reseed(seed)
            output = output_of(model, head, inputs)
            loss, _ = projected_cross_entropy(
                output.states, output.weight, output.bias, targets, 0.1
            )
            (loss / count).backward()
        if of_head:
            processes.sum_gradients(of_head.values(), torch.zeros(1))
        for name, parameter in parameters.items() if not step else ():
            assert parameter.grad is not None, f"{name} has no gradient"
            first[f"gradient/{name}"] = whole(parameter.grad).clone()
        for optimizer in optimizers:
            optimizer.step(1e-2)
            optimizer.forget_gradients()
    return first


@torch.inference_mode()
def used(model: Transformer, case: str) -> dict[str, Tensor]:
    """Call every method that reads parameters as those do that train nothing. None leans on a root
    that another one has left whole.
    """
    model.eval()
    free = getattr(model, "reshard", lambda: None)
    inputs, _ = batch(case, 99)
    generator = torch.Generator().manual_seed(3)
    states = torch.randn(3, WIDTH, generator=generator)
    tokens = torch.randint(0, VOCABULARY, (3, 3), generator=generator)
    found: dict[str, Tensor] = {}
    if case.startswith("encoder"):
        selected_rows = inputs["masked"].nonzero().squeeze(1)
        found["selected_rows"] = model(**inputs, selected_rows=selected_rows)
        found["embedded"] = model.embedding(inputs["source"])  # as a head reads it after `forward`
    else:
        memory = None if case.startswith("decoder") else Memory(states, PackedLayout(LENGTHS))
        state = model.start(memory, LENGTHS.numel())
        free()
        found["alone"], _ = model.step(tokens[: LENGTHS.numel()], state)
        free()
        memory = memory and model.encode(inputs)
        free()
        state = model.start(memory, 3)
        free()
        found["several"], state = model.step(tokens, state)
        state = state.select(torch.tensor([0, 0, 2, 2]))
        for number in range(2):
            found[f"one{number}"], state = model.step(tokens[[0, 1, 2, 0], number, None], state)
    free()
    found["exact"] = model.exact_logits(states, tokens)
    free()
    found["projected"] = model.project(states)
    free()
    kind = case.split()[0].replace("both", "cross")
    found["weights"] = model.attention_weights(kind, None, **inputs)
    return found


def whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def main() -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", timeout=timedelta(seconds=30))
    processes = World(distributed.get_rank(), distributed.get_world_size())
    mesh = init_device_mesh("cpu", (processes.size,))
    found = {
        f"{case}/{name}": tensor
        for case in CASES
        for name, tensor in results(case, processes, mesh).items()
    }
    save_file(found, Path(sys.argv[1]) / f"{processes.rank}.safetensors")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
