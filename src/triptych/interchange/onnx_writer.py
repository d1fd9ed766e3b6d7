"""Write an encoder with its head as one graph of ONNX, with batch and length as free sizes."""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..messages import message
from ..model.config import ModelConfig

if TYPE_CHECKING:
    from torch import nn

    from ..model.transformer import Transformer

OPSET = 17  # the first with LayerNormalization
MODEL = "model.onnx"
LARGEST = 2**31 - 2**20  # bytes of the weights: one file of ONNX holds less than 2 GiB
HEADS = ("classifier", "tagger", "span", "pooling")
AXES: tuple[str, str] = ("batch", "length")
EXAMPLE = (2, 8)  # batch and length of what is traced
SPARSE = {
    "attention_blocks": message("its attention is block-sparse"),
    "attention_globals": message("its attention has global tokens"),
    "experts": message("its feed-forward networks are experts"),
}


def refusals(config: ModelConfig, parameters: int) -> list[str]:
    """List why a model is not written, each as part of a sentence."""
    encoder = config.encoder
    if encoder is None or config.decoder is not None:
        kind = config.architecture
        return [message("its model is a {kind}, and only encoders are written", kind=kind)]
    blocks = [encoder.of_block(layer) for layer in range(encoder.layers)]
    found = [why for name, why in SPARSE.items() if any(getattr(one, name) for one in blocks)]
    if 4 * parameters > LARGEST:
        found.append(message("its weights in float32 take more than 2 GiB"))
    return [str(one) for one in found]


def inputs_of(config: ModelConfig, head: str, options: dict[str, Any]) -> list[str]:
    """Return the names of the graph's inputs, (B, T) int64 each, in order.

    Args:
        config: Of the encoder.
        head: The kind of its head, one of `HEADS`.
        options: Of the task.
    """
    assert config.encoder is not None, "an encoder is written"
    pooling = options.get("pooling")
    has_segments = config.encoder.segments > 1 or head == "span" or pooling == "compare"
    in_words = head == "tagger" and pooling != "first"
    return [
        "input_ids",
        "attention_mask",
        *(["token_type_ids"] if has_segments else []),
        *(["word_starts"] if in_words else []),
    ]


def refuse_without_library() -> None:
    """Raise UsageError where the library onnx is not installed."""
    if importlib.util.find_spec("onnx") is None:
        raise UsageError(
            message("ONNX needs the packages onnx and onnxruntime: pip install 'triptych[onnx]'.")
        )


def write_graph(
    path: Path,
    model: Transformer,
    head: nn.Module,
    names: list[str],
    options: dict[str, Any],
    longest: int,
) -> dict[str, list[str]]:
    """Write a model, from now on of no other use, and its head as a graph.

    Args:
        path: The file to write.
        model: An encoder without `refusals`, in float32, on the CPU, in evaluation.
        head: Its head.
        names: What `inputs_of` returns.
        options: Of the task.
        longest: Tokens that a graph reads, for a model whose positions have no limit.

    Returns:
        The axes of each output by its name.
    """
    import torch

    from .onnx_graph import OUTPUTS, PaddedEncoder

    graph = PaddedEncoder(model, head, names, options, longest).eval()
    example = tuple(torch.ones(EXAMPLE, dtype=torch.int64) for _ in names)
    outputs: dict[str, list[str]] = {
        name: list(AXES[:free]) for name, free in OUTPUTS[type(head)].items()
    }
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            graph,
            example,
            str(path),
            dynamo=False,  # docs/decisions/029-engines.md
            opset_version=OPSET,
            input_names=names,
            output_names=list(outputs),
            dynamic_axes={
                name: dict(enumerate(axes))
                for name, axes in ({name: AXES for name in names} | outputs).items()
            },
        )
    return outputs


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the tracer says of sizes that it takes for constants; tests run other sizes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
