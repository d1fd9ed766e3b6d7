"""From a list of labelled texts to a classifier, without a recipe file: what a program that wants a
model of its own would do.

    python examples/own_classifier.py my.tsv [MINUTES]

my.tsv: text, tab, label; a header line "text<tab>label". Writes runs/own-classifier, prints its
score and a few answers.
"""

import sys

import triptych


def main(file: str, minutes: float) -> None:
    recipe = triptych.Recipe.from_values(
        {
            "task": {"name": "classification"},
            "data": {"train": file},
            "tokenizer": {"kind": "bpe", "vocabulary_size": 4000},
            "model": {"preset": "encoder-tiny"},
            "training": {
                "minutes": minutes,
                "learning_rate": 2e-3,
                "warmup_steps": 50,
                "average": 0.99,
                "schedule": "trapezoid",
            },
            "validation": {"every_minutes": minutes / 4},
        }
    )
    for progress in triptych.train(recipe, out="runs/own-classifier"):
        if progress.message:
            print(progress.message)
    model = triptych.load("runs/own-classifier")
    while text := input("A text (empty: the end): ").strip():
        (answer,) = model.predict([text])
        print(
            f"  {answer.text}   "
            + ", ".join(
                f"{label} {100 * p:.1f} %" for label, p in answer.details["probabilities"].items()
            )
        )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 5)
