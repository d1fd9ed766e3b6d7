"""Read and write GPT-J as published (Wang & Komatsuzaki 2021).

Attention and feed-forward read the same input after one norm; the first columns of each head are
rotated, as pairs of neighbours; only the feed-forward network and the output have biases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..data.tokenizers.subwords import Tokenizer
from ..errors import brief
from ..model.config import ModelConfig, StackConfig
from .config_reader import differences, read_settings, vocabulary_size, written_settings
from .family import Family, PublishedClass, both
from .rules import Ignore, Rename, Rule

KIND = "gptj"
KEYS = {  # setting -> key of config.json
    "layers": "n_layer",
    "width": "n_embd",
    "heads": "n_head",
    "inner_width": "n_inner",
    "max_positions": "n_positions",
    "dropout": "resid_pdrop",
    "attention_dropout": "attn_pdrop",
    "norm_epsilon": "layer_norm_epsilon",
    "activation": "activation_function",
}
DEFAULTS: dict[str, object] = {
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "norm_epsilon": 1e-5,
    "activation": "gelu_new",
}
SETTINGS: dict[str, object] = {
    "positions": "rotary",
    "norm_placement": "pre",
    "norm": "layer",
    "gated": False,
    "bias": True,
    "attention_biases": [False] * 4,
    "parallel": "one_norm",
    "rotary_base": 10000.0,
    "embedding_norm": False,
    "segments": 0,
    "inner_dropout": 0.0,
}
SHARED: dict[str, object] = {"embedding_scale": False, "output_bias": True}


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type gptj.

    Raises RunError naming all values that are not supported.
    """
    width, heads, turned = (values.get(key) for key in ("n_embd", "n_head", "rotary_dim"))
    inner = values.get("n_inner") or (4 * width if type(width) is int else 1)
    problems: list[str] = []
    if values.get("embd_pdrop", 0.0) != values.get("resid_pdrop", 0.0):
        problems.append(f"embd_pdrop is {brief(repr(values.get('embd_pdrop')))}, not resid_pdrop")
    turned, share = 64 if "rotary_dim" not in values else turned, 1.0
    if type(width) is int and type(heads) is int and heads > 0:
        head = width // heads
        if type(turned) is not int or not 0 < turned <= head or turned % 2:
            problems.append(f"rotary_dim is {brief(repr(turned))}, not even and at most {head}")
        else:
            share = turned / head
            share = share if int(head * share) == turned else math.nextafter(share, 2.0)
    settings = read_settings(
        {**values, "n_inner": inner},
        where,
        KEYS,
        DEFAULTS,
        {"quantization_config": None},
        problems,
    )
    return ModelConfig(
        decoder=StackConfig(**{**SETTINGS, **settings, "rotary_share": share}),  # type: ignore[arg-type]
        vocabulary_size=vocabulary_size(values),
        tied_embeddings=values.get("tie_word_embeddings") is True,
        embedding_scale=False,
        output_bias=True,
    )


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a decoder is not a GPT-J, with the expected values."""
    stack = config.decoder
    assert stack is not None, "only decoder-only models are written as GPT-J"
    wanted = {**SETTINGS, "rotary_share": stack.rotary_share}
    found = differences(stack, wanted, "decoder.") + differences(config, SHARED)
    if stack.key_heads not in (None, stack.heads):
        found.append(f"decoder.key_heads is {stack.key_heads} instead of {stack.heads}")
    return found


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`.

    longest: the number of tokens that it was trained to read.
    """
    stack = config.decoder
    assert stack is not None and not refusals(config), "the model has settings without a key"
    return {
        "model_type": KIND,
        "vocab_size": config.vocabulary_size,
        **written_settings(stack, KEYS),
        "n_positions": max(longest, stack.max_positions),
        "rotary_dim": stack.rotary_width,
        "embd_pdrop": stack.dropout,
        "tie_word_embeddings": config.tied_embeddings,
        "dtype": "float32",
    }


_BLOCK = "decoder.blocks.{i}."


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embedding and the blocks."""
    stack = config.decoder
    assert stack is not None, "a GPT-J has a decoder"
    pairs, columns = stack.size_of_head, stack.rotary_width
    attention = _BLOCK + "self_attention."
    return (
        Rename("wte.weight", "embedding.weight"),
        *(
            Rename(
                f"h.{{i}}.attn.{theirs}.weight",
                f"{attention}{ours}.weight",
                pairs=pairs,
                paired=columns,
            )
            for theirs, ours in (("q_proj", "query"), ("k_proj", "key"))
        ),
        Rename("h.{i}.attn.v_proj.weight", attention + "value.weight"),
        Rename("h.{i}.attn.out_proj.weight", attention + "output.weight"),
        *both("h.{i}.ln_1", _BLOCK + "self_attention_norm.before"),
        *both("h.{i}.mlp.fc_in", _BLOCK + "feed_forward.inner"),
        *both("h.{i}.mlp.fc_out", _BLOCK + "feed_forward.output"),
        *both("ln_f", "decoder.final_norm"),
        Ignore("h.{i}.attn.bias", "which is the causal mask"),
        Ignore("h.{i}.attn.masked_bias", "which is the causal mask"),
        Ignore("h.{i}.attn.embed_positions", "a constant"),
    )


FAMILY = Family(
    name="a GPT-J",
    kinds=(KIND,),
    architecture="decoder",
    preset="gpt2",
    prefix="transformer.",
    classes=(
        PublishedClass(
            architecture="GPTJForCausalLM",
            head="tokens",
            rules=(Rename("lm_head.bias", "output_bias"),),
        ),
    ),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
    output=("lm_head.weight", "wte.weight"),
)
