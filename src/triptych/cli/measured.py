"""Keep a name that the demo of version 0.1.0 imports from here."""

from __future__ import annotations

from ..setup.draft.measured import measured_speed as measured_speed
