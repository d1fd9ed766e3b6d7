"""Write the model card of an imported run."""

from __future__ import annotations

from pathlib import Path

from ..interchange.name_map import Certificate
from ..model.config import ModelConfig
from ..presets.estimate import size_of


def card_of_import(
    certificate: Certificate, config: ModelConfig, task: str, path: Path, name: str
) -> str:
    licence = _licence(path)
    lines = [f"- {line}" for line in certificate.lines()]
    return "\n".join(
        [
            "---",
            "library_name: triptych",
            f"tags: [triptych, {task}, imported]",
            *([f"license: {licence}"] if licence else []),
            "---",
            "",
            f"# {name}",
            "",
            (
                f"A model for {task} ({size_of(config)}), imported from {certificate.source}. "
                "Triptych did not train it: see its source for its training data and its limits."
            ),
            "",
            "## Load certificate",
            "",
            *lines,
            "",
            f"Licence: {licence or 'the source names none'}.",
            "",
        ]
    )


def _licence(path: Path) -> str | None:
    """Return the licence that the header of the source's README.md names."""
    try:
        lines = (path / "README.md").read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return None
    if not lines or lines[0].strip() != "---":
        return None
    header = lines[1 : lines.index("---", 1)] if "---" in lines[1:] else []
    return next(
        (line.split(":", 1)[1].strip() for line in header if line.startswith("license:")), None
    )
