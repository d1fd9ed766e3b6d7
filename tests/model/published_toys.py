"""The toys of `published.py`, one for each family whose dials are compared."""

from __future__ import annotations

from typing import Any

from published import Published, Rules

from triptych.model.config import ModelConfig, StackConfig

OF_LLAMA: Rules = {
    "decoder.": "model.",
    "blocks.": "layers.",
    "self_attention.query_norm": "self_attn.q_norm",
    "self_attention.key_norm": "self_attn.k_norm",
    "self_attention.query": "self_attn.q_proj",
    "self_attention.key": "self_attn.k_proj",
    "self_attention.value": "self_attn.v_proj",
    "self_attention.output": "self_attn.o_proj",
    "feed_forward.inner": "mlp.up_proj",
    "feed_forward.gate": "mlp.gate_proj",
    "feed_forward.output": "mlp.down_proj",
    "final_norm": "norm",
    "embedding.weight": "model.embed_tokens.weight",
    "output.weight": "lm_head.weight",
}
PRE: Rules = {
    "self_attention_norm.before": "input_layernorm",
    "feed_forward_norm.before": "post_attention_layernorm",
}
BRANCH: Rules = {
    "self_attention_norm.branch": "post_attention_layernorm",
    "feed_forward_norm.branch": "post_feedforward_layernorm",
}
OF_BART: Rules = {
    "self_attention_norm.after": "self_attn_layer_norm",
    "cross_attention_norm.after": "encoder_attn_layer_norm",
    "feed_forward_norm.after": "final_layer_norm",
    "self_attention_norm.before": "self_attn_layer_norm",
    "cross_attention_norm.before": "encoder_attn_layer_norm",
    "feed_forward_norm.before": "final_layer_norm",
    "final_norm": "layer_norm",
    "self_attention.query": "self_attn.q_proj",
    "self_attention.key": "self_attn.k_proj",
    "self_attention.value": "self_attn.v_proj",
    "self_attention.output": "self_attn.out_proj",
    "cross_attention.query": "encoder_attn.q_proj",
    "cross_attention.key": "encoder_attn.k_proj",
    "cross_attention.value": "encoder_attn.v_proj",
    "cross_attention.output": "encoder_attn.out_proj",
    "feed_forward.inner": "fc1",
    "feed_forward.output": "fc2",
    "blocks.": "layers.",
    "encoder.": "model.encoder.",
    "decoder.": "model.decoder.",
    "embedding.weight": "model.shared.weight",
}
OF_T5: Rules = {
    "encoder.blocks.": "encoder.block.",
    "decoder.blocks.": "decoder.block.",
    "self_attention.query": "layer.0.SelfAttention.q",
    "self_attention.key": "layer.0.SelfAttention.k",
    "self_attention.value": "layer.0.SelfAttention.v",
    "self_attention.output": "layer.0.SelfAttention.o",
    "self_attention_norm.before": "layer.0.layer_norm",
    "cross_attention.query": "layer.1.EncDecAttention.q",
    "cross_attention.key": "layer.1.EncDecAttention.k",
    "cross_attention.value": "layer.1.EncDecAttention.v",
    "cross_attention.output": "layer.1.EncDecAttention.o",
    "cross_attention_norm.before": "layer.1.layer_norm",
    "feed_forward.inner": "FEED.DenseReluDense.wi",
    "feed_forward.output": "FEED.DenseReluDense.wo",
    "feed_forward_norm.before": "FEED.layer_norm",
    **{f"encoder.block.{n}.FEED": f"encoder.block.{n}.layer.1" for n in (0, 1)},
    **{f"decoder.block.{n}.FEED": f"decoder.block.{n}.layer.2" for n in (0, 1)},
    "position_bias": "block.0.layer.0.SelfAttention.relative_attention_bias",
    "final_norm": "final_layer_norm",
    "embedding.weight": "shared.weight",
}
LLAMA_SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 36,
    "max_position_embeddings": 64,
}
LLAMA: dict[str, Any] = {
    "layers": 2,
    "width": 24,
    "heads": 4,
    "key_heads": 2,
    "inner_width": 36,
    "norm": "rms",
    "norm_placement": "pre",
    "norm_epsilon": 1e-6,
    "gated": True,
    "activation": "silu",
    "bias": False,
    "positions": "rotary",
    "dropout": 0.0,
}
BART_SIZES = {
    "d_model": 16,
    "max_position_embeddings": 24,
    "pad_token_id": 1,
    **{f"{side}_layers": 2 for side in ("encoder", "decoder")},
    **{f"{side}_attention_heads": 2 for side in ("encoder", "decoder")},
    **{f"{side}_ffn_dim": 32 for side in ("encoder", "decoder")},
}
BART: dict[str, Any] = {"layers": 2, "width": 16, "heads": 2, "inner_width": 32, "dropout": 0.0}


def decoder(tied: bool = False, model: dict[str, Any] | None = None, **dials: Any) -> ModelConfig:
    """Return the configuration of a decoder of the Llama kind with other dials."""
    return ModelConfig(
        decoder=StackConfig(**{**LLAMA, **dials}),
        vocabulary_size=50,
        tied_embeddings=tied,
        **{"embedding_scale": False, **(model or {})},
    )


def pair(model: dict[str, Any] | None = None, **dials: Any) -> ModelConfig:
    """Return the configuration of an encoder-decoder of the BART kind with other dials."""
    stack = StackConfig(**{**BART, **dials})
    return ModelConfig(encoder=stack, decoder=stack, vocabulary_size=50, **(model or {}))


def llama(scaling: dict[str, Any], rotary_base: float = 10000.0, **more: Any) -> Published:
    """Return a Llama with a scaling of its rotary positions."""
    values = {**LLAMA_SIZES, "rms_norm_eps": 1e-6, "rope_theta": rotary_base, **more}
    dials: dict[str, Any] = {"rotary_scaling": scaling, "rotary_base": rotary_base}
    return Published(
        "LlamaForCausalLM",
        {**values, "rope_scaling": dict(scaling)},
        decoder(**dials),
        OF_LLAMA | PRE,
    )


LONGROPE = {
    "rope_type": "longrope",
    "original_max_position_embeddings": 8,
    "short_factor": [1.0, 1.1, 1.3],
    "long_factor": [1.2, 2.0, 4.0],
    "factor": 8.0,
}
DYNAMIC = {"rope_type": "dynamic", "factor": 3.0, "original_max_position_embeddings": 8}
# rotations that depend on the length of a text: alike in one pass over whole texts
BY_LENGTH = {
    "longrope": llama(LONGROPE),
    "dynamic": llama(DYNAMIC, max_position_embeddings=8),
}
DECODERS = {
    "llama3.1": llama(
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
        rotary_base=50.0,
    ),
    "linear": llama({"rope_type": "linear", "factor": 2.5}),
    "yarn": llama(
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
        rotary_base=100.0,
    ),
    "yarn-mscale": llama(
        {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 16,
            "beta_fast": 8.0,
            "beta_slow": 0.5,
            "mscale": 1.2,
            "mscale_all_dim": 0.8,
            "truncate": False,
        },
        rotary_base=100.0,
    ),
    "phi3-short": llama({**LONGROPE, "original_max_position_embeddings": 16}),
    "smollm3": Published(
        "SmolLM3ForCausalLM",
        {
            **LLAMA_SIZES,
            "rms_norm_eps": 1e-6,
            "num_hidden_layers": 3,
            "no_rope_layer_interval": 2,
            "rope_theta": 5000.0,
            "pad_token_id": 0,
            "use_sliding_window": False,
        },
        decoder(
            tied=True, layers=3, rotary_base=5000.0, by_block={"positions": ["rotary", "none"]}
        ),
        OF_LLAMA | PRE,
    ),
    "qwen3": Published(
        "Qwen3ForCausalLM",
        {**LLAMA_SIZES, "head_dim": 10, "rms_norm_eps": 1e-6},
        decoder(head_width=10, query_key_norm="head"),
        OF_LLAMA | PRE,
    ),
    "olmo2": Published(
        "Olmo2ForCausalLM",
        {**LLAMA_SIZES, "rms_norm_eps": 1e-6},
        decoder(norm_placement="branch", query_key_norm="whole"),
        OF_LLAMA | BRANCH,
    ),
}
ENCODERS: dict[str, Published] = {}
PAIRS = {
    "marian": Published(
        "MarianMTModel",
        {**BART_SIZES, "activation_function": "silu", "scale_embedding": True},
        pair(activation="silu", sinusoids="halves"),
        OF_BART,
        unused=("embed_positions",),
    ),
    "m2m100": Published(
        "M2M100ForConditionalGeneration",
        {**BART_SIZES, "activation_function": "relu", "scale_embedding": True},
        pair(norm_placement="pre", sinusoids="fairseq", first_position=2),
        OF_BART,
    ),
    "bart": Published(
        "BartForConditionalGeneration",
        BART_SIZES,
        pair(
            {"embedding_scale": False},
            activation="gelu",
            positions="learned",
            max_positions=26,
            first_position=2,
            embedding_norm=True,
        ),
        OF_BART
        | {
            "encoder_entrance.positions": "model.encoder.embed_positions",
            "decoder_entrance.positions": "model.decoder.embed_positions",
            "encoder_entrance.norm": "model.encoder.layernorm_embedding",
            "decoder_entrance.norm": "model.decoder.layernorm_embedding",
        },
    ),
    "t5": Published(
        "T5ForConditionalGeneration",
        {
            **{"d_model": 16, "d_kv": 6, "d_ff": 32, "num_layers": 2, "num_heads": 4},
            "tie_word_embeddings": True,
        },
        pair(
            {"embedding_scale": False, "output_scale": 16**-0.5},
            heads=4,
            head_width=6,
            norm="rms",
            norm_placement="pre",
            norm_epsilon=1e-6,
            bias=False,
            positions="relative",
            attention_scale=1.0,
        ),
        OF_T5,
    ),
}
