"""Published families beside transformers: what an import computes, writes and takes.

    python benchmarks/families.py [--only NAME ...] [--lines 10000] [--json FILE]
    python benchmarks/families.py --large FOLDER [--gigabytes 1.25] [--pairs 3] [--json FILE]

The first form measures each toy of tests/interchange: a folder that transformers wrote, with random
weights and a tokenizer. Columns:

states, padded: largest difference of the last states, of inputs alone and in one batch, over the
    largest state where that is above 1. Of a class with a head: of its outputs.
logits: the same of logits, in one batch
greedy, beam 4: of four texts, how many continue with the same tokens
tokens: of so many lines of TRIPTYCH_DATA and 19 odd texts, how many have the same ids as by the
    library tokenizers; "spelt" are those that spell a special token, like </s>, which is text here
export: tensors that are bit-equal after export; reload: largest difference of the outputs of the
    model that transformers loads from it; again: the re-imported run is the same
seconds, MB: of loading, ours / theirs, and the memory that it takes at its peak

--large writes a Llama of that size in shards, in float32 and bfloat16, and loads it in processes of
their own, in pairs: `triptych import`, `triptych.load` of that run, and transformers'
from_pretrained, each until the first logits, and by Triptych until the third, when its weights are
laid out for decoding. Seconds are of the clock and of the processor ("cpu"); other programs
lengthen the former. Memory is the peak over the size of the weights in float32, after the libraries
are imported.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "interchange"))
NEW, BEAMS = 8, 4
ODD = (
    "", " ", "  two  spaces ", "\n", "a\n\nb", "\ttab", "UPPER lower", "naïve café", "e\u0301",
    "貓坐在墊子上", "ひらがな カタカナ", "한국어", "عربى", "👩‍👩‍👧 😀", "\u200b", "a" * 300,
    "1234567890 3.14", "<s> </s> [MASK]", "\ufffd\u0000x",
)  # fmt: skip
COLUMNS = ("import", "states", "padded", "logits", "greedy", f"beam {BEAMS}", "tokens", "export",
           "reload", "again", "seconds", "MB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--large", type=Path)
    parser.add_argument("--gigabytes", type=float, default=1.25)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(*options.child)))
        return
    found: Any = large(options) if options.large else table(options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


# Toys ---------------------------------------------------------------------------------------------


def table(options: argparse.Namespace) -> list[dict[str, str]]:
    """Measure all toys and print a table."""
    import toys_of_both
    import toys_of_decoders
    import toys_of_encoders

    lines, rows = corpus(options.lines), []
    print(f"| toy | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}", flush=True)
    for module in (toys_of_encoders, toys_of_decoders, toys_of_both):
        for name, toy in module.TOYS.items():
            if options.only and name not in options.only:
                continue
            to = getattr(module, "TO", {}).get(name)
            row = {"toy": name, **measured(toy, lines, to)}
            rows.append(row)
            cells = (row.get(key, "–") for key in ("toy", *COLUMNS))
            print(f"| {' | '.join(cells)} |", flush=True)
    return rows


def corpus(count: int) -> list[str]:
    """Return lines of the sets, one of each in turn, and the odd texts."""
    root = Path(os.environ["TRIPTYCH_DATA"])
    kinds = (".txt", ".csv", ".tsv", ".jsonl", ".json", ".en", ".de", ".conllu")
    held: list[list[str]] = []
    for path in sorted(one for one in root.glob("*/**/*") if one.suffix in kinds):
        with path.open(encoding="utf-8", errors="replace") as file:
            held.append(
                [line.rstrip("\n")[:400] for _, line in zip(range(500), file, strict=False)]
            )
    turns = itertools.chain.from_iterable(itertools.zip_longest(*held))
    lines = dict.fromkeys(line for line in turns if line)
    return [*itertools.islice(lines, count), *ODD]


def measured(toy: Any, lines: list[str], to: str | None) -> dict[str, str]:
    """Return the cells of one toy. What fails is named in its cell."""
    from published_folders import write

    row: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as place, _quiet():
        path = Path(place)
        there = write(toy, path / "there")
        with _cell(row, "import"):
            from triptych.convert import import_folder

            certificate = import_folder(path / "there", path / "run")
            row["import"] = f"{certificate.mapped} tensors"
        if "tensors" not in row["import"]:
            return row
        row |= loads(path, type(there))
        from triptych.inference.loading import load

        predictor = load(path / "run")
        with _cell(row, "tokens"):
            row["tokens"] = tokens(predictor, path / "there", lines)
        kind = predictor.model.config.architecture
        with _cell(row, "states"):
            row |= (of_encoder if kind == "encoder" else of_writer)(predictor, there, path, to)
        with _cell(row, "export"):
            row |= exported(path, there, kind)
    return row


@contextlib.contextmanager
def _cell(row: dict[str, str], name: str) -> Iterator[None]:
    try:
        yield
    except Exception as problem:  # a table with a hole says more than none
        row[name] = f"{type(problem).__name__}: {str(problem)[:60]}".replace("|", "/")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def loads(path: Path, kind: Any) -> dict[str, str]:
    """Return seconds and peak memory of loading, ours / theirs, the better of three."""
    from triptych.inference.loading import load

    ways: list[Callable[[], Any]] = [
        lambda: load(path / "run", device="cpu"),
        lambda: kind.from_pretrained(path / "there"),
    ]
    seconds, memory = [], []
    for way in ways:
        found = [peak_of(way) for _ in range(3)]
        seconds.append(min(one for one, _ in found))
        memory.append(min(one for _, one in found))
    return {
        "seconds": f"{seconds[0]:.3f} / {seconds[1]:.3f}",
        "MB": f"{memory[0]:.1f} / {memory[1]:.1f}",
    }


def peak_of(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds of a call and the megabytes that it takes at its peak."""
    Path("/proc/self/clear_refs").write_text("5")  # begins the peak anew
    before, began = memory_now("VmRSS"), time.perf_counter()
    work()
    return time.perf_counter() - began, memory_now("VmHWM") - before


def memory_now(key: str) -> float:
    """Return megabytes of this process: VmRSS now, VmHWM at the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(one.split()[1]) / 1000 for one in lines if one.startswith(f"{key}:"))


def tokens(predictor: Any, folder: Path, lines: list[str]) -> str:
    """Count the lines whose ids are those of the library tokenizers."""
    import tokenizers

    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    both = predictor.tokenizers
    ours = both.target if predictor.model.config.architecture == "decoder" else both.source
    differ = [
        line
        for line in lines
        if ours.encode(line) != backend.encode(line, add_special_tokens=False).ids
    ]
    special = [one.content for one in backend.get_added_tokens_decoder().values() if one.special]
    spelt = sum(any(one in line for one in special) for line in differ)
    other = f", {len(differ) - spelt} others" if len(differ) > spelt else ""
    return f"{len(lines) - len(differ):,}" + (f" + {spelt} spelt{other}" if differ else "")


def apart(found: Any, wanted: Any) -> float:
    """Return the largest difference, over the largest value where that is above 1."""
    seen = wanted.isfinite() & found.isfinite()
    return float((found - wanted)[seen].abs().max()) / max(1.0, float(wanted[seen].abs().max()))


def _shown(values: list[float]) -> str:
    return f"{max(values):.0e}"


def of_encoder(predictor: Any, there: Any, path: Path, to: str | None) -> dict[str, str]:
    """Compare an encoder's states or its head's outputs, alone and in one batch."""
    import tokenizers
    from test_encoders import SINGLES, ours, theirs

    backend = tokenizers.Tokenizer.from_file(str(path / "there" / "tokenizer.json"))
    encoded = [backend.encode(text) for text in SINGLES]
    wanted = [theirs(there, one) for one in encoded]
    alone = [
        apart(ours(predictor, [one])[0], two) for one, two in zip(encoded, wanted, strict=True)
    ]
    batch = [apart(one, two) for one, two in zip(ours(predictor, encoded), wanted, strict=True)]
    cells = {"padded": _shown(batch)}
    if predictor.task.name == "embedding":
        return {**cells, "states": _shown(alone)}
    return {**cells, "states": _shown(alone), "logits": _shown(batch)}


def of_writer(predictor: Any, there: Any, path: Path, to: str | None) -> dict[str, str]:
    """Compare states, logits and texts of a model with a decoder."""
    import torch
    from published_folders import TEXTS, ids
    from test_decoders import forget

    model, is_both = predictor.model, predictor.model.config.encoder is not None
    given = [(ids(a, a), ids(b, 100 + b)) for a, b in ((9, 5), (1, 1), (17, 12), (30, 2))]
    if not is_both:
        given = [(one, one) for one in (ids(size, size) for size in (17, 9, 1, 30))]
    seen: list[Any] = []
    there.get_output_embeddings().register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0][0].detach())
    )

    def ours(rows: list[Any]) -> tuple[list[Any], list[Any]]:
        sizes = [len(target) for _, target in rows]
        inputs = {
            "target": torch.cat([target for _, target in rows]),
            "target_lengths": torch.tensor(sizes),
        }
        if is_both:
            inputs["source"] = torch.cat([source for source, _ in rows])
            inputs["source_lengths"] = torch.tensor([len(source) for source, _ in rows])
        states = model(**inputs)
        return list(model.to_output(states).split(sizes)), list(model.project(states).split(sizes))

    with torch.no_grad():
        wanted = []
        for source, target in given:
            forget(there)
            other = {"decoder_input_ids": target[None]} if is_both else {}
            wanted.append(there(source[None], **other).logits[0])
        states = list(seen)
        alone = [apart(ours([one])[0][0], two) for one, two in zip(given, states, strict=True)]
        batch = ours(given)
        cells = {"states": _shown(alone)}
        for key, found, other in (("padded", batch[0], states), ("logits", batch[1], wanted)):
            cells[key] = _shown([apart(one, two) for one, two in zip(found, other, strict=True)])
    for name, beams in (("greedy", 1), (f"beam {BEAMS}", BEAMS)):
        with _cell(cells, name):
            answers = predictor.predict(
                TEXTS, max_length=NEW, beams=beams, **({"to": to} if is_both else {})
            )
            alike = 0
            for text, answer in zip(TEXTS, answers, strict=True):
                forget(there)
                alike += answer.tokens == written(predictor, there, path, text, to, beams)
            cells[name] = f"{alike} of {len(TEXTS)}"
    return cells


def written(
    predictor: Any, there: Any, path: Path, text: str, to: str | None, beams: int
) -> list[int]:
    """Return the tokens that their model writes, without those that an answer must begin with."""
    import test_both
    import torch

    there.generation_config.num_beams = beams
    if predictor.model.config.encoder is not None:
        return test_both.written(there, path / "there", text, to)
    prompt = torch.tensor([predictor.tokenizers.target.prompt(text)])
    found = there.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW, do_sample=False
    )[0, prompt.shape[1] :].tolist()
    ends = [place for place, one in enumerate(found) if one in predictor.tokenizers.target.end_ids]
    return found[: ends[0]] if ends else found


def exported(path: Path, there: Any, kind: str) -> dict[str, str]:
    """Export a run, load it in transformers, and import it again."""
    import dataclasses

    import torch
    from safetensors.torch import load_file

    from triptych.convert import export_run, import_folder
    from triptych.runs.run import Run

    export_run(path / "run", path / "out")
    before, after = (load_file(path / one / "model.safetensors") for one in ("there", "out"))
    alike = sum(name in after and torch.equal(before[name], after[name]) for name in before)
    cells = {"export": f"{alike} of {len(before)}"}
    with _cell(cells, "reload"):
        again = type(there).from_pretrained(path / "out", attn_implementation="eager").eval()
        one, other = (output_of(model, path, kind) for model in (again, there))
        cells["reload"] = "equal" if torch.equal(one, other) else _shown([apart(one, other)])
    with _cell(cells, "again"):
        import_folder(path / "out", path / "again")
        first, second = (
            dataclasses.replace(Run(path / name).read_config(), name="")
            for name in ("run", "again")
        )
        same = load_file(path / "run" / "model.safetensors")
        other = load_file(path / "again" / "model.safetensors")
        alike = first == second and all(torch.equal(same[name], other[name]) for name in same)
        cells["again"] = "equal" if alike else "differs"
    return cells


def output_of(model: Any, path: Path, kind: str) -> Any:
    """Return what their model computes of one input."""
    import test_encoders
    import tokenizers
    import torch
    from published_folders import ids

    if kind == "encoder":
        backend = tokenizers.Tokenizer.from_file(str(path / "there" / "tokenizer.json"))
        return test_encoders.theirs(model, backend.encode(*test_encoders.PAIRS[0]))
    given = {"input_ids": ids(7, 7)[None]}
    if kind == "encoder-decoder":
        given["decoder_input_ids"] = ids(5, 5)[None]
    with torch.no_grad():
        return model(**given).logits


# A large checkpoint -------------------------------------------------------------------------------


def large(options: argparse.Namespace) -> dict[str, Any]:
    """Load a large Llama by both libraries in pairs of processes."""
    found: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    for kind in ("float32", "bfloat16"):
        folder, run = options.large / kind, options.large / f"run-{kind}"
        if not folder.exists():
            _child(["make", str(folder), kind, str(options.gigabytes)])
        files = sum(one.stat().st_size for one in folder.glob("*.safetensors")) / 1e6
        for pair in range(options.pairs):
            if run.exists():
                subprocess.run(["rm", "-rf", str(run)], check=True)
            ways = {
                "import": ["import", str(folder), str(run)],
                "load": ["load", str(run)],
                "transformers": ["theirs", str(folder)],
            }
            for name, way in ways.items():
                one = _child(way)
                one["files"] = files
                found.setdefault(f"{kind} {name}", []).append(one)
                print(f"{kind} {name} {pair}: {one}", flush=True)
    return found


def _child(words: list[str]) -> Any:
    done = subprocess.run(
        [sys.executable, __file__, "--child", *words], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def child(what: str, place: str, *more: str) -> dict[str, float]:
    """Do one thing in a process of its own, and return its seconds and its peak of memory."""
    import torch

    if what == "make":
        make(Path(place), getattr(torch, more[0]), float(more[1]))
        return {}
    prompt = torch.arange(10, 26)
    if what == "theirs":
        from transformers import LlamaForCausalLM

        work: Callable[[], Any] = lambda: LlamaForCausalLM.from_pretrained(  # noqa: E731
            place, dtype=torch.float32
        )
    elif what == "load":
        from pydantic import TypeAdapter  # noqa: F401

        from triptych.inference.loading import load

        work = lambda: load(place, device="cpu")  # noqa: E731
    else:
        import triptych.inference.loading  # noqa: F401
        from triptych.convert import import_folder

        work = lambda: import_folder(place, more[0])  # noqa: E731
    Path("/proc/self/clear_refs").write_text("5")
    found = {"before": memory_now("VmRSS")}
    began, cpu = time.perf_counter(), time.process_time()

    def note(until: str) -> None:
        found[f"seconds {until}"] = time.perf_counter() - began
        found[f"cpu {until}"] = time.process_time() - cpu
        found[f"peak {until}"] = memory_now("VmHWM")

    model = work()
    note("loaded")
    lengths = torch.tensor([len(prompt)])
    for until in ("first logits", "second", "third"):
        with torch.no_grad():
            if what == "theirs":
                model(prompt[None])
            elif what == "load":
                model.model.project(model.model(target=prompt, target_lengths=lengths))
        note(until)
    return found


def make(folder: Path, kind: Any, gigabytes: float) -> None:
    """Write a Llama of so many gigabytes in shards."""
    import torch
    from published_folders import byte_level
    from transformers import LlamaConfig, LlamaForCausalLM

    size = torch.empty((), dtype=kind).element_size()
    values: dict[str, Any] = {
        "vocab_size": 32_000, "hidden_size": 1024, "intermediate_size": 2816,
        "num_attention_heads": 16, "num_key_value_heads": 4, "max_position_embeddings": 512,
        "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1,
    }  # fmt: skip
    a_layer, ends = 1024 * (2560 + 3 * 2816) + 2048, 2 * 32_000 * 1024
    layers = round((gigabytes * 1e9 / size - ends) / a_layer)
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(**values, num_hidden_layers=layers)).to(kind)
    model.save_pretrained(folder, max_shard_size="300MB")
    byte_level().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')


if __name__ == "__main__":
    main()
