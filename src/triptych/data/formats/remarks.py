"""Report guesses about a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...messages import message

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Remark:
    """Report a guess about a file, and the way to overrule it.

    doubt: another reading is possible. severity: for `data check`, which leaves out notes.
    """

    place: str
    reason: str
    way: str = ""
    doubt: bool = False
    severity: Severity = "warning"

    def __str__(self) -> str:  # a Message, so that the command line can translate it
        if not self.way:
            return message("{place}: {reason}", place=self.place, reason=self.reason)
        return message(
            "{place}: {reason}. {way}", place=self.place, reason=self.reason, way=self.way
        )
