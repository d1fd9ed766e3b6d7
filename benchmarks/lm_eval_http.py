"""Compare lm-eval over HTTP with what the run answers by itself.

    python benchmarks/lm_eval_http.py RUN --lm-eval VENV/bin/lm_eval --texts TEXTS.gz --out FOLDER

It serves the run, lets an unmodified lm-eval (0.4.13, in an environment of its own) ask it three
tasks made of the texts (choices, whole texts, continuations), alone and beside other clients, and
compares each log-likelihood, each greedy flag, each continuation and the bits per byte with those
of `triptych evaluate` and of the functions behind it. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TRIPTYCH = str(Path(sys.executable).parent / "triptych")
DATA = """dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
num_fewshot: 0
"""
TASKS = {
    "choices": """task: choices
output_type: multiple_choice
doc_to_text: "{{text}}"
doc_to_choice: "{{choices}}"
doc_to_target: answer
target_delimiter: " "
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
""",
    # The end of a text is a token that `triptych evaluate` scores, so that its name is asked for.
    "texts": """task: texts
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}{{end}}"
process_results: !function counting.results
metric_list: [{metric: bits_per_byte}]
""",
    "continuations": """task: continuations
output_type: generate_until
doc_to_text: "{{text}}"
doc_to_target: ""
generation_kwargs: {until: ["\\n"], max_gen_toks: 24, do_sample: false}
metric_list: [{metric: exact_match}]
""",
}
COUNTING = """def results(doc, found):
    return {"bits_per_byte": (found[0], len(doc["text"].encode()))}
"""


def texts_of(path: Path, count: int, seed: int) -> list[str]:
    """Return paragraphs of 200 to 900 characters, drawn from a file."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?= =|\w)", file.read())]
    fitting = [part for part in parts if 200 <= len(part) <= 900]
    return random.Random(seed).sample(fitting, min(count, len(fitting)))


def write_data(folder: Path, texts: Sequence[str], end: str, seed: int) -> list[dict[str, Any]]:
    """Write the data and the tasks; return the questions."""
    draw, questions = random.Random(seed), list[dict[str, Any]]()
    halves = [(text[: len(text) // 2], text[len(text) // 2 :]) for text in texts]
    pairs = [(a.rpartition(" ")[0], (a.rpartition(" ")[2] + b)[:60]) for a, b in halves]
    for number, (before, after) in enumerate(pairs):
        others = [one for place, (_, one) in enumerate(pairs) if place != number]
        if number % 2:  # single words, of which some are greedy
            others, after = [one.split()[0] for one in others], after.split()[0]
            others = [one for one in dict.fromkeys(others) if one != after]
        choices, answer = draw.sample(others, 3), draw.randrange(4)
        choices.insert(answer, after)
        questions.append({"text": before, "choices": choices, "answer": answer})
    rows = {
        "choices": questions,
        "texts": [{"text": one, "end": end} for one in texts],
        "continuations": [{"text": before} for before, _ in pairs],
    }
    (folder / "counting.py").write_text(COUNTING)
    for name, several in rows.items():
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(one) + "\n" for one in several))
        (folder / f"{name}.yaml").write_text(TASKS[name] + DATA.format(file=file))
    only = folder / "plain.jsonl"
    only.write_text("".join(json.dumps({"text": one}) + "\n" for one in texts))
    return questions


@contextmanager
def serving(run: str) -> Iterator[str]:
    """Serve a run; the value is the address."""
    command = [TRIPTYCH, "serve", f"run={run}", "--port", "0", "--queue", "4096"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    address = None
    for line in process.stderr:
        if found := re.search(r"http://[\d.]+:\d+", line):
            address = found[0]
            break
    if address is None:
        raise SystemExit("the server could not start")
    threading.Thread(target=process.stderr.read, daemon=True).start()
    try:
        yield address
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def hammering(address: str, clients: int, texts: Sequence[str]) -> Iterator[list[int]]:
    """Let other clients ask for scores, continuations and streams, all the time."""
    ends, counts = threading.Event(), [0] * clients

    def ask(number: int) -> None:
        draw = random.Random(number)
        while not ends.is_set():
            body: dict[str, Any] = {"model": "run", "prompt": draw.choice(texts), "max_tokens": 20}
            if number % 3 == 0:
                body |= {"echo": True, "logprobs": 1}
            elif number % 3 == 1:
                body |= {"stream": True, "temperature": 0.8}
            request = urllib.request.Request(
                f"{address}/v1/completions", json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )  # fmt: skip
            urllib.request.urlopen(request, timeout=300).read()
            counts[number] += 1

    threads = [
        threading.Thread(target=ask, args=(number,), daemon=True) for number in range(clients)
    ]
    for one in threads:
        one.start()
    try:
        yield counts
    finally:
        ends.set()
        for one in threads:
            one.join(300)


def ask_lm_eval(program: str, address: str, folder: Path, out: Path, length: int) -> dict[str, Any]:
    """Run lm-eval; return its results and the answers of each task."""
    arguments = f"model=run,base_url={address}/v1/completions,max_length={length},num_concurrent=4"
    command = [
        program, "run", "--model", "local-completions", "--model_args", arguments,
        "--tasks", *TASKS, "--include_path", str(folder), "--output_path", str(out),
        "--log_samples", "--batch_size", "4",
    ]  # fmt: skip
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, env=without | offline, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, Any] = {}
    for name in TASKS:
        newest = max(out.rglob(f"samples_{name}_*.jsonl"))
        rows = sorted(
            map(json.loads, newest.read_text().splitlines()), key=lambda one: one["doc_id"]
        )
        found[name] = [one["resps"] for one in rows]
    found["results"] = json.loads(max(out.rglob("results_*.json")).read_text())["results"]
    return found


def own_answers(
    run: str, questions: Sequence[dict[str, Any]], texts: Sequence[str]
) -> dict[str, Any]:
    """Return what the run answers by itself, by the functions behind `triptych evaluate`."""
    from triptych.decoding.scoring import answer_log_probabilities, token_scores
    from triptych.inference.few_shot import FewShot, judge
    from triptych.inference.loading import load

    predictor = load(run)
    tokenizer, shots = predictor.tokenizers.target, FewShot(predictor, [], "{text} {label}")
    choices = [{str(n): one for n, one in enumerate(question["choices"])} for question in questions]
    judged = judge(shots, [one["text"] for one in questions], choices)
    greedy: list[list[bool]] = []
    for question in questions:
        prompt, flags = tokenizer.prompt(question["text"]), list[bool]()
        for one in question["choices"]:
            answer = shots.answer_ids(one)
            (scores,) = token_scores(predictor.model, [[*prompt, *answer]], 1)
            places = range(len(prompt) - 1, len(prompt) - 1 + len(answer))
            best = [scores.top[place][0][1] == scores.log_probabilities[place] for place in places]
            flags.append(all(best))
        greedy.append(flags)
    ends = [[*tokenizer.encode(one), tokenizer.end_id] for one in texts]
    begin = tokenizer.prompt("")
    whole = answer_log_probabilities(predictor.model, [begin] * len(ends), ends)
    written = predictor.predict(
        [one["text"] for one in questions], max_length=24, stop=["\n"], temperature=0.0
    )
    return {
        "choices": [list(one.scores.values()) for one in judged],
        "greedy": greedy,
        "texts": [sum(one) for one in whole],
        "continuations": [one.text for one in written],
    }


def evaluated(run: str, folder: Path) -> dict[str, float]:
    """Return what `triptych evaluate` prints: bits per byte, and the accuracy of the choices."""
    found: dict[str, float] = {}
    judged = folder / "judged.jsonl"
    rows = map(json.loads, (folder / "choices.jsonl").read_text().splitlines())
    judged.write_text("".join(json.dumps(one) + "\n" for one in rows))
    for more in (
        ["--data", str(folder / "plain.jsonl")],
        ["--data", str(judged), "--as", "multiple-choice", "--template", "{text} {label}"],
    ):
        command = [TRIPTYCH, "evaluate", run, "--json", *more]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found |= json.loads(text.splitlines()[-1])["metrics"]
    return found


def compared(
    lm_eval: dict[str, Any], own: dict[str, Any], official: dict[str, float]
) -> dict[str, Any]:
    """Return the largest differences, and how many flags and continuations differ."""
    pairs = [
        (float(one[0][0]), one[0][1] in (True, "True"), nats, flag)
        for several, wanted, flags in zip(
            lm_eval["choices"], own["choices"], own["greedy"], strict=True
        )
        for one, nats, flag in zip(several, wanted, flags, strict=True)
    ]
    rolling = [float(one[0][0]) for one in lm_eval["texts"]]
    results = lm_eval["results"]
    return {
        "loglikelihoods": len(pairs),
        "largest difference": max(abs(a - b) for a, _, b, _ in pairs),
        "greedy flags that are true": sum(flag for *_, flag in pairs),
        "greedy flags that differ": sum(a != b for _, a, _, b in pairs),
        "whole texts": len(rolling),
        "largest difference of a whole text": max(
            abs(a - b) for a, b in zip(rolling, own["texts"], strict=True)
        ),
        "continuations that differ": sum(
            one[0][0] != text
            for one, text in zip(lm_eval["continuations"], own["continuations"], strict=True)
        ),
        "bits per byte of lm-eval": results["texts"]["bits_per_byte,none"],
        "bits per byte of triptych evaluate": official["bits_per_byte"],
        "accuracy of lm-eval": 100 * results["choices"]["acc,none"],
        "accuracy of triptych evaluate": official["accuracy"],
    }


def main(arguments: argparse.Namespace) -> None:
    folder = Path(arguments.out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    texts = texts_of(arguments.texts, arguments.count, arguments.seed)
    found: dict[str, Any] = {}
    with serving(arguments.run) as address:
        with urllib.request.urlopen(f"{address}/tokenizer_info") as answer:
            end = json.load(answer)["eos_token"]
        questions = write_data(folder, texts, end, arguments.seed)
        own, official = (
            own_answers(arguments.run, questions, texts),
            evaluated(arguments.run, folder),
        )
        for clients in (0, *arguments.beside):
            with hammering(address, clients, texts) as counts:
                answers = ask_lm_eval(
                    arguments.lm_eval,
                    address,
                    folder,
                    folder / f"beside-{clients}",
                    arguments.length,
                )
            line = compared(answers, own, official) | {"requests of others": sum(counts)}
            found[f"beside {clients} clients"] = line
            print(json.dumps({f"beside {clients} clients": line}, indent=1), flush=True)
    (folder / "result.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run")
    parser.add_argument("--lm-eval", required=True, help="the program, in its own environment")
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60, help="texts of each task")
    parser.add_argument("--length", type=int, default=512, help="lm-eval's max_length")
    parser.add_argument("--beside", type=int, nargs="*", default=[32], help="numbers of clients")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
