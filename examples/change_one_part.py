"""Change one part of the Transformer at a time and measure it: development scores after the same
number of updates.

    python examples/change_one_part.py [STEPS]

Trains the embedded phrasebook once for each variant (about a minute each at 300 steps) in
runs/parts, and prints a table. Vaswani et al. 2017, table 3, asks the same questions of the big
model. One seed says little about small differences: give others a try.
"""

import sys

import triptych

VARIANTS = {
    "as it is": {},
    "one head": {"model.heads": 1},
    "post-norm (2017)": {"model.norm_placement": "post"},
    "learned positions": {"model.positions": "learned"},
    "rotary positions": {"model.positions": "rotary"},
    "gated feed-forward": {"model.gated": True, "model.activation": "silu"},
    "no label smoothing": {"task.label_smoothing": 0.0},
    "no dropout": {"model.dropout": 0.0},
}


def main(steps: int) -> None:
    print(f"{'':24}{'parameters':>12}{'loss':>8}{'exact match':>14}")
    for name, changes in VARIANTS.items():
        recipe = triptych.Recipe.load(
            "phrasebook", {**changes, "training.steps": steps, "validation.every_steps": steps}
        )
        out = f"runs/parts/{name.replace(' ', '-')}"
        for progress in triptych.train(recipe, out=out):
            if progress.scores:
                scores = progress.scores
        parameters = sum(one.numel() for one in triptych.load(out).model.parameters())
        print(
            f"{name:24}{parameters:12,}{scores['loss']:8.3f}{scores['exact_match']:13.1f}%",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
