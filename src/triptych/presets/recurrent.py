"""Define sizes of the RNN encoder-decoder."""

from __future__ import annotations

from ..model.config import RecurrentConfig
from .published import OWN, Published, sizes_of

FAMILIES: tuple[Published[RecurrentConfig], ...] = (
    Published(
        family="RNNsearch",
        # its longest sentence has 50 words
        paper="Bahdanau et al. 2015, section 4.2 and appendix A",
        vocabulary=30_000,
        sizes={"rnnsearch-50": RecurrentConfig()},
    ),
    Published(
        family=OWN,
        paper="",
        vocabulary=37_000,
        sizes={
            "recurrent-small": RecurrentConfig(
                embedding_width=256, width=256, attention_width=256, readout_width=256, dropout=0.2
            ),
        },
    ),
)
PRESETS: dict[str, RecurrentConfig] = sizes_of(*FAMILIES)
