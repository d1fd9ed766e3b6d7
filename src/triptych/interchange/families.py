"""List the families of published models. A new one is a module and a line here."""

from __future__ import annotations

from . import (
    albert,
    bart,
    bert,
    bigbird,
    deberta,
    distilbert,
    electra,
    gemma,
    gpt2,
    llama,
    longformer,
    m2m100,
    marian,
    mistral,
    modernbert,
    mpnet,
    olmo2,
    phi3,
    pre_norm,
    qwen,
    roberta,
    starcoder2,
    t5,
)
from .family import Family

FAMILIES: tuple[Family, ...] = (
    bert.FAMILY,
    distilbert.FAMILY,
    roberta.FAMILY,
    roberta.XLM,
    roberta.CAMEMBERT,
    bigbird.FAMILY,
    modernbert.FAMILY,
    electra.FAMILY,
    albert.FAMILY,
    mpnet.FAMILY,
    deberta.FAMILY,
    longformer.FAMILY,
    pre_norm.PLAIN,
    pre_norm.PAIRS,
    gpt2.FAMILY,
    llama.FAMILY,
    mistral.FAMILY,
    qwen.QWEN2,
    qwen.QWEN3,
    olmo2.FAMILY,
    phi3.FAMILY,
    gemma.GEMMA,
    gemma.GEMMA2,
    gemma.GEMMA3,
    starcoder2.FAMILY,
    marian.FAMILY,
    marian.PRE_NORM,
    bart.FAMILY,
    bart.MBART,
    bart.PEGASUS,
    m2m100.FAMILY,
    t5.FAMILY,
    t5.MT5,
)
# by model_type, those that are read
READ: dict[str, Family] = {
    kind: one for one in FAMILIES if one.read_config is not None for kind in one.kinds
}
BY_KIND: dict[str, Family] = {kind: one for one in FAMILIES for kind in one.kinds}
