"""Find the chat template of a published model, and make its run a chat."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..data.templates.published import TEXT, TOKENS, WITH_TOOLS
from ..data.tokenizers.imported import ImportedTokenizer
from ..errors import DataError, RunError, UsageError, brief
from ..interchange.huggingface import read_json, read_text
from ..tasks import chat, language_modelling
from ..tasks.published_turns import PublishedTurns
from .heads import Use

CHAT, NEXT_TOKENS = chat.SPEC.name, language_modelling.SPEC.name
CONFIG, FILE, OTHERS = "tokenizer_config.json", "chat_template.jinja", "additional_chat_templates"
DEFAULT, FOR_TOOLS = "default", "tool_use"  # names of templates, where there are several
KEY = "chat_template"
# What every template is tried on. The words are not in any template.
ASKED, SYSTEM, ANSWERED = "Qaqu?", "Sysu.", "Anan"


def use_of_decoder(
    path: Path,
    config: Mapping[str, object],
    tokenizer: ImportedTokenizer,
    task: str | None,
    given: Use,
) -> tuple[Use, ImportedTokenizer]:
    """Return what a decoder is for, and its tokenizer, which ends a turn as the template does.

    Args:
        path: The folder.
        config: Its tokenizer_config.json.
        tokenizer: Its tokenizer.
        task: The task that the user names.
        given: What it is for without a template, or by an export of ours.

    Raises:
        RunError: The template does not compile, fails, or never ends.
        UsageError: The task needs a template, and the folder has none.
    """
    has_forms = "template" in given.labels
    if task not in (None, NEXT_TOKENS, CHAT):
        raise UsageError(
            "--task {task} is for an encoder; a decoder-only model is imported for {tasks}.",
            task=task,
            tasks=f"{NEXT_TOKENS}, {CHAT}",
        )
    forms = None if task == NEXT_TOKENS else template_of(path, config)
    if forms is None:
        if task == CHAT and not has_forms:
            raise UsageError(
                "{path} has no chat template (the key {key} of {config}, or {file}), so it is not "
                "imported for {task}.",
                path=path,
                key=KEY,
                config=CONFIG,
                file=FILE,
                task=task,
            )
        return given, tokenizer
    kept = given.labels.get("template")
    if isinstance(kept, dict) and TEXT in kept:
        forms = cast("dict[str, str]", kept)
    where = _place(path)
    turns = PublishedTurns(forms, where)
    labels: dict[str, object] = {
        "template": forms, "tags": [], "roles": _roles(turns, tokenizer),
    }  # fmt: skip
    if has_forms:
        labels["roles"] = given.labels.get("roles", labels["roles"])
    end = _end(turns, tokenizer)
    tokenizer = tokenizer if end is None else tokenizer.with_ends([end])
    task = given.task if has_forms else CHAT
    return dataclasses.replace(given, task=task, labels={**given.labels, **labels}), tokenizer


def template_of(path: Path, config: Mapping[str, object]) -> dict[str, str] | None:
    """Return the label "template" of a folder, or None where it has no chat template.

    As in the library transformers, chat_template.jinja comes before the key of
    tokenizer_config.json, and of several templates `tool_use` is for conversations with tools.
    """
    several = _named(path, config)
    if not several:
        return None
    chosen = several.get(DEFAULT) or next(iter(several.values()))
    if DEFAULT not in several and len(several) > 1:
        raise RunError(
            "{path} has the chat templates {names}, and none is named {default}. Name one so, or "
            "import the model with --task {task}.",
            path=path,
            names=brief(", ".join(several)),
            default=DEFAULT,
            task=NEXT_TOKENS,
        )
    found = {TEXT: chosen}
    if several.get(FOR_TOOLS, chosen) != chosen:
        found[WITH_TOOLS] = several[FOR_TOOLS]
    held = path / "special_tokens_map.json"
    tokens = {**(read_json(held) if held.is_file() else {}), **config}
    for name in TOKENS:
        token = tokens.get(name)
        token = token.get("content") if isinstance(token, Mapping) else token
        if isinstance(token, str):
            found[name] = token
    return found


def exported(template: Mapping[str, str]) -> dict[str, Any]:
    """Return the keys of tokenizer_config.json for the label "template"."""
    tokens = {name: template[name] for name in TOKENS if name in template}
    if WITH_TOOLS not in template:
        return {**tokens, KEY: template[TEXT]}
    several = ((DEFAULT, template[TEXT]), (FOR_TOOLS, template[WITH_TOOLS]))
    return {**tokens, KEY: [{"name": name, "template": text} for name, text in several]}


def _named(path: Path, config: Mapping[str, object]) -> dict[str, str]:
    """Return the templates of a folder by their names."""
    found: dict[str, str] = {}
    given = config.get(KEY)
    listed = given if isinstance(given, list) else []
    for one in listed:
        name, text = (
            (one.get("name"), one.get("template")) if isinstance(one, Mapping) else (None, None)
        )
        if not isinstance(name, str) or not isinstance(text, str):
            raise RunError(
                "{path}: {key} is a list, whose items must have a name and a template. Copy it "
                "again.",
                path=path / CONFIG,
                key=KEY,
            )
        found[name] = text
    if isinstance(given, str):
        found[DEFAULT] = given
    elif given is not None and not listed:
        raise RunError(
            "{path}: {key} is {given}, not a text. Copy it again.",
            path=path / CONFIG,
            key=KEY,
            given=brief(repr(given)),
        )
    if (path / FILE).is_file():
        found[DEFAULT] = read_text(path / FILE)
    for one in sorted((path / OTHERS).glob("*.jinja")):
        found[one.stem] = read_text(one)
    return found


def _place(path: Path) -> str:
    return str(path / (FILE if (path / FILE).is_file() else CONFIG))


def _roles(turns: PublishedTurns, tokenizer: ImportedTokenizer) -> list[str]:
    """Return the roles that the template writes; a system message may be refused or left out."""
    asked = {"role": "user", "content": ASKED}
    told = [{"role": "system", "content": SYSTEM}, asked]
    try:
        has_system = SYSTEM in turns.rendering(told, tokenizer).text(told, True)
    except DataError:
        has_system = False
    return ["assistant", *(["system"] if has_system else []), "user"]


def _end(turns: PublishedTurns, tokenizer: ImportedTokenizer) -> int | None:
    """Return the control token that the template writes after an answer, if there is one."""
    told = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]
    try:
        text = turns.rendering(told, tokenizer).text(told, False)
    except DataError:
        return None
    _, _, after = text.partition(ANSWERED)
    token = tokenizer.control(turns.template.literal).first_of(after)
    return None if token is None else tokenizer.number(token)
