"""Read and write BART (Lewis et al. 2020), mBART (Liu et al. 2020) and Pegasus (Zhang et al. 2020).

mBART has BART's parts with the norms before them; Pegasus has the same with fixed positions. All
three read a learnt or fixed row for each position; BART's and mBART's begin at the third.
"""

from __future__ import annotations

from .bart_like import Kin, family

FAMILY = family(
    Kin(
        kind="bart",
        name="a BART",
        architecture="BartForConditionalGeneration",
        task="summarization",
        first_position=2,
        embedding_norm=True,
    )
)
MBART = family(
    Kin(
        kind="mbart",
        name="an mBART",
        architecture="MBartForConditionalGeneration",
        task="translation",
        is_pre=True,
        first_position=2,
        embedding_norm=True,
    )
)
PEGASUS = family(
    Kin(
        kind="pegasus",
        name="a Pegasus",
        architecture="PegasusForConditionalGeneration",
        task="summarization",
        is_pre=True,
        sinusoids="halves",
        keeps_table=True,
    )
)
