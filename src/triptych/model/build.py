"""Build the model of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config import ModelConfig, RecurrentConfig

if TYPE_CHECKING:
    from .attention import Attention
    from .rnn.recurrent import RecurrentTranslator
    from .transformer import Transformer


def build(
    config: ModelConfig | RecurrentConfig, attention: type[Attention] | None = None
) -> Transformer | RecurrentTranslator:
    """Build a network with weights drawn from torch's current seed.

    attention: the class that computes the attention of a Transformer; None: `Attention`.
    """
    if isinstance(config, RecurrentConfig):
        from .rnn.recurrent import RecurrentTranslator

        return RecurrentTranslator(config)
    from .transformer import Transformer

    return Transformer(config) if attention is None else Transformer(config, attention)
