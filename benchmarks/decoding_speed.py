"""Decoding speed of a trained translator beside CTranslate2 and transformers with the same weights and token ids.

Greedy and beam 5, answers at their natural length (100 tokens at most) and all forced to 16 tokens; every engine in a process of
its own, interleaved windows in one run, medians. Every peer has the best of its batch sizes; Triptych decodes as `triptych evaluate`
does, plainly and with decoding.compile (programs are built before the clock starts). Timed is the way from token ids to token ids.
Then the answers: how many of the float32 ones are identical, and BLEU of all.

    python benchmarks/decoding_speed.py RUN --work PEERS_WORK [--windows 3] [--skip transformers]

PEERS_WORK holds the virtual environments `ct2/` (ctranslate2, numpy) and `hf/` (torch, transformers). RUN: a run of multi30k-en-de.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LONGEST, CASES = 100, [(1, 0), (1, 16), (5, 0), (5, 16)]  # (beams, forced length or 0)


def test_set(run: Path):
    from triptych.cli.evaluate import chosen_examples
    from triptych.inference.predictor import load

    predictor = load(run)
    return predictor, chosen_examples(predictor, "test", None, None)[0]


def ours(run: Path, work: Path, kind: str, batch_tokens: int | None) -> None:
    """One window of ours: a JSON line a case. kind: a precision, or one and "compiled"."""
    import numpy as np

    from triptych.cli.use import DECODING_ARENAS
    from triptych.data.batching import Encoded
    from triptych.inference.predictor import load
    from triptych.model.memory import keep_freed_memory

    precision, _, compiled = kind.partition(" ")
    keep_freed_memory(arenas=DECODING_ARENAS)
    predictor = load(run, precision)  # type: ignore[arg-type]
    sources = json.loads((work / "sources.json").read_text())
    encoded = [Encoded({"source": np.array(source)}, index=place) for place, source in enumerate(sources)]
    sizes = {} if batch_tokens is None else {"batch_tokens": batch_tokens}
    for beams, forced in CASES:
        settings = predictor.settings(beams=beams, max_length=forced or LONGEST, min_length=forced, compile=bool(compiled), **sizes)
        predictor.raw(encoded[:200], settings)
        began = time.perf_counter()
        found = predictor.raw(encoded, settings)
        rate = len(encoded) / (time.perf_counter() - began)
        (work / f"triptych-{kind.replace(' ', '-')}-{beams}-{forced}.json").write_text(json.dumps([one[0].tokens for one in found]))
        print(json.dumps({"who": f"triptych {kind}", "beams": beams, "forced": forced, "batch": settings.batch_tokens,
                          "sentences_per_second": rate}), flush=True)  # fmt: skip


def call(command: list[str]) -> list[dict]:
    answer = subprocess.run(command, capture_output=True, text=True)
    lines = [json.loads(line) for line in answer.stdout.split("\n") if line.startswith("{")]
    if answer.returncode or not lines:
        raise SystemExit(f"{' '.join(command)} failed:\n{answer.stdout[-1000:]}\n{answer.stderr[-3000:]}")
    return lines


def quality(predictor, examples, work: Path, names: list[str]) -> None:
    """BLEU of every engine's answers, and how many are the same as those of Triptych in float32."""
    from triptych.metrics.bleu import bleu

    references = [example.target or "" for example in examples]
    for beams, forced in CASES:
        mine = json.loads((work / f"triptych-float32-{beams}-{forced}.json").read_text())
        for name in names:
            tokens = json.loads((work / f"{name.replace(' ', '-')}-{beams}-{forced}.json").read_text())
            same = sum(a == b for a, b in zip(mine, tokens, strict=True)) / len(mine)
            texts = [predictor.tokenizers.target.decode(ids) for ids in tokens]
            score = "" if forced else f", {bleu(texts, references, 'de').value:.2f} BLEU"
            print(f"beams {beams}, {f'forced to {forced}' if forced else 'natural length'}, {name}: {100 * same:.1f} % identical{score}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--limit", type=int, help="only so many sentences, to try it")
    parser.add_argument("--skip", default="", help="peers to leave out, by their first word")
    parser.add_argument("--batch-tokens", type=int)
    parser.add_argument("--ours", help="one window of ours alone: a precision, or 'float32 compiled'")
    options = parser.parse_args()
    if options.ours:
        ours(options.run, options.work, options.ours, options.batch_tokens)
        return
    peers = options.work.resolve()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        predictor, examples = test_set(options.run)
        examples = examples[: options.limit]
        end = predictor.tokenizers.source.end_id
        sources = [[*predictor.tokenizers.source.encode(example.source or ""), end] for example in examples]
        (work / "sources.json").write_text(json.dumps(sources))
        for name in ("model.safetensors", "config.json"):
            shutil.copy(options.run / name, work / name)
        own = [sys.executable, str(Path(__file__).resolve()), str(options.run), "--work", folder]
        own += [] if options.batch_tokens is None else ["--batch-tokens", str(options.batch_tokens)]
        kinds = [f"{kind}{how}" for kind in ("float32", "bfloat16") for how in ("", " compiled")]
        commands = {**{f"triptych {kind}": [*own, "--ours", kind] for kind in kinds},
                    "ctranslate2": [str(peers / "ct2/bin/python"), str(HERE / "peers/ctranslate2_decode.py"), folder]}  # fmt: skip
        for kind in ("float32", "bfloat16"):
            commands[f"transformers {kind}"] = [str(peers / "hf/bin/python"), str(HERE / "peers/transformers_decode.py"), folder, kind]
        commands = {name: command for name, command in commands.items() if not options.skip or name.split()[0] != options.skip}
        rates: dict[tuple[str, int, int], list[float]] = {}
        for _ in range(options.windows):
            for command in commands.values():
                for line in call(command):
                    rates.setdefault((line["who"], line["beams"], line["forced"]), []).append(line["sentences_per_second"])
                    print(json.dumps(line), flush=True)
        names = list(dict.fromkeys(who for who, _, _ in rates))
        print("sentences a second, median of the windows; natural / forced to 16 tokens")
        for name in names:
            cells = [f"{statistics.median(rates[name, *case]):,.0f}" for case in CASES]
            ratios = [
                f"{statistics.median(rates[name, *case]) / statistics.median(rates['ctranslate2 float32', *case]):.2f}" for case in CASES
            ]
            print(f"| {name} | {' | '.join(cells)} | {' | '.join(ratios)} |")
        quality(predictor, examples, work, names)


if __name__ == "__main__":
    main()
