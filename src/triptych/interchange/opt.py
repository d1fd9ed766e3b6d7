"""Read and write OPT as published (Zhang et al. 2022, section 2.1).

Its learned positions begin with row 2. The model of 350 million parameters has norms after each
part, and embeddings that are narrower than the states.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..data.tokenizers.subwords import Tokenizer
from ..errors import brief
from ..model.config import ModelConfig, StackConfig
from .config_reader import differences, read_settings, vocabulary_size, written_settings
from .family import Family, PublishedClass, both
from .rules import Rename, Rule

KIND, FIRST = "opt", 2  # the first rows of the table of positions are not read
KEYS = {  # setting -> key of config.json
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "inner_width": "ffn_dim",
    "max_positions": "max_position_embeddings",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation": "activation_function",
}
DEFAULTS: dict[str, object] = {"dropout": 0.1, "attention_dropout": 0.0, "activation": "relu"}
PLAIN: dict[str, object] = {
    "layer_norm_elementwise_affine": True,
    "_remove_final_layer_norm": False,
    "quantization_config": None,
}
SETTINGS: dict[str, object] = {
    "positions": "learned",
    "first_position": FIRST,
    "norm": "layer",
    "norm_epsilon": 1e-5,
    "gated": False,
    "embedding_norm": False,
    "segments": 0,
    "inner_dropout": 0.0,
}
BEFORE = "do_layer_norm_before"


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type opt.

    Raises RunError naming all values that are not supported.
    """
    problems: list[str] = []
    for key in (BEFORE, "enable_bias"):
        if type(values.get(key, True)) is not bool:
            problems.append(f"{key} is {brief(repr(values[key]))}, not true or false")
    narrow, is_tied = values.get("word_embed_proj_dim"), values.get("tie_word_embeddings", True)
    if narrow is not None and (type(narrow) is not int or not 0 < narrow < 1 << 31):
        problems.append(f"word_embed_proj_dim is {brief(repr(narrow))}")
    is_narrow = narrow is not None and narrow != values.get("hidden_size")
    if is_narrow and is_tied is not True:
        problems.append("word_embed_proj_dim is not hidden_size, and tie_word_embeddings is false")
    settings = read_settings(values, where, KEYS, DEFAULTS, PLAIN, problems)
    settings["max_positions"] += FIRST
    place = "pre" if values.get(BEFORE, True) else "post"
    has_bias = values.get("enable_bias", True)
    stack = {**SETTINGS, **settings, "norm_placement": place, "bias": has_bias}
    return ModelConfig(
        decoder=StackConfig(**stack),  # type: ignore[arg-type]
        vocabulary_size=vocabulary_size(values),
        tied_embeddings=is_tied is True,
        embedding_scale=False,
        **({"embedding_width": narrow, "embedding_projection": "tokens"} if is_narrow else {}),  # type: ignore[arg-type]
    )


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a decoder is not an OPT, with the expected values."""
    stack = config.decoder
    assert stack is not None, "only decoder-only models are written as OPT"
    shared: dict[str, object] = {"embedding_scale": False, "output_bias": False}
    if config.embedding_width is not None:
        shared |= {"embedding_width": config.embedding_width, "embedding_projection": "tokens"}
        shared["tied_embeddings"] = True
    place = "pre" if stack.norm_placement == "pre" else "post"
    wanted = {**SETTINGS, "norm_placement": place}
    found = differences(stack, wanted, "decoder.") + differences(config, shared)
    if stack.key_heads not in (None, stack.heads):
        found.append(f"decoder.key_heads is {stack.key_heads} instead of {stack.heads}")
    return found


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    stack = config.decoder
    assert stack is not None and not refusals(config), "the model has settings without a key"
    return {
        "model_type": KIND,
        "vocab_size": config.vocabulary_size,
        **written_settings(stack, KEYS),
        "max_position_embeddings": stack.usable_positions,
        BEFORE: stack.norm_placement == "pre",
        "enable_bias": stack.bias,
        "word_embed_proj_dim": config.embedding_width or stack.width,
        "tie_word_embeddings": config.tied_embeddings,
        "dtype": "float32",
    }


_LAYER, _BLOCK = "decoder.layers.{i}.", "decoder.blocks.{i}."


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embedding and the blocks."""
    stack = config.decoder
    assert stack is not None, "an OPT has a decoder"
    place = "before" if stack.norm_placement == "pre" else "after"
    attention = _BLOCK + "self_attention."
    projections = (
        Rename("decoder.project_in.weight", "decoder_entrance.projection.weight"),
        Rename("decoder.project_out.weight", "output_reduction.weight"),
    )
    return (
        Rename("decoder.embed_tokens.weight", "embedding.weight"),
        Rename("decoder.embed_positions.weight", "decoder_entrance.positions.weight"),
        *(projections if config.embedding_width is not None else ()),
        *both(_LAYER + "self_attn.q_proj", attention + "query"),
        *both(_LAYER + "self_attn.k_proj", attention + "key"),
        *both(_LAYER + "self_attn.v_proj", attention + "value"),
        *both(_LAYER + "self_attn.out_proj", attention + "output"),
        *both(_LAYER + "self_attn_layer_norm", f"{_BLOCK}self_attention_norm.{place}"),
        *both(_LAYER + "fc1", _BLOCK + "feed_forward.inner"),
        *both(_LAYER + "fc2", _BLOCK + "feed_forward.output"),
        *both(_LAYER + "final_layer_norm", f"{_BLOCK}feed_forward_norm.{place}"),
        *both("decoder.final_layer_norm", "decoder.final_norm"),
    )


FAMILY = Family(
    name="an OPT",
    kinds=(KIND,),
    architecture="decoder",
    preset="gpt2",
    prefix="model.",
    classes=(PublishedClass(architecture="OPTForCausalLM", head="tokens"),),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
    output=("lm_head.weight", "decoder.embed_tokens.weight"),
)
