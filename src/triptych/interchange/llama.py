"""Read and write Llama as published (Touvron et al. 2023), and SmolLM2, which is one.

Its sizes are with those of its family in `presets/gpt.py`.
"""

from __future__ import annotations

from .llama_like import BIASES, SETTINGS, Kin, family, read_biases, written_biases

KIND = "llama"
FAMILY = family(
    Kin(
        kind=KIND,
        name="a Llama",
        architecture="LlamaForCausalLM",
        free=("bias", *BIASES),
        read=read_biases,
        write=written_biases,
    )
)
__all__ = ["FAMILY", "KIND", "SETTINGS"]
