"""Render conversations by the chat template of a published model.

The template is text of Jinja, as tokenizer_config.json or chat_template.jinja hold it. What it
writes itself (`<|im_end|>`) is a special token; the same characters in a message are not: before
rendering, a character that occurs nowhere else is put into them, by which they are told apart in
the rendered text (tokenizers/control.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateSyntaxError
from jinja2.exceptions import TemplateError

from ...errors import DataError, RunError, brief
from .sandbox import BoundedEnvironment, Refused, TooMuch, bounded

# Keys of the label "template" of a run with such a template: the template, that for conversations
# with tools if it is another, and the special tokens that it may name.
TEXT, WITH_TOOLS = "jinja", "jinja.tools"
TOKENS = (
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
)  # fmt: skip
LARGEST = 1 << 20  # characters of a template; the longest known ones have about 20,000
Protect = Callable[[str], str]
WEIGHT = "weight"  # our own key of a message, which no template reads


class PublishedTemplate:
    """Render messages as one text.

    Args:
        values: The label "template".
        where: The place of the template, for errors.

    Raises:
        RunError: The template does not compile; the text names its line.
    """

    def __init__(self, values: Mapping[str, str], where: str = "labels.json") -> None:
        self.where, self.source = where, values[TEXT]
        self._plain = _compiled(values[TEXT], where)
        self._tools = _compiled(values.get(WITH_TOOLS, values[TEXT]), where)
        self._tokens = {name: values[name] for name in TOKENS if name in values}

    @property
    def literal(self) -> str:
        """Return the text that names the template's own tokens."""
        return "".join((self.source, *self._tokens.values()))

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        prompt: bool,
        protect: Protect = str,
        tools: Sequence[Mapping[str, Any]] | None = None,
        protect_answers: Protect = str,
    ) -> str:
        """Return a conversation as text.

        Args:
            messages: With a role, a content and whatever else the template reads.
            prompt: End with what comes before the assistant's next words.
            protect: Changes each text that is given, so that none is read as a special token.
            tools: JSON schemas of functions that the model may call.
            protect_answers: The same for the assistant's turns.

        Raises:
            DataError: The template refuses the conversation.
            RunError: The template fails, or exceeds a bound.
        """
        turns = [
            _shielded(
                {key: value for key, value in one.items() if key != WEIGHT and value is not None},
                protect_answers if one.get("role") == "assistant" else protect,
            )
            for one in messages
        ]
        values = {
            **self._tokens,
            "messages": turns,
            "tools": _shielded(list(tools), protect) if tools else None,
            "documents": None,
            "add_generation_prompt": prompt,
        }
        template = self._tools if tools else self._plain
        try:
            return bounded(template.render, values, len(str(turns)) + len(str(tools)))
        except Refused as problem:
            raise DataError(
                "The chat template of the model refuses this conversation: {reason}",
                reason=brief(problem),
            ) from None
        except TooMuch as problem:
            raise RunError(
                "The chat template in {where} is stopped because {reason}. Use another template, "
                "or import the model with --task language-modelling.",
                where=self.where,
                reason=problem,
            ) from None
        except Exception as problem:  # a template can raise anything
            raise RunError(
                "The chat template in {where} failed at line {line}: {reason}.",
                where=self.where,
                line=_line(problem),
                reason=brief(problem).rstrip("."),
            ) from None


def _compiled(text: str, where: str) -> Template:
    """Compile a template. Raises RunError naming the line of what is not Jinja."""
    if len(text) > LARGEST:
        raise RunError(
            "The chat template in {where} has {size:,} characters; at most {most:,} are read.",
            where=where,
            size=len(text),
            most=LARGEST,
        )
    try:
        return _from_text(text)
    except TemplateSyntaxError as problem:
        raise RunError(
            "The chat template in {where} is not valid Jinja at line {line}: {reason}. Repair it, "
            "or import the model with --task language-modelling.",
            where=where,
            line=problem.lineno,
            reason=brief(problem.message).rstrip("."),
        ) from None
    except (TemplateError, RecursionError, SyntaxError, ValueError, MemoryError) as problem:
        raise RunError(
            "The chat template in {where} is not valid Jinja at line {line}: {reason}. Repair it, "
            "or import the model with --task language-modelling.",
            where=where,
            line=1,
            reason=brief(problem).rstrip("."),
        ) from None


@lru_cache(maxsize=16)
def _from_text(text: str) -> Template:
    return BoundedEnvironment().from_string(text)


def _shielded(value: Any, protect: Protect) -> Any:
    """Return plain JSON values with every text changed by `protect`.

    Keys, roles and types are names, by which a template decides; one that is a plain word stays.
    """
    if isinstance(value, str):
        return protect(str(value))
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {
            _name(str(key), protect): _name(one, protect)
            if key in ("role", "type") and isinstance(one, str)
            else _shielded(one, protect)
            for key, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_shielded(one, protect) for one in value]
    raise DataError(
        "A conversation holds a {kind}, which is not a value of JSON.", kind=type(value).__name__
    )


def _name(text: str, protect: Protect) -> str:
    return text if text.isidentifier() else protect(text)


def _line(problem: BaseException) -> int:
    """Return the line of the template where it failed; Jinja writes it into the traceback."""
    found, place = 0, problem.__traceback__
    while place is not None:
        if place.tb_frame.f_code.co_filename == "<template>":
            found = place.tb_lineno
        place = place.tb_next
    return found
