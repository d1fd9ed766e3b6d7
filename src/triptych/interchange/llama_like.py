"""Read and write the decoders that are a Llama but for a few settings, each a `Kin`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..data.tokenizers.subwords import Tokenizer
from ..errors import RunError, brief
from ..model.config import ModelConfig, StackConfig
from ..model.dials import misfit
from .config_reader import (
    LARGEST,
    FamilySettings,
    differences,
    read_settings,
    vocabulary_size,
    written_settings,
)
from .family import Family, PublishedClass
from .rotations import (
    BASE,
    SCALINGS,
    SHARE,
    longest_of,
    read_scaling,
    read_share,
    table_of,
    written_longest,
    written_rotations,
)
from .rules import Ignore, Rename, Rule
from .windows import windows_differ

PREFIX = "model."
KEYS = {  # setting -> key of config.json
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "key_heads": "num_key_value_heads",
    "inner_width": "intermediate_size",
    "max_positions": "max_position_embeddings",
    "attention_dropout": "attention_dropout",
    "norm_epsilon": "rms_norm_eps",
    "activation": "hidden_act",
    "rotary_base": "rope_theta",
}
DEFAULTS: dict[str, str | float] = {
    "max_positions": 2048,
    "attention_dropout": 0.0,
    "norm_epsilon": 1e-6,
    "activation": "silu",
    "rotary_base": 10000.0,
}
# Keys without a setting here, with the only value that is supported.
PLAIN: dict[str, object] = {"quantization_config": None}
SETTINGS: FamilySettings = {  # the settings of a Llama (Touvron et al. 2023, section 2.2)
    "positions": "rotary",
    "norm_placement": "pre",
    "norm": "rms",
    "gated": True,
    "embedding_norm": False,
    "segments": 0,
    "inner_dropout": 0.0,
}
BIASES = ("attention_biases", "feed_forward_bias")
Own = dict[str, object]


def as_it_is(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return a config.json that leaves nothing out."""
    return values


def no_settings(values: Mapping[str, object], problems: list[str]) -> Own:
    """Read nothing more."""
    return {}


def no_keys(stack: StackConfig) -> Own:
    """Write nothing more."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Kin:
    """Say in what a family differs from a Llama.

    Args:
        kind: Its model_type.
        name: With its article.
        architecture: Its class.
        settings: Values of its stack that differ from a Llama's.
        shared: Values of the whole model that differ.
        defaults: Values of missing keys that differ.
        keys: Keys of settings that differ.
        plain: More keys with their only supported value.
        free: Dials that its config.json can say, beside the keys.
        by_block: Those of them that may differ by block.
        model_keys: Dials of the whole model that it may have -> their keys.
        scalings: The kinds of `rotary_scaling` that it has.
        has_own_rotations: `read` reads the rotations too.
        complete: Returns a config.json with the values of keys that files leave out.
        read: Returns the values of free dials, and adds to the problems.
        write: Returns their keys.
        refuse: Lists what else it cannot say of a stack.
        layers: Rules of a block's tensors. None: a Llama's.
        preset: The nearest preset.
    """

    kind: str
    name: str
    architecture: str
    settings: Mapping[str, object] = field(default_factory=dict)
    shared: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, str | float] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    plain: Mapping[str, object] = field(default_factory=dict)
    free: Sequence[str] = ()
    by_block: frozenset[str] = frozenset()
    model_keys: Mapping[str, str] = field(default_factory=dict)
    scalings: Sequence[str] = SCALINGS
    has_own_rotations: bool = False
    complete: Callable[[Mapping[str, object]], Mapping[str, object]] = as_it_is
    read: Callable[[Mapping[str, object], list[str]], Own] = no_settings
    write: Callable[[StackConfig], Own] = no_keys
    refuse: Callable[[StackConfig], list[str]] = windows_differ
    layers: tuple[Rule, ...] | None = None
    preset: str = "llama-small"


def family(kin: Kin) -> Family:
    """Return the family of a kin."""
    return Family(
        name=kin.name,
        kinds=(kin.kind,),
        architecture="decoder",
        preset=kin.preset,
        prefix=PREFIX,
        classes=(PublishedClass(architecture=kin.architecture, head="tokens"),),
        read_config=partial(read_config, kin=kin),
        refusals=partial(refusals, kin=kin),
        write_config=partial(write_config, kin=kin),
        body=partial(_body, kin=kin),
        output=("lm_head.weight", "embed_tokens.weight"),
    )


# config.json --------------------------------------------------------------------------------------


def read_config(values: Mapping[str, object], where: str, kin: Kin) -> ModelConfig:
    """Read a config.json of a kin. Raises RunError naming all values that are not supported."""
    problems: list[str] = []
    values = kin.complete(values)
    heads = values.get("num_attention_heads")
    given = {**values, "num_key_value_heads": values.get("num_key_value_heads") or heads}
    own = {
        **_head_width(values, problems),
        **_rotations(given, kin, problems),
        **kin.read(values, problems),
    }
    of_model = _of_model(values, kin, problems)
    settings = read_settings(
        given,
        where,
        {**KEYS, **kin.keys},
        {**DEFAULTS, **kin.defaults},
        {**PLAIN, **kin.plain},
        problems,
        own.get("head_width") is None,
    )
    settings["max_positions"] = longest_of(own.get("rotary_scaling"), settings["max_positions"])
    stack: Own = {**SETTINGS, "dropout": 0.0, **kin.settings, **settings, **own}
    shared: Own = {
        "embedding_scale": False,
        "tied_embeddings": values.get("tie_word_embeddings", kin.shared.get("tied_embeddings"))
        is True,
    }
    more = {key: one for key, one in kin.shared.items() if key != "tied_embeddings"}
    more |= of_model
    decoder = StackConfig(**stack)  # type: ignore[arg-type]
    problem = misfit(decoder)
    if problem is not None:
        raise RunError(
            "{where} describes a model that does not fit: {problem}.", where=where, problem=problem
        )
    return ModelConfig(
        decoder=decoder,
        vocabulary_size=vocabulary_size(values),
        **{**shared, **more},  # type: ignore[arg-type]
    )


def _of_model(values: Mapping[str, object], kin: Kin, problems: list[str]) -> Own:
    """Return the dials of the whole model that have a key; all are numbers above 0, or unset."""
    found: Own = {}
    for dial, key in kin.model_keys.items():
        given = values.get(key)
        if type(given) in (int, float) and 0 < given < LARGEST:  # type: ignore[operator]
            found[dial] = float(given)  # type: ignore[arg-type]
        elif given is not None:
            problems.append(f"{key} is {brief(repr(given))}, not above 0")
    return found


def _rotations(given: dict[str, object], kin: Kin, problems: list[str]) -> Own:
    """Return the scaling and the share of the rotations, and set `rope_theta` to their base."""
    if kin.has_own_rotations:
        return {}
    key, table = table_of(given, problems)
    if BASE in table:
        given[BASE] = table[BASE]
    longest = {**DEFAULTS, **kin.defaults}["max_positions"]
    scaling = read_scaling(table, {"max_position_embeddings": longest, **given}, key, problems)
    if scaling is not None and scaling["rope_type"] not in kin.scalings:
        problems.append(
            f"{key}.rope_type is {brief(repr(scaling['rope_type']))}; {kin.name} may have "
            f"{', '.join(kin.scalings)}"
        )
    share = read_share(table, key, problems)
    if share != 1.0 and "rotary_share" not in kin.free:
        problems.append(f"{key}.{SHARE} is {share}, not 1.0")
    found: Own = {} if scaling is None else {"rotary_scaling": scaling}
    return {**found, **({} if share == 1.0 else {"rotary_share": share})}


def _head_width(values: Mapping[str, object], problems: list[str]) -> Own:
    """Return the heads' width if it is given and does not follow from the model's width."""
    given, width, heads = (
        values.get(key) for key in ("head_dim", "hidden_size", "num_attention_heads")
    )
    if given is None:
        return {}
    if type(given) is not int or not 0 < given < LARGEST:
        problems.append(f"head_dim is {brief(repr(given))}")
        return {}
    if type(width) is not int or type(heads) is not int:
        return {}
    return {} if given * heads == width else {"head_width": given}


def read_biases(values: Mapping[str, object], problems: list[str]) -> Own:
    """Return the biases of attention and of the feed-forward network, which have a key each."""
    of_attention, of_network = (values.get(key, False) for key in ("attention_bias", "mlp_bias"))
    for key, given in (("attention_bias", of_attention), ("mlp_bias", of_network)):
        if type(given) is not bool and given is not None:
            problems.append(f"{key} is {brief(repr(given))}, not true or false")
    if bool(of_attention) == bool(of_network):
        return {"bias": bool(of_network)}
    return {"bias": bool(of_network), "attention_biases": [bool(of_attention)] * 4}


def written_biases(stack: StackConfig) -> Own:
    """Return the keys of the biases."""
    given = stack.attention_biases
    return {
        "attention_bias": stack.bias if given is None else given[0],
        "mlp_bias": stack.bias,
    }


def refusals(config: ModelConfig, kin: Kin) -> list[str]:
    """List the settings by which a decoder is not a kin, with the expected values."""
    stack = config.decoder
    assert stack is not None, "only decoder-only models are written"
    wanted: Own = {**SETTINGS, **kin.settings}
    wanted |= {dial: getattr(stack, dial) for dial in ("head_width", *kin.free)}
    if stack.rotary_scaling is None or stack.rotary_scaling["rope_type"] in kin.scalings:
        wanted["rotary_scaling"] = stack.rotary_scaling
    if (stack.by_block or {}).keys() <= kin.by_block:
        wanted["by_block"] = stack.by_block
    shared: Own = {"embedding_scale": False, "output_bias": False, **kin.shared}
    shared |= {dial: getattr(config, dial) for dial in kin.model_keys}
    shared.pop("tied_embeddings", None)
    found = differences(stack, wanted, "decoder.") + differences(config, shared)
    return found + kin.refuse(stack)


def write_config(
    config: ModelConfig, longest: int, tokenizer: Tokenizer, kin: Kin
) -> dict[str, object]:
    """Return the config.json of a model without `refusals`.

    longest: the number of tokens that it was trained to read.
    """
    stack = config.decoder
    assert stack is not None and not refusals(config, kin), "the model has settings without a key"
    return {
        "model_type": kin.kind,
        "vocab_size": config.vocabulary_size,
        **written_settings(stack, {**KEYS, **kin.keys}),
        "num_key_value_heads": stack.key_heads or stack.heads,
        "max_position_embeddings": written_longest(stack, longest),
        "rope_parameters": written_rotations(stack),
        **({"head_dim": stack.head_width} if stack.head_width else {}),
        **kin.write(stack),
        **{key: getattr(config, dial) for dial, key in kin.model_keys.items()},
        "tie_word_embeddings": config.tied_embeddings,
        "dtype": "float32",
    }


# Names of tensors ---------------------------------------------------------------------------------

LAYER, BLOCK = "layers.{i}.", "decoder.blocks.{i}."


def weight_and_bias(theirs: str, ours: str) -> tuple[Rule, ...]:
    """Return the rules of a linear layer of a block."""
    return tuple(
        Rename(f"{LAYER}{theirs}.{part}", f"{BLOCK}{ours}.{part}") for part in ("weight", "bias")
    )


ATTENTION: tuple[Rule, ...] = (
    *weight_and_bias("self_attn.q_proj", "self_attention.query"),
    *weight_and_bias("self_attn.k_proj", "self_attention.key"),
    *weight_and_bias("self_attn.v_proj", "self_attention.value"),
    *weight_and_bias("self_attn.o_proj", "self_attention.output"),
)
NETWORK: tuple[Rule, ...] = (
    *weight_and_bias("mlp.gate_proj", "feed_forward.gate"),
    *weight_and_bias("mlp.up_proj", "feed_forward.inner"),
    *weight_and_bias("mlp.down_proj", "feed_forward.output"),
)


def norms(**names: str) -> tuple[Rule, ...]:
    """Return the rules of norms: their name -> ours."""
    return tuple(
        Rename(f"{LAYER}{theirs}.weight", f"{BLOCK}{ours}.weight") for theirs, ours in names.items()
    )


NORMS = norms(
    input_layernorm="self_attention_norm.before",
    post_attention_layernorm="feed_forward_norm.before",
)
HEAD_NORMS = norms(
    **{
        "self_attn.q_norm": "self_attention.query_norm",
        "self_attn.k_norm": "self_attention.key_norm",
    }
)
LAYERS: tuple[Rule, ...] = (*ATTENTION, *NETWORK, *NORMS)


def _body(config: ModelConfig, kin: Kin) -> tuple[Rule, ...]:
    return (
        Rename("embed_tokens.weight", "embedding.weight"),
        *(LAYERS if kin.layers is None else kin.layers),
        Rename("norm.weight", "decoder.final_norm.weight"),
        Ignore(
            "layers.{i}.self_attn.rotary_emb.inv_freq",
            "which follows from the base of the rotations",
        ),
    )
