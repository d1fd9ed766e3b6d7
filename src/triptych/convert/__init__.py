"""Turn models of another library into runs, and runs into that library's models.

Only `setup` and `cli` import this package, and importing it imports no torch. What is imported is
recorded in the run folder as import.json: the load certificate, and the original config.json and
tokenizer_config.json, so that an export gives back what was imported.
"""

from __future__ import annotations

from .adapters import export_adapter, import_model, open_origin
from .exports import export_run
from .hub import fetch, pinned
from .imports import import_folder
from .shared import shapes

__all__ = [
    "export_adapter",
    "export_run",
    "fetch",
    "import_folder",
    "import_model",
    "open_origin",
    "pinned",
    "shapes",
]
