"""What the simplest summaries score: the first or the longest utterances of a conversation, the
first or last sentence of an abstract.

    python benchmarks/summary_baselines.py [samsum] [scitldr] [--split test]

ROUGE as a run for summarization is scored, on the same parts. Nothing is learnt or tuned; `best`
looks at the references to choose one sentence of an abstract, so it is what no extractive summary
of one sentence can pass on ROUGE-1.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from triptych.data.example import Example
from triptych.data.load import load_split
from triptych.data.segmentation.sentences import split_sentences
from triptych.data.table import DataTable
from triptych.metrics.rouge import rouge, rouge_of
from triptych.tasks.sequence_to_sequence import references_of

NEEDS = ("source", "target", "references")


def utterances(example: Example, named: bool) -> list[str]:
    """The lines of a conversation, with the speaker's name or without."""
    lines = [line.strip() for line in (example.source or "").split("\n") if line.strip()]
    return lines if named else [line.split(":", 1)[-1].strip() for line in lines]


def first(lines: list[str], count: int = 3) -> str:
    return " ".join(lines[:count])


def longest(lines: list[str], count: int = 3) -> str:
    """In the order of their length, the longest first, as Gliwa et al. 2019 list them."""
    return " ".join(sorted(lines, key=len, reverse=True)[:count])


def conversations(examples: Sequence[Example]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for named in (True, False):
        lines = [utterances(example, named) for example in examples]
        how = "" if named else ", without names"
        found[f"lead-3{how}"] = [first(one) for one in lines]
        found[f"longest-3{how}"] = [longest(one) for one in lines]
        found[f"longest-1{how}"] = [longest(one, 1) for one in lines]
    return found


def abstracts(examples: Sequence[Example]) -> dict[str, list[str]]:
    texts = [example.source or "" for example in examples]
    sentences = [[text[start:end] for start, end in split_sentences(text)] for text in texts]
    best = [
        max(several, key=lambda sentence: rouge_of(sentence, references_of(example))[0])
        for several, example in zip(sentences, examples, strict=True)
    ]
    return {
        "first sentence": [several[0] for several in sentences],
        "last sentence": [several[-1] for several in sentences],
        "best sentence (sees the references)": best,
    }


KINDS = {"samsum": conversations, "scitldr": abstracts}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", metavar="SET", help=" or ".join(KINDS))
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    given = parser.parse_args()
    for name in given.sets or KINDS:
        if name not in KINDS:
            parser.error(f"there is no baseline for {name}; there is one for {' and '.join(KINDS)}")
        examples = load_split(DataTable(set=name), given.split, None, NEEDS)
        print(f"{name}, {given.split}: {len(examples):,} examples")
        for title, texts in KINDS[name](examples).items():
            scores = rouge(texts, [references_of(example) for example in examples])
            print(
                f"  {title:36}"
                + "  ".join(f"{key} {one.value:.2f}" for key, one in scores.items()),
                flush=True,
            )


if __name__ == "__main__":
    main()
