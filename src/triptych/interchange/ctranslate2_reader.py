"""Read a folder of CTranslate2 in the form of a Hugging Face folder.

Post-norm is a Marian (Junczys-Dowmunt et al. 2018) and, with a norm of the embeddings, a BART;
pre-norm is a Blenderbot or M2M100 and, with that norm, an mBART.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import RunError, brief
from .ctranslate2 import MODEL, SCALE, Content, read_content
from .ctranslate2_writer import NORM, SPECIFICATION, VOCABULARIES
from .huggingface import Folder, read_json

if TYPE_CHECKING:
    from torch import Tensor

SIDES = ("encoder", "decoder")
ACTIVATIONS = {0: "relu", 1: "gelu_new", 2: "swish", 3: "gelu"}  # there, by number


def read_model(path: str | Path) -> Folder:
    """Read a folder of CTranslate2 in the form of a Hugging Face folder.

    Raises RunError if it is damaged, not an encoder-decoder of text, or has parts that no published
    family has.
    """
    path = Path(path)
    content = read_content(path / MODEL)
    if content.specification != SPECIFICATION:
        raise RunError(
            "{path} is a {kind}; triptych reads encoder-decoders of text ({known}).",
            path=path / MODEL, kind=brief(repr(content.specification), 60), known=SPECIFICATION,
        )  # fmt: skip
    values = read_json(path / "config.json") if (path / "config.json").is_file() else {}
    vocabularies = _vocabularies(path)
    reader = Published(path / MODEL, content)
    config, tensors = reader.read(values, vocabularies)
    tokenizer = path / "tokenizer.json"
    extra = path / "tokenizer_config.json"
    text = ""
    if tokenizer.is_file():
        text = tokenizer.read_bytes().decode("utf-8", "replace")
    types: dict[str, int] = {}
    for name, kind in content.types.items():
        if name.endswith("/weight"):
            types[kind] = types.get(kind, 0) + 1
    return Folder(
        path=path,
        config=config,
        weights=[path / MODEL],
        places={},
        tokenizer=text,
        tokenizer_config=read_json(extra) if extra.is_file() else {},
        generation_config={
            key: config[key]
            for key in ("eos_token_id", "pad_token_id", "decoder_start_token_id")
            if key in config
        },
        reader=lambda: tensors,
        shapes=[tuple(one.shape) for one in tensors.values()],
        quantised={kind: count for kind, count in types.items() if kind.startswith("int")},
    )


def _vocabularies(path: Path) -> list[list[str]]:
    """Return the tokens of both sides, or of the source and of the target."""
    found: list[list[str]] = []
    for name in VOCABULARIES:
        place = path / name
        if not place.is_file():
            continue
        try:
            tokens = json.loads(place.read_bytes())
        except (OSError, ValueError, RecursionError):
            tokens = None
        if not isinstance(tokens, list) or not all(isinstance(one, str) for one in tokens):
            raise RunError("{path} is not a list of tokens. Copy it again.", path=place)
        found.append(tokens)
    if not found:
        raise RunError(
            "{path} has no {names}. Copy the whole folder.",
            path=path, names=" or ".join((VOCABULARIES[0], VOCABULARIES[1])),
        )  # fmt: skip
    return found


class Published:
    """Collect the tensors of a folder under the names of the library transformers."""

    def __init__(self, path: Path, content: Content) -> None:
        self.path, self.content = path, content
        self.used: set[str] = set()
        self.tensors: dict[str, Tensor] = {}

    def read(
        self, values: Mapping[str, object], vocabularies: list[list[str]]
    ) -> tuple[dict[str, object], dict[str, Tensor]]:
        import torch

        for name, ours in (
            ("encoder/embeddings_0/weight", "model.encoder.embed_tokens.weight"),
            ("decoder/embeddings/weight", "model.decoder.embed_tokens.weight"),
            ("decoder/projection/weight", "lm_head.weight"),
        ):
            self.tensors[ours] = self.needed(name, 2)
        bias = self.take("decoder/projection/bias")
        rows = len(self.tensors["lm_head.weight"])
        self.tensors["final_logits_bias"] = (
            torch.zeros(1, rows) if bias is None else bias.reshape(1, -1)
        )
        sizes: dict[str, object] = {}
        for side in SIDES:
            sizes |= self.stack(side)
        self._shared(len(vocabularies) == 1)
        starts = self.number("decoder/start_from_zero_embedding", 0)
        self.refuse_rest()
        return self._config(values, vocabularies[-1], sizes, bool(starts)), self.tensors

    # Arrays ---------------------------------------------------------------------------------------

    def take(self, name: str) -> Tensor | None:
        self.used |= {name, self.content.aliases.get(name, name)}
        self.used |= {one + SCALE for one in list(self.used)}
        return self.content.tensor(name)

    def needed(self, name: str, rank: int) -> Tensor:
        found = self.take(name)
        if found is None or found.ndim != rank:
            raise RunError(
                "{path} has no {name}, or not with {rank} axes. Copy the whole folder.",
                path=self.path, name=name, rank=rank,
            )  # fmt: skip
        return found

    def number(self, name: str, default: float | None = None) -> float:
        self.used.add(name)
        found = self.content.get(name)
        if found is None and default is not None:
            return default
        if found is None or found.size != 1 or not np.isfinite(found).all():
            raise RunError("{path}: {name} is not one number.", path=self.path, name=name)
        return found.reshape(-1)[0].item()

    # Parts ----------------------------------------------------------------------------------------

    def stack(self, side: str) -> dict[str, object]:
        """Read a stack. Returns the keys of config.json about it."""
        theirs, found = f"model.{side}", {}
        heads = int(self.number(f"{side}/num_heads"))
        activation = int(self.number(f"{side}/activation", 0))
        if activation not in ACTIVATIONS:
            raise RunError("{path}: unknown activation {number}.", path=self.path,
                           number=activation)  # fmt: skip
        width = self.tensors[f"{theirs}.embed_tokens.weight"].shape[1]
        if heads < 1 or width % heads:
            raise RunError(
                "{path}: {side} has {heads} heads in a width of {width}.",
                path=self.path, side=side, heads=heads, width=width,
            )  # fmt: skip
        positions = self.take(f"{side}/position_encodings/encodings")
        if positions is not None:
            # some files hold the table with an axis of one before it
            self.tensors[f"{theirs}.embed_positions.weight"] = positions.reshape(-1, width)
        for ours, name in (("layer_norm", "layer_norm"), ("layernorm_embedding",) * 2):
            self.norm(f"{side}/{ours}", f"{theirs}.{name}", needed=False)
        layers = 0
        while f"{side}/layer_{layers}/ffn/linear_0/weight" in self.content.arrays:
            self.layer(f"{side}/layer_{layers}", f"{theirs}.layers.{layers}", side == "decoder")
            layers += 1
        if not layers:
            raise RunError("{path} has no layers of the {side}.", path=self.path, side=side)
        inner = self.tensors[f"{theirs}.layers.0.fc1.weight"].shape[0]
        found |= {f"{side}_layers": layers, f"{side}_attention_heads": heads,
                  f"{side}_ffn_dim": inner}  # fmt: skip
        scale = self.number(f"{side}/scale_embeddings", 1.0)
        is_true = self.content.types.get(f"{side}/scale_embeddings") == "int8" and scale == 1
        scaled = is_true or math.isclose(scale, math.sqrt(width), rel_tol=1e-4)
        if not scaled and scale not in (0, 1):
            raise RunError("{path}: {side} scales embeddings by {scale}.", path=self.path,
                           side=side, scale=scale)  # fmt: skip
        rows = 0 if positions is None else positions.numel() // width
        return {
            **found,
            "d_model": width,
            "activation_function": ACTIVATIONS[activation],
            "scale_embedding": scaled,
            "max_position_embeddings": rows or 1024,
            "pre_norm": bool(self.number(f"{side}/pre_norm", 1)),
        }

    def layer(self, name: str, theirs: str, is_decoder: bool) -> None:
        self.norm(f"{name}/self_attention/layer_norm", f"{theirs}.self_attn_layer_norm")
        self._linear(f"{name}/self_attention/linear_0", f"{theirs}.self_attn",
                     ("q_proj", "k_proj", "v_proj"))  # fmt: skip
        self._linear(f"{name}/self_attention/linear_1", f"{theirs}.self_attn", ("out_proj",))
        if is_decoder:
            self.norm(f"{name}/attention/layer_norm", f"{theirs}.encoder_attn_layer_norm")
            other = f"{theirs}.encoder_attn"
            self._linear(f"{name}/attention/linear_0", other, ("q_proj",))
            self._linear(f"{name}/attention/linear_1", other, ("k_proj", "v_proj"))
            self._linear(f"{name}/attention/linear_2", other, ("out_proj",))
        self.norm(f"{name}/ffn/layer_norm", f"{theirs}.final_layer_norm")
        self._linear(f"{name}/ffn/linear_0", theirs, ("fc1",))
        self._linear(f"{name}/ffn/linear_1", theirs, ("fc2",))

    def norm(self, name: str, theirs: str, needed: bool = True) -> None:
        for ours, part in NORM.items():
            key = f"{name}/{part}"
            found = self.needed(key, 1) if needed else self.take(key)
            if found is not None:
                self.tensors[f"{theirs}.{ours}"] = found

    def _linear(self, name: str, theirs: str, parts: tuple[str, ...]) -> None:
        weight, bias = self.needed(f"{name}/weight", 2), self.take(f"{name}/bias")
        if len(weight) % len(parts) or (bias is not None and bias.shape != weight.shape[:1]):
            raise RunError(
                "{path}: {name} has the shape {shape}, which {count} equal parts do not fill.",
                path=self.path, name=name, shape=tuple(weight.shape), count=len(parts),
            )  # fmt: skip
        size = len(weight) // len(parts)
        for place, part in enumerate(parts):
            rows = slice(place * size, (place + 1) * size)
            self.tensors[f"{theirs}.{part}.weight"] = weight[rows].contiguous()
            if bias is not None:
                self.tensors[f"{theirs}.{part}.bias"] = bias[rows].contiguous()

    def _shared(self, one_vocabulary: bool) -> None:
        """Name the embedding as the library transformers does, where all are one."""
        import torch

        names = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight",
                 "lm_head.weight")  # fmt: skip
        first, *others = (self.tensors[name] for name in names)
        if one_vocabulary and all(torch.equal(first, one) for one in others):
            for name in names:
                del self.tensors[name]
            self.tensors["model.shared.weight"] = first

    def refuse_rest(self) -> None:
        """Raise RunError naming arrays that no published family has."""
        known = ("embeddings_merge", "multi_query_attention", "alignment_layer", "alignment_heads",
                 "alibi", "alibi_use_positive_positions", "scale_alibi")  # fmt: skip
        self.used |= {f"{side}/{name}" for side in SIDES for name in known}
        rest = sorted(set(self.content.arrays) - self.used)
        if rest or self.number("decoder/alibi", 0):
            shown = ", ".join(rest[:5]) or "decoder/alibi"
            raise RunError(
                "{path} has parts that no family here has: {names}{more}. Triptych reads Marian, "
                "BART, mBART and Blenderbot from CTranslate2.",
                path=self.path, names=shown,
                more=f" and {len(rest) - 5:,} more" if len(rest) > 5 else "",
            )  # fmt: skip

    def _without_fixed_positions(self, kind: str) -> str:
        """Leave out tables that the library transformers computes. Returns the model_type.

        Marian's sinusoids are halves; those of fairseq from the third on make it an M2M100.
        """
        import torch

        from ..model.positions import sinusoids

        form, first = {"marian": ("halves", 0), "blenderbot": ("fairseq", 2)}.get(kind, ("", 0))
        names = [f"model.{side}.embed_positions.weight" for side in SIDES]
        tables = [self.tensors[name] for name in names if name in self.tensors]
        if not form or not all(
            torch.allclose(one.float(), sinusoids(first + len(one), one.shape[1], form)[first:],
                           atol=1e-2 if one.dtype != torch.float32 else 1e-4)
            for one in tables
        ):  # fmt: skip
            return kind
        for name in names:
            self.tensors.pop(name, None)
        if kind == "blenderbot" and not self.tensors["final_logits_bias"].any():
            del self.tensors["final_logits_bias"]
            return "m2m_100"
        return kind

    def _config(
        self,
        values: Mapping[str, object],
        tokens: list[str],
        sizes: Mapping[str, object],
        starts_from_zero: bool,
    ) -> dict[str, object]:
        import torch

        rows = self.tensors["final_logits_bias"].shape[1]
        if len(tokens) != rows:
            raise RunError(
                "{path} has {rows:,} rows of the output, but the vocabulary has {count:,} tokens.",
                path=self.path, rows=rows, count=len(tokens),
            )  # fmt: skip
        numbers = {token: number for number, token in enumerate(tokens)}
        ends = {
            key: numbers.get(str(values.get(name, default)))
            for key, name, default in (
                ("bos_token_id", "bos_token", "<s>"),
                ("eos_token_id", "eos_token", "</s>"),
                ("decoder_start_token_id", "decoder_start_token", "<s>"),
            )
        }
        has_norm = "model.encoder.layernorm_embedding.weight" in self.tensors
        kinds = {(False, False): "marian", (False, True): "bart", (True, False): "blenderbot",
                 (True, True): "mbart"}  # fmt: skip
        config: dict[str, object] = {
            "model_type": self._without_fixed_positions(kinds[bool(sizes["pre_norm"]), has_norm]),
            "vocab_size": rows,
            **{key: value for key, value in sizes.items() if key != "pre_norm"},
            **{key: one for key, one in ends.items() if one is not None},
            "pad_token_id": ends["eos_token_id"],
            "tie_word_embeddings": "model.shared.weight" in self.tensors,
        }
        if starts_from_zero:
            # The library transformers has a token for it, whose vector is zero.
            config |= {"vocab_size": rows + 1, "pad_token_id": rows, "decoder_start_token_id": rows}
            for name, tensor in self.tensors.items():
                if name.endswith(("shared.weight", "embed_tokens.weight", "lm_head.weight")):
                    more = torch.zeros(1, tensor.shape[1], dtype=tensor.dtype)
                    self.tensors[name] = torch.cat([tensor, more])
            bias = self.tensors.get("final_logits_bias")
            if bias is not None:
                more = torch.zeros(1, 1, dtype=bias.dtype)
                self.tensors["final_logits_bias"] = torch.cat([bias, more], 1)
        return config
