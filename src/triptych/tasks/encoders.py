"""Check that a model is encoder-only and that a window fits into it."""

from __future__ import annotations

from ..errors import UsageError
from ..model.config import AnyConfig, ModelConfig, StackConfig


def encoder_alone(config: AnyConfig, task: str, window: int, ends: int = 0) -> StackConfig:
    """Return the encoder of an encoder-only model.

    Args:
        config: The model's configuration.
        task: The task's name, for the message.
        window: The task's option `window`, in tokens.
        ends: Tokens that begin and end a window and are not counted in it.

    Raises:
        UsageError: For another model, or one with too few positions for a window.
    """
    if not isinstance(config, ModelConfig) or config.encoder is None or config.decoder is not None:
        raise UsageError(
            f"The task {task} needs an encoder-only model: set model.preset, for example to "
            "'encoder-small'."
        )
    encoder = config.encoder
    if encoder.positions == "learned" and window + ends > encoder.usable_positions:
        taken = f", {ends} of them for a window's begin and end" if ends else ""
        raise UsageError(
            f"task.window is {window}; this model has {encoder.usable_positions} positions{taken}. "
            f"Give {encoder.usable_positions - ends} or less."
        )
    return encoder


def refuse_narrow(config: AnyConfig, shortcut: bool) -> None:
    """Raise UsageError for a head that reads embeddings where they are not as wide as states."""
    if shortcut and config.embedding_width is not None:
        raise UsageError(
            "task.shortcut needs embeddings as wide as the states, and this model has "
            "model.embedding_width {width}. Leave one of them out.",
            width=config.embedding_width,
        )
