"""The RNN encoder-decoder with additive attention."""
