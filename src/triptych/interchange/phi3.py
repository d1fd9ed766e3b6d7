"""Read and write Phi-3 as published (Abdin et al. 2024): a Llama whose projections are joined.

Its long forms scale rotations by longrope (Ding et al. 2024); Phi-4 mini rotates a part of each
head.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import brief
from ..model.config import StackConfig
from ..model.rotary_scaling import ORIGINAL
from .llama_like import BLOCK, LAYER, NORMS, Kin, Own, family
from .rules import Rename, Split

ORIGINAL_LENGTH = 4096  # tokens of the first training, where no key says it
_PARTS = ("query", "key", "value")


def _complete(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return config.json with the length of the first training, and the scaling's present name."""
    given = {ORIGINAL: ORIGINAL_LENGTH, **values}
    for key in ("rope_scaling", "rope_parameters"):
        table = given.get(key)
        if isinstance(table, dict) and "yarn" in (table.get("type"), table.get("rope_type")):
            given[key] = {**table, "rope_type": "longrope"}
    return given


def _read(values: Mapping[str, object], problems: list[str]) -> Own:
    size = values.get("sliding_window")
    if size is not None and (type(size) is not int or size < 1):
        problems.append(f"sliding_window is {brief(repr(size))}")
    dropped = values.get("resid_pdrop", 0.0)
    if values.get("embd_pdrop", 0.0) != dropped:
        problems.append(f"embd_pdrop is not resid_pdrop, {brief(repr(dropped))}")
    return {"attention_window": size}


def _write(stack: StackConfig) -> Own:
    scaling = stack.rotary_scaling or {}
    return {
        **({ORIGINAL: scaling[ORIGINAL]} if scaling else {}),
        "sliding_window": stack.attention_window,
        "embd_pdrop": stack.dropout,
        # the tokenizer's; the class's own would be past a small vocabulary
        "pad_token_id": None,
    }


FAMILY = family(
    Kin(
        kind="phi3",
        name="a Phi-3",
        architecture="Phi3ForCausalLM",
        settings={"bias": False},
        defaults={"norm_epsilon": 1e-5, "max_positions": 4096, "dropout": 0.0},
        keys={"dropout": "resid_pdrop"},
        free=("attention_window", "rotary_share"),
        scalings=("longrope",),
        complete=_complete,
        read=_read,
        write=_write,
        layers=(
            Split(
                LAYER + "self_attn.qkv_proj.weight",
                tuple(f"{BLOCK}self_attention.{part}.weight" for part in _PARTS),
            ),
            Rename(LAYER + "self_attn.o_proj.weight", BLOCK + "self_attention.output.weight"),
            Split(
                LAYER + "mlp.gate_up_proj.weight",
                (BLOCK + "feed_forward.gate.weight", BLOCK + "feed_forward.inner.weight"),
            ),
            Rename(LAYER + "mlp.down_proj.weight", BLOCK + "feed_forward.output.weight"),
            *NORMS,
        ),
    )
)
