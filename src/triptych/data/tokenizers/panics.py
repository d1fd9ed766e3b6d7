"""Keep what the library tokenizers prints of a panic from the user, who gets a sentence instead.

A pattern like (x+x+)+y needs exponential time on some texts; the library then stops with a panic,
whose report Rust writes to the process's standard error before Python sees an exception.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping

# A repeated group that has a repetition in it: the patterns that can take so long.
NESTED = re.compile(r"(?:[^\\][+*}]|\{\d+,\d*\})[?+]?.*\)[+*{]")
PANIC = b"panicked at"
_ALONE = threading.RLock()


def may_not_end(value: object) -> bool:
    """Tell whether a tokenizer.json, or a part of it, has a pattern that may take too long."""
    if isinstance(value, Mapping):
        pattern = value.get("Regex")
        own = isinstance(pattern, str) and NESTED.search(pattern) is not None
        return own or any(may_not_end(one) for key, one in value.items() if key != "model")
    return isinstance(value, list) and any(map(may_not_end, value))


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Hold back what is written to standard error; a panic is dropped, the rest follows at once."""
    with _ALONE, tempfile.TemporaryFile() as held:
        try:
            sys.stderr.flush()
            kept = os.dup(2)
        except (OSError, ValueError, AttributeError):  # it is closed
            yield
            return
        try:
            os.dup2(held.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            said = held.read()
            if said and PANIC not in said:
                os.write(2, said)
