"""Tokens a second of a small published chat model: Triptych, transformers and llama.cpp in one run.

    python benchmarks/smollm.py RUN --work FOLDER [--gguf FILE] [--llama-python PATH]
        [--who NAME ...] [--batches 1 8] [--prompt 100] [--new 64] [--rounds 5] [--threads 2]
        [--clock wall|processor] [--json FILE]

RUN is an imported run (SmolLM2-135M-Instruct). It is exported into FOLDER once, for transformers as
a folder and for llama.cpp as a GGUF in F16, so that all read the same weights; --gguf adds the file
that was imported, whose weights llama.cpp reads quantised. --llama-python is a Python that has
`xllamacpp`. Each system is a process of its own, which stays; they take turns (A B C, A B C, ...),
so that a slow minute of the machine meets all of them. Greedy, no end before the last token. Each
window writes 1 token and then --new tokens after prompts of --prompt tokens: reading is the
prompts' tokens through the time of the former, writing is what the latter takes longer. Medians of
the rounds (least to most), and how much of the text equals that of the first system. On a busy
machine --clock processor --threads 1 counts the processor's seconds, which waiting does not
lengthen.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
WHO = (
    "triptych float32",
    "triptych bfloat16",
    "triptych bfloat16 compiled",
    "transformers float32",
    "transformers bfloat16",
    "llama.cpp f16",
    "llama.cpp q4_1",
)
Write = Callable[[list[list[int]], int], list[str]]  # prompts, new tokens -> texts


# Systems, each in a process of its own --------------------------------------------------------


def triptych(run: str, precision: Any, is_compiled: bool, threads: int) -> Write:
    import torch

    import triptych
    from triptych.cli.loading import DECODING_ARENAS
    from triptych.decoding.requests import DecodingRequest
    from triptych.decoding.writing import decode
    from triptych.runs.allocator import keep_freed_pages

    keep_freed_pages(arenas=DECODING_ARENAS)  # as the command line does
    torch.set_num_threads(threads)
    loaded = triptych.load(run, precision=precision)

    def write(prompts: list[list[int]], new: int) -> list[str]:
        settings = loaded.settings(max_length=new, min_length=new, compile=is_compiled)
        requests = [
            DecodingRequest(settings=settings, prompt=prompt, context=2048, index=place)
            for place, prompt in enumerate(prompts)
        ]
        found = decode(loaded.model, requests, loaded.tokenizers.target)
        assert all(len(one.tokens) == new for (one,) in found), "every token is written"
        return [one.text for (one,) in found]

    return write


def transformers(folder: str, precision: str, threads: int) -> Write:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, precision)
    ).eval()

    def write(prompts: list[list[int]], new: int) -> list[str]:
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            found = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=new,
                min_new_tokens=new,
                pad_token_id=2,
            )
        return tokenizer.batch_decode(found[:, ids.shape[1] :])

    return write


def llama(file: str, batch: int, threads: int) -> Write:
    import importlib

    xllamacpp: Any = importlib.import_module("xllamacpp")
    given = xllamacpp.CommonParams()
    given.model.path = file
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = threads
    given.n_parallel, given.n_ctx, given.warmup = batch, 1024 * batch, False
    server = xllamacpp.Server(given)

    def write(prompts: list[list[int]], new: int) -> list[str]:
        def one(prompt: list[int]) -> str:
            request = {
                "prompt": prompt,
                "n_predict": new,
                "temperature": 0.0,
                "top_k": 1,
                "ignore_eos": True,
                "cache_prompt": False,
            }
            found = server.handle_completions(request)
            assert found["usage"]["completion_tokens"] == new, "every token is written"
            return found["choices"][0]["text"]

        with ThreadPoolExecutor(len(prompts)) as pool:
            return list(pool.map(one, prompts))

    return write


def serve(who: str, source: str, batch: int, threads: int) -> None:
    """Time windows that are asked for on stdin; answer each with a line of JSON."""
    system, kind, *more = who.split()
    write = (
        triptych(source, kind, bool(more), threads)
        if system == "triptych"
        else transformers(source, kind, threads)
        if system == "transformers"
        else llama(source, batch, threads)
    )
    print(json.dumps({"ready": who}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        clock = time.process_time if asked["clock"] == "processor" else time.perf_counter
        began = clock()
        write(asked["prompts"], 1)
        middle = clock()
        texts = write(asked["prompts"], asked["new"])
        ended = clock()
        print(
            json.dumps({"one": middle - began, "all": ended - middle, "texts": texts}), flush=True
        )


# Measuring ------------------------------------------------------------------------------------


class System:
    """Hold a process that times windows."""

    def __init__(self, who: str, source: str, batch: int, options: argparse.Namespace) -> None:
        python = options.llama_python if who.startswith("llama") else sys.executable
        command = [python, str(HERE), "--serve", who, source, str(batch), str(options.threads)]
        self.log = (options.work / f"{who.replace(' ', '-')}.log").open("w")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        self.read("ready")

    def read(self, key: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{") and key in (found := json.loads(line)):
                return found
        sys.exit(f"A system ended: read {self.log.name}")

    def window(self, prompts: list[list[int]], new: int, clock: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        asked = {"prompts": prompts, "new": new, "clock": clock}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return self.read("texts")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def prompts_of(run: str, count: int, tokens: int) -> list[list[int]]:
    """Different prompts of running text: parts of the project's own README."""
    from tokenizers import Tokenizer

    data = json.loads((Path(run) / "tokenizer.json").read_text("utf-8"))
    inner = Tokenizer.from_str(json.dumps(data.get("tokenizer", data)))
    text = (HERE.parents[1] / "README.md").read_text("utf-8")
    ids = inner.encode(text, add_special_tokens=False).ids
    assert len(ids) > count * tokens, "the text is long enough"
    return [ids[place * tokens : (place + 1) * tokens] for place in range(count)]


def sources(options: argparse.Namespace) -> dict[str, str]:
    """Export the run where it is not exported yet; return what each system reads."""
    folder, file = options.work / "huggingface", options.work / "model.gguf"
    for place, more in ((folder, []), (file, ["--format", "gguf"])):
        if not place.exists():
            command = [sys.executable, "-m", "triptych", "export", options.run, str(place), *more]
            subprocess.run(command, check=True, stdout=sys.stderr)
    if file.is_dir():
        file = next(file.glob("*.gguf"))
    found = {who: options.run if who.startswith("triptych") else str(folder) for who in WHO}
    found |= {"llama.cpp f16": str(file), "llama.cpp q4_1": options.gguf}
    return {who: source for who, source in found.items() if source and who in options.who}


def equal(ours: list[str], theirs: list[str]) -> float:
    """The share of characters before the first difference."""
    pairs = zip(ours, theirs, strict=True)
    same = sum(
        next((n for n, (a, b) in enumerate(zip(x, y, strict=False)) if a != b), min(len(x), len(y)))
        for x, y in pairs
    )
    return 100.0 * same / sum(map(len, ours))


def measure(batch: int, options: argparse.Namespace) -> dict[str, Any]:
    prompts = prompts_of(options.run, batch, options.prompt)
    given = sources(options)
    systems = {who: System(who, source, batch, options) for who, source in given.items()}
    windows: dict[str, list[dict[str, Any]]] = {who: [] for who in systems}
    for number in range(options.rounds + 1):
        for who, system in systems.items():
            found = system.window(prompts, options.new if number else 4, options.clock)
            if number:  # the first round warms up
                windows[who].append(found)
            print(who, number, round(found["one"], 2), round(found["all"], 2), file=sys.stderr)
    for system in systems.values():
        system.end()
    first = next(iter(windows.values()))[0]["texts"]
    return {
        who: {
            "reading": [batch * options.prompt / one["one"] for one in each],
            "writing": [batch * (options.new - 1) / (one["all"] - one["one"]) for one in each],
            "equal": equal(first, each[0]["texts"]),
        }
        for who, each in windows.items()
    }


def show(batch: int, found: dict[str, Any]) -> None:
    base = statistics.median(
        found.get("transformers bfloat16", next(iter(found.values())))["writing"]
    )
    print(f"batch {batch} | reading | writing | of transformers bfloat16 | equal text")
    for who, one in found.items():
        cells = [
            f"{statistics.median(one[key]):,.1f} ({min(one[key]):,.1f}-{max(one[key]):,.1f})"
            for key in ("reading", "writing")
        ]
        ratio = statistics.median(one["writing"]) / base
        print(f"{who} | {' | '.join(cells)} | {ratio:.2f} | {one['equal']:.0f} %", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        who, source, batch, threads = sys.argv[2:]
        return serve(who, source, int(batch), int(threads))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--gguf", default="")
    parser.add_argument("--llama-python", default=sys.executable)
    parser.add_argument("--who", nargs="*", default=list(WHO), choices=WHO)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--prompt", type=int, default=100)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    for batch in options.batches:
        found[str(batch)] = measure(batch, options)
        show(batch, found[str(batch)])
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))
    return None


if __name__ == "__main__":
    main()
