"""Read one conversation of another tool as {"messages": [{"role", "content"}]}.

ShareGPT and its kin (a list of turns under another key, or of pairs of question and answer),
instructions with their answers (Alpaca, Dolly, LLaMA-Factory with `system` and `history`), prompts
with completions (OpenAI, TRL), and transcripts in one text (Human: ... Assistant: ...).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ..json_lines import brief, is_list, is_record
from ..messages import UNLEARNT, WEIGHT, Unusable, role_of, text_of

Record = Mapping[str, object]
Turn = dict[str, object]
Remark = Callable[[str, str], None]  # called with the place and what is not read there

TURNS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns")
ALTERNATING = ("dialogue", "dialog")  # may hold texts alone: the user's, the assistant's, ...
# Keys of a request, of what belongs to it, and of its answer.
ASKED: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("instruction", ("input", "context"), ("output", "response")),
    ("prompt", (), ("completion", "response")),
    ("query", (), ("response",)),
    ("question", (), ("response",)),
)
# Keys of an object that holds a question and its answer, in a list of them.
PAIRED = (
    ("human", "assistant"),
    ("user", "assistant"),
    ("input", "output"),
    ("prompt", "response"),
    ("question", "answer"),
)
SYSTEM = ("system", "system_prompt")
MEDIA = ("image", "images", "video", "videos", "audio", "audios")
UNREAD = ("tools", "functions")  # what the answers may rest on, without being a part of a turn
# Marks of the speakers in a text, tried in this order.
MARKS = (
    re.compile(r"###[ \t]*(Human|Assistant|System)[ \t]*:"),
    re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):"),
)


def turns_of(values: Record, place: str, remark: Remark) -> list[Turn] | None:
    """Return the turns of a record as messages, not yet checked; None for an empty answer.

    Raises Unusable if the record holds no conversation.
    """
    refuse_media(values, place)
    for key in UNREAD:
        if values.get(key):
            remark(place, f"'{key}' is not read")
    if "messages" in values and not isinstance(values["messages"], list):
        return _given(values["messages"], "messages", place)
    key = next((key for key in TURNS if is_list(values.get(key))), None)
    if key is not None:
        given = values[key]
        assert is_list(given), "the key was chosen for its list"
        return headed(values, listed(given, key, place, remark), place)
    asked = asked_of(values)
    if asked is not None:
        return _answered(values, asked, place)
    if isinstance(values.get("text"), str) and (found := transcript(str(values["text"]))):
        return found
    raise Unusable(
        f"{place}: there is no 'messages', and no 'instruction' with 'output'. The keys are "
        f"{', '.join(values) or 'none'}.",
        "there is no conversation in it",
    )


def _given(messages: object, key: str, place: str) -> list[Turn]:
    """Return a text under `messages` as the user's turn, so that its error is that of any."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    raise Unusable(
        f"{place}: {key} must be a list, got {brief(messages)}. Write "
        '[{"role": "user", "content": "..."}].',
        "the messages are not a list",
    )


def refuse_media(values: Record, place: str) -> None:
    """Raise Unusable if a record holds an image, a video or a sound."""
    key = next((key for key in MEDIA if values.get(key)), None)
    if key is not None:
        raise Unusable(
            f"{place}: the record has '{key}', which a chat does not read.",
            f"it has '{key}', which a chat does not read",
        )


def listed(given: Sequence[object], key: str, place: str, remark: Remark) -> list[Turn]:
    """Return a list of turns, of pairs of question and answer, or of alternating texts."""
    if key in ALTERNATING and given and all(isinstance(one, str) for one in given):
        remark(place, f"the texts of '{key}' are the user's and the assistant's in turn")
        return [
            {"role": "assistant" if number % 2 else "user", "content": text}
            for number, text in enumerate(given)
        ]
    found: list[Turn] = []
    for number, one in enumerate(given):
        if not is_record(one):
            raise Unusable(
                f"{place}: {key}[{number}] must be an object, got {brief(one)}. Write "
                '{"role": "user", "content": "..."}.',
                "a message is not an object",
            )
        pair = next((pair for pair in PAIRED if set(pair) <= one.keys()), None)
        if pair is None or "role" in one or "from" in one:
            found.append(one)
        else:
            found += [
                {"role": "user", "content": one[pair[0]]},
                {"role": "assistant", "content": one[pair[1]]},
            ]
    return without_empty_system(found, place, remark)


def without_empty_system(turns: Sequence[Turn], place: str, remark: Remark) -> list[Turn]:
    """Leave out system messages without text, with which nothing is lost."""
    kept = [one for one in turns if not (role_of(one) == "system" and _empty(one))]
    if len(kept) < len(turns):
        remark(place, "an empty system message is dropped")
    return kept


def _empty(turn: Turn) -> bool:
    content = turn.get("content", turn.get("value"))
    return content in (None, []) or (isinstance(content, str) and not content.strip())


def headed(values: Record, turns: Sequence[Turn], place: str) -> list[Turn]:
    """Put the system message that a record holds under a key of its own before its turns."""
    key = next((key for key in SYSTEM if values.get(key)), None)
    given = None if key is None else values[key]
    if key is None or (isinstance(given, str) and not given.strip()):
        return list(turns)
    text = text_of(values, key, place)
    if turns and role_of(turns[0]) == "system":
        first = turns[0].get("content", turns[0].get("value"))
        if isinstance(first, str) and first.strip() == text:
            return list(turns)
        raise Unusable(
            f"{place}: '{key}' and the first message are two different system messages.",
            "it has two system messages",
        )
    return [{"role": "system", "content": text}, *turns]


def asked_of(values: Record) -> tuple[str, str | None, str] | None:
    """Return the keys of a request, of what belongs to it, and of its answer, if it has them."""
    for asked, more, answered in ASKED:
        answer = next((key for key in answered if key in values), None)
        if asked in values and answer is not None:
            return asked, next((key for key in more if key in values), None), answer
    return None


def _answered(values: Record, keys: tuple[str, str | None, str], place: str) -> list[Turn] | None:
    """Read a request and its answer, texts or lists of messages, after system and history."""
    answered = keys[2]
    answer = values[answered]
    if isinstance(answer, str) and not answer.strip():
        return None
    question = request_of(values, keys[:2], place)
    for one in question:
        if role_of(one) == "assistant":
            one[WEIGHT] = int(UNLEARNT)  # of a prompt nothing is learnt
    return headed(
        values,
        [
            *_history(values, place),
            *question,
            *(
                [_turn(one, answered, place) for one in answer]
                if is_list(answer)
                else [{"role": "assistant", "content": text_of(values, answered, place)}]
            ),
        ],
        place,
    )


def request_of(values: Record, keys: tuple[str, str | None], place: str) -> list[Turn]:
    """Return a request as turns: messages, or a text (an empty line, and what belongs to it)."""
    asked, more = keys
    if is_list(given := values[asked]):
        return [dict(_turn(one, asked, place)) for one in given]
    text, added = text_of(values, asked, place), None if more is None else values[more]
    if (
        more is not None
        and added is not None
        and not (isinstance(added, str) and not added.strip())
    ):
        text += "\n\n" + text_of(values, more, place)
    return [{"role": "user", "content": text}]


def _history(values: Record, place: str) -> list[Turn]:
    """Return the turns before a request: pairs of question and answer, or messages."""
    given = values.get("history")
    if not given:
        return []
    found: list[Turn] = []
    for number, one in enumerate(given if is_list(given) else [given]):
        if is_list(one) and len(one) == 2:
            found += [
                {"role": role, "content": text}
                for role, text in zip(("user", "assistant"), one, strict=True)
            ]
        elif is_record(one):
            found.append(one)
        else:
            raise Unusable(
                f"{place}: history[{number}] must be a list of a question and its answer, got "
                f"{brief(one)}.",
                "its history is not a list of questions and answers",
            )
    return found


def _turn(given: object, key: str, place: str) -> Turn:
    if is_record(given):
        return given
    raise Unusable(
        f"{place}: '{key}' holds {brief(given)}, which is not a message. Write "
        '{"role": "user", "content": "..."}.',
        "a message is not an object",
    )


def transcript(text: str) -> list[Turn] | None:
    """Return the turns of a text in which a user and then an assistant are marked, else None.

    A mark of the assistant with nothing after it asks for the answer and is no turn.
    """
    for pattern in MARKS:
        marks = list(pattern.finditer(text))
        if not marks or text[: marks[0].start()].strip():
            continue
        ends = [*(mark.start() for mark in marks[1:]), len(text)]
        turns: list[Turn] = [
            {"role": mark[1].lower(), "content": text[mark.end() : end].strip()}
            for mark, end in zip(marks, ends, strict=True)
        ]
        speakers = [turn["role"] for turn in turns]
        if speakers[0] != "assistant" and "assistant" in speakers:
            cue = speakers[-1] == "assistant" and _empty(turns[-1])
            return turns[:-1] if cue else turns
    return None


def has_turns(values: Record) -> bool:
    """Tell whether the keys of a record are those of a conversation."""
    several = (values.get(key) for key in TURNS)
    return (
        "messages" in values
        or any(is_list(one) and one and is_record(one[0]) for one in several)
        or asked_of(values) is not None
    )
