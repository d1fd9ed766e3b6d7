"""Read and write Marian (Junczys-Dowmunt et al. 2018) and Blenderbot (Roller et al. 2021).

Marian has the post-norm blocks of 2017, Blenderbot has them pre-norm. Both read their positions
from a table, which can hold sinusoids, so all presets of the Transformer are written as one of
them, whatever text they were trained on.
"""

from __future__ import annotations

from .bart_like import Kin, family

FAMILY = family(
    Kin(
        kind="marian",
        name="a Marian",
        architecture="MarianMTModel",
        task="translation",
        sinusoids="halves",
        any_positions=True,
        keeps_table=True,
    )
)
PRE_NORM = family(
    Kin(
        kind="blenderbot",
        name="a Blenderbot",
        architecture="BlenderbotForConditionalGeneration",
        task="text-to-text",
        is_pre=True,
        any_positions=True,
        keeps_table=True,
        defaults={"max_positions": 128},
    )
)
