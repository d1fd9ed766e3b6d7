"""Read a decoder from a GGUF file, and write one that llama.cpp runs.

Both sides are in the form of a Hugging Face folder: values of config.json, tensors by their names
there, the text of tokenizer.json. Read are the architectures llama (SmolLM2 and Mistral too),
qwen2, qwen3, gemma3, gpt2 and starcoder2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import RunError, brief, nearest
from .gguf import GgufFile, read_gguf, write_gguf
from .gguf_names import (  # fmt: skip
    ARCHITECTURES,
    BLOCK,
    BY_KIND,
    ROPE_FACTORS,
    Architecture,
    to_gguf,
    to_published,
)
from .gguf_tokenizer import read_tokenizer
from .gguf_tokenizer_writer import write_tokenizer
from .gguf_types import F16, F32, Q8_0, TensorType
from .huggingface import Folder

if TYPE_CHECKING:
    from torch import Tensor

FLOATS = ("F32", "F16", "BF16")
FILE_TYPES = {
    "F32": (0, F32),
    "F16": (1, F16),
    "Q8_0": (7, Q8_0),
}  # name -> general.file_type, type of matrices
GEMMA_PATTERN = 6  # every sixth layer of Gemma 3 sees everything
LARGEST_GEMMA = 62  # layers of the Gemma whose scores have another scale
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def read_model(path: str | Path) -> Folder:
    """Read a GGUF file, or the one in a folder, in the form of a Hugging Face folder.

    Its tensors are read when they are asked for. Raises RunError if it is damaged, of another
    architecture, or holds types that are not read.
    """
    file = read_gguf(path)
    of = _architecture(file)
    config = _config(file, of)
    heads = _size(config, of, "attention.head_count")
    key_heads = _size(config, of, "attention.head_count_kv", heads)
    names = list(file.places)
    output, embedding = "output.weight", "token_embd.weight"
    if of.kind == "gpt2" and output in names and _equal(*map(file.tensor, (output, embedding))):
        names.remove(output)  # some converters write the tied embedding twice
    config["tie_word_embeddings"] = "output.weight" not in names
    taken = read_tokenizer(file.metadata, str(file.path))

    def tensors() -> dict[str, Tensor]:
        held = {name: file.tensor(name) for name in names}
        return to_published(held, of, heads, key_heads, str(file.path))

    return Folder(
        path=file.path,
        config=config | taken.ids,
        weights=[file.path],
        places={},
        tokenizer=taken.tokenizer,
        tokenizer_config=taken.config,
        generation_config=taken.generation,
        reader=tensors,
        shapes=[file.places[name].shape for name in names],
        quantised={name: count for name, count in file.types.items() if name not in FLOATS},
    )


def _equal(one: Tensor, other: Tensor) -> bool:
    import torch

    return one.shape == other.shape and torch.equal(one.float(), other.float())


def _architecture(file: GgufFile) -> Architecture:
    name = file.metadata.get("general.architecture")
    known = ", ".join(ARCHITECTURES)
    if int(_number(file, "split.count", 1)) > 1:
        raise RunError(
            "{path} is one of {count} parts of a model. Join them with llama.cpp's "
            "llama-gguf-split --merge.",
            path=file.path, count=file.metadata["split.count"],
        )  # fmt: skip
    if not isinstance(name, str) or name not in ARCHITECTURES:
        close = nearest(name, ARCHITECTURES) if isinstance(name, str) else None
        raise RunError(
            "{path} is of the architecture {name}; triptych reads {known}.{hint}",
            path=file.path, name=brief(repr(name), 60), known=known,
            hint=f" The nearest is {close}." if close else "",
        )  # fmt: skip
    return ARCHITECTURES[name]


def _number(file: GgufFile, key: str, default: float | None = None) -> float:
    """Return a number of the metadata; a list must hold one value for all layers."""
    value = file.metadata.get(key, default)
    if isinstance(value, np.ndarray) and value.size and (value == value[0]).all():
        value = value[0].item()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RunError(
            "{path}: {key} is {value}; expected one number.",
            path=file.path, key=key, value=brief(repr(value), 60),
        )  # fmt: skip
    return value


def _config(file: GgufFile, of: Architecture) -> dict[str, Any]:
    """Return the content of config.json, checked against the shapes of the tensors."""
    name = str(file.metadata["general.architecture"])
    heads = int(_number(file, f"{name}.attention.head_count"))
    config: dict[str, Any] = {"model_type": of.kind, "architectures": [of.architecture]}
    for key, theirs in of.sizes.items():
        default = heads if key == "attention.head_count_kv" else None
        config[theirs] = int(_number(file, f"{name}.{key}", default))
    config[of.epsilon[1]] = _short(_number(file, f"{name}.{of.epsilon[0]}", 1e-5))
    config[of.activation[0]] = of.activation[1][0]
    config |= of.more
    embedding = file.places.get("token_embd.weight")
    if embedding is None:
        raise RunError("{path} has no tensor token_embd.weight.", path=file.path)
    config["vocab_size"] = embedding.shape[0]
    width, head = _size(config, of, "embedding_length"), 0
    if of.rotary:
        head = int(_number(file, f"{name}.attention.key_length", width // max(heads, 1)))
        _rotations(file, of, name, head, config)
        if head * heads != width or of.head_width:
            config["head_dim"] = head
    _refuse_contradictions(file, of, config, head)
    if of.kind == "llama":
        config["attention_bias"] = "blk.0.attn_q.bias" in file.places
        config["mlp_bias"] = "blk.0.ffn_up.bias" in file.places
    if of.kind == "gemma3_text":
        config |= _gemma(file, heads, head, config)
    return config


def _short(value: float) -> float:
    """Return the shortest decimal number whose float32 is the value, 1e-05 for 9.99999975e-06."""
    return float(str(np.float32(value)))


def _size(config: Mapping[str, Any], of: Architecture, key: str, default: int = 0) -> int:
    return config[of.sizes[key]] if key in of.sizes else default


def _rotations(
    file: GgufFile, of: Architecture, name: str, head: int, config: dict[str, Any]
) -> None:
    """Put the base and the scaling of rotary positions into the config."""
    turned = int(_number(file, f"{name}.rope.dimension_count", head))
    base = _short(_number(file, f"{name}.rope.freq_base", 10000.0))
    if turned != head:
        raise RunError(
            "{path}: {name}.rope.dimension_count is {turned}, but heads are {head} wide; partly "
            "rotated heads are not read from GGUF.",
            path=file.path, name=name, turned=turned, head=head,
        )  # fmt: skip
    kind = file.metadata.get(f"{name}.rope.scaling.type", "none")
    scaling: dict[str, Any] | None = None
    if ROPE_FACTORS in file.places:
        scaling = _llama3(file, base, head)
    elif kind in ("linear", "yarn"):
        factor = _short(_number(file, f"{name}.rope.scaling.factor"))
        scaling = {"rope_type": kind, "factor": factor}
        if kind == "yarn":
            original = f"{name}.rope.scaling.original_context_length"
            scaling["original_max_position_embeddings"] = int(_number(file, original))
    elif kind != "none":
        raise RunError(
            "{path}: rotary positions are scaled by {kind}; triptych reads linear, yarn and "
            "those of Llama 3.",
            path=file.path, kind=brief(repr(kind), 60),
        )  # fmt: skip
    if of.kind == "gemma3_text":  # two bases, so the older keys
        config |= {"rope_theta": base, "rope_scaling": scaling}
    else:
        config["rope_parameters"] = {"rope_theta": base, **(scaling or {"rope_type": "default"})}


def llama3_factors(base: float, head: int, scaling: Mapping[str, Any]) -> np.ndarray:
    """Return what each frequency is divided by (Llama 3.1, scaling of rotary positions): (E/2,)."""
    waves = 2 * math.pi * base ** (np.arange(0, head, 2, dtype=np.float64) / head)
    factor, low, high = (scaling[key] for key in ("factor", "low_freq_factor", "high_freq_factor"))
    original = scaling["original_max_position_embeddings"]
    smooth = (original / waves - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    return np.where(waves < original / high, 1.0, np.where(waves > original / low, factor, between))


def _llama3(file: GgufFile, base: float, head: int) -> dict[str, Any]:
    """Return Llama 3's scaling, which the file holds as a factor for each frequency."""
    factors = file.tensor(ROPE_FACTORS).float().numpy()
    scaling = {"rope_type": "llama3", "factor": _short(factors.max(initial=1.0)), **LLAMA3}
    wanted = llama3_factors(base, head, scaling)
    if factors.shape != wanted.shape or not np.allclose(factors, wanted, rtol=1e-4):
        raise RunError(
            "{path}: {name} holds factors of rotary positions that are not those of Llama 3 "
            "(low 1, high 4, 8,192 tokens).",
            path=file.path, name=ROPE_FACTORS,
        )  # fmt: skip
    return scaling


def _gemma(file: GgufFile, heads: int, head: int, config: Mapping[str, Any]) -> dict[str, Any]:
    window = int(_number(file, "gemma3.attention.sliding_window", 0))
    wide = config["num_hidden_layers"] == LARGEST_GEMMA
    return {
        "query_pre_attn_scalar": config["hidden_size"] // heads if wide else head,
        "sliding_window": window or None,
        "sliding_window_pattern": GEMMA_PATTERN if window else 1,
        "rope_local_base_freq": _short(_number(file, "gemma3.rope.freq_base_swa", 10000.0)),
        "head_dim": head,
    }


def _refuse_contradictions(
    file: GgufFile, of: Architecture, config: Mapping[str, Any], head: int
) -> None:
    """Raise RunError listing all sizes that differ from the shapes of the tensors."""
    blocks = {int(match[1][:9]) for name in file.places if (match := BLOCK.fullmatch(name))}
    layers, width = (_size(config, of, key) for key in ("block_count", "embedding_length"))
    heads = _size(config, of, "attention.head_count")
    keys = head * _size(config, of, "attention.head_count_kv", heads)
    inner = _size(config, of, "feed_forward_length")
    wanted: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (config["vocab_size"], width),
        "blk.0.ffn_up.weight": (inner, width),
        **(
            {"blk.0.attn_q.weight": (heads * head, width), "blk.0.attn_k.weight": (keys, width)}
            if of.rotary
            else {"position_embd.weight": (_size(config, of, "context_length"), width)}
        ),
    }
    problems = [
        f"{name} has the shape {place.shape} instead of {shape}" if place else f"{name} is missing"
        for name, shape in wanted.items()
        if (place := file.places.get(name)) is None or place.shape != shape
    ]
    if len(blocks) != layers or max(blocks, default=-1) != layers - 1:
        problems.append(f"block_count is {layers:,}, but {len(blocks):,} blocks have tensors")
    if min(heads, head if of.rotary else 1, layers) < 1:
        problems.append("a size is below 1")
    if problems:
        raise RunError(
            "{path}: the metadata contradicts the tensors: {problems}. Copy the file again.",
            path=file.path, problems="; ".join(problems),
        )  # fmt: skip


# Writing ------------------------------------------------------------------------------------------


def refusals(config: Mapping[str, Any]) -> list[str]:
    """List what llama.cpp does not compute of a config.json, each as part of a sentence."""
    kind = config.get("model_type")
    if kind not in BY_KIND:
        return [f"model_type is {kind}, but GGUF is written for {', '.join(BY_KIND)}"]
    of, found = ARCHITECTURES[BY_KIND[kind]], []
    key, allowed = of.activation
    if config.get(key, allowed[0]) not in allowed:
        found.append(f"{key} is {config[key]} instead of {allowed[0]}")
    found += [f"{key} is {config.get(key)} instead of {wanted}" for key, wanted in of.more.items()
              if config.get(key, wanted) != wanted]  # fmt: skip
    scaling = _scaling(config)
    if scaling.get("rope_type", "default") not in ("default", "linear", "yarn", "llama3"):
        found.append(f"rope_type is {scaling['rope_type']}")
    if of.kind != "gemma3_text":
        window = config.get("sliding_window")
        return found + ([f"sliding_window is {window}"] if window else [])
    heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
    wide = config["hidden_size"] // heads if layers == LARGEST_GEMMA else config["head_dim"]
    kinds = [
        "sliding_attention" if (layer + 1) % GEMMA_PATTERN else "full_attention"
        for layer in range(layers)
    ]
    if config.get("query_pre_attn_scalar", wide) != wide:
        found.append(
            f"query_pre_attn_scalar is {config['query_pre_attn_scalar']} instead of {wide}"
        )
    if config.get("layer_types", kinds) != kinds:
        found.append(f"layer_types is not full_attention in every layer {GEMMA_PATTERN}")
    return found


def _scaling(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return base and scaling of rotary positions from the newer or the older keys."""
    found = config.get("rope_parameters") or {}
    found = found.get("full_attention", found)
    if not found:
        found = dict(config.get("rope_scaling") or {})
        found.setdefault("rope_theta", config.get("rope_theta", 10000.0))
    return {"rope_type": found.get("type", "default"), **found}


def write_model(
    path: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    tokenizer: Mapping[str, Any],
    tokenizer_config: Mapping[str, Any],
    kind: str = "F16",
    name: str = "",
) -> list[str]:
    """Write a decoder in the form of a Hugging Face folder as a GGUF file.

    kind: "F32", "F16" or "Q8_0", the type of matrices; vectors, and rows that do not fill blocks of
    32, stay F32 and F16. Returns notes, one sentence each.

    Raises RunError listing what llama.cpp does not compute.
    """
    problems = refusals(config)
    if problems:
        raise RunError("llama.cpp has no such model: {problems}.", problems="; ".join(problems))
    architecture = BY_KIND[config["model_type"]]
    of = ARCHITECTURES[architecture]
    number, matrices = FILE_TYPES[kind]
    heads = _size(config, of, "attention.head_count")
    key_heads = _size(config, of, "attention.head_count_kv", heads) or heads
    theirs = to_gguf(tensors, of, heads, key_heads)
    theirs |= _factors(config, of, heads)
    metadata: dict[str, Any] = {
        "general.architecture": architecture,
        "general.type": "model",
        "general.name": name or of.kind,
        "general.file_type": number,
        "general.quantization_version": 2,
        **{f"{architecture}.{key}": value for key, value in _metadata(config, of, heads).items()},
    }
    written = write_tokenizer(
        tokenizer, tokenizer_config, config, theirs["token_embd.weight"].shape[0]
    )
    write_gguf(path, {**metadata, **written.metadata},
               {key: (_type_of(tensor, matrices), tensor) for key, tensor in theirs.items()})  # fmt: skip # noqa: E501
    return written.notes


def _type_of(tensor: Tensor, matrices: TensorType) -> TensorType:
    if tensor.ndim < 2:
        return F32
    return matrices if tensor.shape[-1] % matrices.block == 0 else F16


def _factors(config: Mapping[str, Any], of: Architecture, heads: int) -> dict[str, Tensor]:
    """Return the tensor of Llama 3's scaling, which is not metadata."""
    import torch

    scaling = _scaling(config) if of.rotary else {}
    if scaling.get("rope_type") != "llama3":
        return {}
    head = config.get("head_dim") or config["hidden_size"] // heads
    factors = llama3_factors(scaling["rope_theta"], head, {**LLAMA3, **scaling})
    return {ROPE_FACTORS: torch.from_numpy(factors).float()}


def _metadata(config: Mapping[str, Any], of: Architecture, heads: int) -> dict[str, Any]:
    """Return the sizes under the keys of GGUF, without the architecture before them."""
    found: dict[str, Any] = {
        key: int(config[theirs]) for key, theirs in of.sizes.items() if config.get(theirs)
    }
    found.setdefault("feed_forward_length", 4 * found["embedding_length"])  # as GPT-2 leaves it out
    found[of.epsilon[0]] = float(config[of.epsilon[1]])
    if not of.rotary:
        return found
    head = config.get("head_dim") or config["hidden_size"] // heads
    scaling = _scaling(config)
    found |= {
        "rope.dimension_count": head,
        "rope.freq_base": float(scaling["rope_theta"]),
        "attention.key_length": head,
        "attention.value_length": head,
    }
    if scaling["rope_type"] in ("linear", "yarn"):
        found |= {"rope.scaling.type": scaling["rope_type"],
                  "rope.scaling.factor": float(scaling["factor"])}  # fmt: skip
    if scaling["rope_type"] == "yarn":
        original = int(scaling["original_max_position_embeddings"])
        found["rope.scaling.original_context_length"] = original
    if of.kind == "gemma3_text" and config.get("sliding_window"):
        found["attention.sliding_window"] = int(config["sliding_window"])
        inside = (config.get("rope_parameters") or {}).get("sliding_attention", {})
        base = inside.get("rope_theta", config.get("rope_local_base_freq", 10000.0))
        found["rope.freq_base_swa"] = float(base)
    return found
