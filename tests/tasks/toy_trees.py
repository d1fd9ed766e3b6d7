"""A toy treebank: determiner, noun, verb, determiner, noun, full stop."""

from __future__ import annotations

import itertools


def blocks() -> list[str]:
    """CoNLL-U of 48 sentences."""
    nouns, found = ("dog", "cat", "bird", "man"), []
    for first, verb, second in itertools.product(nouns, ("sees", "likes", "chases"), nouns):
        rows = [
            ("The", "DET", 2, "det"),
            (first, "NOUN", 3, "nsubj"),
            (verb, "VERB", 0, "root"),
            ("a", "DET", 5, "det"),
            (second, "NOUN", 3, "obj"),
            (".", "PUNCT", 3, "punct"),
        ]
        lines = [f"# text = The {first} {verb} a {second}."]
        for number, (form, upos, head, relation) in enumerate(rows, 1):
            misc = "SpaceAfter=No" if form == second and number == 5 else "_"
            lines.append(
                "\t".join([str(number), form, "_", upos, "_", "_", str(head), relation, "_", misc])
            )
        found.append("\n".join(lines) + "\n\n")
    return found
