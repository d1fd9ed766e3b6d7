"""Define sizes of the RNN encoder-decoder."""

from __future__ import annotations

from ..model.config import RecurrentConfig

PRESETS: dict[str, RecurrentConfig] = {
    # Bahdanau et al. 2015, section 4.2 and appendix A; its longest sentence has 50 words.
    "rnnsearch-50": RecurrentConfig(),
    "recurrent-small": RecurrentConfig(
        embedding_width=256, width=256, attention_width=256, readout_width=256, dropout=0.2
    ),
}
