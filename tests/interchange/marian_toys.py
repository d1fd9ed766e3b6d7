"""Toy models of the Marian toolkit: their files as it writes them, and what it computes of them.

The reference follows the formulas of Marian (2018) and of the SSRU (Kim et al. 2019) in numpy.
"""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
VOCABULARY = Path(__file__).parent / "spm" / "source.spm"
ROWS, WIDTH, HEADS, INNER, LAYERS = 43, 16, 4, 24, {"encoder": 3, "decoder": 2}
TYPES = {"float32": (0x404, "<f4"), "float16": (0x402, "<f2"), "intgemm8": (0x10001, "i1"),
         "intgemm8 of Bergamot": (0x4101, "i1"), "intgemm16": (0x10002, "<i2")}  # fmt: skip
SETTINGS = {
    "dec-cell": "ssru", "dec-depth": LAYERS["decoder"], "dim-emb": WIDTH,
    "dim-vocabs": f"\n  - {ROWS}\n  - {ROWS}", "enc-depth": LAYERS["encoder"],
    "input-types": "[]", "layer-normalization": "false", "tied-embeddings-all": "true",
    "transformer-decoder-autoreg": "rnn", "transformer-dim-ffn": INNER,
    "transformer-ffn-activation": "relu", "transformer-heads": HEADS,
    "transformer-postprocess": "dan", "transformer-postprocess-emb": "d",
    "transformer-postprocess-top": '""', "transformer-preprocess": '""',
    "transformer-tied-layers": "[]", "type": "transformer",
}  # fmt: skip


def tensors(is_recurrent: bool = True, seed: int = 4) -> dict[str, Array]:
    """Return random tensors by Marian's names, norms and biases too."""
    draw = np.random.default_rng(seed)

    def some(*shape: int) -> Array:
        return draw.normal(0, 0.3, shape).astype(np.float32)

    found = {"Wemb": some(ROWS, WIDTH), "decoder_ff_logit_out_b": some(1, ROWS)}
    for side, layers in LAYERS.items():
        for layer in range(1, layers + 1):
            name = f"{side}_l{layer}"
            own = is_recurrent and side == "decoder"
            kinds = [] if own else ["self"]
            for kind in [*kinds, *(["context"] if side == "decoder" else [])]:
                for part in "qkvo":
                    found[f"{name}_{kind}_W{part}"] = some(WIDTH, WIDTH)
                    found[f"{name}_{kind}_b{part}"] = some(1, WIDTH)
            if own:
                found |= {f"{name}_rnn_W": some(WIDTH, WIDTH), f"{name}_rnn_Wf": some(WIDTH, WIDTH),
                          f"{name}_rnn_bf": some(1, WIDTH)}  # fmt: skip
            for part, sizes in (("1", (WIDTH, INNER)), ("2", (INNER, WIDTH))):
                found[f"{name}_ffn_W{part}"] = some(*sizes)
                found[f"{name}_ffn_b{part}"] = some(1, sizes[1])
            norms = ["ffn_ffn", "rnn_ffn" if own else "self_Wo"]
            for norm in [*norms, *(["context_Wo"] if side == "decoder" else [])]:
                found[f"{name}_{norm}_ln_scale"] = some(1, WIDTH)
                found[f"{name}_{norm}_ln_bias"] = some(1, WIDTH)
    return found


# Files --------------------------------------------------------------------------------------------


def settings_text(**changed: object) -> str:
    values = {**SETTINGS, **{key.replace("_", "-"): value for key, value in changed.items()}}
    return "".join(f"{key}: {value}\n" for key, value in values.items() if value is not None)


def is_matrix(name: str) -> bool:
    return "_W" in f"_{name}" and not name.endswith(("scale", "bias"))


def stored(name: str, values: Array, kind: str) -> tuple[int, tuple[int, ...], bytes, Array]:
    """Return type, shape and bytes of a tensor, and the numbers that these stand for."""
    if not kind.startswith("intgemm") or not is_matrix(name):
        number, form = TYPES["float32" if kind.startswith("intgemm") else kind]
        held = values.astype(form)
        return number, values.shape, held.tobytes(), held.astype(np.float32)
    number, form = TYPES[kind]
    factor = np.float32((127 if form == "i1" else 1023) / np.abs(values).max())
    held = np.rint(values * factor).astype(form)
    laid = held if name == "Wemb" else held.T  # the shape stays
    content = np.ascontiguousarray(laid).tobytes() + factor.tobytes()
    return number, values.shape, content, held.astype(np.float32) / factor


def binary(held: dict[str, Array], kind: str, text: str, filled: bool = True) -> tuple[bytes, Any]:
    """Return a file of version 1, and the tensors that it stands for."""
    rows: list[tuple[str, int, tuple[int, ...], bytes]] = []
    meant: dict[str, Array] = {}
    for name, values in sorted(held.items()):
        number, shape, content, meant[name] = stored(name, values, kind)
        rows.append((name, number, shape, content + bytes(-len(content) % 256 if filled else 0)))
        if number in (0x4101, 0x10001):
            rows.append((f"{name}_QuantMultA", number, (1, 1), b"\0" * 5))
    words = text.encode() + b"\0"
    rows.append(("special:model.yml", 0x101, (len(words),), words))
    return packed(rows), meant


def packed(rows: list[tuple[str, int, tuple[int, ...], bytes]]) -> bytes:
    out = struct.pack("<2Q", 1, len(rows))
    out += b"".join(struct.pack("<4Q", len(name) + 1, number, len(shape), len(content))
                    for name, number, shape, content in rows)  # fmt: skip
    out += b"".join(name.encode() + b"\0" for name, *_ in rows)
    out += b"".join(struct.pack(f"<{len(shape)}i", *shape) for _, _, shape, _ in rows)
    padding = -(len(out) + 8) % 256
    return out + struct.pack("<Q", padding) + bytes(padding) + b"".join(one[3] for one in rows)


def npz(held: dict[str, Array], text: str) -> bytes:
    words = np.frombuffer(text.encode() + b"\0", np.int8)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, values in {**held, "special:model.yml": words}.items():
            data = io.BytesIO()
            np.save(data, values)
            archive.writestr(f"{name}.npy", data.getvalue())
    return out.getvalue()


def write(path: Path, kind: str = "intgemm8 of Bergamot", **changed: object) -> dict[str, Array]:
    """Write the folder of a model, and return the tensors that it stands for."""
    path.mkdir()
    (path / "vocab.ende.spm").write_bytes(VOCABULARY.read_bytes())
    (path / "config.intgemm8bitalpha.yml").write_text(
        "relative-paths: true\nmodels:\n  - model.ende.bin\nvocabs:\n  - vocab.ende.spm\n"
        "  - vocab.ende.spm\nshortlist:\n    - lex.s2t.bin\n    - false\nbeam-size: 1\n"
        "normalize: 1.0\nmax-length-factor: 2.5\n"
    )
    (path / "lex.s2t.bin").write_bytes(b"\xf5" * 64)
    own = tensors(changed.get("transformer_decoder_autoreg", "rnn") == "rnn")
    text = settings_text(**changed)
    if kind == "npz":
        (path / "model.npz").write_bytes(npz(own, text))
        return own
    content, meant = binary(own, kind, text, kind != "float16")
    (path / "model.ende.intgemm.bin").write_bytes(content)
    return meant


# What Marian computes -----------------------------------------------------------------------------


class Reference:
    """Compute logits as Marian does, one sentence at a time."""

    def __init__(self, held: dict[str, Array], epsilon: float = 1e-9) -> None:
        self.held = {name: one.astype(np.float64) for name, one in held.items()}
        self.epsilon = epsilon
        self.is_recurrent = "decoder_l1_rnn_W" in held

    def logits(self, source: list[int], target: list[int]) -> Array:
        """Return those of each target token and of the one after the last."""
        memory = self.entered(self.held["Wemb"][source])
        for layer in range(1, LAYERS["encoder"] + 1):
            name = f"encoder_l{layer}"
            memory = self.attended(f"{name}_self", memory, memory)
            memory = self.fed(f"{name}_ffn", memory)
        words = np.concatenate((np.zeros((1, WIDTH)), self.held["Wemb"][target]))
        x = self.entered(words)
        for layer in range(1, LAYERS["decoder"] + 1):
            name = f"decoder_l{layer}"
            if self.is_recurrent:
                x = self.normed(f"{name}_rnn_ffn", x + self.recurred(f"{name}_rnn", x))
            else:
                x = self.attended(f"{name}_self", x, x, is_causal=True)
            x = self.fed(f"{name}_ffn", self.attended(f"{name}_context", x, memory))
        return x @ self.held["Wemb"].T + self.held["decoder_ff_logit_out_b"]

    def entered(self, vectors: Array) -> Array:
        half = WIDTH // 2
        rates = np.exp(np.arange(half) * -np.log(10000.0) / (half - 1))
        angles = np.arange(len(vectors))[:, None] * rates
        return vectors * np.sqrt(WIDTH) + np.concatenate((np.sin(angles), np.cos(angles)), 1)

    def affine(self, x: Array, weight: str, bias: str) -> Array:
        return x @ self.held[weight] + self.held[bias]

    def normed(self, name: str, x: Array) -> Array:
        away = x - x.mean(-1, keepdims=True)
        unit = away / np.sqrt((away**2).mean(-1, keepdims=True) + self.epsilon)
        return unit * self.held[f"{name}_ln_scale"] + self.held[f"{name}_ln_bias"]

    def attended(self, name: str, x: Array, memory: Array, is_causal: bool = False) -> Array:
        query, key, value = (
            self.affine(one, f"{name}_W{part}", f"{name}_b{part}").reshape(len(one), HEADS, -1)
            for part, one in zip("qkv", (x, memory, memory), strict=True)
        )
        scores = np.einsum("the,she->hts", query, key) / np.sqrt(WIDTH // HEADS)
        if is_causal:
            scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = np.einsum("hts,she->the", weights, value).reshape(len(x), WIDTH)
        return self.normed(f"{name}_Wo", x + self.affine(mixed, f"{name}_Wo", f"{name}_bo"))

    def fed(self, name: str, x: Array) -> Array:
        inner = np.maximum(self.affine(x, f"{name}_W1", f"{name}_b1"), 0)
        return self.normed(f"{name}_ffn", x + self.affine(inner, f"{name}_W2", f"{name}_b2"))

    def recurred(self, name: str, x: Array) -> Array:
        candidates = x @ self.held[f"{name}_W"]
        kept = 1 / (1 + np.exp(-self.affine(x, f"{name}_Wf", f"{name}_bf")))
        cell, found = np.zeros(WIDTH), []
        for candidate, part in zip(candidates, kept, strict=True):
            cell = part * cell + (1 - part) * candidate
            found.append(np.maximum(cell, 0))
        return np.stack(found)
