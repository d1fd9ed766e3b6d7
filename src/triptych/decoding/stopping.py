"""Where a block of code ends: at the first line that is indented less than the block's first. Plain
text in, places out.
"""

from __future__ import annotations

OPENING = (":", "(", "[", "{", ",", "\\")  # at the end of a line: what follows may be indented more


def dedent_at(head: str, text: str) -> int | None:
    """The place in `text` where the block ends, the empty lines before it left out; None where it
    goes on.

    head: the last line of what stands before `text`, "" where that ends with a line end. The
        indentation of the block is that of
    the first line written whole in `text`; of the line begun in `head` where that opens no block ("
       return ").
    """
    wanted: int | None = None
    place = -len(head)
    for number, line in enumerate((head + text).split("\n")):
        if line.strip():
            indentation = len(line) - len(line.lstrip())
            if number == 0 and head.strip():
                wanted = None if line.rstrip().endswith(OPENING) else indentation
            elif wanted is None:
                wanted = indentation
            elif indentation < wanted:
                return len(without_open_lines(text[:place]))
        place += len(line) + 1
    return None


def without_open_lines(text: str) -> str:
    """`text` without white space at its end from the first line end in it on: what follows may
    belong elsewhere.
    """
    rest = text.rstrip()
    end = text.find("\n", len(rest))
    return text if end < 0 else text[:end]
