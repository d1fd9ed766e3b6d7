"""The toys of `published.py`, one for each family whose dials are compared."""

from __future__ import annotations

from typing import Any

import torch
from published import Change, Published, Rules
from torch import Tensor

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


def plus_one(weight: Tensor) -> Tensor:
    """Return the weight of a norm that is stored as the difference from 1."""
    return weight + 1


def part(number: int, count: int) -> Change:
    """Return one of the joined matrices or biases."""
    return lambda x: x.chunk(count)[number]


def of_each_head(number: int, heads: int) -> Change:
    """Return queries, keys or values of a matrix that holds all three of each head in turn."""
    return lambda x: x.unflatten(0, (heads, 3, -1))[:, number].flatten(0, 1)


def halves(heads: int, rotated: int) -> Change:
    """Return rows of queries or keys whose rotated pairs are neighbours, as halves."""

    def change(x: Tensor) -> Tensor:
        each = x.unflatten(0, (heads, -1))
        turned = each[:, :rotated].unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2)
        return torch.cat((turned, each[:, rotated:]), 1).flatten(0, 1)

    return change


def llama(scaling: dict[str, Any], rotary_base: float = 10000.0, **more: Any) -> Published:
    """Return a Llama with a scaling of its rotary positions."""
    values = {**LLAMA_SIZES, "rms_norm_eps": 1e-6, "rope_theta": rotary_base, **more}
    dials: dict[str, Any] = {"rotary_scaling": scaling, "rotary_base": rotary_base}
    return Published(
        "LlamaForCausalLM",
        {**values, "rope_scaling": dict(scaling)},
        decoder(**dials),
        {**OF_LLAMA, **PRE},
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
GEMMA = {
    **LLAMA_SIZES,
    "head_dim": 10,
    "query_pre_attn_scalar": 7,
    "sliding_window": 4,
    "pad_token_id": 0,
    "hidden_activation": "gelu_pytorch_tanh",
    "rms_norm_eps": 1e-6,
}
OF_GEMMA: dict[str, Any] = {
    "tied": True,
    "model": {"embedding_scale": True},
    "head_width": 10,
    "norm_placement": "both",
    "attention_scale": 7**-0.5,
    "activation": "gelu_tanh",
}
BOTH: Rules = {
    "self_attention_norm.before": "input_layernorm",
    "self_attention_norm.branch": "post_attention_layernorm",
    "feed_forward_norm.before": "pre_feedforward_layernorm",
    "feed_forward_norm.branch": "post_feedforward_layernorm",
}
LAYER_NORM: dict[str, Any] = {
    "norm": "layer",
    "norm_epsilon": 1e-5,
    "gated": False,
    "bias": True,
    "key_heads": None,
}
DECODERS |= {
    "gemma2": Published(
        "Gemma2ForCausalLM",
        {**GEMMA, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
        decoder(
            **{**OF_GEMMA, "model": {"embedding_scale": True, "logit_softcap": 3.0}},
            attention_softcap=2.0,
            by_block={"attention_window": [4, None]},
        ),
        OF_LLAMA | BOTH,
        {"norm": plus_one},
    ),
    "gemma3": Published(
        "Gemma3ForCausalLM",
        {
            **GEMMA,
            "num_hidden_layers": 3,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5000.0},
            },
        },
        decoder(
            **OF_GEMMA,
            layers=3,
            query_key_norm="head",
            by_block={
                "attention_window": [4, None],
                "rotary_base": [100.0, 5000.0],
                "rotary_scaling": [None, {"rope_type": "linear", "factor": 8.0}],
            },
        ),
        OF_LLAMA | BOTH,
        {"norm": plus_one},
        config_kind="Gemma3Text",
    ),
    "neox": Published(
        "GPTNeoXForCausalLM",
        {**LLAMA_SIZES, "hidden_size": 32, "rotary_pct": 0.5, "hidden_act": "gelu"},
        decoder(
            **{**LAYER_NORM, "width": 32},
            parallel="two_norms",
            rotary_share=0.5,
            activation="gelu",
        ),
        {
            "decoder.": "gpt_neox.",
            "blocks.": "layers.",
            **{f"self_attention.{one}": "attention.query_key_value" for one in ("query", "key")},
            "self_attention.value": "attention.query_key_value",
            "self_attention.output": "attention.dense",
            "feed_forward.inner": "mlp.dense_h_to_4h",
            "feed_forward.output": "mlp.dense_4h_to_h",
            "final_norm": "final_layer_norm",
            "embedding.weight": "gpt_neox.embed_in.weight",
            "output.weight": "lm_head.weight",
            **PRE,
        },
        {
            f"self_attention.{one}.": of_each_head(number, 4)
            for number, one in enumerate(("query", "key", "value"))
        },
    ),
    "gptj": Published(
        "GPTJForCausalLM",
        {**{"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 36}, "rotary_dim": 4},
        decoder(
            **{**LAYER_NORM, "bias": False},
            model={"output_bias": True},
            width=32,
            feed_forward_bias=True,
            parallel="one_norm",
            rotary_share=0.5,
            activation="gelu_tanh",
        ),
        {
            "decoder.": "transformer.",
            "blocks.": "h.",
            "self_attention_norm.before": "ln_1",
            "self_attention.query": "attn.q_proj",
            "self_attention.key": "attn.k_proj",
            "self_attention.value": "attn.v_proj",
            "self_attention.output": "attn.out_proj",
            "feed_forward.inner": "mlp.fc_in",
            "feed_forward.output": "mlp.fc_out",
            "final_norm": "ln_f",
            "embedding.weight": "transformer.wte.weight",
            "output.weight": "lm_head.weight",
            "output_bias": "lm_head.bias",
        },
        {"self_attention.query": halves(4, 4), "self_attention.key": halves(4, 4)},
    ),
    "opt-350m": Published(
        "OPTForCausalLM",
        {
            **{"hidden_size": 16, "ffn_dim": 32, "num_hidden_layers": 2},
            **{"num_attention_heads": 2, "max_position_embeddings": 24},
            **{"word_embed_proj_dim": 8, "do_layer_norm_before": False},
        },
        ModelConfig(
            decoder=StackConfig(**BART, positions="learned", max_positions=26, first_position=2),
            vocabulary_size=50,
            embedding_scale=False,
            embedding_width=8,
            embedding_projection="tokens",
        ),
        {
            **{one: name for one, name in OF_BART.items() if one != "embedding.weight"},
            "decoder_entrance.positions": "model.decoder.embed_positions",
            "decoder_entrance.projection": "model.decoder.project_in",
            "output_reduction": "model.decoder.project_out",
            "embedding.weight": "model.decoder.embed_tokens.weight",
        },
    ),
}
BERT: dict[str, Any] = {
    **{"layers": 3, "width": 24, "heads": 4, "inner_width": 36, "norm_epsilon": 1e-12},
    **{"positions": "learned", "max_positions": 20, "segments": 2, "embedding_norm": True},
    **{"activation": "gelu", "dropout": 0.0},
}
BERT_SIZES = {
    **{"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4},
    **{"intermediate_size": 36, "max_position_embeddings": 20, "embedding_size": 10},
}
OF_BERT: Rules = {
    "encoder_entrance.positions": "embeddings.position_embeddings",
    "encoder_entrance.segments": "embeddings.token_type_embeddings",
    "encoder_entrance.norm": "embeddings.LayerNorm",
    "embedding.weight": "embeddings.word_embeddings.weight",
}
ENCODERS = {
    "modernbert": Published(
        "ModernBertModel",
        {
            **{one: LLAMA_SIZES[one] for one in ("hidden_size", "num_attention_heads")},
            **{"intermediate_size": 36, "num_hidden_layers": 4, "local_attention": 8},
            **{"max_position_embeddings": 64, "pad_token_id": 0},
        },
        ModelConfig(
            encoder=StackConfig(
                layers=4,
                width=24,
                heads=4,
                inner_width=36,
                norm_placement="pre",
                bias=False,
                gated=True,
                activation="gelu",
                positions="rotary",
                norm_bias=False,
                first_norm=False,
                embedding_norm=True,
                dropout=0.0,
                by_block={
                    "attention_window": [None, 8, 8],
                    "rotary_base": [160000.0, 10000.0, 10000.0],
                },
            ),
            vocabulary_size=50,
            embedding_scale=False,
        ),
        {
            "encoder.": "",
            "blocks.": "layers.",
            "self_attention_norm.before": "attn_norm",
            "feed_forward_norm.before": "mlp_norm",
            **{f"self_attention.{one}": "attn.Wqkv" for one in ("query", "key", "value")},
            "self_attention.output": "attn.Wo",
            **{f"feed_forward.{one}": "mlp.Wi" for one in ("inner", "gate")},
            "feed_forward.output": "mlp.Wo",
            "encoder_entrance.norm": "embeddings.norm",
            "embedding.weight": "embeddings.tok_embeddings.weight",
        },
        {
            **{
                f"self_attention.{one}.": part(number, 3)
                for number, one in enumerate(("query", "key", "value"))
            },
            "feed_forward.gate": part(0, 2),
            "feed_forward.inner": part(1, 2),
        },
    ),
    "albert": Published(
        "AlbertModel",
        {**BERT_SIZES, "hidden_act": "gelu"},
        ModelConfig(
            encoder=StackConfig(**BERT, shared_layers=True),
            vocabulary_size=50,
            embedding_scale=False,
            embedding_width=10,
        ),
        {
            **OF_BERT,
            "encoder_entrance.projection": "encoder.embedding_hidden_mapping_in",
            "blocks.0.": "albert_layer_groups.0.albert_layers.0.",
            "self_attention_norm.after": "attention.LayerNorm",
            "self_attention.output": "attention.dense",
            "self_attention.": "attention.",
            "feed_forward_norm.after": "full_layer_layer_norm",
            "feed_forward.inner": "ffn",
            "feed_forward.output": "ffn_output",
        },
        unused=("pooler",),
    ),
    "electra-small": Published(
        "ElectraModel",
        BERT_SIZES,
        ModelConfig(
            encoder=StackConfig(**BERT),
            vocabulary_size=50,
            embedding_scale=False,
            embedding_width=10,
        ),
        {
            **OF_BERT,
            "encoder_entrance.projection": "embeddings_project",
            "blocks.": "layer.",
            "self_attention_norm.after": "attention.output.LayerNorm",
            "self_attention.output": "attention.output.dense",
            "self_attention.": "attention.self.",
            "feed_forward_norm.after": "output.LayerNorm",
            "feed_forward.inner": "intermediate.dense",
            "feed_forward.output": "output.dense",
        },
    ),
}
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
