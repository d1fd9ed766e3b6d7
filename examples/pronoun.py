"""What does "it" look at? One sentence with two endings, read by a run that understands.

    python examples/pronoun.py RUN [WORD ...]

RUN has an encoder alone and reads plain text, like runs/news-started of docs/tour.md. "Too tired"
makes "it" the animal, "too wide" the street. Prints the heads in which "it" gives most attention to
one WORD (without any: animal and street), beside what all tokens give to it on average, and writes
pronoun.html with both sentences.
"""

import re
import sys

import triptych
from triptych.inspection import html
from triptych.inspection.trace import Trace

SENTENCE = "The animal did not cross the street because it was too {}."
ENDINGS = ("tired", "wide")
PRONOUN = "it"
MOST = 12  # heads that are printed


def places_of(trace: Trace, word: str) -> list[int]:
    """The cells of a word, which may have been cut into several pieces."""
    found = re.search(rf"\b{re.escape(word)}\b", trace.source_text)
    if found is None:
        sys.exit(f"'{word}' does not stand in: {trace.source_text}")
    spans = [(cell.start, cell.end) if cell.text else (0, 0) for cell in trace.source]
    first, last = found.span()
    return [at for at, (a, b) in enumerate(spans) if (a or 0) < last and (b or 0) > first]


def main(run: str, *words: str) -> None:
    model, words = triptych.load(run), words or ("animal", "street")
    given = [(SENTENCE.format(ending), f"too {ending}") for ending in ENDINGS]
    traces = [model.trace(text, kinds=("encoder",), label=label) for text, label in given]
    columns, weights = [], []
    for trace in traces:
        heads = trace.attention["encoder"]  # (L, H, S, S)
        for word in words:
            to_word = heads[:, :, :, places_of(trace, word)].sum(-1)  # (L, H, S)
            columns.append(f"{word}, too {trace.label.split()[-1]}")
            of_it = to_word[:, :, places_of(trace, PRONOUN)].mean(-1)  # (L, H)
            weights.append((of_it, to_word.mean(-1)))
    print("layer  head  " + "  ".join(f"{column:>18}" for column in columns))
    places = [(layer, head) for layer in range(heads.shape[0]) for head in range(heads.shape[1])]
    best = sorted(places, key=lambda place: -max(of_it[place] for of_it, _ in weights))
    for place in best[:MOST]:
        cells = [f"{100 * a[place]:.0f} % (all {100 * b[place]:.0f} %)" for a, b in weights]
        print(f"{place[0] + 1:5}  {place[1] + 1:4}  " + "  ".join(f"{cell:>18}" for cell in cells))
    path = html.write("pronoun.html", traces)
    chosen = f"{path.resolve().as_uri()}#token-{places_of(traces[0], PRONOUN)[0]}"
    print(f"\nWritten: {path}. To see '{PRONOUN}' chosen, open {chosen}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
