"""Read and write a Whisper as a folder of CTranslate2, in the form of a Hugging Face folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import RunError
from ..model.config import ModelConfig
from ..runs.storage import write_file
from .ctranslate2 import MODEL, read_content, write_content
from .ctranslate2_reader import Published
from .ctranslate2_writer import Writer, array_of, content_of
from .huggingface import Folder, read_json, read_text
from .whisper import KIND

if TYPE_CHECKING:
    from torch import Tensor

SPECIFICATION, REVISION = "WhisperSpec", 3
EMBEDDING, OUTPUT = "decoder/embeddings/weight", "decoder/projection/weight"
CONVOLUTIONS = ("conv1", "conv2")
BEGIN, END = "<|startoftranscript|>", "<|endoftext|>"
# our keys of generation_config.json and those of its config.json
LISTS = {
    "suppress_tokens": "suppress_ids",
    "begin_suppress_tokens": "suppress_ids_begin",
    "alignment_heads": "alignment_heads",
}
VOCABULARY = "vocabulary.json"


def read_model(path: str | Path) -> Folder:
    """Read a folder of CTranslate2 in the form of a Hugging Face folder.

    Raises RunError if it is damaged, or lacks its tokenizer.
    """
    path = Path(path)
    content = read_content(path / MODEL)
    tensors, config = _Whisper(path / MODEL, content).read_all()
    place = path / "tokenizer.json"
    if not place.is_file():
        raise RunError("{path} has no tokenizer.json. Copy the whole folder.", path=path)
    text = read_text(place)
    values = read_json(path / "config.json") if (path / "config.json").is_file() else {}
    numbers = _special_tokens(text, str(place))
    generation = {key: values[name] for key, name in LISTS.items() if name in values}
    generation |= _generation(numbers, str(place))
    ends = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    types = [kind for name, kind in content.types.items() if name.endswith("/weight")]
    return Folder(
        path=path,
        config={**config, **{key: generation[key] for key in ends}},
        weights=[path / MODEL],
        places={},
        tokenizer=text,
        generation_config=generation,
        reader=lambda: tensors,
        shapes=[tuple(one.shape) for one in tensors.values()],
        quantised={kind: types.count(kind) for kind in set(types) if kind.startswith("int")},
    )


class _Whisper(Published):
    """Collect the tensors of a Whisper under the names of the library transformers."""

    def read_all(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        import torch

        embedding = self.needed(EMBEDDING, 2)
        self.tensors["model.decoder.embed_tokens.weight"] = embedding
        if not torch.equal(self.needed(OUTPUT, 2), embedding):
            raise RunError(
                "{path}: the output projection is not the embedding, as in no Whisper.",
                path=self.path,
            )
        # the parts that both stacks share read the width from there
        self.tensors["model.encoder.embed_tokens.weight"] = embedding
        for name in CONVOLUTIONS:
            self.tensors[f"model.encoder.{name}.weight"] = self.needed(f"encoder/{name}/weight", 3)
            self.tensors[f"model.encoder.{name}.bias"] = self.needed(f"encoder/{name}/bias", 1)
        sizes: dict[str, object] = {}
        for side, key in (("encoder", "source"), ("decoder", "target")):
            found = self.stack(side)
            sizes |= {**found, f"max_{key}_positions": found["max_position_embeddings"]}
        self.number("decoder/start_from_zero_embedding", 0)
        del self.tensors["model.encoder.embed_tokens.weight"]
        self.refuse_rest()
        for name in [one for one in self.tensors if one.endswith("k_proj.bias")]:
            if self.tensors.pop(name).any():
                raise RunError(
                    "{path}: {name} is not zero, as in no Whisper.", path=self.path, name=name
                )
        kept = ("d_model", "activation_function")
        config = {
            key: value
            for key, value in sizes.items()
            if key in kept or key.startswith(("encoder_", "decoder_", "max_source", "max_target"))
        }
        mels = self.tensors["model.encoder.conv1.weight"].shape[1]
        rows = {"vocab_size": len(embedding), "num_mel_bins": mels}
        return self.tensors, {"model_type": KIND, **rows, **config, "is_encoder_decoder": True}


def _special_tokens(text: str, where: str) -> dict[str, int]:
    try:
        added: list[dict[str, Any]] = json.loads(text)["added_tokens"]
        return {one["content"]: one["id"] for one in added}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RunError("{path} is not a tokenizer. Copy it again.", path=where) from None


def _generation(numbers: Mapping[str, int], where: str) -> dict[str, object]:
    """Return what generation_config.json of a Whisper says about its tokens."""
    missing = [one for one in (BEGIN, END, "<|notimestamps|>") if one not in numbers]
    if missing:
        raise RunError("{path} has no token {name}.", path=where, name=missing[0])
    names = [name for name in numbers if name.startswith("<|") and name.endswith("|>")]
    codes = {
        name: numbers[name]
        for name in names
        if numbers[BEGIN] < numbers[name] < numbers["<|translate|>"]
    }
    # English alone has no language to choose: its tokenizer is GPT-2's, one entry shorter.
    several = numbers[END] != 50256
    return {
        "decoder_start_token_id": numbers[BEGIN],
        **{f"{key}_token_id": numbers[END] for key in ("bos", "eos", "pad")},
        "no_timestamps_token_id": numbers["<|notimestamps|>"],
        "is_multilingual": several,
        "max_initial_timestamp_index": 50,
        "max_length": 448,
        "prev_sot_token_id": numbers.get("<|startofprev|>"),
        **(
            {
                "lang_to_id": codes,
                "task_to_id": {one: numbers[f"<|{one}|>"] for one in ("transcribe", "translate")},
            }
            if several
            else {}
        ),
    }


def write_model(
    path: Path,
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    vocabulary: Sequence[str],
    generation: Mapping[str, Any],
    kind: str = "float32",
) -> None:
    """Write model.bin, config.json and the vocabulary into the folder `path`.

    Args:
        path: An existing folder; model.bin is written first.
        config: A configuration without `whisper.refusals`.
        tensors: Of the run, with our names.
        vocabulary: Its tokens by number.
        generation: The content of a generation_config.json.
        kind: "float32", "float16" or "int8".
    """
    encoder = config.encoder
    assert encoder is not None, "a Whisper has an encoder"
    writer = Writer(config, tensors, encoder.max_positions)
    for side, stack in config.stacks.items():
        writer.stack(side, stack)
    found = writer.found
    found[EMBEDDING] = array_of(tensors["embedding.weight"])
    for number, name in enumerate(CONVOLUTIONS):
        for part in ("weight", "bias"):
            key = f"encoder/{name}/{part}"
            found[key] = array_of(tensors[f"stem.layers.{number}.{part}"])
    found |= {
        "decoder/alignment_layer": np.int16(-1),
        "decoder/alignment_heads": np.int16(1),
        **{f"decoder/{key}": np.int8(0) for key in (
            "alibi", "alibi_use_positive_positions", "scale_alibi", "start_from_zero_embedding",
        )},
        **{f"{side}/scale_embeddings": np.int8(0) for side in ("encoder", "decoder")},
    }  # fmt: skip
    del found["encoder/scale_embeddings"]
    content = content_of(found, {OUTPUT: EMBEDDING}, kind, (SPECIFICATION, REVISION))
    write_content(path / MODEL, content)
    text = json.dumps(list(vocabulary), ensure_ascii=False)
    write_file(path / VOCABULARY, (text + "\n").encode())
    values = {name: generation.get(key) or [] for key, name in LISTS.items()}
    values["lang_ids"] = sorted((generation.get("lang_to_id") or {}).values())
    write_file(path / "config.json", (json.dumps(values, indent=2) + "\n").encode())
