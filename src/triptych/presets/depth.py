"""One dial for a decoder-only model: from its depth its width, heads, batch and learning rate.
Imports no torch.

After nanochat (Karpathy 2025), whose one dial is the depth. Where the rules come from:

* width = 64 x depth, heads of width 64. Loss hardly depends on the ratio of the two (Kaplan et al.
  2020, section 3.1); this one is that of GPT-2's and GPT-3's smallest models (12 layers, width 768,
  12 heads).
* learning rate = 8e-3 / depth, that is 0.51 / width: with Adam the best rate of a hidden matrix
  falls as 1 / width (Yang et al. 2022, table 3). The factor meets what GPT-3 took (Brown et al.
  2020, table 2.1) within 1.7 from 125 M to 175 B: 6.7e-4 for its 6e-4 at width 768, 1.25e-4 for its
  1.2e-4 at 4096. Never above 3e-3.
* tokens a step = 512 x depth^2, at least 4,096: the best batch grows as compute^0.33 (DeepSeek LLM
  2024, section 3.1), and compute as depth^6 where tokens are 20 a parameter. The factor is about a
  third of their fit: a run that ends by the clock reads fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from ..model.config import ModelConfig, StackConfig
from . import preset

HEAD_WIDTH = 64
DEEPEST = 128
MICRO_BATCH = 32_768  # tokens; what is more is accumulated
TOKENS_A_PARAMETER = 20  # Hoffmann et al. 2022, section 3.4


def sizes(depth: int, name: str, batch_tokens: int | None = None) -> dict[str, dict[str, Any]]:
    """What `model.depth` sets in the tables model.decoder, batches and training, for the preset
    `name`.

    batch_tokens: of a micro-batch, where that is said; a step still has the tokens that the depth
        asks for.
    The preset decides what kind of model it is: its ratios of inner width and of key heads stay.
    Raises UsageError for a preset that is not decoder-only.
    """
    base = preset(name)
    if not isinstance(base, ModelConfig) or base.architecture != "decoder" or not base.decoder:
        raise UsageError(
            f"model.depth sizes decoder-only models, and the preset {name} is none. Take "
            "model.preset decoder-small or gpt2."
        )
    width = HEAD_WIDTH * depth
    stack: dict[str, Any] = {
        "layers": depth,
        "width": width,
        "heads": depth,
        "inner_width": _inner(base.decoder, width),
    }
    if base.decoder.key_heads is not None:
        most = max(1, depth * base.decoder.key_heads // base.decoder.heads)
        stack["key_heads"] = max(heads for heads in range(1, most + 1) if depth % heads == 0)
    tokens = max(4096, 512 * depth**2)
    # even parts, so that rounding up adds next to nothing
    micro = batch_tokens or -(-tokens // -(-tokens // MICRO_BATCH))
    batches = {"batch_tokens": micro, "accumulate": -(-tokens // micro)}
    return {
        "decoder": stack,
        "batches": batches,
        "training": {"learning_rate": float(f"{min(3e-3, 8e-3 / depth):.3g}")},
    }


def _inner(stack: StackConfig, width: int) -> int:
    return max(HEAD_WIDTH, round(stack.inner_width / stack.width * width / HEAD_WIDTH) * HEAD_WIDTH)


def with_depth(
    level: dict[str, Any], below: Mapping[str, Any], above: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A recipe's tables (or the command line's) with what their `model.depth` sets; what they say
    themselves stays.

    below: the tables that they are laid over, for the preset. above: those laid over them, for the
        micro-batch that a step is cut into.
    """
    model = dict(level.get("model", {}))
    # refused elsewhere
    if model.get("depth") is None or "start" in model or "start" in below.get("model", {}):
        return level
    if "preset" not in {**below.get("model", {}), **model}:
        model["preset"] = "decoder-small"
    batches = {**level.get("batches", {}), **(above or {}).get("batches", {})}
    found = sizes(
        model["depth"], model.get("preset") or below["model"]["preset"], batches.get("batch_tokens")
    )
    dials = {key: model.pop(key) for key in found["decoder"] if key in model}
    model["decoder"] = {**found["decoder"], **dials, **model.get("decoder", {})}
    tables = {name: {**found[name], **level.get(name, {})} for name in ("batches", "training")}
    return {**level, **tables, "model": model}


def describe(
    depth: int, name: str, values: Mapping[str, Any], parameters: int, step_tokens: int
) -> list[str]:
    """What the depth set in the resolved `values` of a recipe, what was said otherwise, and how
    much there would be to read.
    """
    found = sizes(depth, name, values["batches"]["batch_tokens"])
    now = {
        "decoder": values["model"].get("decoder", {}),
        "batches": values["batches"],
        "training": values["training"],
    }
    keys = [(table, key, value) for table, ones in found.items() for key, value in ones.items()]
    follow = [
        f"{key} {value:,}" if isinstance(value, int) else f"{key} {value:g}"
        for table, key, value in keys
        if now[table].get(key) == value
    ]
    other = [
        f"{key} {now[table].get(key)}" for table, key, value in keys if now[table].get(key) != value
    ]
    tokens = TOKENS_A_PARAMETER * parameters
    note = f"; said otherwise: {', '.join(other)}" if other else ""
    return [
        f"model.depth {depth} sets {', '.join(follow) or 'nothing'}{note}.",
        (
            f"Compute is spent best on about {tokens:,} tokens, 20 for each of {parameters:,} "
            f"parameters (Hoffmann et al. 2022): {-(-tokens // step_tokens):,} steps of "
            f"{step_tokens:,} tokens."
        ),
    ]
