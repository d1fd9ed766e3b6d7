"""Find where a block of code ends: at the first line with less indentation than its first."""

from __future__ import annotations

OPENING = (
    ":",
    "(",
    "[",
    "{",
    ",",
    "\\",
)  # after these at its end, a line may be followed by deeper indentation


def dedent_at(head: str, text: str) -> int | None:
    """Return the place in `text` where the block ends, before empty lines; None if it goes on.

    The block has the indentation of the first whole line in `text`, or of the line that `head`
    begins if that line opens no block ("    return ").

    Args:
        head: The last line before `text`; "" if the text before it ends with a line end.
        text: What was written.
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
    """Return `text` without empty lines at its end, which may not belong to the block."""
    rest = text.rstrip()
    end = text.find("\n", len(rest))
    return text if end < 0 else text[:end]
