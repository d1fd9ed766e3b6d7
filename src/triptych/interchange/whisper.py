"""Read and write Whisper (Radford et al. 2022), an encoder-decoder of speech.

Its encoder reads log-mel frames through two convolutions and positions that are fixed sinusoids,
which files hold as a table: a table that is not exactly ours is read as a learned one, so that
nothing is rounded. Keys have no bias. The output projection is the embedding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..data.tokenizers.subwords import Tokenizer
from ..errors import RunError
from ..messages import message
from ..model.config import ModelConfig, StackConfig
from .config_reader import differences, read_settings, vocabulary_size, written_settings
from .family import Family, PublishedClass, Tensors, both
from .rules import Ignore, Rename, Rule

if TYPE_CHECKING:
    from torch import Tensor

KIND = "whisper"
SIDES = ("encoder", "decoder")
BIASES = [True, False, True, True]  # of query, key, value and output
DEFAULTS: dict[str, str | float] = {
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "inner_dropout": 0.0,
    "activation": "gelu",
}
# what makes a stack one of a Whisper
SETTINGS: dict[str, object] = {
    "norm_placement": "pre",
    "norm": "layer",
    "norm_epsilon": 1e-5,
    "gated": False,
    "bias": True,
    "attention_biases": BIASES,
    "segments": 0,
    "embedding_norm": False,
    "first_position": 0,
}
TABLE = "model.encoder.embed_positions.weight"
# the two forms of our encoder's positions
FIXED: dict[str, object] = {"positions": "sinusoidal", "sinusoids": "fairseq"}
PARTS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}


def _keys(side: str) -> dict[str, str]:
    return {
        "layers": f"{side}_layers",
        "width": "d_model",
        "heads": f"{side}_attention_heads",
        "inner_width": f"{side}_ffn_dim",
        "max_positions": f"max_{'source' if side == 'encoder' else 'target'}_positions",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "inner_dropout": "activation_dropout",
        "activation": "activation_function",
    }


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of a Whisper. Raises RunError naming all values that do not fit."""
    plain = {"quantization_config": None, "tie_word_embeddings": True, "scale_embedding": False}
    stacks: dict[str, StackConfig] = {}
    problems: list[str] = []
    mels = values.get("num_mel_bins", 80)
    if type(mels) is not int or not 1 <= mels <= 1024:
        problems.append(f"{where}: num_mel_bins is {mels!r}.")
    for side in SIDES:
        try:
            settings = read_settings(values, where, _keys(side), DEFAULTS, plain)
        except RunError as error:
            problems += [one for one in [str(error)] if one not in problems]
            continue
        own = {"stem": KIND, "features": mels} if side == "encoder" else {}
        stacks[side] = StackConfig(**{**SETTINGS, "positions": "learned", **settings, **own})  # type: ignore[arg-type]
    if problems:
        raise RunError(" ".join(problems))
    return ModelConfig(
        **stacks,  # type: ignore[arg-type]
        vocabulary_size=vocabulary_size(values),
        embedding_scale=False,
        tied_embeddings=True,
    )


def _fitted(config: ModelConfig, tensors: Tensors) -> ModelConfig:
    """Return the configuration with fixed positions, if the table holds exactly ours."""
    import torch

    from ..model.positions import sinusoids

    table, encoder = tensors.get(TABLE), config.encoder
    assert encoder is not None, "a Whisper has an encoder"
    if table is None or table.ndim != 2:
        return config
    places, width = table.shape
    if not torch.equal(table, sinusoids(places, width, "fairseq")):
        return config
    return dataclasses.replace(config, encoder=dataclasses.replace(encoder, **FIXED))  # type: ignore[arg-type]


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a model is not a Whisper, with the expected values."""
    encoder, decoder = config.encoder, config.decoder
    assert encoder is not None and decoder is not None, "only both are written"
    held = FIXED if encoder.positions == "sinusoidal" else {"positions": "learned"}
    own: dict[str, object] = {"stem": KIND, "features": encoder.features, **held}
    found = differences(encoder, {**SETTINGS, **own}, "encoder.")
    found += differences(decoder, {**SETTINGS, "positions": "learned"}, "decoder.")
    shared = ("width", "activation", "dropout", "attention_dropout", "inner_dropout")
    alike = {key: getattr(encoder, key) for key in shared}
    found += differences(decoder, alike, "decoder.", alone=True)
    for side, stack in config.stacks.items():
        if (stack.key_heads or stack.heads) != stack.heads:
            found.append(
                message(
                    "{key} is {value} instead of {wanted}",
                    key=f"{side}.key_heads", value=stack.key_heads, wanted=stack.heads,
                )
            )  # fmt: skip
    wanted = {
        "source_vocabulary_size": None,
        "embedding_scale": False,
        "tied_embeddings": True,
        "output_bias": False,
    }
    return found + differences(config, wanted)


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    encoder, decoder = config.encoder, config.decoder
    assert encoder is not None and decoder is not None, "only both are written"
    return {
        "model_type": KIND,
        "vocab_size": config.vocabulary_size,
        "num_mel_bins": encoder.features,
        **written_settings(encoder, _keys("encoder")),
        **written_settings(decoder, _keys("decoder")),
        "scale_embedding": False,
        "tie_word_embeddings": True,
        "is_encoder_decoder": True,
        "decoder_start_token_id": tokenizer.begin_id,
        "bos_token_id": tokenizer.end_id,
        "eos_token_id": tokenizer.end_id,
        "pad_token_id": tokenizer.end_id,
        "dtype": "float32",
    }


def _attention(theirs: str, ours: str) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for old, new in PARTS.items():
        pair = both(f"{theirs}.{old}", f"{ours}.{new}")
        rules += pair[:1] if new == "key" else pair
    return (*rules, *both(f"{theirs}_layer_norm", f"{ours}_norm.before"))


def _body(config: ModelConfig) -> tuple[Rule, ...]:
    encoder = config.encoder
    assert encoder is not None, "a Whisper has an encoder"
    rules: list[Rule] = [
        Rename("model.decoder.embed_tokens.weight", "embedding.weight"),
        *both("model.encoder.conv1", "stem.layers.0"),
        *both("model.encoder.conv2", "stem.layers.1"),
        Rename(TABLE, "encoder_entrance.positions.weight")
        if encoder.positions == "learned"
        else Ignore(TABLE, "which are fixed sinusoids"),
        Rename("model.decoder.embed_positions.weight", "decoder_entrance.positions.weight"),
    ]
    for side in SIDES:
        theirs, ours = f"model.{side}.layers.{{i}}.", f"{side}.blocks.{{i}}."
        rules += [
            *_attention(theirs + "self_attn", ours + "self_attention"),
            *both(theirs + "fc1", ours + "feed_forward.inner"),
            *both(theirs + "fc2", ours + "feed_forward.output"),
            *both(theirs + "final_layer_norm", f"{ours}feed_forward_norm.before"),
            *both(f"model.{side}.layer_norm", f"{side}.final_norm"),
        ]
    of_decoder = ("model.decoder.layers.{i}.encoder_attn", "decoder.blocks.{i}.cross_attention")
    return (*rules, *_attention(*of_decoder))


def _constants(config: ModelConfig, chosen: PublishedClass, longest: int) -> dict[str, Tensor]:
    """Return the table of fixed positions, which the class keeps among its weights."""
    from ..model.positions import sinusoids

    encoder = config.encoder
    assert encoder is not None, "a Whisper has an encoder"
    if encoder.positions == "learned":
        return {}
    return {TABLE: sinusoids(encoder.max_positions, encoder.width, "fairseq")}


FAMILY = Family(
    name="a Whisper",
    kinds=(KIND,),
    architecture="encoder-decoder",
    preset="whisper-tiny",
    task="transcription",
    classes=(PublishedClass(architecture="WhisperForConditionalGeneration", head="tokens"),),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=_body,
    fitted=_fitted,
    constants=_constants,
    output=("proj_out.weight", "model.decoder.embed_tokens.weight"),
)
