"""Sizes of the RNN encoder-decoder."""

from __future__ import annotations

from ..model.config import RecurrentConfig

PRESETS: dict[str, RecurrentConfig] = {
    "rnnsearch-50": RecurrentConfig(),  # Bahdanau et al. 2015, section 4.2 and appendix A; 50 was its longest sentence
    "recurrent-small": RecurrentConfig(embedding_width=256, width=256, attention_width=256, readout_width=256, dropout=0.2),
}


def parameter_count(config: RecurrentConfig) -> int:
    """Embeddings, two readers, the decoder, attention where there is one, and the output projection."""
    inputs, width, readout = config.embedding_width, config.width, config.readout_width
    count = config.vocabulary_size * inputs + (config.source_vocabulary_size or 0) * inputs

    def cell(entrance: int) -> int:
        return 3 * width * (entrance + 1) + 3 * width * width

    count += 2 * cell(inputs)  # readers
    count += width * (width + 1) + cell(inputs) + 2 * width * 3 * width  # first state, decoder, context
    if config.attention:
        count += width * config.attention_width + (2 * width + 1) * config.attention_width + config.attention_width
    count += (width + inputs + 2 * width + 1) * 2 * readout
    return count + (readout + 1) * config.vocabulary_size
