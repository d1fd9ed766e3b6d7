"""Sample-and-rank beside plain sampling and greedy answers, in conversations that the run has not
seen.

    triptych train dailydialog python benchmarks/sample_and_rank.py RUN [--split test]
    [--conversations 300] [--samples 20] [--temperature 0.88] [--json FILE]

Sample-and-rank: Adiwardana et al. 2020, section 2.6. Each conversation is read up to its last turn
of the assistant, which is to be written. Told of each way: F1 of words and chrF with what was said
there, log-probability a token under the run itself, words an answer, how many of the answers differ
from each other, and the shares of different words and pairs of words among all (distinct-1 and -2,
Li et al. 2016). The last row is what was said. A reply can be good and share no word with the one
that was given, so F1 and chrF say little of one answer and something of three hundred.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from triptych.data.example import Example
from triptych.data.load import load_split
from triptych.inference.loading import load
from triptych.metrics import bootstrap
from triptych.metrics.answers import word_f1
from triptych.metrics.bleu import chrf
from triptych.recipe.schema import Recipe
from triptych.tasks.task import Prediction


def asked(
    examples: Sequence[Example], count: int, seed: int
) -> list[tuple[list[dict[str, str]], str]]:
    """(the turns before the assistant's last, what it said) of conversations drawn by chance."""
    found = []
    for example in examples:
        turns = list(example.messages or ())
        while turns and turns[-1]["role"] != "assistant":
            turns.pop()
        if len(turns) > 1:
            found.append((turns[:-1], turns[-1]["content"]))
    chosen = np.random.default_rng(seed).choice(len(found), min(count, len(found)), replace=False)
    return [found[place] for place in sorted(chosen.tolist())]


def distinct(answers: Sequence[str], order: int) -> float:
    """Percentage of n-grams that are met for the first time."""
    words = [answer.lower().split() for answer in answers]
    grams = [gram for own in words for gram in (own if order == 1 else list(pairwise(own)))]
    return 100.0 * len(set(grams)) / max(1, len(grams))


def described(answers: Sequence[str], said: Sequence[str]) -> dict[str, float]:
    return {
        "F1": 100
        * statistics.mean(word_f1(one, other) for one, other in zip(answers, said, strict=True)),
        "chrF": chrf(list(answers), list(said)).value,
        "words": statistics.mean(len(one.split()) for one in answers),
        "different": 100.0 * len(set(answers)) / len(answers),
        "distinct-1": distinct(answers, 1),
        "distinct-2": distinct(answers, 2),
    }


def log_probability(answer: Prediction) -> float:
    """Nats a token, the end of the turn among them, as the draws are ranked."""
    each = answer.token_log_probabilities
    return sum(each) / max(1, len(each))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--conversations", type=int, default=300)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--temperature", type=float, default=0.88, help="as Meena's; top-p is off")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    predictor = load(given.run)
    if predictor.task.name != "chat":
        parser.error(
            f"{given.run} is a run for {predictor.task.name}; this measures runs that chat"
        )
    examples = load_split(Recipe.load(given.run).data, given.split, print, ("messages",))
    pairs = asked(examples, given.conversations, given.seed)
    if not pairs:
        parser.error(f"{given.run} has no conversation with an answer in its {given.split} part")
    said = [one for _, one in pairs]
    drawn: dict[str, Any] = {"temperature": given.temperature, "top_p": 1.0, "seed": given.seed}
    ways: dict[str, dict[str, Any]] = {
        "greedy": {"temperature": 0.0, "samples": 1},
        "one draw": {**drawn, "samples": 1},
        f"best of {given.samples} draws": {**drawn, "samples": given.samples},
    }
    found: dict[str, Any] = {
        "run": given.run,
        "split": given.split,
        "conversations": len(pairs),
        **drawn,
        "ways": {},
    }
    words: dict[str, np.ndarray] = {}
    for name, settings in ways.items():
        began = time.monotonic()
        answers = predictor.predict([{"messages": turns} for turns, _ in pairs], **settings)
        texts = [one.text for one in answers]
        each = [log_probability(one) for one in answers]
        words[name] = np.array(
            [[word_f1(one, other), 1.0] for one, other in zip(texts, said, strict=True)]
        )
        found["ways"][name] = {
            **described(texts, said),
            "log-probability": statistics.mean(each),
            "seconds": time.monotonic() - began,
        }
    found["ways"]["what was said"] = described(said, said)
    columns = list(found["ways"]["greedy"])
    print(f"{len(pairs)} conversations\n{'':22}" + "".join(f"{name:>17}" for name in columns))
    for name, row in found["ways"].items():
        print(
            f"{name:22}"
            + "".join(
                f"{row[column]:17.2f}" if column in row else f"{'–':>17}" for column in columns
            )
        )
    one, best = list(ways)[1:]
    paired = bootstrap.compare(words[one], words[best], bootstrap.mean)
    found["gain in F1"] = paired.to_json()
    gain = paired.difference
    print(
        f"{best} against {one}: {gain.value:+.2f} F1, 95 % of draws {gain.low:+.2f} to "
        f"{gain.high:+.2f}, p {paired.p_value:.3f}"
    )
    if given.json is not None:
        given.json.write_text(json.dumps(found, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
