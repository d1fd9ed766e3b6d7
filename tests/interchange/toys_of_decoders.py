"""The decoders among the published families, each with what makes it differ from the others."""

from __future__ import annotations

from published_folders import Toy, byte_level

LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
    "rms_norm_eps": 1e-5,
}
WINDOWS = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}
# rotations that were trained with fewer tokens than the inputs have
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 1000.0}
DYNAMIC = {"rope_type": "dynamic", "factor": 3.0, "rope_theta": 500.0}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 3.0,
    "original_max_position_embeddings": 12,
    "rope_theta": 100.0,
}
YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 9,
    "beta_fast": 4.0,
    "rope_theta": 200.0,
}
LONGROPE = {  # of heads of width 8
    "rope_type": "longrope",
    "long_factor": [1.0, 1.5, 3.0, 4.0],
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "rope_theta": 300.0,
}
GEMMA = {
    **LLAMA,
    "head_dim": 10,
    "query_pre_attn_scalar": 7,
    "sliding_window": 5,
    "hidden_activation": "gelu_pytorch_tanh",
}
MIXED = ["sliding_attention", "full_attention", "sliding_attention"]
ROTATIONS = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5000.0},
}
NEOX = {
    key: one for key, one in LLAMA.items() if key not in ("num_key_value_heads", "rms_norm_eps")
}
GPTJ = {
    "n_embd": 48,
    "n_inner": 40,
    "n_layer": 2,
    "n_head": 3,
    "n_positions": 64,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
}
OPT = {
    "hidden_size": 32,
    "ffn_dim": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 40,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
}

TOYS: dict[str, Toy] = {
    "llama": Toy("LlamaForCausalLM", LLAMA, byte_level),
    "llama with biases of attention": Toy(
        "LlamaForCausalLM", {**LLAMA, "attention_bias": True, "head_dim": 16}, byte_level
    ),
    "llama with biases of the network": Toy(
        "LlamaForCausalLM", {**LLAMA, "mlp_bias": True, "tie_word_embeddings": True}, byte_level
    ),
    "mistral": Toy("MistralForCausalLM", {**LLAMA, "sliding_window": 5}, byte_level),
    "mistral without a window": Toy(
        "MistralForCausalLM", {**LLAMA, "sliding_window": None, "head_dim": 12}, byte_level
    ),
    "qwen2": Toy("Qwen2ForCausalLM", LLAMA, byte_level),
    "qwen2 with windows": Toy("Qwen2ForCausalLM", {**LLAMA, **WINDOWS}, byte_level),
    "qwen3": Toy("Qwen3ForCausalLM", {**LLAMA, "head_dim": 12}, byte_level),
    "qwen3 with windows and biases": Toy(
        "Qwen3ForCausalLM", {**LLAMA, **WINDOWS, "head_dim": 8, "attention_bias": True}, byte_level
    ),
    "olmo2": Toy("Olmo2ForCausalLM", LLAMA, byte_level),
    "olmo2 with biases": Toy("Olmo2ForCausalLM", {**LLAMA, "attention_bias": True}, byte_level),
    "phi3": Toy("Phi3ForCausalLM", LLAMA, byte_level),
    "phi3 with a window": Toy("Phi3ForCausalLM", {**LLAMA, "sliding_window": 6}, byte_level),
    "llama with linear rotations": Toy(
        "LlamaForCausalLM", {**LLAMA, "rope_parameters": LINEAR}, byte_level
    ),
    "llama with dynamic rotations": Toy(
        "LlamaForCausalLM",
        {**LLAMA, "max_position_embeddings": 8, "rope_parameters": DYNAMIC},
        byte_level,
    ),
    "llama 3.1": Toy("LlamaForCausalLM", {**LLAMA, "rope_parameters": LLAMA3}, byte_level),
    "llama 3.1 with wide heads": Toy(
        "LlamaForCausalLM", {**LLAMA, "rope_parameters": LLAMA3, "head_dim": 12}, byte_level
    ),
    "qwen2 with yarn": Toy("Qwen2ForCausalLM", {**LLAMA, "rope_parameters": YARN}, byte_level),
    "qwen3 with yarn": Toy(
        "Qwen3ForCausalLM",
        {**LLAMA, "rope_parameters": {**YARN, "truncate": False, "attention_factor": 1.3}},
        byte_level,
    ),
    "mistral with yarn": Toy(
        "MistralForCausalLM",
        {**LLAMA, "rope_parameters": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.5}},
        byte_level,
    ),
    "olmo2 with linear rotations": Toy(
        "Olmo2ForCausalLM", {**LLAMA, "rope_parameters": LINEAR}, byte_level
    ),
    "phi3 with longrope": Toy(
        "Phi3ForCausalLM",
        {**LLAMA, "rope_parameters": LONGROPE, "original_max_position_embeddings": 4},
        byte_level,
    ),
    "phi3 with longrope of a part": Toy(
        "Phi3ForCausalLM",
        {
            **LLAMA,
            "hidden_size": 64,
            "rope_parameters": {**LONGROPE, "partial_rotary_factor": 0.5},
            "original_max_position_embeddings": 4,
        },
        byte_level,
    ),
    "gemma": Toy("GemmaForCausalLM", {**LLAMA, "head_dim": 12}, byte_level, scale=0.2),
    "gemma2": Toy(
        "Gemma2ForCausalLM",
        {**GEMMA, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 20.0},
        byte_level,
        scale=0.2,
    ),
    "gemma2 without softcaps": Toy(
        "Gemma2ForCausalLM",
        {
            **GEMMA,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "query_pre_attn_scalar": 10,
            "layer_types": ["full_attention"] * 3,
            "attention_bias": True,
        },
        byte_level,
        scale=0.2,
    ),
    "gemma3": Toy(
        "Gemma3ForCausalLM",
        {**GEMMA, "layer_types": MIXED, "rope_parameters": ROTATIONS},
        byte_level,
        config="Gemma3TextConfig",
        scale=0.2,
    ),
    "gemma3 with windows in all blocks": Toy(
        "Gemma3ForCausalLM",
        {**GEMMA, "num_hidden_layers": 2, "final_logit_softcapping": 20.0},
        byte_level,
        config="Gemma3TextConfig",
        scale=0.2,
    ),
    "smollm3": Toy("SmolLM3ForCausalLM", {**LLAMA, "num_hidden_layers": 5}, byte_level),
    "smollm3 with windows and yarn": Toy(
        "SmolLM3ForCausalLM",
        {
            **LLAMA,
            "no_rope_layers": [0, 1, 0],
            "use_sliding_window": True,
            "sliding_window": 5,
            "rope_parameters": YARN,
            "attention_bias": True,
            "tie_word_embeddings": False,
        },
        byte_level,
    ),
    "stablelm": Toy(
        "StableLmForCausalLM",
        {**NEOX, "num_key_value_heads": 2, "layer_norm_eps": 1e-3},
        byte_level,
    ),
    "stablelm 2": Toy(
        "StableLmForCausalLM",
        {
            **NEOX,
            "num_key_value_heads": 2,
            "use_qkv_bias": True,
            "tie_word_embeddings": True,
            "rope_parameters": {**LINEAR, "partial_rotary_factor": 1.0},
        },
        byte_level,
    ),
    "stablelm in parallel": Toy(
        "StableLmForCausalLM",
        {
            **NEOX,
            "num_key_value_heads": 2,
            "use_parallel_residual": True,
            "rope_parameters": {"rope_theta": 300.0, "partial_rotary_factor": 0.5},
        },
        byte_level,
    ),
    "starcoder2": Toy(
        "Starcoder2ForCausalLM", {**NEOX, "num_key_value_heads": 2, "sliding_window": 5}, byte_level
    ),
    "starcoder2 without biases": Toy(
        "Starcoder2ForCausalLM",
        {
            **NEOX,
            "num_key_value_heads": 2,
            "use_bias": False,
            "tie_word_embeddings": False,
            "rope_parameters": LINEAR,
            "norm_epsilon": 1e-3,
        },
        byte_level,
    ),
    "gpt-neox": Toy(
        "GPTNeoXForCausalLM", {**NEOX, "rotary_pct": 0.5, "layer_norm_eps": 1e-3}, byte_level
    ),
    "gpt-neox in sequence": Toy(
        "GPTNeoXForCausalLM",
        {
            **NEOX,
            "use_parallel_residual": False,
            "attention_bias": False,
            "tie_word_embeddings": True,
            "rope_parameters": {**LINEAR, "partial_rotary_factor": 0.25},
        },
        byte_level,
    ),
    "gpt-j": Toy("GPTJForCausalLM", {**GPTJ, "rotary_dim": 6}, byte_level),
    "gpt-j with whole rotations": Toy("GPTJForCausalLM", {**GPTJ, "rotary_dim": 16}, byte_level),
    "opt": Toy("OPTForCausalLM", OPT, byte_level),
    "opt 350m": Toy(
        "OPTForCausalLM",
        {**OPT, "do_layer_norm_before": False, "word_embed_proj_dim": 12},
        byte_level,
    ),
    "opt without biases": Toy(
        "OPTForCausalLM",
        {**OPT, "enable_bias": False, "tie_word_embeddings": False},
        byte_level,
    ),
    "mixtral": Toy(
        "MixtralForCausalLM",
        {**LLAMA, "num_local_experts": 5, "num_experts_per_tok": 3, "sliding_window": 6},
        byte_level,
    ),
}
