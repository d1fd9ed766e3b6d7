"""Read one preference of another tool as {"prompt": turns, "chosen": turns, "rejected": turns}.

TRL (prompt, chosen and rejected as messages; or the prompt as their shared beginning), Anthropic's
HH (two transcripts), UltraFeedback (two conversations with their scores), LLaMA-Factory (turns, and
two messages) and OpenAI (`preferred_output`, `non_preferred_output`).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..json_lines import brief, is_list, is_record
from ..messages import Unusable, role_of, text_of
from .conversations import (
    ASKED,
    TURNS,
    Record,
    Remark,
    Turn,
    headed,
    listed,
    refuse_media,
    request_of,
    transcript,
    without_empty_system,
)

OPENAI = ("preferred_output", "non_preferred_output")
SCORES = (("score_chosen", "score_rejected"), ("chosen_score", "rejected_score"))
WITHIN = ("content", "value")  # keys of a turn's text
PROMPTS = ("messages", "prompt", *TURNS[1:])


def has_answers(values: Record) -> bool:
    """Tell whether the keys of a record are those of a preference."""
    return {"chosen", "rejected"} <= values.keys() or set(OPENAI) <= values.keys()


def preference_of(values: Record, place: str, remark: Remark) -> tuple[list[Turn], Turn, Turn]:
    """Return the turns before the answers, and the chosen and the rejected answer as turns.

    Raises Unusable if there is no preference, or the answers differ in more than one turn.
    """
    values = _of_openai(values, place)
    refuse_media(values, place)
    _refuse_scores(values, place)
    given = _prompt(values, place, remark)
    if given is None and not _has_beginnings(values):
        raise _no_prompt(values, place)
    chosen, rejected = (
        without_empty_system(_answer(values, key, place), place, remark)
        for key in ("chosen", "rejected")
    )
    if any(turns and role_of(turns[0]) != "assistant" for turns in (chosen, rejected)):
        shared, chosen, rejected = _divided(chosen, rejected, place)
        _refuse_other_prompt(given or [], shared, place)
        given = shared
    if len(chosen) != 1 or len(rejected) != 1:
        raise Unusable(
            f"{place}: 'chosen' and 'rejected' differ in more than one turn of the assistant.",
            "its answers differ in more than one turn",
        )
    if given is None:
        raise _no_prompt(values, place)
    return headed(values, given, place), chosen[0], rejected[0]


def _no_prompt(values: Record, place: str) -> Unusable:
    return Unusable(
        f"{place}: there is no 'prompt' (a text) and no 'messages'. The keys are "
        f"{', '.join(values) or 'none'}.",
        "there is no prompt",
    )


def _of_openai(values: Record, place: str) -> Record:
    """Give the keys of OpenAI's preferences their usual names."""
    if not set(OPENAI) <= values.keys():
        return values
    asked = values.get("input")
    if not is_record(asked):
        raise Unusable(f"{place}: there is no 'input' with 'messages'.", "there is no prompt")
    return {**asked, "chosen": values[OPENAI[0]], "rejected": values[OPENAI[1]]}


def _refuse_scores(values: Record, place: str) -> None:
    """Raise Unusable if the rejected answer has the higher score."""
    for names in SCORES:
        chosen, rejected = (values.get(name) for name in names)
        if (
            isinstance(chosen, int | float)
            and isinstance(rejected, int | float)
            and chosen < rejected
        ):
            raise Unusable(
                f"{place}: {names[0]} ({brief(chosen)}) is below {names[1]} ({brief(rejected)}).",
                f"{names[0]} is below {names[1]}",
            )


def _prompt(values: Record, place: str, remark: Remark) -> list[Turn] | None:
    """Return the turns that both answers follow, None where they have no key of their own."""
    key = next((name for name in PROMPTS if name in values), None)
    if key is None:
        for asked, more, _ in ASKED:
            if asked in values:
                added = next((name for name in more if name in values), None)
                return request_of(values, (asked, added), place)
        return None
    given = values[key]
    if is_list(given):
        return listed(given, key, place, remark)
    text = text_of(values, key, place)
    return transcript(text) or [{"role": "user", "content": text}]


def _has_beginnings(values: Record) -> bool:
    """Tell whether both answers may begin with their prompt: conversations, or transcripts."""
    return all(
        is_list(one) or (isinstance(one, str) and transcript(one) is not None)
        for one in (values.get("chosen"), values.get("rejected"))
    )


def _answer(values: Record, key: str, place: str) -> list[Turn]:
    """Return an answer as turns: its own, or a whole conversation that ends with it."""
    given = values.get(key)
    if is_record(given):
        return [given]
    if is_list(given):
        return listed(given, key, place, lambda place, what: None)
    text = text_of(values, key, place)
    found = transcript(text)
    return [{"role": "assistant", "content": text}] if found is None else found


def _divided(
    chosen: Sequence[Turn], rejected: Sequence[Turn], place: str
) -> tuple[list[Turn], list[Turn], list[Turn]]:
    """Divide two conversations into their shared beginning and the ends in which they differ."""
    same = 0
    while same < min(len(chosen), len(rejected)) and _text(chosen[same]) == _text(rejected[same]):
        same += 1
    if same == len(chosen) == len(rejected):
        raise Unusable(
            f"{place}: 'chosen' and 'rejected' are the same text, so there is no preference.",
            "'chosen' and 'rejected' are the same text",
        )
    if not same:
        raise Unusable(
            f"{place}: 'chosen' and 'rejected' share no beginning that could be their prompt.",
            "there is no prompt",
        )
    return list(chosen[:same]), list(chosen[same:]), list(rejected[same:])


def _text(turn: Turn) -> tuple[str | None, object]:
    content = next((turn[key] for key in WITHIN if key in turn), None)
    return role_of(turn), content.strip() if isinstance(content, str) else content


def _refuse_other_prompt(prompt: Sequence[Turn], shared: Sequence[Turn], place: str) -> None:
    """Raise Unusable if a prompt that is also given on its own is not in the shared beginning.

    UltraFeedback's 'messages' go on with the chosen answer: all up to the user's last turn counts.
    """
    asked = [number for number, one in enumerate(prompt, 1) if role_of(one) == "user"]
    held = [_text(one) for one in shared]
    if any(_text(one) not in held for one in prompt[: max(asked, default=0)]):
        raise Unusable(
            f"{place}: 'chosen' and 'rejected' do not begin with the prompt.",
            "its answers do not begin with the prompt",
        )
