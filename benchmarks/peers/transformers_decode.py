"""A run's weights in transformers, as a Pegasus model (pre-norm, fixed positions): convert,
generate, time it.

python transformers_decode.py WORK [float32|bfloat16]   # as ctranslate2_decode.py; needs torch,
transformers, safetensors
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from transformers import PegasusConfig, PegasusForConditionalGeneration

LONGEST, BATCHES = 100, {1: (64, 128), 5: (32, 64)}  # sentences; the best counts


def convert(work: Path) -> PegasusForConditionalGeneration:
    given = {
        name.removeprefix("model."): value
        for name, value in load_file(work / "model.safetensors").items()
    }
    config = json.loads((work / "config.json").read_text())["model"]
    first, second = config["encoder"], config["decoder"]
    if (
        first["norm_placement"] != "pre"
        or first["positions"] != "sinusoidal"
        or not config["tied_embeddings"]
    ):
        raise SystemExit(
            "This conversion is for pre-norm, sinusoidal positions and tied embeddings."
        )
    count, width = config["vocabulary_size"], first["width"]
    model = PegasusForConditionalGeneration(
        PegasusConfig(
            vocab_size=count + 1,
            d_model=width,
            encoder_layers=first["layers"],
            decoder_layers=second["layers"],
            encoder_attention_heads=first["heads"],
            decoder_attention_heads=second["heads"],
            encoder_ffn_dim=first["inner_width"],
            decoder_ffn_dim=second["inner_width"],
            activation_function="relu",
            scale_embedding=config["embedding_scale"],
            max_position_embeddings=512,
            pad_token_id=count,
            eos_token_id=1,
            bos_token_id=0,
            decoder_start_token_id=0,
            forced_eos_token_id=None,
            dropout=0.0,
        )
    ).eval()
    names = {"self_attention": "self_attn", "cross_attention": "encoder_attn"}
    parts = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
    wanted: dict[str, torch.Tensor] = {}
    for name, value in given.items():
        at = name.split(".")
        if at[0] == "embedding":
            continue
        if at[1] == "final_norm":
            wanted[f"model.{at[0]}.layer_norm.{at[-1]}"] = value
            continue
        layer, kind = f"model.{at[0]}.layers.{at[2]}", at[3]
        if kind in names:
            wanted[f"{layer}.{names[kind]}.{parts[at[4]]}.{at[5]}"] = value
        elif kind == "feed_forward":
            wanted[f"{layer}.{'fc1' if at[4] == 'inner' else 'fc2'}.{at[5]}"] = value
        elif kind == "feed_forward_norm":
            wanted[f"{layer}.final_layer_norm.{at[-1]}"] = value
        else:
            wanted[f"{layer}.{names[kind.removesuffix('_norm')]}_layer_norm.{at[-1]}"] = value
    angle = torch.arange(512, dtype=torch.float64)[:, None] * 10000.0 ** (
        -torch.arange(0, width, 2, dtype=torch.float64) / width
    )
    table = torch.stack((angle.sin(), angle.cos()), 2).view(512, width).float()
    shared = torch.cat((given["embedding.weight"], torch.zeros(1, width)))
    for name in (
        "model.shared",
        "model.encoder.embed_tokens",
        "model.decoder.embed_tokens",
        "lm_head",
    ):
        wanted[f"{name}.weight"] = shared
    for side in ("encoder", "decoder"):
        wanted[f"model.{side}.embed_positions.weight"] = table
    bias = torch.zeros(1, count + 1)
    bias[0, count] = float("-inf")  # padding is not a word
    wanted["final_logits_bias"] = bias
    missing, unexpected = model.load_state_dict(wanted, strict=False)
    if missing or unexpected:
        raise SystemExit(f"not a whole conversion: missing {missing}, unexpected {unexpected}")
    return model


def main() -> None:
    transformers.logging.set_verbosity_error()
    work, kind = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "float32"
    model = convert(work).to(getattr(torch, kind))
    sources = json.loads((work / "sources.json").read_text())
    pad = model.config.pad_token_id
    order = sorted(range(len(sources)), key=lambda place: len(sources[place]))

    def run(beams: int, forced: int, size: int, places: list[int]) -> dict[int, list[int]]:
        lengths = (
            {"min_new_tokens": forced, "max_new_tokens": forced}
            if forced
            else {"max_new_tokens": LONGEST}
        )
        found = {}
        for start in range(0, len(places), size):
            members = places[start : start + size]
            longest = max(len(sources[place]) for place in members)
            ids = torch.tensor(
                [sources[place] + [pad] * (longest - len(sources[place])) for place in members]
            )
            answers = model.generate(
                input_ids=ids,
                attention_mask=(ids != pad).long(),
                num_beams=beams,
                do_sample=False,
                max_length=None,
                **lengths,
            )
            for place, answer in zip(members, answers[:, 1:].tolist(), strict=True):
                found[place] = [token for token in answer if token not in (1, pad)]
        return found

    with torch.inference_mode():
        for beams in (1, 5):
            for forced in (0, 16):
                rates, found = {}, {}
                for size in BATCHES[beams]:
                    run(beams, forced, size, order[-2 * size :])
                    began = time.perf_counter()
                    found = run(beams, forced, size, order)
                    rates[size] = len(sources) / (time.perf_counter() - began)
                (work / f"transformers-{kind}-{beams}-{forced}.json").write_text(
                    json.dumps([found[place] for place in range(len(sources))])
                )
                best = max(rates, key=lambda size: rates[size])
                print(
                    json.dumps(
                        {
                            "who": f"transformers {kind}",
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
