"""Read and write M2M-100 (Fan et al. 2021) and NLLB (NLLB team 2022), which is one.

It is an mBART with fixed positions, in the layout of fairseq.
"""

from __future__ import annotations

from .bart_like import Kin, family

FAMILY = family(
    Kin(
        kind="m2m_100",
        name="an M2M-100",
        architecture="M2M100ForConditionalGeneration",
        task="translation",
        is_pre=True,
        sinusoids="fairseq",
        first_position=2,
        defaults={"activation": "relu", "attention_dropout": 0.1, "scale_embedding": True},
    )
)
