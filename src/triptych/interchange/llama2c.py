"""Read Llama models in the format of llama2.c (version 0): a binary file, a tokenizer in another.

The model: seven int32 (width, inner width, layers, heads, key heads, vocabulary, context), then
float32 tensors in a fixed order. With a negative vocabulary the output projection is at the end;
with a positive one it is the embedding. The tokenizer: int32 longest length, then for each token
its score (float32), its length (int32) and its bytes. All are little-endian.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RunError
from ..model.config import ModelConfig, StackConfig
from ..runs.storage import fingerprint
from . import llama
from .name_map import NameMap
from .rules import Ignore, Rename, Rule

if TYPE_CHECKING:
    from torch import Tensor

HEADER = struct.Struct("<7i")
FIELDS = ("width", "inner width", "layers", "heads", "key heads", "vocabulary", "context")
LATER = 0x616B3432  # "ak42", the first bytes of files of version 1 and later
SPECIALS = ("<unk>", "<s>", "</s>")  # ids 0, 1, 2
TURNED = "which follows from the position and base 10,000"


@dataclass(kw_only=True)
class LlamaFile:
    """Hold a model and its tokenizer.

    pieces: every token's text by id; scores: they decide which two pieces join first. files: size
    and SHA-256 of both.
    """

    path: Path
    config: ModelConfig
    tensors: dict[str, Tensor] = field(repr=False)
    pieces: list[str] = field(repr=False)
    scores: list[float] = field(repr=False)
    files: dict[str, dict[str, int | str]] = field(default_factory=dict)

    @property
    def names(self) -> NameMap:
        """Return the rules that rename its tensors.

        Rotary positions turn neighbours in the file, and halves of a head in triptych.
        """
        stack = self.config.decoder
        assert stack is not None, "a Llama has a decoder"
        block, head = "decoder.blocks.{i}.", stack.width // stack.heads
        parts: dict[str, tuple[str, int]] = {
            "rms_att_weight": ("self_attention_norm.before", 0),
            "wq": ("self_attention.query", head),
            "wk": ("self_attention.key", head),
            "wv": ("self_attention.value", 0),
            "wo": ("self_attention.output", 0),
            "rms_ffn_weight": ("feed_forward_norm.before", 0),
            "w1": ("feed_forward.gate", 0),
            "w2": ("feed_forward.output", 0),
            "w3": ("feed_forward.inner", 0),
        }
        rules: list[Rule] = [
            Rename(f"{theirs}.{{i}}", f"{block}{ours}.weight", pairs=pairs)
            for theirs, (ours, pairs) in parts.items()
        ]
        rules += [
            Rename("token_embedding_table", "embedding.weight"),
            Rename("rms_final_weight", "decoder.final_norm.weight"),
        ]
        rules += [Ignore("freq_cis_real", TURNED), Ignore("freq_cis_imag", TURNED)]
        return NameMap(
            (*rules, *([] if self.config.tied_embeddings else [Rename("wcls", "output.weight")]))
        )


def is_folder(path: str | Path) -> bool:
    """Tell whether `path` is a folder with a tokenizer, and so a model, of this format."""
    path = Path(path)
    return path.is_dir() and not (path / "config.json").exists() and any(path.glob("tok*.bin"))


def read_folder(path: str | Path) -> LlamaFile:
    """Read a folder. Raises RunError for a file that is missing, truncated or does not match."""
    path = Path(path)
    tokenizers = sorted(path.glob("tok*.bin"))
    models = sorted(one for one in path.glob("*.bin") if one not in tokenizers)
    if len(tokenizers) != 1 or len(models) != 1:
        found = ", ".join(one.name for one in (*models, *tokenizers)) or "none"
        raise RunError(
            f"{path} must hold one model and one tokenizer (tok*.bin), both .bin, but it holds "
            f"{found}. Copy the two to a folder."
        )
    config, tensors = _read_model(models[0])
    pieces, scores = _read_tokenizer(tokenizers[0], config.vocabulary_size)
    files = {one.name: fingerprint(one) for one in (models[0], tokenizers[0])}
    return LlamaFile(
        path=path, config=config, tensors=tensors, pieces=pieces, scores=scores, files=files
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from None


def _read_model(path: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    import torch

    content = _bytes(path)
    if len(content) < HEADER.size:
        raise RunError(
            f"{path} has {len(content)} bytes, too few for its header of {HEADER.size}. Copy it "
            "again."
        )
    config, shapes = _sizes(path, HEADER.unpack_from(content))
    at, tensors = HEADER.size, {}
    needed = at + 4 * sum(math.prod(shape) for shape in shapes.values())
    for name, shape in shapes.items():
        end = at + 4 * math.prod(shape)
        if end > len(content):
            raise RunError(
                f"{path} ({len(content):,} bytes) is cut off within {name} {shape}: by its "
                f"header it has {needed:,} bytes. Copy it again."
            )
        tensors[name] = torch.frombuffer(bytearray(content[at:end]), dtype=torch.float32).view(
            shape
        )
        at = end
    if at < len(content):
        raise RunError(
            f"{path} has {len(content):,} bytes, {len(content) - at:,} more than the {needed:,} "
            f"that its header ({', '.join(FIELDS)}) asks for. It is another format, or damaged: "
            "copy it again."
        )
    return config, {
        part: tensor for name, whole in tensors.items() for part, tensor in _layers(name, whole)
    }


def _layers(name: str, whole: Tensor) -> list[tuple[str, Tensor]]:
    """Split a tensor of all layers into one for each layer."""
    own = name in (
        "token_embedding_table",
        "rms_final_weight",
        "freq_cis_real",
        "freq_cis_imag",
        "wcls",
    )
    return (
        [(name, whole)] if own else [(f"{name}.{layer}", part) for layer, part in enumerate(whole)]
    )


def _sizes(path: Path, header: tuple[int, ...]) -> tuple[ModelConfig, dict[str, tuple[int, ...]]]:
    """Return the configuration, and the tensors' shapes in the order of the file."""
    if header[0] == LATER:
        raise RunError(
            f"{path} is of version {header[1]} of this format; triptych reads version 0. Export "
            "the model again as version 0."
        )
    width, inner, layers, heads, key_heads, vocabulary, context = header
    shared, vocabulary = vocabulary > 0, abs(vocabulary)
    fits = min(width, inner, layers, heads, key_heads, vocabulary, context) > 0
    if not fits or width % (2 * heads) or heads % key_heads:
        listed = ", ".join(f"{name} {value}" for name, value in zip(FIELDS, header, strict=True))
        raise RunError(f"{path} is not a model in the format of llama2.c: its header has {listed}.")
    head = width // heads
    keys = key_heads * head
    shapes: dict[str, tuple[int, ...]] = {
        "token_embedding_table": (vocabulary, width),
        "rms_att_weight": (layers, width),
        "wq": (layers, width, width),
        "wk": (layers, keys, width),
        "wv": (layers, keys, width),
        "wo": (layers, width, width),
        "rms_ffn_weight": (layers, width),
        "w1": (layers, inner, width),
        "w2": (layers, width, inner),
        "w3": (layers, inner, width),
        "rms_final_weight": (width,),
        "freq_cis_real": (context, head // 2),
        "freq_cis_imag": (context, head // 2),
        **({} if shared else {"wcls": (vocabulary, width)}),
    }
    stack = StackConfig(
        **llama.SETTINGS,
        layers=layers,
        width=width,
        heads=heads,
        key_heads=key_heads,
        inner_width=inner,
        activation="silu",
        bias=False,
        norm_epsilon=1e-5,
        max_positions=context,
        dropout=0.0,
    )
    return ModelConfig(
        decoder=stack, vocabulary_size=vocabulary, embedding_scale=False, tied_embeddings=shared
    ), shapes


def _read_tokenizer(path: Path, count: int) -> tuple[list[str], list[float]]:
    content, at = _bytes(path), 4
    pieces: list[str] = []
    scores: list[float] = []
    for number in range(count):
        if at + 8 > len(content):
            raise RunError(
                f"{path} ends after {number:,} of the model's {count:,} tokens. It is cut off, or "
                "belongs to another model."
            )
        score, length = struct.unpack_from("<fi", content, at)
        at += 8 + max(0, length)
        if length < 0 or at > len(content):
            raise RunError(
                f"{path} ends within token {number:,} of {count:,} ({length:,} bytes long). It is "
                "cut off, or damaged."
            )
        try:
            pieces.append(
                SPECIALS[number] if number < len(SPECIALS) else content[at - length : at].decode()
            )
        except UnicodeDecodeError:
            raise RunError(
                f"{path}: token {number:,} is not UTF-8 text. The file is damaged: copy it again."
            ) from None
        scores.append(score)
    if at != len(content):
        raise RunError(
            f"{path} continues for {len(content) - at:,} bytes after the model's {count:,} tokens: "
            "it belongs to another model."
        )
    twice = sorted(piece for piece, times in Counter(pieces).items() if times > 1)
    if twice:
        raise RunError(
            f"{path} holds {len(twice):,} tokens twice, first {twice[0]!r}, so their ids are not "
            "unique. The file is damaged, or belongs to another model."
        )
    return pieces, scores
