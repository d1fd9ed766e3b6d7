"""Load public sets of plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..example import Example, Notify
from ..formats.texts import documents, joined, pieces
from ..split import sentence_key, split_of
from .entry import Entry, File
from .files import file_bytes, file_lines

if TYPE_CHECKING:
    from ..table import DataTable

_RNNLM = "https://raw.githubusercontent.com/timbmg/RNNLM/4e5bddfd042beb3e1aa1f282954cc31567294c83/data/wap."
_CHAR_RNN = "https://raw.githubusercontent.com/karpathy/char-rnn/d1d7aa34fdb3626174bce1d753e6cc6845ce7087/data/tinyshakespeare/"
_EXAMPLES = (
    "https://raw.githubusercontent.com/pytorch/examples/{}/word_language_model/data/wikitext-2/"
)
_ENGRAM = "https://raw.githubusercontent.com/kent-ai-dev/engram/9874fe15199f13692201faa5b530a78786192b5f/corpus/"
# The beginning of a story, not of another paragraph.
_BEGINS = re.compile(
    r"Once\b|One day, (there|an?) |[A-Z]\w+ and [A-Z]\w+ (are friends|(like|love)d? to )"
)
_ENDS = re.compile(r"the end[.!]?$", re.IGNORECASE)


def war_and_peace(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load the lines of a book, joined into texts."""
    file = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}[split]
    return list(pieces(documents(file_lines(entry, file, report)), file))


def tinyshakespeare(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load a split as one text, its characters unchanged."""
    text = file_bytes(entry, "input.txt", report).decode()
    cut = len(text) * 9 // 10
    return [
        Example(
            text=text[:cut] if split == "train" else text[cut:],
            place="input.txt:1" if split == "train" else "input.txt, last tenth",
        )
    ]


def tinystories(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load stories, with an empty line between their paragraphs."""
    file = entry.files[0].name
    examples = [Example(text="\n\n".join(text for _, text in story), place=f"{file}:{story[0][0]}")
            for story in stories(documents(file_lines(entry, file, report)))]  # fmt: skip
    shares = {"test": 0.05, "validation": 0.05}
    return [one for one in examples if split_of(sentence_key(one.text or ""), shares) == split]


def stories(paragraphs: Iterable[Sequence[tuple[int, str]]]) -> Iterator[list[tuple[int, str]]]:
    """Join paragraphs (numbered lines) to stories of (number of its first line, text)."""
    story: list[tuple[int, str]] = []
    for paragraph in paragraphs:
        number, text = paragraph[0][0], joined(line for _, line in paragraph)
        if story and (_BEGINS.match(text) or _ENDS.search(story[-1][1])):
            yield story
            story = []
        story.append((number, text))
    if story:
        yield story


def wikitext(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load articles; the training split is not available."""
    from ...errors import UsageError

    if split == "train":
        raise UsageError(
            "The set wikitext-2 has only a validation and a test split here. Score on it with "
            "triptych evaluate RUN --data, or train on another set: triptych data list."
        )
    file = {"validation": "valid.txt", "test": "test.txt"}[split]
    return list(pieces(_articles(file_lines(entry, file, report)), file))


def _articles(lines: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Yield articles: a line ` = Title = ` begins one; ` = = Section = = ` does not."""
    article: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if re.fullmatch(r" = [^=].* = \s*", line) and article:
            yield article
            article = []
        if line.strip():
            article.append((number, line))
    if article:
        yield article


ENTRIES: dict[str, Entry] = {
    "war-and-peace": Entry(
        "war-and-peace",
        "Tolstoy's novel in the Maudes' English (36,000 lines of text; single lines were drawn "
        "for validation and test)",
        "unstated; the text is in the public domain",
        ("en",),
        (
            File(
                "train.txt",
                "8ebb39059034fd00517e25fb2d5ca1a75f37d39a156762c51f146ff988f4bd41",
                f"{_RNNLM}train.txt",
            ),
            File(
                "valid.txt",
                "f07f149651ba86619d97483c35f83841a964486328ca43e2a92877426a6d6a1e",
                f"{_RNNLM}valid.txt",
            ),
            File(
                "test.txt",
                "bdf3aada8ee2f91b2988a616fa25414d846fda6855749023016954739b6689d8",
                f"{_RNNLM}test.txt",
            ),
        ),
        fields=("text",),
        loader=war_and_peace,
    ),
    "tinyshakespeare": Entry(
        "tinyshakespeare",
        "1.1 million characters of Shakespeare's plays",
        "unstated; the text is in the public domain",
        ("en",),
        (
            File(
                "input.txt",
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                f"{_CHAR_RNN}input.txt",
            ),
        ),
        ("split: the last tenth of the characters is both validation and test, as in nanoGPT",),
        fields=("text",),
        loader=tinyshakespeare,
    ),
    "tinystories-sample": Entry(
        "tinystories-sample",
        "1.3 MB of the validation split of TinyStories: about 1,400 stories in a small child's "
        "words",
        "MIT (repository); TinyStories itself is CDLA-Sharing-1.0",
        ("en",),
        (
            File(
                "valid_sample.txt",
                "29a5afac65144b28b13ded6aa7121836746f3020e782b3f3f7358e21e9f81eeb",
                f"{_ENGRAM}tinystories_val.txt",
            ),
        ),
        (
            "the borders of stories are not marked: a story begins at a paragraph that begins as "
            "stories do (Once ..., One day, a ..., NAME and NAME are friends) and after The end.; "
            "one that begins differently stays with the story before",
            "split by story: 5 % test, 5 % validation, by the story's hash",
        ),
        fields=("text",),
        loader=tinystories,
    ),
    "wikitext-2": Entry(
        "wikitext-2",
        "Wikipedia articles in WikiText's tokenised form, for validation and test only",
        "CC BY-SA 3.0",
        ("en",),
        (
            File(
                "valid.txt",
                "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
                f"{_EXAMPLES.format('37ce9402ff0cae48d764d7788810fd2ed8238b25')}valid.txt",
            ),
            File(
                "test.txt",
                "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
                f"{_EXAMPLES.format('cada773327ba94a5970e0d57c17c847d69dbbb8f')}test.txt",
            ),
        ),
        fields=("text",),
        loader=wikitext,
        splits=("validation", "test"),
    ),
}
