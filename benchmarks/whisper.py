"""Word error rate and real-time factor of a Whisper: Triptych, transformers, faster-whisper.

    python benchmarks/whisper.py RUN CT2_FOLDER --clips FOLDER --text metadata.csv
        [--who triptych transformers faster-whisper] [--most N] [--times]
        [--faster-python PATH] [--json FILE]

CT2_FOLDER is the folder of CTranslate2 that RUN was imported from, so that all read the same
weights: Triptych in bf16 (--precision), transformers in float32,
faster-whisper in int8, in another Python that has it. Greedy, one attempt, English, times only with
--times. The systems take turns clip by clip (A B C, A B C, ...), so that a slow minute meets all of
them. Real-time factor: seconds of work for a second of sound, all clips together, without loading.
Before words are compared, transformers' EnglishTextNormalizer is applied to both sides.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WHO = ("triptych", "transformers", "faster-whisper")
FASTER = """
import sys, json
from faster_whisper import WhisperModel
model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=int(sys.argv[2]))
times = sys.argv[3] == "True"
print("ready", flush=True)
for line in sys.stdin:
    parts, _ = model.transcribe(
        json.loads(line), language="en", beam_size=1, temperature=0.0,
        condition_on_previous_text=False, without_timestamps=not times, vad_filter=False)
    print(json.dumps("".join(one.text for one in parts)), flush=True)
"""
Heard = Callable[[Path], str]


def triptych_of(args: argparse.Namespace) -> Heard:
    import triptych

    run = triptych.load(args.run, precision=args.precision)
    options = {**run.task.options, "timestamps": args.times, "temperatures": [0.0]}
    run.task = run.task.spec.build(options)
    return lambda path: run.predict([{"audio": str(path)}])[0].text


def transformers_of(args: argparse.Namespace) -> Heard:
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    from triptych.data.features.audio import read_audio
    from triptych.data.tokenizers.tokenizer_file import read
    from triptych.interchange.ctranslate2_whisper import read_model

    folder = read_model(args.folder)
    tensors, _ = folder.read_weights()
    values: dict[str, Any] = {key: one for key, one in folder.config.items() if key != "model_type"}
    model = WhisperForConditionalGeneration(WhisperConfig(**values)).eval()
    model.load_state_dict({name: one.float() for name, one in tensors.items()}, strict=False)
    model.tie_weights()
    generation: dict[str, Any] = dict(folder.generation_config)
    model.generation_config = GenerationConfig(**generation)
    several = generation["is_multilingual"]
    chosen: dict[str, Any] = {"language": "en", "task": "transcribe"} if several else {}
    _, backend = read(folder.tokenizer, "tokenizer.json", None)
    end = generation["eos_token_id"]
    front_end = WhisperFeatureExtractor(feature_size=values["num_mel_bins"])

    def heard(path: Path) -> str:
        features: Any = front_end(read_audio(path), sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            written: Any = model.generate(
                features["input_features"],
                return_timestamps=args.times,
                attention_mask=torch.ones(1, 3000, dtype=torch.long),
                **chosen,
            )
        return backend.decode([one for one in written[0].tolist() if one < end])

    return heard


def faster_of(args: argparse.Namespace) -> Heard:
    command = [args.faster_python, "-c", FASTER, args.folder, str(args.threads), str(args.times)]
    process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
    assert process.stdin is not None and process.stdout is not None
    given, taken = process.stdin, process.stdout
    taken.readline()

    def heard(path: Path) -> str:
        given.write(json.dumps(str(path)) + "\n")
        given.flush()
        return json.loads(taken.readline())

    return heard


BUILD = {"triptych": triptych_of, "transformers": transformers_of, "faster-whisper": faster_of}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("folder")
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--who", nargs="+", choices=WHO, default=WHO)
    parser.add_argument("--most", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--faster-python", default=sys.executable)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(arguments)
    import torch
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    from triptych.data.features.audio import audio_info
    from triptych.metrics import errors

    torch.set_num_threads(args.threads)
    lines = [line.split("|") for line in args.text.read_text(encoding="utf-8").splitlines()]
    clips = [(args.clips / f"{line[0]}.wav", line[-1]) for line in lines][: args.most]
    systems = {name: BUILD[name](args) for name in args.who}
    for heard in systems.values():  # warm
        heard(clips[0][0])
    texts: dict[str, list[str]] = {name: [] for name in systems}
    seconds = dict.fromkeys(systems, 0.0)
    for path, _ in clips:
        for name, heard in systems.items():
            began = time.perf_counter()
            texts[name].append(heard(path))
            seconds[name] += time.perf_counter() - began
    normal = EnglishTextNormalizer({})
    sound = sum(audio_info(path).seconds for path, _ in clips)
    wanted = [normal(text) for _, text in clips]
    results = {}
    for name, found in texts.items():
        error = errors.of_speech([normal(one) for one in found], wanted)["wer"].value
        first = texts[args.who[0]]
        same = sum(a.strip() == b.strip() for a, b in zip(found, first, strict=True))
        factor = seconds[name] / sound
        results[name] = {"wer": error, "real_time_factor": factor, "same_text": same}
        print(f"{name:15} WER {error:5.2f} %  RTF {factor:.3f}  same text {same}/{len(clips)}")
    if args.json:
        args.json.write_text(json.dumps({"results": results, "texts": texts}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
