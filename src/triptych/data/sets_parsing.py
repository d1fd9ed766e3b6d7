"""Sentences with their dependency trees: the public sets of this kind, and how each is read."""

from __future__ import annotations

from .catalog import Entry

ENTRIES: dict[str, Entry] = {}
