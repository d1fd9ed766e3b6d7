"""Small whole folders of other libraries: BERT, DistilBERT, GPT-2 (in shards too), Llama, llama2.c.

The models are trained here for one step and exported; the tokenizers are made with the library
tokenizers, of the kinds that published folders have.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable
from contextlib import chdir
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    "one two red blue dogs",
    "cats birds house run sing",
    "the cat's house",
    "One red dog, two blue birds!",
] * 3
SIZE = 330  # rows of the embedding: a tokenizer may have fewer tokens
RECIPE = """
[task]
name = "{task}"
{option}
[data]
train = "a.txt"
[tokenizer]
vocabulary_size = {size}
[model]
preset = "{preset}"
width = 16
heads = 2
layers = 2
inner_width = 32
max_positions = 64
[training]
steps = 1
warmup_steps = 1
precision = "float32"
"""
PRESETS = {
    "bert": "bert-base",
    "distilbert": "distilbert-base",
    "gpt2": "gpt2",
    "llama": "llama-small",
    "sharded": "gpt2",
}


@cache
def folder(kind: str) -> dict[str, bytes]:
    """Give the files of a folder."""
    return _llama2_c() if kind == "llama2.c" else _exported(kind)


def _exported(kind: str) -> dict[str, bytes]:
    from triptych.api import train
    from triptych.convert import export_run

    encoder = kind in ("bert", "distilbert")
    recipe = RECIPE.format(
        task="masked-words" if encoder else "language-modelling",
        option="window = 32" if encoder else "context = 32",
        size=SIZE, preset=PRESETS[kind],
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="triptych-fuzz-") as held, chdir(held):
        texts = [f"{text} {place}" for place, text in enumerate(TEXTS * 4)]
        Path("a.txt").write_text("\n\n".join(texts))
        Path("a.toml").write_text(recipe)
        for _ in train("a.toml", "run"):
            pass
        export_run("run", "theirs")
        if kind == "sharded":
            _in_shards(Path("theirs"))
        files = {path.name: path.read_bytes() for path in Path("theirs").iterdir()}
    config = json.loads(files["config.json"])
    made = TOKENIZERS.get(kind)
    if made is not None:
        backend = made()
        files["tokenizer.json"] = backend.to_str(pretty=True).encode()
        begin, end = ("[CLS]", "[SEP]") if encoder else ("<s>", "</s>")
        config |= {
            "bos_token_id": backend.token_to_id(begin),
            "eos_token_id": backend.token_to_id(end),
        }
        named: dict[str, Any] = {"add_bos_token": kind == "llama"}
        named |= {"mask_token": "[MASK]"} if encoder else {"bos_token": begin}
        named |= {} if encoder else {"eos_token": {"content": end}}
        files["tokenizer_config.json"] = json.dumps(named).encode()
    files["config.json"] = json.dumps(config, indent=2).encode()
    return files


def _in_shards(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {
        "model-00001-of-00002.safetensors": names[::2],
        "model-00002-of-00002.safetensors": names[1::2],
    }
    for name, held in parts.items():
        save_file({one: tensors[one] for one in held}, path / name)
    places = {one: name for name, held in parts.items() for one in held}
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (path / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))


def _word_piece() -> tokenizers.Tokenizer:
    backend: Any = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    backend.train_from_iterator(
        TEXTS,
        trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False),
    )
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    backend.enable_truncation(4)
    backend.enable_padding(length=6)
    return backend


def _bytes() -> tokenizers.Tokenizer:
    backend: Any = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=["<s>", "</s>"],
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return backend


def _sentence_piece() -> tokenizers.Tokenizer:
    model = models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    backend: Any = tokenizers.Tokenizer(model)
    spaces = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    backend.normalizer = normalizers.Sequence(spaces)
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    backend.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=320, special_tokens=special, show_progress=False),
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A",
        pair="<s> $A <s> $B",
        special_tokens=[("<s>", 1)],
    )
    return backend


TOKENIZERS: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "bert": _word_piece, "distilbert": _word_piece, "gpt2": _bytes, "sharded": _bytes,
    "llama": _sentence_piece,
}  # fmt: skip


def _llama2_c() -> dict[str, bytes]:
    """A model of one file with a tokenizer beside it, as llama2.c writes them."""
    width, inner, layers, heads, vocabulary, context = 16, 24, 2, 4, 264, 32
    sizes = [
        vocabulary * width,
        layers * width,
        *[layers * width * width] * 4,
        layers * width,
        *[layers * width * inner] * 3,
        width,
    ]
    count = sum(sizes) + context * (width // heads)
    header = struct.pack("<7i", width, inner, layers, heads, heads, vocabulary, context)
    drawn = [((place * 7919) % 1000) / 5000 - 0.1 for place in range(count)]
    body = struct.pack(f"<{count}f", *drawn)
    named = [
        b"<unk>",
        b"\n<s>\n",
        b"\n</s>\n",
        *(f"<0x{byte:02X}>".encode() for byte in range(256)),
        *b" .t.h.e.a".split(b"."),
    ]
    heads = [struct.pack("<fi", -float(place), len(text)) for place, text in enumerate(named)]
    pieces = b"".join(head + text for head, text in zip(heads, named, strict=True))
    return {
        "toy.bin": header + body,
        "tok264.bin": struct.pack("<i", max(map(len, named))) + pieces,
    }
