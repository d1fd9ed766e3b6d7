"""A run's weights in CTranslate2: convert, translate token ids, time it. Stands alone, in an
environment with ctranslate2 and numpy.

python ctranslate2_decode.py WORK   # WORK holds model.safetensors, config.json, sources.json; a
JSON line a setting is printed
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import ctranslate2
import numpy as np
from ctranslate2.specs import TransformerSpec, common_spec

LONGEST = 100  # tokens of an answer at natural length
BATCHES = (512, 1024, 2048)  # source tokens; the best of them counts


def weights(path: Path) -> dict[str, np.ndarray]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            found[name.removeprefix("model.")] = np.frombuffer(
                body[first:last], np.float32
            ).reshape(entry["shape"])
    return found


def convert(work: Path) -> list[str]:
    """Write WORK/ct2; the names of the tokens by id."""
    given, config = (
        weights(work / "model.safetensors"),
        json.loads((work / "config.json").read_text())["model"],
    )
    sizes, width, count = (
        (config["encoder"], config["decoder"]),
        config["encoder"]["width"],
        config["vocabulary_size"],
    )
    pre = sizes[0]["norm_placement"] == "pre"
    spec = TransformerSpec.from_config(
        (sizes[0]["layers"], sizes[1]["layers"]),
        sizes[0]["heads"],
        pre_norm=pre,
        activation=common_spec.Activation.RELU,
    )
    angle = np.arange(1024)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    table = np.stack((np.sin(angle), np.cos(angle)), 2).reshape(1024, width).astype(np.float32)

    def linear(to, *names: str) -> None:
        to.weight = np.concatenate([given[f"{name}.weight"] for name in names])
        to.bias = np.concatenate([given[f"{name}.bias"] for name in names])

    def norm(to, name: str) -> None:
        to.gamma, to.beta = given[f"{name}.weight"], given[f"{name}.bias"]

    slot = "before" if pre else "after"
    for side, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        stack.scale_embeddings = config["embedding_scale"]
        embeddings = stack.embeddings[0] if side == "encoder" else stack.embeddings
        embeddings.weight, stack.position_encodings.encodings = given["embedding.weight"], table
        if pre:
            norm(stack.layer_norm, f"{side}.final_norm")
        for number, layer in enumerate(stack.layer):
            at = f"{side}.blocks.{number}"
            linear(
                layer.self_attention.linear[0],
                *(f"{at}.self_attention.{part}" for part in ("query", "key", "value")),
            )
            linear(layer.self_attention.linear[1], f"{at}.self_attention.output")
            norm(layer.self_attention.layer_norm, f"{at}.self_attention_norm.{slot}")
            if side == "decoder":
                linear(layer.attention.linear[0], f"{at}.cross_attention.query")
                linear(
                    layer.attention.linear[1],
                    f"{at}.cross_attention.key",
                    f"{at}.cross_attention.value",
                )
                linear(layer.attention.linear[2], f"{at}.cross_attention.output")
                norm(layer.attention.layer_norm, f"{at}.cross_attention_norm.{slot}")
            linear(layer.ffn.linear_0, f"{at}.feed_forward.inner")
            linear(layer.ffn.linear_1, f"{at}.feed_forward.output")
            norm(layer.ffn.layer_norm, f"{at}.feed_forward_norm.{slot}")
    spec.decoder.projection.weight = given["embedding.weight"]
    # a run's begin and end are 0 and 1
    names = ["<s>", "</s>", *(str(token) for token in range(2, count))]
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    spec.config.add_source_eos = False
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "<s>", "</s>", "2"
    spec.config.decoder_start_token = "<s>"
    spec.validate()
    spec.optimize(quantization=None)
    (work / "ct2").mkdir(exist_ok=True)
    spec.save(str(work / "ct2"))
    return names


def main() -> None:
    work = Path(sys.argv[1])
    names = convert(work)
    ids = {name: token for token, name in enumerate(names)}
    sources = [
        [names[token] for token in source]
        for source in json.loads((work / "sources.json").read_text())
    ]
    for kind in ("float32", "int8"):
        translator = ctranslate2.Translator(
            str(work / "ct2"), device="cpu", compute_type=kind, inter_threads=2, intra_threads=1
        )
        for beams in (1, 5):
            for forced in (0, 16):
                rates, outputs = {}, []
                for batch in BATCHES:
                    options = {
                        "beam_size": beams,
                        "max_batch_size": batch,
                        "batch_type": "tokens",
                        "max_decoding_length": forced or LONGEST,
                    }
                    if forced:
                        options["min_decoding_length"] = forced
                    translator.translate_batch(sources[:200], **options)
                    began = time.perf_counter()
                    outputs = translator.translate_batch(sources, **options)
                    rates[batch] = len(sources) / (time.perf_counter() - began)
                tokens = [[ids[token] for token in one.hypotheses[0]] for one in outputs]
                (work / f"ctranslate2-{kind}-{beams}-{forced}.json").write_text(json.dumps(tokens))
                best = max(rates, key=lambda batch: rates[batch])
                print(
                    json.dumps(
                        {
                            "who": f"ctranslate2 {kind}",
                            "beams": beams,
                            "forced": forced,
                            "batch": best,
                            "sentences_per_second": rates[best],
                        }
                    ),
                    flush=True,
                )


if __name__ == "__main__":
    main()
