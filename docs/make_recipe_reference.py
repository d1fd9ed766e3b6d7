"""Writes docs/recipe.md below its mark: every key of a recipe, out of the source, with its type,
its default and the comment beside it.

    python docs/make_recipe_reference.py

What stands above the mark is written by hand. tests/test_docs.py fails where the rest is not what
this writes.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from pathlib import Path
from typing import Any, NamedTuple

from triptych.tasks.specs import SPECS

PAGE = Path(__file__).with_name("recipe.md")
MARK = "<!-- written by docs/make_recipe_reference.py from here on -->"
PACKAGE = Path(__file__).parents[1] / "src" / "triptych"
SHARED = "tasks/sequence_to_sequence.py"  # the options of tasks that have none of their own
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
        "model/config.py",
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
}
PLAIN = {
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "str": "text",
    "NoneType": "text",
    "list[str]": "list of texts",
    "list[int]": "list of whole numbers",
    "dict[str, str | int]": "table",
    "StackConfig": "table",
}


class Key(NamedTuple):
    """One key of a recipe, as its row in the reference has it."""

    name: str
    kind: str
    default: Any
    description: str


class Source:
    """A file of the package with its comments by line, and its assignments by name."""

    def __init__(self, name: str) -> None:
        text = (PACKAGE / name).read_text(encoding="utf-8")
        self.tree = ast.parse(text)
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        self.comments, self.above = {}, {}
        for one in tokens:
            if one.type == tokenize.COMMENT:
                beside = bool(one.line[: one.start[1]].strip())
                (self.comments if beside else self.above)[one.start[0]] = one.string.lstrip("# ")
        self.named: dict[str, Any] = {
            node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)
        }
        for node in self.tree.body:
            target = (
                node.targets[0]
                if isinstance(node, ast.Assign)
                else node.target
                if isinstance(node, ast.AnnAssign)
                else None
            )
            if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign):
                self.named[target.id] = node.value

    def description(self, node: Any) -> str:
        """Return the comment beside an entry or, where there is none, the lines above it."""
        if (beside := self.comments.get(node.end_lineno)) is not None:
            return beside
        lines, number = [], node.lineno - 1
        while number in self.above:
            lines.insert(0, self.above[number])
            number -= 1
        return " ".join(lines)

    def fields(self, name: str) -> list[Key]:
        """The fields of a dataclass."""
        lines = {
            ast.unparse(node.target): node
            for node in self.named[name].body
            if isinstance(node, ast.AnnAssign)
        }
        return [
            Key(
                key,
                self.kind(line.annotation),
                value(line.value),
                self.description(line),
            )
            for key, line in lines.items()
            if key not in NO_KEYS.get(name, ())
        ]

    def options(self, name: str) -> list[Key]:
        """The entries of a dictionary of options, those that it takes over first."""
        found: list[Key] = []
        for key, entry in zip(self.named[name].keys, self.named[name].values, strict=True):
            if key is None:  # **LEARNING, **shared.LONG
                other = entry.id if isinstance(entry, ast.Name) else entry.attr
                found += (self if other in self.named else Source(SHARED)).options(other)
            else:
                default = value(entry)
                found.append(
                    Key(
                        value(key),
                        PLAIN[type(default).__name__],
                        default,
                        self.description(entry),
                    )
                )
        return found

    def kind(self, node: ast.expr) -> str:
        """A type in words; that a value may be absent is told by its default."""
        if isinstance(node, ast.BinOp):
            return " or ".join(
                self.kind(part) for part in (node.left, node.right) if ast.unparse(part) != "None"
            )
        if isinstance(node, ast.Name) and node.id in self.named and node.id not in PLAIN:
            return self.kind(self.named[node.id])
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
            return " ".join(f"`{json.dumps(one)}`" for one in ast.literal_eval(node.slice))
        return PLAIN[ast.unparse(node)]


def value(node: Any) -> Any:
    """What an expression of constants is worth; of `field(default_factory=lambda: X)` X."""
    if isinstance(node, ast.Call):
        node = node.keywords[0].value.body  # type: ignore[attr-defined]
    return eval(compile(ast.Expression(node), "default", "eval"), {"__builtins__": {}})


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


def first_paragraph(node: ast.Module | ast.ClassDef) -> str:
    return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def page(before: str) -> str:
    """The whole page; of what it was before, the part above the mark stays."""
    parts = [before.split(MARK)[0].rstrip(), MARK, "## Tables"]
    for heading, file, name, more in TABLES:
        source = Source(file)
        description = f"{first_paragraph(source.named[name])} {more}".strip()
        parts += [f"### {heading}", description, table(source.fields(name))]
    modules = {name: spec.build.__module__.split(".")[-1] for name, spec in SPECS.items()}
    assert sorted(modules) == sorted(name for names in GROUPS.values() for name in names), (
        "a task stands in no group, or in two"
    )
    parts += [
        "## Tasks",
        "The table `task` holds `name`, one of those below, and that task's options.",
    ]
    for group, names in GROUPS.items():
        parts.append(f"### {group}")
        for name in names:
            source = Source(f"tasks/{modules[name]}.py")
            keys = (
                source.options("OPTIONS")
                if "OPTIONS" in source.named
                else Source(SHARED).options("LONG")
            )
            parts += [f"#### {name}", first_paragraph(source.tree), table(keys)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
