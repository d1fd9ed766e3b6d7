"""Test that bart-base at toy size computes what transformers does with the same weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from triptych.model.build import build
from triptych.presets import PRESETS

NAMES = {  # of a block: ours -> theirs
    "self_attention_norm.after": "self_attn_layer_norm",
    "cross_attention_norm.after": "encoder_attn_layer_norm",
    "feed_forward_norm.after": "final_layer_norm",
    "self_attention.query": "self_attn.q_proj",
    "self_attention.key": "self_attn.k_proj",
    "self_attention.value": "self_attn.v_proj",
    "self_attention.output": "self_attn.out_proj",
    "cross_attention.query": "encoder_attn.q_proj",
    "cross_attention.key": "encoder_attn.k_proj",
    "cross_attention.value": "encoder_attn.v_proj",
    "cross_attention.output": "encoder_attn.out_proj",
    "feed_forward.inner": "fc1",
    "feed_forward.output": "fc2",
}


def their_name(name: str) -> str:
    stack, _, rest = name.partition(".")
    if stack == "embedding":
        return "model.shared.weight"
    if stack.endswith("_entrance"):
        side = stack.removesuffix("_entrance")
        norm = f"layernorm_embedding.{rest.split('.')[-1]}"
        return f"model.{side}.{norm if 'norm' in rest else 'embed_positions.weight'}"
    for ours, theirs in NAMES.items():
        rest = rest.replace(f".{ours}.", f".{theirs}.")
    return f"model.{stack}.{rest.replace('blocks.', 'layers.')}"


def test_equal_to_transformers() -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install 'triptych[dev]'"
    )
    sizes = {"d_model": 16, "max_position_embeddings": 24, "vocab_size": 50}
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": 2, f"{side}_attention_heads": 2, f"{side}_ffn_dim": 32}
    theirs = transformers.BartForConditionalGeneration(transformers.BartConfig(**sizes)).eval()
    preset = PRESETS["bart-base"]
    small = {"layers": 2, "width": 16, "heads": 2, "inner_width": 32, "max_positions": 24}
    stacks = {
        side: dataclasses.replace(getattr(preset, side), **small) for side in ("encoder", "decoder")
    }
    ours: Any = build(dataclasses.replace(preset, **stacks, vocabulary_size=50)).eval()
    torch.manual_seed(1)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    given = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        tensor = given.pop(their_name(name))
        # Their first two rows are not read.
        parameter.data.copy_(tensor[2:] if "embed_positions" in their_name(name) else tensor)
    assert not given
    source, target = torch.tensor([3, 9, 4, 7, 2]), torch.tensor([2, 5, 6, 8])
    with torch.no_grad():
        wanted = theirs(input_ids=source[None], decoder_input_ids=target[None]).logits[0]
        found = ours.project(ours(source, torch.tensor([5]), target, torch.tensor([4])))
        state, steps = (
            ours.start(ours.encode({"source": source, "source_lengths": torch.tensor([5])}), 1),
            [],
        )
        for token in target:
            logits, state = ours.step(token.reshape(1, 1), state)
            steps.append(logits[0, -1])
    assert (found - wanted).abs().max() < 1e-4 and (torch.stack(steps) - wanted).abs().max() < 1e-4
