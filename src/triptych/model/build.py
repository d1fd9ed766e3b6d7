"""Build the model of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config import ModelConfig, RecurrentConfig

if TYPE_CHECKING:
    from .rnn.recurrent import RecurrentTranslator
    from .transformer import Transformer


def build(config: ModelConfig | RecurrentConfig) -> Transformer | RecurrentTranslator:
    """Build a network with weights drawn from torch's current seed."""
    if isinstance(config, RecurrentConfig):
        from .rnn.recurrent import RecurrentTranslator

        return RecurrentTranslator(config)
    from .transformer import Transformer

    return Transformer(config)
