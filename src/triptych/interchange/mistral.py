"""Read and write Mistral as published (Jiang et al. 2023): a Llama with a window."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import brief
from ..model.config import StackConfig
from .llama_like import Kin, Own, family


def _read(values: Mapping[str, object], problems: list[str]) -> Own:
    size = values.get("sliding_window", 4096)
    if size is not None and (type(size) is not int or size < 1):
        problems.append(f"sliding_window is {brief(repr(size))}")
    return {"attention_window": size}


def _write(stack: StackConfig) -> Own:
    return {"sliding_window": stack.attention_window}


FAMILY = family(
    Kin(
        kind="mistral",
        name="a Mistral",
        architecture="MistralForCausalLM",
        settings={"bias": False},
        free=("attention_window",),
        read=_read,
        write=_write,
    )
)
