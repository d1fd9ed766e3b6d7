"""The numbers behind the pictures: which source word each piece of a translation looked at, and how
sure the model was.

    python examples/look_inside.py RUN "I like cats." [TO]

RUN is a run that translates, such as runs/phrasebook after `make demo`; TO a target language where
it knows several.
"""

import sys

import numpy as np

import triptych


def main(run: str, text: str, to: str | None = None) -> None:
    model = triptych.load(run)
    trace = model.trace(text, to=to, kinds=("cross", "encoder"))
    print(f"{trace.source_text} -> {trace.target_text}\n")
    # (L, H, T, S) -> (T, S): layers and heads together
    cross = trace.attention["cross"].mean((0, 1))
    for cell, row, nats in zip(trace.target, cross, trace.log_probabilities, strict=True):
        best = row.argmax()
        print(
            f"{cell.label:>12}  looked at {trace.source[best].label:<12} {100 * row[best]:5.1f} "
            f"%   log-probability {nats:6.2f}"
        )
    places = np.arange(len(trace.source))
    distance = np.abs(places[:, None] - places)  # (S, S)
    print("\nHow far each head of the encoder looks, in pieces:")
    for number, layer in enumerate(trace.attention["encoder"], 1):  # (H, S, S)
        reach = (layer * distance).sum((1, 2)) / len(places)
        print(f"  layer {number}: " + "  ".join(f"{one:4.1f}" for one in reach))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:4])
