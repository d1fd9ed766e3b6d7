"""Read a model of the Marian toolkit (Junczys-Dowmunt et al. 2018) from its own files.

A folder holds the model as `….bin` or `….npz`, and its vocabulary as `….spm`. The small models of
Bergamot and Firefox have an SSRU in their decoder (Kim et al. 2019). Tensors get the names of the
library transformers, whose Marian is the same but for such decoders and for the frequencies of its
sinusoids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError, brief
from ..model.config import ModelConfig
from . import bart_like
from .bart_like import Kin
from .family import Family, both
from .flat_yaml import read_flat
from .huggingface import Folder, read_text
from .marian_file import MarianFile, is_binary, is_npz, read_file
from .marian_tokenizer import Vocabulary, read_vocabulary
from .rules import Rename, Rule, Withhold

if TYPE_CHECKING:
    from torch import Tensor

KIND = "marian-nmt"
SIDES = ("encoder", "decoder")
UNIT = "ssru"
EPSILON = 1e-9  # of its layer norms
UNWRITTEN = -100.0  # the logit of a token that is no word
ACTIVATIONS = {"relu": "relu", "swish": "swish", "gelu": "gelu"}
# what changes the model and has one value that is read, with that of a missing key
PLAIN: dict[str, tuple[object, ...]] = {
    "type": ("transformer",),
    "input-types": ([],),
    "lemma-dim-emb": (0,),
    "right-left": (False,),
    "layer-normalization": (False,),
    "tied-embeddings-all": (True,),
    "ulr": (False,),
    "factors-combine": ("sum", None),
    "transformer-ffn-depth": (2,),
    "transformer-decoder-ffn-depth": (0, 2),
    "transformer-decoder-dim-ffn": (0,),
    "transformer-no-projection": (False,),
    "transformer-no-bias": (False,),
    "transformer-no-affine": (False,),
    "transformer-pool": (False,),
    "transformer-postprocess": ("dan",),
    "transformer-postprocess-emb": ("d",),
    "transformer-postprocess-top": ("",),
    "transformer-preprocess": ("",),
    "transformer-rnn-projection": (False,),
    "transformer-tied-layers": ([],),
    "transformer-train-position-embeddings": (False,),
    "transformer-train-positions": (False,),
    "transformer-disable-position-embeddings": (False,),
    "transformer-depth-scaling": (False, True),
}
DEFAULTS: dict[str, object] = {"transformer-postprocess": "dan", "transformer-ffn-depth": 2}


def is_folder(path: str | Path) -> bool:
    """Tell whether `path` is a folder with a model of Marian, or such a model in one."""
    path = Path(path)
    if path.is_file():
        return is_binary(path) or (path.suffix == ".npz" and is_npz(path))
    return path.is_dir() and not (path / "config.json").is_file() and bool(_models(path))


def _models(path: Path) -> list[Path]:
    found = [one for one in path.glob("*.bin") if is_binary(one)]
    return sorted(found + [one for one in path.glob("*.npz") if is_npz(one)])


def read_model(path: str | Path) -> Folder:
    """Read a model in the form of a Hugging Face folder.

    Its tensors are read when they are asked for. Raises RunError if a file is damaged or missing,
    or the model has parts that triptych does not have.
    """
    path = Path(path)
    model = path if path.is_file() else _the_model(path)
    folder, file = model.parent, read_file(model)
    settings = read_flat(file.settings, f"{model} (special:model.yml)")
    if not settings:
        raise RunError(
            "{path} has no special:model.yml, so nobody knows its sizes. Copy it again.", path=model
        )
    given = _decoding(folder)
    config = _config(settings, file)
    held = read_vocabulary(folder, given.get("vocabs"), _rows(file))
    config |= {"vocab_size": held.rows, "pad_token_id": held.start,
               "decoder_start_token_id": held.start, "eos_token_id": held.end}  # fmt: skip
    renamed = {one: _published_name(one) for one in file.shapes}
    return Folder(
        path=folder,
        config=config,
        weights=[model],
        places={},
        tokenizer=held.text,
        tokenizer_file=held.file,
        target_tokenizer=held.target,
        generation_config=_generation(held, given),
        reader=partial(_tensors, file, renamed, held.rows),
        shapes=list(file.shapes.values()),
        quantised=file.quantised,
        notes=held.notes,
    )


def _the_model(path: Path) -> Path:
    found = _models(path)
    if len(found) > 1:
        raise RunError(
            "{path} holds several models of Marian. Name one of them: {names}.",
            path=path, names=brief(", ".join(one.name for one in found)),
        )  # fmt: skip
    return found[0]


# Settings -----------------------------------------------------------------------------------------


def _config(settings: Mapping[str, object], file: MarianFile) -> dict[str, object]:
    """Return the settings of a model as a config.json. Raises RunError naming all problems."""
    problems = [
        f"{key} is {brief(repr(settings.get(key)))}, not {' or '.join(map(repr, wanted))}"
        for key, wanted in PLAIN.items()
        if settings.get(key, DEFAULTS.get(key, wanted[0])) not in wanted
    ]
    kind = settings.get("transformer-decoder-autoreg", "self-attention")
    cell = settings.get("dec-cell", UNIT)
    is_recurrent = kind == "rnn"
    if kind not in ("self-attention", "rnn"):
        problems.append(f"transformer-decoder-autoreg is {brief(repr(kind))}, not rnn or "
                        "self-attention")  # fmt: skip
    if is_recurrent and cell != UNIT:
        problems.append(f"dec-cell is {brief(repr(cell))}, not {UNIT}")
    activation = settings.get("transformer-ffn-activation", "swish")
    if activation not in ACTIVATIONS:
        problems.append(f"transformer-ffn-activation is {brief(repr(activation))}")
    rows = settings.get("dim-vocabs", [])
    if not isinstance(rows, list) or any(one != _rows(file) for one in rows):
        problems.append(f"dim-vocabs is {brief(repr(rows))}, but Wemb has {_rows(file):,} rows")
    if problems:
        raise RunError(
            "{path} (special:model.yml) describes a model that triptych does not have: {problems}.",
            path=file.path, problems="; ".join(problems),
        )  # fmt: skip
    return {
        "model_type": KIND,
        "d_model": settings.get("dim-emb"),
        **{f"{side}_layers": settings.get(f"{side[:3]}-depth") for side in SIDES},
        **{f"{side}_attention_heads": settings.get("transformer-heads", 8) for side in SIDES},
        **{f"{side}_ffn_dim": settings.get("transformer-dim-ffn", 2048) for side in SIDES},
        "activation_function": ACTIVATIONS[str(activation)],
        "max_position_embeddings": 1024,
        "scale_embedding": True,
        **({"decoder_self_attention": UNIT} if is_recurrent else {}),
    }


def _rows(file: MarianFile) -> int:
    shape = file.shapes.get("Wemb", ())
    if len(shape) != 2:
        raise RunError(
            "{path} has no embedding Wemb of both sides; triptych reads models of Marian with "
            "tied-embeddings-all.",
            path=file.path,
        )  # fmt: skip
    return shape[0]


def _decoding(folder: Path) -> dict[str, Any]:
    """Return the settings of the folder's file for decoding, of which there may be none."""
    found = [one for one in sorted(folder.glob("*.yml")) if "vocab" not in one.name]
    found = [one for one in found if one.name.startswith("config") or "decoder" in one.name]
    return read_flat(read_text(found[0]), str(found[0])) if len(found) == 1 else {}


def _generation(held: Vocabulary, given: Mapping[str, Any]) -> dict[str, object]:
    """Return the settings of answers. Marian writes no unknown token unless it is allowed to."""
    unwritten = [held.start] if given.get("allow-unk") is True else [held.start, held.unknown]
    keys = {"beam-size": "num_beams", "normalize": "length_penalty"}
    return {
        "eos_token_id": held.end,
        "pad_token_id": held.start,
        "decoder_start_token_id": held.start,
        "bad_words_ids": [[one] for one in unwritten],
        **{theirs: given[ours] for ours, theirs in keys.items() if ours in given},
    }


# Tensors ------------------------------------------------------------------------------------------

_PARTS = {"Wq": "q_proj.weight", "Wk": "k_proj.weight", "Wv": "v_proj.weight",
          "Wo": "out_proj.weight", "bq": "q_proj.bias", "bk": "k_proj.bias", "bv": "v_proj.bias",
          "bo": "out_proj.bias"}  # fmt: skip
_NORM = {"ln_scale": "weight", "ln_bias": "bias"}
NAMES = {
    **{f"self_{ours}": f"self_attn.{theirs}" for ours, theirs in _PARTS.items()},
    **{f"context_{ours}": f"encoder_attn.{theirs}" for ours, theirs in _PARTS.items()},
    "ffn_W1": "fc1.weight", "ffn_b1": "fc1.bias", "ffn_W2": "fc2.weight", "ffn_b2": "fc2.bias",
    "rnn_W": "self_attn.candidate.weight", "rnn_Wf": "self_attn.forget.weight",
    "rnn_bf": "self_attn.forget.bias",
    **{f"{ours}_{part}": f"{theirs}_layer_norm.{name}"
       for part, name in _NORM.items()
       for ours, theirs in {"self_Wo": "self_attn", "context_Wo": "encoder_attn",
                            "rnn_ffn": "self_attn", "ffn_ffn": "final"}.items()},
}  # fmt: skip
LAYER = re.compile(r"(encoder|decoder)_l([1-9]\d{0,3})_(\w+)")
WHOLE = {"Wemb": "model.shared.weight", "decoder_ff_logit_out_b": bart_like.BIAS}


def _published_name(name: str) -> str:
    """Return the name of a tensor there; an unknown one stays, and is refused by that name."""
    match = LAYER.fullmatch(name)
    if match is None or match[3] not in NAMES:
        return WHOLE.get(name, name)
    return f"model.{match[1]}.layers.{int(match[2]) - 1}.{NAMES[match[3]]}"


def _tensors(file: MarianFile, renamed: Mapping[str, str], rows: int) -> dict[str, Tensor]:
    """Read the tensors. The rows that no word has are zeros, and are never written."""
    import torch

    found: dict[str, Tensor] = {}
    for name, theirs in renamed.items():
        tensor = file.tensor(name)
        if name in WHOLE:
            axis, value = (0, 0.0) if name == "Wemb" else (1, UNWRITTEN)
            shape = list(tensor.shape)
            shape[axis] = rows - shape[axis]
            tensor = torch.cat((tensor, torch.full(shape, value)), axis)
        elif theirs.endswith((".bias", "_layer_norm.weight")):
            tensor = tensor.reshape(-1)
        elif tensor.ndim == 2 and theirs != name:
            tensor = tensor.T.contiguous()  # Marian multiplies from the other side
        found[theirs] = tensor
    return found


# Family -------------------------------------------------------------------------------------------

KIN = Kin(
    kind=KIND,
    name="a Marian of the Marian toolkit",
    architecture="MarianMTModel",
    task="translation",
    sinusoids="fairseq",  # the lowest frequency is 1/10000, as in tensor2tensor
)


def _read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    config = bart_like.read_config(values, where, KIN)
    assert config.encoder is not None and config.decoder is not None, "it has both"
    if values.get("decoder_self_attention") != UNIT:
        return config
    return replace(
        config,
        encoder=replace(config.encoder, norm_epsilon=EPSILON),
        decoder=replace(config.decoder, norm_epsilon=EPSILON, self_attention=UNIT),
    )


def _body(config: ModelConfig) -> tuple[Rule, ...]:
    rules = PLAIN_FAMILY.body(config)
    if config.decoder is None or config.decoder.self_attention is None:
        return rules
    theirs, ours = "model.decoder.layers.{i}.self_attn.", "decoder.blocks.{i}.self_attention."
    others = [
        one for one in rules if isinstance(one, Withhold) or not one.theirs.startswith(theirs)
    ]
    candidate = Rename(f"{theirs}candidate.weight", f"{ours}candidate.weight")
    return (*others, candidate, *both(f"{theirs}forget", f"{ours}forget"))


def _refusals(config: ModelConfig) -> list[str]:
    return ["its files are only read"]  # another Marian is written, if it is one


PLAIN_FAMILY = bart_like.family(KIN)
FAMILY: Family = replace(PLAIN_FAMILY, read_config=_read_config, body=_body, refusals=_refusals)
