"""Define sizes of encoder-only Transformers: BERT, DistilBERT, and small ones for two CPU cores."""

from __future__ import annotations

from ..model.config import ModelConfig, StackConfig
from .published import OWN, Published, sizes_of


def _bert(layers: int, width: int, heads: int, segments: int = 2) -> ModelConfig:
    """Configure BERT (Devlin et al. 2018, section 3).

    Learned positions, GELU, post-norm, a norm over the embeddings.
    """
    stack = StackConfig(
        layers=layers,
        width=width,
        heads=heads,
        inner_width=4 * width,
        activation="gelu",
        positions="learned",
        max_positions=512,
        segments=segments,
        embedding_norm=True,
        norm_epsilon=1e-12,
        attention_dropout=0.1,
    )
    return ModelConfig(encoder=stack, embedding_scale=False)


# Pre-norm and rotary positions allow high learning rates from the first step and texts of any
# length.
_SMALL = StackConfig(
    layers=6,
    width=256,
    heads=4,
    inner_width=1024,
    activation="gelu",
    norm_placement="pre",
    positions="rotary",
    segments=2,
)
_TINY = StackConfig(
    layers=3,
    width=192,
    heads=3,
    inner_width=512,
    activation="gelu",
    norm_placement="pre",
    positions="rotary",
    segments=2,
)

FAMILIES: tuple[Published[ModelConfig], ...] = (
    Published(
        family="BERT",
        paper="Devlin et al. 2018, section 3",
        vocabulary=30_522,
        sizes={"bert-base": _bert(12, 768, 12), "bert-large": _bert(24, 1024, 16)},
    ),
    Published(
        family="DistilBERT",
        paper="Sanh et al. 2019",
        vocabulary=30_522,
        sizes={"distilbert-base": _bert(6, 768, 12, segments=0)},
    ),
    Published(
        family=OWN,
        paper="",
        vocabulary=37_000,
        sizes={
            "encoder-small": ModelConfig(encoder=_SMALL),
            "encoder-tiny": ModelConfig(encoder=_TINY),
        },
    ),
)
PRESETS: dict[str, ModelConfig] = sizes_of(*FAMILIES)
