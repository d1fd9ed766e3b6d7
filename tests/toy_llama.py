"""A model and its tokenizer as llama2.c writes them, at toy size; and that program's way to cut a
text, in plain Python.
"""

from __future__ import annotations

import struct
from pathlib import Path

import torch

# width, inner width, layers, heads, key heads, vocabulary, context
HEADER = (16, 24, 2, 4, 2, 276, 32)
WORDS = [
    " t",
    "he",
    " a",
    " the",
    "nd",
    " and",
    " cat",
    " c",
    "at",
    " ",
    "t",
    "h",
    "e",
    "a",
    "n",
    "d",
    "貓",
]


def shapes(shared: bool = True) -> dict[str, tuple[int, ...]]:
    width, inner, layers, heads, key_heads, vocabulary, context = HEADER
    keys, half = key_heads * (width // heads), width // heads // 2
    found: dict[str, tuple[int, ...]] = {
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
        "freq_cis_real": (context, half),
        "freq_cis_imag": (context, half),
    }
    return found if shared else {**found, "wcls": (vocabulary, width)}


def tensors(shared: bool = True) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(9)
    return {
        name: 0.3 * torch.randn(shape, generator=generator)
        for name, shape in shapes(shared).items()
    }


def pieces() -> list[tuple[bytes, float]]:
    named = [
        (b"<unk>", 0.0),
        (b"\n<s>\n", 0.0),
        (b"\n</s>\n", 0.0),
        *((f"<0x{byte:02X}>".encode(), 0.0) for byte in range(256)),
    ]
    return [*named, *((word.encode(), -float(place)) for place, word in enumerate(WORDS))]


def write(folder: Path, shared: bool = True) -> Path:
    folder.mkdir(parents=True)
    header = (*HEADER[:5], HEADER[5] if shared else -HEADER[5], HEADER[6])
    body = b"".join(tensor.numpy().astype("<f4").tobytes() for tensor in tensors(shared).values())
    (folder / "toy.bin").write_bytes(struct.pack("<7i", *header) + body)
    (folder / "tok276.bin").write_bytes(tokenizer_bytes(pieces()))
    return folder


def tokenizer_bytes(held: list[tuple[bytes, float]]) -> bytes:
    return struct.pack("<i", max(len(text) for text, _ in held)) + b"".join(
        struct.pack("<fi", score, len(text)) + text for text, score in held
    )


def read_pieces(path: Path) -> list[tuple[bytes, float]]:
    content, at, found = path.read_bytes(), 4, []
    while at < len(content):
        score, length = struct.unpack_from("<fi", content, at)
        found.append((content[at + 8 : at + 8 + length], score))
        at += 8 + length
    return found


def encode(text: str, held: list[tuple[bytes, float]]) -> list[int]:
    """As `encode` of llama2.c's run.c: a space first, characters or their bytes, then the
    best-scored pair of neighbours, the leftmost of equals, until none is a piece.
    """
    numbers = {piece: number for number, (piece, _) in enumerate(held)}
    ids = [numbers[b" "]] if text else []
    for character in text:
        data = character.encode()
        ids += [numbers[data]] if data in numbers else [byte + 3 for byte in data]
    while True:
        best, where = -1e10, -1
        for place in range(len(ids) - 1):
            joined = numbers.get(held[ids[place]][0] + held[ids[place + 1]][0])
            if joined is not None and held[joined][1] > best:
                best, where, merged = held[joined][1], place, joined
        if where < 0:
            return ids
        ids[where : where + 2] = [merged]
