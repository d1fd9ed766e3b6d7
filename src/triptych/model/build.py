"""Build the model of a configuration."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

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


@contextlib.contextmanager
def without_draws() -> Generator[None]:
    """Leave new weights as they are instead of drawing them, for a model that is to be loaded.

    Memory that nothing writes to is not taken.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    init, drawn = torch.nn.init, torch.Tensor
    draws = (init.normal_, init.uniform_, drawn.normal_, drawn.uniform_)

    class Undrawn(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            given: dict[str, Any] = kwargs or {}
            if func in draws:
                return given["tensor"] if "tensor" in given else args[0]
            return func(*args, **given)

    with Undrawn():
        yield
