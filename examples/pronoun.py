"""What does "it" look at? One sentence with two endings, read by a run that understands.

    python examples/pronoun.py RUN [WORD ...]

RUN has an encoder, like runs/news-started of docs/tour.md. "Too tired" makes "it" the animal, "too wide" the street. Prints for every layer
and head how much attention "it" gives to each WORD (without any: animal and street), and writes pronoun.html with both sentences.
"""

import re
import sys

import triptych
from triptych.inspection import html
from triptych.inspection.trace import Trace

SENTENCE = "The animal did not cross the street because it was too {}."
ENDINGS = ("tired", "wide")
PRONOUN = "it"


def places_of(trace: Trace, word: str) -> list[int]:
    """The cells of a word: it may have been cut into several pieces."""
    found = re.search(rf"\b{re.escape(word)}\b", trace.source_text)
    if found is None:
        sys.exit(f"'{word}' does not stand in: {trace.source_text}")
    start, end = found.span()
    return [
        at for at, cell in enumerate(trace.source) if cell.start is not None and cell.text.strip() and cell.start < end and cell.end > start
    ]


def main(run: str, *words: str) -> None:
    model = triptych.load(run)
    words = words or ("animal", "street")
    traces = [model.trace(SENTENCE.format(ending), kinds=("encoder",), label=f"too {ending}") for ending in ENDINGS]
    for trace in traces:
        looks, seen = places_of(trace, PRONOUN), {word: places_of(trace, word) for word in words}
        print(f"\n{trace.source_text}\n  layer  head  {'  '.join(f'{word:>8}' for word in words)}   most of all")
        for layer, heads in enumerate(trace.attention["encoder"], 1):  # (H, S, S)
            for head, weights in enumerate(heads, 1):
                row = weights[looks].mean(0)  # (S,)
                shares = "  ".join(f"{100 * row[places].sum():6.1f} %" for places in seen.values())
                print(f"  {layer:5}  {head:4}  {shares}   {trace.source[row.argmax()].label}")
    path = html.write("pronoun.html", traces)
    print(f"\nWritten: {path}. To see '{PRONOUN}' chosen, open {path.resolve().as_uri()}#token-{places_of(traces[0], PRONOUN)[0]}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
