"""Texts and pairs of texts with a label, several labels or a number: the public sets of this kind, and how each is read."""

from __future__ import annotations

from .catalog import Entry

ENTRIES: dict[str, Entry] = {}
