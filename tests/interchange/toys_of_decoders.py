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
}
