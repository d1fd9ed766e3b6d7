"""Tokens a second that a decoder-only model writes: one stream alone and 32 at once, beside
transformers' generate with its cache.

The model of language_model_speed.py: 6 layers, width 384, 6 heads, context 256, characters. Ours is
the preset decoder-small (rotary positions), theirs a GPT-2 of the same sizes (learned positions);
the weights of both are random, and 200 tokens are forced, which costs what trained weights cost.
Ours runs plainly and with decoding.compile (programs are built before the clock starts). Every case
is measured in interleaved windows, each in a process of its own; medians and ratios. A case that
fails is reported, the others go on, and the exit code is 1 in the end.

    python benchmarks/generation_speed.py [--peer-python PATH] [--windows 5] [--threads 2] [--new
    200] [--json FILE]
    python benchmarks/generation_speed.py --run RUN [--draft RUN] --prompt "ROMEO:"       # what
    drafts bring, on a trained run

What a draft brings depends on how often it is right, so that is measured on a run with trained
weights only: plainly, with n-grams, and with a smaller run. Answers are greedy, and it is said
whether they are the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
VOCABULARY, CONTEXT, PRESET = 323, 256, "decoder-small"  # 65 characters, begin, end, bytes
WHO = ("triptych", "triptych compiled", "transformers")
CASES = [(kind, streams) for kind in ("float32", "bfloat16") for streams in (1, 32)]


def ours(kind: str, streams: int, new: int, threads: int, is_compiled: bool) -> None:
    """One window: prints {"tokens_per_second"}."""
    import torch

    from triptych.cli.loading import DECODING_ARENAS
    from triptych.decoding.generate import search
    from triptych.decoding.settings import DecodingSettings
    from triptych.inference.prepack import prepack
    from triptych.model.build import build
    from triptych.presets.gpt import PRESETS
    from triptych.runs.allocator import keep_freed_pages

    keep_freed_pages(arenas=DECODING_ARENAS)  # as the command line does
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    precision = getattr(torch, kind)
    model = build(dataclasses.replace(PRESETS[PRESET], vocabulary_size=VOCABULARY)).eval()
    model.precision = precision  # type: ignore[assignment]
    model = model.to(precision)
    prepack(model, precision)

    def write(count: int) -> int:
        settings = DecodingSettings(max_length=count, min_length=count, compile=is_compiled)
        answers = search(
            model,
            {},
            settings,
            begin=0,
            end=1,
            max_lengths=[count] * streams,
            prefixes=[[]] * streams,
        )
        return sum(len(one.tokens) for (one,) in answers)

    report(write, new)
    if is_compiled and model.compiled.plain:  # type: ignore[union-attr]
        sys.exit("No program could be built, so plain steps were timed.")


def report(write, new: int) -> None:
    write(min(new, 20))
    began = time.perf_counter()
    count = write(new)
    print(
        json.dumps({"tokens_per_second": count / (time.perf_counter() - began), "tokens": count}),
        flush=True,
    )


def case(options: argparse.Namespace, who: str, kind: str, streams: int) -> float | None:
    """One window of one case in a process of its own; None, and on stderr why, where it failed."""
    dials = [kind, str(streams), str(options.new), str(options.threads)]
    if who == "transformers":
        command = [
            options.peer_python,
            str(HERE / "peers/transformers_generate.py"),
            *dials,
            str(VOCABULARY),
            str(CONTEXT),
        ]
    else:
        command = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--ours",
            *dials,
            *who.split()[1:],
        ]
    answer = subprocess.run(command, capture_output=True, text=True)
    lines = [json.loads(line) for line in answer.stdout.split("\n") if line.startswith("{")]
    if answer.returncode or not lines:
        how = f"{' '.join(command)} failed with exit code {answer.returncode}"
        print(
            f"{how}:\n{answer.stdout[-1000:]}\n{answer.stderr[-3000:]}", file=sys.stderr, flush=True
        )
        return None
    if lines[0]["tokens"] != options.new * streams:
        print(
            f"{who} wrote {lines[0]['tokens']} tokens, not {options.new * streams}.",
            file=sys.stderr,
            flush=True,
        )
        return None
    return lines[0]["tokens_per_second"]


def beside_transformers(options: argparse.Namespace) -> dict[str, float]:
    rates: dict[tuple[str, str, int], list[float]] = {
        (who, *one): [] for one in CASES for who in WHO
    }
    failed: set[tuple[str, str, int]] = set()
    for _ in range(options.windows):
        for one in (one for one in rates if one not in failed):
            rate = case(options, *one)
            if rate is None:
                failed.add(one)
            else:
                rates[one].append(rate)
    for one in failed:
        rates[one] = [float("nan")]
    found = {}
    print(
        f"tokens a second, median of {options.windows} windows, {options.threads} threads, "
        f"{options.new} new tokens"
    )
    for kind, streams in CASES:
        medians = {who: statistics.median(rates[who, kind, streams]) for who in WHO}
        spread = "; ".join(
            f"{min(rates[who, kind, streams]):,.0f}-{max(rates[who, kind, streams]):,.0f}"
            for who in WHO
        )
        cells = " | ".join(
            f"{medians[who]:,.0f} ({medians[who] / medians['transformers']:.2f})" for who in WHO
        )
        print(f"| {kind}, {streams} at once | {cells} | {spread} |")
        found |= {f"{who} {kind} {streams}": rate for who, rate in medians.items()}
    for streams, goal in ((1, 4), (32, 6)):
        each = {
            who: [found[f"{who} {kind} {streams}"] for kind in ("float32", "bfloat16")]
            for who in WHO
        }
        best = {
            who: max((rate for rate in several if rate == rate), default=float("nan"))
            for who, several in each.items()
        }
        told = ", ".join(f"{who} {best[who] / best['transformers']:.2f} times" for who in WHO[:-1])
        print(f"{streams} at once, each at its better precision: {told} (goal: {goal})")
    for one in sorted(failed):
        print(f"failed: {', '.join(map(str, one))} at once")
    return found


def with_drafts(options: argparse.Namespace) -> dict[str, float]:
    """Plain, n-grams and a draft run in turn, in this process, at batch 1."""
    import torch

    from triptych.decoding.drafts import Drafted
    from triptych.inference.loading import load

    torch.set_num_threads(options.threads)
    found: dict[str, float] = {}
    dials = {
        "beams": 1,
        "temperature": 0.0,
        "max_length": options.new,
        "draft_tokens": options.draft_tokens,
    }
    for kind in ("float32", "bfloat16"):
        drafts = [None, "ngram", *([options.draft] if options.draft else [])]
        predictors = {str(draft): load(options.run, kind, draft) for draft in drafts}
        rates: dict[str, list[float]] = {}
        texts, tallies = {}, {}
        for window in range(options.windows + 1):  # the first one warms up
            for name, predictor in predictors.items():
                if predictor.drafted is not None:
                    predictor.drafted = Drafted(predictor.drafted.model, predictor.drafted.draft)
                began = time.perf_counter()
                (one,) = predictor.predict([options.prompt], **dials)
                if window:
                    rates.setdefault(name, []).append(
                        len(one.tokens) / (time.perf_counter() - began)
                    )
                texts[name], tallies[name] = (
                    one.text,
                    predictor.drafted.tally if predictor.drafted is not None else "",
                )
        for name, several in rates.items():
            rate, plain = statistics.median(several), statistics.median(rates["None"])
            same = (
                ""
                if name == "None"
                else ", the same text"
                if texts[name] == texts["None"]
                else ", another text"
            )
            print(
                f"| {kind} | {'no draft' if name == 'None' else name} | {rate:,.0f} | "
                f"{rate / plain:.2f}{same} | {tallies[name]} |"
            )
            found[f"{name} {kind}"] = rate
    return found


def main() -> int:
    if sys.argv[1:2] == ["--ours"]:
        kind, streams, new, threads = sys.argv[2:6]
        ours(kind, int(streams), int(new), int(threads), sys.argv[6:] == ["compiled"])
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--peer-python", default=sys.executable, help="an interpreter that has transformers"
    )
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--new",
        type=int,
        default=200,
        help="tokens that are written; with one to begin, at most the context of 256",
    )
    parser.add_argument("--run", help="a trained run: what drafts bring")
    parser.add_argument("--draft", help="a smaller run with the same tokenizer")
    parser.add_argument("--draft-tokens", type=int, default=4)
    parser.add_argument("--prompt", default="\n")
    parser.add_argument("--json", type=Path, help="write the medians there")
    options = parser.parse_args()
    found = with_drafts(options) if options.run else beside_transformers(options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return int(any(rate != rate for rate in found.values()))


if __name__ == "__main__":
    sys.exit(main())
