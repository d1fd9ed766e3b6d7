"""The toys of encoders with sparse or disentangled attention, in the form of `published.py`."""

from __future__ import annotations

from typing import Any

from published import Published, Rules

from triptych.model.config import ModelConfig, StackConfig

OF_BERT: Rules = {
    "encoder.blocks.": "encoder.layer.",
    "self_attention_norm.after": "attention.output.LayerNorm",
    "feed_forward_norm.after": "FEED.LayerNorm",
    "self_attention.output": "attention.OUT.dense",
    "feed_forward.output": "FEED.dense",
    "feed_forward.inner": "intermediate.dense",
    "self_attention.globals.query": "attention.self.query_global",
    "self_attention.globals.key": "attention.self.key_global",
    "self_attention.globals.value": "attention.self.value_global",
    "self_attention.": "attention.self.",
    "FEED": "output",
    "OUT": "output",
    "encoder_entrance.positions": "embeddings.position_embeddings",
    "encoder_entrance.segments": "embeddings.token_type_embeddings",
    "encoder_entrance.norm": "embeddings.LayerNorm",
    "embedding.weight": "embeddings.word_embeddings.weight",
}
OF_DEBERTA: Rules = OF_BERT | {
    "attention.self.query.": "attention.self.query_proj.",
    "attention.self.key.": "attention.self.key_proj.",
    "attention.self.value.": "attention.self.value_proj.",
    "encoder.relative.norm": "encoder.LayerNorm",
    "encoder.relative": "encoder.rel_embeddings",
}
SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def encoder(**dials: Any) -> ModelConfig:
    """Return the configuration of an encoder of the BERT kind with other dials."""
    values: dict[str, Any] = {
        "layers": 2,
        "width": 24,
        "heads": 3,
        "inner_width": 32,
        "activation": "gelu",
        "norm_epsilon": 1e-12,
        "positions": "learned",
        "max_positions": 64,
        "segments": 2,
        "embedding_norm": True,
        "dropout": 0.0,
    }
    stack = StackConfig(**{**values, **dials})
    return ModelConfig(encoder=stack, vocabulary_size=50, embedding_scale=False)


def bigbird(random: int = 1, **blocks: int) -> Published:
    """Return a toy with blocks of four tokens; from 28 tokens it has full attention."""
    values = {"block_size": 4, "num_random_blocks": random, "hidden_act": "gelu_new"}
    table = {"size": 4, "random": random, **blocks}
    config = encoder(attention_blocks=table, activation="gelu_tanh")
    return Published("BigBirdModel", SIZES | values, config, OF_BERT, unused=("pooler",))


def longformer(kind: str) -> Published:
    values = {"attention_window": [4, 8], "type_vocab_size": 2, "pad_token_id": 1}
    config = encoder(
        attention_globals=kind,
        by_block={"attention_window": [4, 8]},
        attention_window=4,
        first_position=2,
    )
    return Published("LongformerModel", SIZES | values, config, OF_BERT, unused=("pooler",))


def deberta(buckets: int) -> Published:
    values = {
        "relative_attention": True,
        "position_buckets": buckets or -1,
        "max_relative_positions": 24,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-7,
    }
    table = {"buckets": buckets, "farthest": 24} if buckets else {"farthest": 24}
    config = encoder(disentangled=table, positions="none", segments=0, norm_epsilon=1e-7)
    return Published("DebertaV2Model", SIZES | values, config, OF_DEBERTA)
