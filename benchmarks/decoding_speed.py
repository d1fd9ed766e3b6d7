"""Decoding speed of a trained translator beside CTranslate2 and transformers with the same weights
and token ids.

Greedy and beam 5, answers at their natural length (100 tokens at most) and all forced to 16 tokens;
every engine in a process of its own, of ours every case as well, interleaved windows in one run,
medians. Every peer has the best of its batch sizes; Triptych decodes as `triptych evaluate` does,
plainly and with decoding.compile (programs are built before the clock starts). Timed is the way
from token ids to token ids. Then the answers: how many of the float32 ones are identical, and BLEU
of all. A failed case is reported, the others go on, and the exit code is 1 in the end.

    python benchmarks/decoding_speed.py RUN --work PEERS_WORK [--windows 3] [--skip transformers]

PEERS_WORK holds the virtual environments `ct2/` (ctranslate2, numpy) and `hf/` (torch,
transformers). RUN: a run of multi30k-en-de.
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
    from triptych.inference.loading import load

    predictor = load(run)
    return predictor, chosen_examples(predictor, "test", None, None)[0]


def ours(run: Path, work: Path, kind: str, case: tuple[int, int], batch_tokens: int | None) -> None:
    """One window of one case of ours: a JSON line. kind: a precision, or one and "compiled"."""
    import numpy as np

    from triptych.cli.loading import DECODING_ARENAS
    from triptych.data.batches.encoded import Encoded
    from triptych.inference.loading import load
    from triptych.runs.allocator import keep_freed_pages

    precision, _, compiled = kind.partition(" ")
    keep_freed_pages(arenas=DECODING_ARENAS)
    predictor = load(run, precision)  # type: ignore[arg-type]
    sources = json.loads((work / "sources.json").read_text())
    encoded = [
        Encoded({"source": np.array(source)}, index=place) for place, source in enumerate(sources)
    ]
    sizes = {} if batch_tokens is None else {"batch_tokens": batch_tokens}
    beams, forced = case
    settings = predictor.settings(
        beams=beams,
        max_length=forced or LONGEST,
        min_length=forced,
        compile=bool(compiled),
        **sizes,
    )
    # all of them, so that what is to be built is there
    predictor.raw(encoded if compiled else encoded[:200], settings)
    began = time.perf_counter()
    found = predictor.raw(encoded, settings)
    rate = len(encoded) / (time.perf_counter() - began)
    (work / f"triptych-{kind.replace(' ', '-')}-{beams}-{forced}.json").write_text(
        json.dumps([one[0].tokens for one in found])
    )
    line = {
        "who": f"triptych {kind}",
        "beams": beams,
        "forced": forced,
        "batch": settings.batch_tokens,
        "sentences_per_second": rate,
    }
    if compiled:  # kinds of steps that no program could be had for: (one source, beams, threads)
        line["taken_plainly"] = sorted(predictor.model.compiled.plain)
    print(json.dumps(line), flush=True)


def call(command: list[str]) -> tuple[list[dict], str]:
    """The JSON lines of a command, and what went wrong, or ""."""
    answer = subprocess.run(command, capture_output=True, text=True, errors="replace")
    lines = [json.loads(line) for line in answer.stdout.split("\n") if line.startswith("{")]
    if not answer.returncode and lines:
        return lines, ""
    how = (
        f"ended by signal {-answer.returncode}"
        if answer.returncode < 0
        else f"exit code {answer.returncode}"
    )
    return lines, f"{how}\n{answer.stdout[-1000:]}\n{answer.stderr[-3000:]}"


def quality(predictor, examples, work: Path, names: list[str]) -> None:
    """BLEU of every engine's answers, and how many are the same as those of Triptych in float32."""
    from triptych.metrics.bleu import bleu

    references = [example.target or "" for example in examples]
    for beams, forced in CASES:
        files = {
            name: work / f"{name.replace(' ', '-')}-{beams}-{forced}.json"
            for name in ("triptych float32", *names)
        }
        if not files["triptych float32"].exists():
            continue
        mine = json.loads(files["triptych float32"].read_text())
        for name in (name for name in names if files[name].exists()):
            tokens = json.loads(files[name].read_text())
            same = sum(a == b for a, b in zip(mine, tokens, strict=True)) / len(mine)
            texts = [predictor.tokenizers.target.decode(ids) for ids in tokens]
            score = "" if forced else f", {bleu(texts, references, 'de').value:.2f} BLEU"
            print(
                f"beams {beams}, {f'forced to {forced}' if forced else 'natural length'}, {name}: "
                f"{100 * same:.1f} % identical{score}"
            )


def commands_of(options: argparse.Namespace, work: Path) -> dict[str, list[str]]:
    """What runs in every window, by its name; each of ours answers one case, a peer all of them."""
    own = [sys.executable, str(Path(__file__).resolve()), str(options.run), "--work", str(work)]
    own += [] if options.batch_tokens is None else ["--batch-tokens", str(options.batch_tokens)]
    peers, found = options.work.resolve(), {}
    for kind in [f"{kind}{how}" for kind in ("float32", "bfloat16") for how in ("", " compiled")]:
        for beams, forced in CASES:
            found[f"triptych {kind}, {case_name(beams, forced)}"] = [
                *own,
                "--ours",
                kind,
                "--case",
                str(beams),
                str(forced),
            ]
    found["ctranslate2"] = [
        str(peers / "ct2/bin/python"),
        str(HERE / "peers/ctranslate2_decode.py"),
        str(work),
    ]
    for kind in ("float32", "bfloat16"):
        found[f"transformers {kind}"] = [
            str(peers / "hf/bin/python"),
            str(HERE / "peers/transformers_decode.py"),
            str(work),
            kind,
        ]
    return {name: command for name, command in found.items() if name.split()[0] not in options.skip}


def case_name(beams: int, forced: int) -> str:
    return ("greedy" if beams == 1 else f"beam {beams}") + (
        f" forced to {forced}" if forced else ""
    )


def measured(
    commands: dict[str, list[str]], windows: int
) -> tuple[dict[tuple[str, int, int], list[float]], dict[str, str]]:
    """Sentences a second of every case in every window, and what went wrong; what failed is not
    begun again.
    """
    rates: dict[tuple[str, int, int], list[float]] = {}
    failed: dict[str, str] = {}
    for _ in range(windows):
        for name, command in commands.items():
            if name in failed:
                continue
            try:
                lines, problem = call(command)
            except OSError as error:
                lines, problem = [], str(error)
            if problem:
                failed[name] = problem
                print(f"{name} failed: {problem}", file=sys.stderr, flush=True)
            for line in lines:
                rates.setdefault((line["who"], line["beams"], line["forced"]), []).append(
                    line["sentences_per_second"]
                )
                print(json.dumps(line), flush=True)
    return rates, failed


def print_table(rates: dict[tuple[str, int, int], list[float]], names: list[str]) -> None:
    print(
        "sentences a second, median of the windows; natural / forced to 16 tokens; then the ratio "
        "to CTranslate2 float32"
    )
    medians = {key: statistics.median(found) for key, found in rates.items()}
    for name in names:
        cells, ratios = [], []
        for case in CASES:
            mine, theirs = medians.get((name, *case)), medians.get(("ctranslate2 float32", *case))
            cells.append("failed" if mine is None else f"{mine:,.0f}")
            ratios.append("" if mine is None or theirs is None else f"{mine / theirs:.2f}")
        print(f"| {name} | {' | '.join(cells)} | {' | '.join(ratios)} |")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--limit", type=int, help="only so many sentences, to try it")
    parser.add_argument(
        "--skip", nargs="*", default=[], help="who is left out, by their first word"
    )
    parser.add_argument("--batch-tokens", type=int)
    parser.add_argument(
        "--ours", help="one window of ours alone: a precision, or 'float32 compiled'"
    )
    parser.add_argument(
        "--case",
        type=int,
        nargs=2,
        default=CASES[0],
        help="of --ours: beams and forced length, or 0",
    )
    options = parser.parse_args()
    if options.ours:
        ours(options.run, options.work, options.ours, tuple(options.case), options.batch_tokens)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        predictor, examples = test_set(options.run)
        examples = examples[: options.limit]
        end = predictor.tokenizers.source.end_id
        sources = [
            [*predictor.tokenizers.source.encode(example.source or ""), end] for example in examples
        ]
        (work / "sources.json").write_text(json.dumps(sources))
        for name in ("model.safetensors", "config.json"):
            shutil.copy(options.run / name, work / name)
        rates, failed = measured(commands_of(options, work), options.windows)
        names = list(dict.fromkeys(who for who, _, _ in rates))
        print_table(rates, names)
        quality(predictor, examples, work, names)
    for name, problem in failed.items():
        print(f"failed: {name}: {problem.splitlines()[0]}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
