"""Write a translator as a folder that CTranslate2 runs.

It is a TransformerSpec there: an encoder-decoder, pre-norm or post-norm, plain or gated, with
fixed, learned or rotary positions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..messages import message
from ..model.config import Activation, ModelConfig, StackConfig
from ..runs.storage import write_file
from .config_reader import differences
from .ctranslate2 import MODEL, NAMES, SCALE, Content, write_content
from .folding import table_rows

if TYPE_CHECKING:
    from torch import Tensor

SPECIFICATION, REVISION = "TransformerSpec", 7
KINDS = ("float32", "float16", "int8")  # of matrices; vectors are float16 only with float16
NUMBERS: dict[Activation, int] = {"relu": 0, "gelu_tanh": 1, "silu": 2, "gelu": 3}
VOCABULARIES = ("shared_vocabulary.json", "source_vocabulary.json", "target_vocabulary.json")
PARTS = {  # our parts of a block -> theirs
    "self_attention": "self_attention",
    "cross_attention": "attention",
    "feed_forward": "ffn",
}
NORM = {"weight": "gamma", "bias": "beta"}


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which CTranslate2 has no such encoder-decoder, with expected values."""
    encoder, decoder = config.encoder, config.decoder
    if encoder is None or decoder is None:
        return [message("it is not an encoder-decoder")]
    found: list[str] = []
    for side, stack in config.stacks.items():
        if stack.positions not in ("sinusoidal", "learned", "rotary"):
            found.append(
                message(
                    "{key} is {value} instead of {wanted}",
                    key=f"{side}.positions",
                    value=repr(stack.positions),
                    wanted="'sinusoidal', 'learned' or 'rotary'",
                )
            )
        # what is computed there as it is here, whatever its value
        own = ("head_width", "attention_biases", "feed_forward_bias", "first_position", "sinusoids")
        kept = {key: getattr(stack, key) for key in own}
        wanted = {"segments": 0, "norm_epsilon": encoder.norm_epsilon, **kept}
        found += differences(stack, wanted, f"{side}.")
        if stack.norm_placement not in ("pre", "post"):
            found.append(f"{side}.norm_placement is {stack.norm_placement!r}")
    return found + differences(config, {"output_scale": config.output_scale})


def write_model(
    path: Path,
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    vocabularies: Sequence[Sequence[str]],
    ends: tuple[str, str],
    longest: int,
    kind: str = "float32",
) -> None:
    """Write model.bin, config.json and the vocabularies into the folder `path`.

    Args:
        path: The folder, which exists.
        config: A model without `refusals`.
        tensors: Its tensors under our names.
        vocabularies: The tokens by id: of both sides, or of the source and of the target.
        ends: The tokens that begin and end an answer.
        longest: The number of tokens that positions are written for.
        kind: "float32", "float16" or "int8".
    """
    assert not refusals(config), "the model has settings that are not written"
    encoder = config.encoder
    assert encoder is not None, "an encoder-decoder has an encoder"
    found = Writer(config, tensors, longest).written()
    arrays, aliases = _tied(found, config)
    write_content(path / MODEL, content_of(arrays, aliases, kind))
    names = VOCABULARIES[:1] if len(vocabularies) == 1 else VOCABULARIES[1:]
    for name, tokens in zip(names, vocabularies, strict=True):
        write_file(path / name, (json.dumps(list(tokens), ensure_ascii=False) + "\n").encode())
    begin, end = ends
    values: dict[str, object] = {
        "add_source_bos": False,
        "add_source_eos": False,
        "bos_token": begin,
        "decoder_start_token": begin,
        "eos_token": end,
        "layer_norm_epsilon": encoder.norm_epsilon,
        "multi_query_attention": (encoder.key_heads or encoder.heads) != encoder.heads,
        "unk_token": begin,  # no text gives an unknown token
    }
    write_file(path / "config.json", (json.dumps(values, indent=2) + "\n").encode())


class Writer:
    """Collect the arrays of a model under CTranslate2's names."""

    def __init__(self, config: ModelConfig, tensors: Mapping[str, Tensor], longest: int) -> None:
        self.config, self.tensors, self.longest = config, tensors, longest
        self.found: dict[str, Array] = {}

    def written(self) -> dict[str, Array]:
        config, found = self.config, self.found
        for side, stack in config.stacks.items():
            self.stack(side, stack)
        found["encoder/embeddings_merge"] = np.int8(0)
        found["encoder/multi_query_attention"] = np.int8(0)
        found |= {
            "decoder/alignment_layer": np.int16(-1),
            "decoder/alignment_heads": np.int16(1),
            **{f"decoder/{key}": np.int8(0) for key in (
                "alibi", "alibi_use_positive_positions", "scale_alibi", "start_from_zero_embedding",
            )},
        }  # fmt: skip
        source = self.tensors.get("source_embedding.weight", self.tensors["embedding.weight"])
        found["encoder/embeddings_0/weight"] = array_of(source)
        found["decoder/embeddings/weight"] = array_of(self.tensors["embedding.weight"])
        projection = self.tensors.get("output.weight", self.tensors["embedding.weight"])
        found["decoder/projection/weight"] = array_of(projection * (config.output_scale or 1.0))
        if config.output_bias:
            found["decoder/projection/bias"] = array_of(self.tensors["output_bias"])
        return found

    def stack(self, side: str, stack: StackConfig) -> None:
        found = self.found
        scale = math.sqrt(stack.width) if self.config.embedding_scale else 1.0
        found |= {
            f"{side}/num_heads": np.int16(stack.heads),
            f"{side}/pre_norm": np.int8(stack.norm_placement == "pre"),
            f"{side}/activation": np.int8(NUMBERS[stack.activation]),
            f"{side}/scale_embeddings": np.float32(scale),
        }
        if stack.positions != "rotary":
            found[f"{side}/position_encodings/encodings"] = self._positions(side, stack)
        self._norm(f"{side}_entrance.norm", f"{side}/layernorm_embedding")
        self._norm(f"{side}.final_norm", f"{side}/layer_norm")
        place = "before" if stack.norm_placement == "pre" else "after"
        for layer in range(stack.layers):
            ours, theirs = f"{side}.blocks.{layer}", f"{side}/layer_{layer}"
            for part, name in PARTS.items():
                self._norm(f"{ours}.{part}_norm.{place}", f"{theirs}/{name}/layer_norm")
            own, cross = f"{theirs}/self_attention", f"{theirs}/attention"
            self._linear(f"{ours}.self_attention", ("query", "key", "value"), f"{own}/linear_0")
            self._linear(f"{ours}.self_attention", ("output",), f"{own}/linear_1")
            self._attention(own, stack, stack.positions == "rotary")
            if side == "decoder":
                self._linear(f"{ours}.cross_attention", ("query",), f"{cross}/linear_0")
                self._linear(f"{ours}.cross_attention", ("key", "value"), f"{cross}/linear_1")
                self._linear(f"{ours}.cross_attention", ("output",), f"{cross}/linear_2")
                self._attention(cross, stack, False)
            first = "gate" if stack.gated else "inner"  # the one with the activation
            self._linear(f"{ours}.feed_forward", (first,), f"{theirs}/ffn/linear_0")
            self._linear(f"{ours}.feed_forward", ("output",), f"{theirs}/ffn/linear_1")
            if stack.gated:
                self._linear(f"{ours}.feed_forward", ("inner",), f"{theirs}/ffn/linear_0_noact")

    def _positions(self, side: str, stack: StackConfig) -> Array:
        from ..model.positions import sinusoids

        first = stack.first_position
        if stack.positions == "learned":
            return array_of(self.tensors[f"{side}_entrance.positions.weight"][first:])
        rows = table_rows(self.config.stacks, self.longest)
        return array_of(sinusoids(first + rows, stack.width, stack.sinusoids)[first:])

    def _attention(self, name: str, stack: StackConfig, rotary: bool) -> None:
        key_heads = stack.key_heads or stack.heads
        if key_heads != stack.heads:
            self.found[f"{name}/num_heads_kv"] = np.int32(key_heads)
        if stack.head_width is not None:
            self.found[f"{name}/head_dim"] = np.int32(stack.head_width)
        if rotary:
            self.found |= {
                f"{name}/rotary_dim": np.int32(0),  # all of each head
                f"{name}/rotary_interleave": np.int8(0),
                f"{name}/rotary_base": np.float32(stack.rotary_base),
            }

    def _norm(self, ours: str, theirs: str) -> None:
        for part, name in NORM.items():
            tensor = self.tensors.get(f"{ours}.{part}")
            if tensor is not None:
                self.found[f"{theirs}/{name}"] = array_of(tensor)

    def _linear(self, ours: str, parts: tuple[str, ...], theirs: str) -> None:
        """Write linear layers of one input as one; a bias that some have not is zero."""
        import torch

        weights = [self.tensors[f"{ours}.{part}.weight"] for part in parts]
        biases = [self.tensors.get(f"{ours}.{part}.bias") for part in parts]
        self.found[f"{theirs}/weight"] = array_of(torch.cat(weights))
        if any(one is not None for one in biases):
            filled = [torch.zeros(len(weight)) if one is None else one
                      for weight, one in zip(weights, biases, strict=True)]  # fmt: skip
            self.found[f"{theirs}/bias"] = array_of(torch.cat(filled))


Array = Any  # numpy arrays and scalars


def array_of(tensor: Tensor) -> Array:
    return tensor.detach().float().contiguous().numpy()


def _tied(arrays: dict[str, Array], config: ModelConfig) -> tuple[dict[str, Array], dict[str, str]]:
    """Keep one of equal embeddings; the others become aliases of it."""
    first, source, output = (
        "decoder/embeddings/weight",
        "encoder/embeddings_0/weight",
        "decoder/projection/weight",
    )
    same = [source] * (config.source_vocabulary_size is None)
    same += [output] * (config.tied_embeddings and config.output_scale is None)
    return {key: one for key, one in arrays.items() if key not in same}, dict.fromkeys(same, first)


def content_of(
    arrays: Mapping[str, Array],
    aliases: Mapping[str, str],
    kind: str,
    specification: tuple[str, int] = (SPECIFICATION, REVISION),
) -> Content:
    """Return the arrays in the types of a kind: all as float16, or matrices as int8."""
    found: dict[str, Array] = {}
    others = dict(aliases)
    for name, values in arrays.items():
        is_matrix = name.endswith("/weight") and values.ndim == 2
        if kind == "int8" and is_matrix:
            found[name], found[name + SCALE] = _quantised(values)
        elif kind == "float16" and values.ndim and values.dtype == np.float32:
            found[name] = values.astype(np.float16)
        else:
            found[name] = np.asarray(values)
    if kind == "int8":
        others |= {alias + SCALE: name + SCALE for alias, name in aliases.items()}
    types = {name: str(values.dtype) for name, values in found.items()}
    assert all(one in NAMES for one in types.values()), "arrays have CTranslate2's types"
    name, revision = specification
    return Content(specification=name, revision=revision, arrays=found, aliases=others,
                   types=types)  # fmt: skip


def _quantised(values: Array) -> tuple[Array, Array]:
    """Return rows as int8 and their scales, 127 / the largest value."""
    largest = np.abs(values).max(axis=1)
    scales = np.float32(127) / np.where(largest == 0, np.float32(127), largest)
    return np.rint(values * scales[:, None]).astype(np.int8), scales
