"""Read translations as Hugging Face's data sets write them: {"translation": {"en": "...", ...}}."""

from __future__ import annotations

from collections.abc import Sequence

from ..json_lines import is_text
from .json_records import OwnRecords, Record, RecordForm, Unusable, each

KEY = "translation"


def knows(record: object) -> bool:
    """Tell whether a value is a record of translations by language."""
    return isinstance(record, dict) and isinstance(record.get(KEY), dict)


def own(records: Sequence[object]) -> OwnRecords:
    """Write each translation with a key for each language. See `RecordForm`."""
    languages = dict.fromkeys(
        language
        for one in records
        if isinstance(one, dict) and isinstance(one.get(KEY), dict)
        for language in one[KEY]
    )

    def one_record(record: object) -> Record:
        texts = record.get(KEY) if isinstance(record, dict) else None
        if not isinstance(texts, dict):
            raise Unusable(f"without '{KEY}'")
        written: Record = {one: texts.get(one) or "" for one in languages}
        wrong = [one for one, text in written.items() if not is_text(text)]
        if wrong:
            raise Unusable(f"'{wrong[0]}' is not a text")
        empty = [one for one, text in written.items() if not str(text).strip()]
        if empty and len(languages) - len(empty) < 2:
            raise Unusable(f"'{empty[0]}' is empty")
        return written

    return OwnRecords("JSON of translations by language", each(one_record, records))


FORM = RecordForm(knows, own)
