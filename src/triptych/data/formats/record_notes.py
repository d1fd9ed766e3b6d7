"""Count the records of a file that cannot be used, by their reason, and report them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import DataError
from ...messages import Message, listed, message
from ..example import Notify

SHOWN = 3  # places that a notice names
MOST = 8  # reasons that are reported


@dataclass(slots=True)
class RecordNotes:
    """Collect what a reader left out of one file, and what it did not read of a record.

    left_out: reason, a clause ("a turn has no text") -> places of the records; first: the error
    that explains the first of them. remarks: what is not read ("'tools'") -> places.
    """

    left_out: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    remarks: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    first: str = ""

    def leave_out(self, place: str, reason: str, explained: str) -> None:
        """Note a record that cannot be used. explained: a whole sentence with the place."""
        self.left_out.setdefault(reason, []).append(place)
        self.first = self.first or explained

    def remark(self, place: str, what: str) -> None:
        """Note a part of a record that is not read."""
        self.remarks.setdefault(what, []).append(place)

    @property
    def count(self) -> int:
        """Count the records that are left out."""
        return sum(map(len, self.left_out.values()))

    def tell(self, name: str, records: str, report: Notify) -> None:
        """Report each reason with the first places. records: what they are called."""
        reasons = sorted(self.left_out.items(), key=lambda one: -len(one[1]))
        for reason, places in reasons[:MOST]:
            what = records if len(places) > 1 else Message(records.removesuffix("s"))
            report(
                message(
                    "{name}: {count:,} {records} left out because {reason}: {places}. triptych "
                    "data check lists them.",
                    name=Path(name).name,
                    count=len(places),
                    records=what,
                    reason=reason,
                    places=shown(places),
                )
            )
        if reasons[MOST:]:
            others = sum(len(places) for _, places in reasons[MOST:])
            report(
                message(
                    "{name}: {count:,} more left out for other reasons.",
                    name=Path(name).name,
                    count=others,
                )
            )
        for part, places in self.remarks.items():
            report(f"{Path(name).name}: {part}: {shown(places)}.")

    def refuse_all(self, name: str, records: str) -> None:
        """Raise DataError: no record of the file can be used."""
        if self.count == 1:
            raise DataError(self.first)
        reasons = [f"{len(at):,} because {reason}" for reason, at in self.left_out.items()]
        more = [f"{len(reasons) - MOST:,} other reasons"] if reasons[MOST:] else []
        raise DataError(
            f"{name}: none of its {self.count:,} {records} can be used: "
            f"{'; '.join([*reasons[:MOST], *more])}. The first: {self.first}"
        )


def shown(places: Sequence[str]) -> str:
    """Join the first places of several, without their folders."""
    names = [place.replace("\\", "/").rsplit("/", 1)[-1] for place in places[:SHOWN]]
    if len(places) > SHOWN:
        return message("{names} and {count:,} more", names=listed(names), count=len(places) - SHOWN)
    return listed(names)
