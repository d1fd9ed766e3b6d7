"""From a configuration to a network: the one place that knows which class a configuration stands
for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config import ModelConfig, RecurrentConfig

if TYPE_CHECKING:
    from .rnn.recurrent import RecurrentTranslator
    from .transformer import Transformer


def build(config: ModelConfig | RecurrentConfig) -> Transformer | RecurrentTranslator:
    """A network with fresh weights drawn from torch's current seed."""
    if isinstance(config, RecurrentConfig):
        from .rnn.recurrent import RecurrentTranslator

        return RecurrentTranslator(config)
    from .transformer import Transformer

    return Transformer(config)
