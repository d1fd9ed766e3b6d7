"""Writes docs/recipe.md below its mark: every key of a recipe, out of the source, with its type,
its default and the comment beside it.

    python docs/make_recipe_reference.py

What stands above the mark is written by hand. tests/test_docs.py fails where the rest is not what
this writes.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import io
import json
import re
import tokenize
import typing
from pathlib import Path
from typing import Any, Literal, NamedTuple

from triptych.checking import allowed, alternatives, bare, fields_of
from triptych.tasks.options import OPTIONS
from triptych.tasks.specs import SPECS

PAGE = Path(__file__).with_name("recipe.md")
MARK = "<!-- written by docs/make_recipe_reference.py from here on -->"
PACKAGE = Path(__file__).parents[1] / "src" / "triptych"
NO_KEYS = {
    "ModelTable": ["dials"],
    **dict.fromkeys(
        ("ModelConfig", "RecurrentConfig"), ("vocabulary_size", "source_vocabulary_size")
    ),
}

TABLES = (  # heading, file, class, what its docstring does not say
    ("data", "data/table.py", "DataTable", ""),
    ("tokenizer", "recipe/schema.py", "TokenizerTable", ""),
    (
        "model",
        "recipe/schema.py",
        "ModelTable",
        "Beside these keys the table holds the dials of the model that the preset names: those "
        "below.",
    ),
    (
        "model, model.encoder, model.decoder",
        "model/config.py",
        "StackConfig",
        "Under `[model]` a dial counts for every stack there is, under `[model.encoder]` or "
        "`[model.decoder]` for one. Defaults are those of `transformer-base`; `triptych info "
        "PRESET` shows those of another preset.",
    ),
    ("model: a Transformer", "model/config.py", "ModelConfig", ""),
    (
        "model: an RNN",
        "model/rnn/config.py",
        "RecurrentConfig",
        "Presets `rnnsearch-50` (the defaults here) and `recurrent-small`.",
    ),
    ("batches", "training/settings.py", "BatchSettings", ""),
    ("training", "training/settings.py", "TrainingSettings", ""),
    ("validation", "training/settings.py", "ValidationSettings", ""),
    (
        "decoding",
        "decoding/settings.py",
        "DecodingSettings",
        "Also the dials of every verb that answers: `--decoding.beams 5`.",
    ),
)
GROUPS = {
    "Understanding": (
        "classification",
        "tagging",
        "parsing",
        "question-answering",
        "masked-words",
        "embedding",
    ),
    "Writing": ("language-modelling", "chat", "preference"),
    "Sequence to sequence": (
        "translation",
        "summarization",
        "question-generation",
        "generative-answering",
        "text-to-text",
        "span-corruption",
    ),
    "Speech": ("transcription",),
}


class Key(NamedTuple):
    """One key of a recipe, as its row in the reference has it."""

    name: str
    kind: str
    default: Any
    description: str


class Source:
    """A module of the package: its classes, and the comments of its lines."""

    def __init__(self, name: str) -> None:
        text = (PACKAGE / name).read_text(encoding="utf-8")
        self.module = importlib.import_module(
            f"triptych.{name.removesuffix('.py').replace('/', '.')}"
        )
        self.tree = ast.parse(text)
        self.comments, self.above = {}, {}
        for one in tokenize.generate_tokens(io.StringIO(text).readline):
            if one.type == tokenize.COMMENT:
                beside = bool(one.line[: one.start[1]].strip())
                (self.comments if beside else self.above)[one.start[0]] = one.string.lstrip("# ")

    def description(self, node: ast.stmt) -> str:
        """Return the comment beside an entry or, where there is none, the lines above it."""
        if (beside := self.comments.get(node.end_lineno)) is not None:
            return beside
        lines, number = [], node.lineno - 1
        while number in self.above:
            lines.insert(0, self.above[number])
            number -= 1
        return " ".join(lines)

    def descriptions(self, kind: type) -> dict[str, str]:
        """Return field -> description of a dataclass and of those that it extends."""
        found: dict[str, str] = {}
        classes = {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}
        for one in reversed(kind.__mro__[:-1]):
            found |= {
                ast.unparse(node.target): self.description(node)
                for node in classes[one.__name__].body
                if isinstance(node, ast.AnnAssign)
            }
        return found

    def fields(self, kind: type) -> list[Key]:
        """Return the fields of a dataclass as keys."""
        described, defaults = self.descriptions(kind), dataclasses.asdict(kind())
        return [
            Key(name, in_words(annotation), defaults[name], described[name])
            for name, annotation in fields_of(kind).items()
            if name not in NO_KEYS.get(kind.__name__, ())
        ]


def in_words(annotation: object) -> str:
    """Return what a key holds in words; its default shows whether it may be absent."""
    words = []
    for part in alternatives(annotation):
        kind, _ = bare(part)
        if typing.get_origin(kind) is Literal and len(choices := typing.get_args(kind)) > 1:
            words.append(" ".join(f"`{json.dumps(one)}`" for one in choices))
        elif kind is not type(None):
            words.append(re.sub(r"^an? ", "", allowed(part)))
    return " or ".join(words)


def table(keys: list[Key]) -> str:
    rows = ["| key | type | default | |", "|---|---|---|---|"]
    for one in keys:
        default = "unset" if one.default is None else f"`{json.dumps(one.default)}`"
        description = (
            re.sub(r"\bNone\b", "unset", one.description)
            .replace("False", "false")
            .replace("|", "\\|")
            .replace("<", "&lt;")
        )
        rows.append(f"| `{one.name}` | {one.kind} | {default} | {description} |")
    return "\n".join(rows)


def first_paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def page(before: str) -> str:
    """The whole page; of what it was before, the part above the mark stays."""
    parts = [before.split(MARK)[0].rstrip(), MARK, "## Tables"]
    for heading, file, name, more in TABLES:
        source = Source(file)
        kind = getattr(source.module, name)
        description = f"{first_paragraph(kind.__doc__)} {more}".strip()
        parts += [f"### {heading}", description, table(source.fields(kind))]
    assert sorted(SPECS) == sorted(name for names in GROUPS.values() for name in names), (
        "a task stands in no group, or in two"
    )
    parts += [
        "## Tasks",
        "The table `task` holds `name`, one of those below, and that task's options.",
    ]
    for group, names in GROUPS.items():
        parts.append(f"### {group}")
        for name in names:
            about = importlib.import_module(SPECS[name].build.__module__).__doc__
            module = OPTIONS[name].__module__.removeprefix("triptych.").replace(".", "/")
            keys = Source(f"{module}.py").fields(OPTIONS[name])
            parts += [f"#### {name}", first_paragraph(about), table(keys)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
