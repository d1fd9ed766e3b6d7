"""Compare greedy and beam answers of a run alone and among a hundred others, in fp32.

    python benchmarks/among_a_hundred.py RUN [--tokens 30] [--beams 1 4] [--every 1]

Prints how many of 101 requests (every N-th of them is asked again, alone) got other tokens.
"""

from __future__ import annotations

import argparse
import random

from serving_memory import WORDS
from triptych.decoding.writing import decode
from triptych.inference.engine.engine import Engine
from triptych.inference.loading import load


def main(given: argparse.Namespace) -> None:
    predictor = load(given.run)
    for beams in given.beams:
        engine, requests = Engine(predictor), []
        settings = predictor.settings(beams=beams, max_length=given.tokens, temperature=0.0)
        for number in range(101):
            draw = random.Random(number)
            text = " ".join(draw.choices(WORDS, k=draw.randint(3, 40)))
            turns = {"messages": [{"role": "user", "content": text}]}
            example = predictor.example(turns if predictor.task.input == "messages" else text)
            (encoded, *_), _ = predictor.encode(example)
            requests.append(predictor.request(encoded, settings))
        tickets = [engine.write(one) for one in requests]
        while not all(one.is_over for one in tickets):
            engine.turn()
        others, farthest = 0, 0.0
        pairs = [*zip(requests, tickets, strict=True)][:: given.every]
        for request, ticket in pairs:
            ((alone, *_),) = decode(predictor.model, [request], predictor.tokenizers.target)
            found = ticket.wait(0)[0]
            others += found.tokens != alone.tokens
            farthest = max(farthest, abs(found.score - alone.score))
        rows = engine.counters.rows.total / engine.counters.steps
        print(
            f"beams {beams}: {others} of {len(pairs)} differ, scores by at most {farthest:.1e}; "
            f"{rows:.0f} rows in a step"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--tokens", type=int, default=30)
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--every", type=int, default=1)
    main(parser.parse_args())
