"""Train the small SentencePiece files of this folder, and write the ids that they give.

    python tests/interchange/make_spm.py

needs the library sentencepiece, which the tests that read these files do not.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import sentencepiece
from odd_texts import ODD

HERE = Path(__file__).parent / "spm"
ENGLISH = (
    "the cat sat on the mat", "a dog and the other cat", "the old man reads a newspaper",
    "what is on the mat?", "she sees 3 birds, 10 dogs and a cat", "the cat and the dog sat",
)  # fmt: skip
GERMAN = (
    "die Katze saß auf der Matte", "ein Hund und die andere Katze", "was ist auf der Matte?",
    "der alte Mann liest eine Zeitung", "sie sieht 3 Vögel, 10 Hunde und eine Katze",
    "die Katze und der Hund saßen",
)  # fmt: skip
# what characters become, as SentencePiece's own rules: spaces, full width, an accent that joins
SPACES = ("\t", "\n", "\r", "\u00a0", "\u3000")
OTHERS = (("ﬁ", "fi"), ("Ａ", "A"), ("Ｂ", "B"), ("Ｃ", "C"), ("o\u0308", "ö"), ("½", "1/2"))
RULES = [*((one, " ") for one in SPACES), *OTHERS, ("\u200b", "")]


def train(texts: tuple[str, ...], name: str, **settings: object) -> None:
    rules = HERE / "rules.tsv"
    rules.write_text("".join(f"{_codes(a)}\t{_codes(b)}\n" for a, b in RULES))
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts * 3), model_writer=out, hard_vocab_limit=False,
        minloglevel=2, **{"normalization_rule_tsv": str(rules), **settings},
    )  # fmt: skip
    rules.unlink()
    (HERE / name).write_bytes(out.getvalue())


def _codes(text: str) -> str:
    return " ".join(f"{ord(one):X}" for one in text)


def main() -> None:
    HERE.mkdir(exist_ok=True)
    train(ENGLISH, "source.spm", vocab_size=90)
    train(GERMAN, "target.spm", vocab_size=90)
    train(
        (*ENGLISH, *GERMAN), "bytes.model", vocab_size=330, model_type="bpe", byte_fallback=True,
        remove_extra_whitespaces=False, normalization_rule_name="identity",
        normalization_rule_tsv="",
    )  # fmt: skip
    readers = {
        path.name: sentencepiece.SentencePieceProcessor(model_file=str(path))
        for path in sorted(HERE.glob("*.*m*"))
        if path.suffix != ".json"
    }
    names = {
        one.id_to_piece(number): 0
        for place in ("source.spm", "target.spm")
        for one in [readers[place]]
        for number in range(3, len(one))
    }
    numbered = ["</s>", "<unk>", *names, "<pad>"]
    vocabulary = {name: number for number, name in enumerate(numbered)}
    (HERE / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False, indent=0) + "\n")
    texts = [*ODD, *ENGLISH, *GERMAN]
    ids = {name: [one.encode(text) for text in texts] for name, one in readers.items()}
    (HERE / "ids.json").write_text(json.dumps({"texts": texts, **ids}) + "\n")


if __name__ == "__main__":
    main()
