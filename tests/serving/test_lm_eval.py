"""lm-eval's requests, sent by hand: its sums are those of `triptych evaluate`, also under load.

What lm-eval 0.4.13 itself computes is compared by benchmarks/lm_eval_http.py.
"""

from __future__ import annotations

import json
import math
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from triptych.data.example import Example
from triptych.decoding.scoring import token_scores
from triptych.inference.evaluation import loss_sums, means
from triptych.inference.few_shot import FewShot, judge

TEXTS = ["hello there, how are you?", "one two three", "fine, and you? one", "貓 坐 cafe"]
CHOICES = {"a": "two three", "b": "hello", "c": "e", "d": "you? fine"}
OTHERS = 32


def post(address: str, path: str, **body: Any) -> Any:
    request = urllib.request.Request(
        address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def scored(address: str, prompts: list[list[int]]) -> list[dict[str, Any]]:
    """Ask as LocalCompletionsAPI does; the values are the `logprobs` by index."""
    found = post(
        address, "/v1/completions", model="lm", prompt=prompts, temperature=0, max_tokens=1,
        logprobs=1, seed=1234, echo=True,
    )  # fmt: skip
    return [one["logprobs"] for one in sorted(found["choices"], key=lambda one: one["index"])]


def summed(found: dict[str, Any], context: int) -> tuple[float, bool]:
    """Return what `parse_logprobs` makes of an answer: the sum, and whether all are greedy."""
    own, top = found["token_logprobs"][context:-1], found["top_logprobs"][context:-1]
    return sum(own), all(a == max(b.values()) for a, b in zip(own, top, strict=True))


def greedy_ids(run: Any, text: str, count: int) -> list[int]:
    ids: list[int] = []
    for _ in range(count):
        whole = [*run.tokenizers.target.prompt(text), *ids, 0]
        (scores,) = token_scores(run.model, [whole], 1)
        ids.append(scores.top[-1][0][0])
    return ids


@contextmanager
def hammering(address: str, clients: int) -> Iterator[None]:
    ends = threading.Event()

    def ask(number: int) -> None:
        while not ends.is_set():
            text, more = TEXTS[number % 4], {"echo": True, "logprobs": 2} if number % 2 else {}
            post(address, "/v1/completions", model="lm", prompt=text, max_tokens=9, **more)

    threads = [threading.Thread(target=ask, args=(n,), daemon=True) for n in range(clients)]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        ends.set()
        for one in threads:
            one.join(60)


@pytest.mark.parametrize("others", [0, OTHERS])
def test_whole_texts_have_the_bits_of_evaluate(
    others: int, open_server: str, runs: SimpleNamespace
) -> None:
    with urllib.request.urlopen(f"{open_server}/tokenizer_info", timeout=60) as answer:
        info = json.load(answer)

    def ids(text: str) -> list[int]:
        return post(open_server, "/tokenize", prompt=text, add_special_tokens=False)["tokens"]

    (prefix,) = ids(info["bos_token"])
    nats = 0.0
    with hammering(open_server, others):
        for text in TEXTS:  # one window each; the end is a token that evaluate scores
            (found,) = scored(open_server, [[prefix, *ids(text + info["eos_token"])]])
            nats += summed(found, 1)[0]
    examples = [Example(text=text) for text in TEXTS]
    wanted = runs.lm.task.score([], examples, means(loss_sums(runs.lm, examples))).values
    size = sum(len(text.encode()) for text in TEXTS)
    assert -nats / math.log(2) / size == pytest.approx(wanted["bits_per_byte"], abs=1e-5)


@pytest.mark.parametrize("others", [0, OTHERS])
def test_choices_have_the_likelihoods_of_evaluate(
    others: int, open_server: str, runs: SimpleNamespace
) -> None:
    tokenizer, shots = runs.lm.tokenizers.target, FewShot(runs.lm, [], "{text} {label}")
    # What the model would write itself is among the answers, so that one flag at least is true.
    own = {text: greedy_ids(runs.lm, text, 3) for text in TEXTS[:2]}
    greedy = 0
    with hammering(open_server, others):
        for text, written in own.items():
            context = tokenizer.encode(text)
            answers = [shots.answer_ids(one) for one in CHOICES.values()]
            answers.append(written)
            found = scored(open_server, [[*context, *one] for one in answers])
            values = [summed(one, len(context)) for one in found]
            (judged,) = judge(shots, [text], CHOICES)
            assert [nats for nats, _ in values[:4]] == pytest.approx(
                list(judged.scores.values()), abs=1e-4
            )
            for ids, (_, flag) in zip(answers, values, strict=True):
                prompt = tokenizer.prompt(text)
                (alone,) = token_scores(runs.lm.model, [[*prompt, *ids]], 1)
                places = range(len(prompt) - 1, len(prompt) - 1 + len(ids))
                best = [alone.top[place][0][0] for place in places]
                assert flag == (best == ids)
                greedy += flag
    assert 0 < greedy < 10


def test_continuations_end_where_lm_eval_wants(open_server: str, runs: SimpleNamespace) -> None:
    ids = [runs.lm.tokenizers.target.encode(text) for text in TEXTS]
    found = post(
        open_server, "/v1/completions", model="lm", prompt=ids, max_tokens=12, temperature=0,
        stop=["e", "</s>"], seed=1234,
    )  # fmt: skip
    wanted = runs.lm.predict(TEXTS, max_length=12, stop=["e"])
    assert [one["text"] for one in found["choices"]] == [one.text for one in wanted]
