"""Conversations by the templates of published models: the library transformers' ids, to the token,
save that nobody types a special token.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pytest
from toy_chat import predictor_of
from toy_published import STYLES, labels_of, tokenizer_of
from transformers import PreTrainedTokenizerFast

from triptych.data.example import Example
from triptych.data.tokenizers.imported import ImportedTokenizer
from triptych.data.tokenizers.sides import Tokenizers
from triptych.errors import DataError, RunError
from triptych.inference.examples import example_of
from triptych.tasks import chat, preference
from triptych.tasks.published_turns import PublishedTurns
from triptych.tasks.turns import NONE

SYSTEM = {"role": "system", "content": "Be brief."}
TALKS: dict[str, list[dict[str, Any]]] = {
    "one": [{"role": "user", "content": "hello"}],
    "system": [SYSTEM, {"role": "user", "content": "how are\nyou?"}],
    "several": [
        SYSTEM,
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "fine, 你好"},
        {"role": "user", "content": "  and <b>you</b> "},
        {"role": "assistant", "content": "very well"},
    ],
}
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"q": "<text>"}}}]
CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": "look it up"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"function": {"name": "look_up", "arguments": {"q": "你 <b>"}}}],
    },
    {"role": "tool", "content": "found <it>"},
]


@lru_cache
def oracle(style: str) -> PreTrainedTokenizerFast:
    template, *_, begin, ends = STYLES[style]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer_of(style)[1],
        chat_template=template,
        bos_token=begin,
        eos_token=ends[0],
    )


@lru_cache
def own(style: str) -> tuple[PublishedTurns, ImportedTokenizer]:
    return PublishedTurns(labels_of(style)["template"]), tokenizer_of(style)[0]


def wanted(style: str, messages: list[dict[str, Any]], prompt: bool, **more: Any) -> list[int]:
    found: Any = oracle(style).apply_chat_template(
        messages, add_generation_prompt=prompt, return_dict=False, **more
    )
    return found


def read(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = given(messages).messages
    assert found is not None
    return found


def given(messages: list[dict[str, Any]], **more: Any) -> Example:
    """What a user's messages become."""
    task = chat.build({})
    return example_of(task, {"messages": messages, **more}, "a talk")


@pytest.mark.parametrize("name", TALKS)
@pytest.mark.parametrize("style", STYLES)
def test_a_prompt_is_that_of_transformers(style: str, name: str) -> None:
    messages = TALKS[name] if name != "several" else TALKS[name][:-1]
    turns, tokenizer = own(style)
    told = read(messages)
    ids, unread = turns.conversation(told, tokenizer, 4096).prompt()
    assert ids == wanted(style, told, True) and unread == 0


@pytest.mark.parametrize("style", ["chatml", "llama3"])
def test_tools_are_as_the_template_has_them(style: str) -> None:
    turns, tokenizer = own(style)
    messages = CALLED if style == "chatml" else [CALLED[0], TALKS["several"][2], CALLED[2]]
    example = given(messages, tools=TOOLS)
    assert example.messages is not None
    ids, _ = turns.conversation(example.messages, tokenizer, 4096, example.tools).prompt()
    assert ids == wanted(style, messages, True, tools=TOOLS)
    if style == "chatml":
        without, _ = turns.conversation(example.messages, tokenizer, 4096).prompt()
        assert len(without) < len(ids)


@pytest.mark.parametrize("style", STYLES)
def test_the_loss_falls_on_the_answers_and_their_ends(style: str) -> None:
    turns, tokenizer = own(style)
    messages = read(TALKS["several"])
    ((ids, targets),) = turns.conversation(messages, tokenizer, 4096).windows()
    whole = wanted(style, messages, False)
    # all that is read, and the end that is only written
    assert [*ids, targets[-1]] == whole[: len(ids) + 1]
    assert all(
        target in (NONE, following)
        for target, following in zip(targets, [*ids[1:], targets[-1]], strict=True)
    )
    told = [target for target in targets if target != NONE]
    ends = [place for place, one in enumerate(told) if one in tokenizer.end_ids]
    assert len(ends) == 2 and ends[-1] == len(told) - 1
    first, second = told[: ends[0]], told[ends[0] + 1 : -1]
    assert tokenizer.decode(first).strip() == "fine, 你好"
    assert tokenizer.decode(second).strip() == "very well"
    # what is read before an answer is the prompt for it
    start = next(place for place, one in enumerate(targets) if one != NONE)
    assert ids[: start + 1] == wanted(style, messages[:2], True)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("form", ["{}", "a {} b", "{0}{0}", "{}\n", " {}"])
def test_nobody_types_a_special_token(style: str, form: str) -> None:
    turns, tokenizer = own(style)
    _, _, special, added, *_ = STYLES[style]
    for token in [*special, *added]:
        messages = [{"role": "user", "content": form.format(token).strip()}]
        ids, _ = turns.conversation(messages, tokenizer, 4096).prompt()
        plain, _ = turns.conversation([{"role": "user", "content": "x"}], tokenizer, 4096).prompt()
        number = tokenizer.number(token) or 0
        assert ids.count(number) == plain.count(number)
        assert token in tokenizer._backend.decode(ids, skip_special_tokens=False)
        assert wanted(style, messages, True).count(number) > plain.count(number)


def test_halves_at_the_border_of_a_message_make_no_token() -> None:
    template = "{% for m in messages %}<{{ m.content }}|im_end|>{% endfor %}"
    turns = PublishedTurns({"jinja": template})
    _, tokenizer = own("chatml")
    end = tokenizer.number("<|im_end|>")
    for text in ("|im_end|>", "<", "a <", "<|im_end", "|im"):
        messages = [{"role": "user", "content": text}]
        ids, _ = turns.conversation(messages, tokenizer, 4096).prompt()
        shown = f"<{text}|im_end|>"
        assert end not in ids and tokenizer._backend.decode(ids) == shown
    # a text without a part of a token is left to the template
    ids, _ = turns.conversation([{"role": "user", "content": "x"}], tokenizer, 4096).prompt()
    assert tokenizer._backend.decode(ids) == "<x|im_end|>"


def test_aliases_and_marks_that_are_typed_are_texts() -> None:
    turns, tokenizer = own("chatml")
    for text in ("\ufdd01\ufdd0", "\ufdd0", "\ufdd11\ufdd1 \ufdd0 <|im_end|>"):
        messages = [{"role": "user", "content": text}]
        ids, _ = turns.conversation(messages, tokenizer, 4096).prompt()
        assert f"user\n{text}<|im_end|>" in tokenizer._backend.decode(
            ids, skip_special_tokens=False
        )
        assert ids.count(tokenizer.end_id) == 1


def test_an_answer_keeps_the_tokens_that_a_model_writes() -> None:
    """`<tool_call>` is no special token: the assistant's is one token, the user's is text."""
    turns, tokenizer = own("chatml")
    number = tokenizer.number("<tool_call>") or 0
    talk = [{"role": role, "content": "<tool_call>"} for role in ("user", "assistant", "user")]
    ids, _ = turns.conversation(talk, tokenizer, 4096).prompt()
    assert ids.count(number) == 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("context", [80, 104, 128])
def test_a_long_conversation_is_learnt_in_windows(style: str, context: int) -> None:
    turns, tokenizer = own(style)
    texts = [f"{word} {number}" for number in range(8) for word in ("ask", "say")]
    messages = [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(texts)
    ]
    told = list[str]()
    conversation = turns.conversation(messages, tokenizer, context)
    windows = conversation.windows()
    for ids, targets in windows:
        assert len(ids) == len(targets) <= context
        answers, part = list[str](), list[int]()
        for target in targets:
            if target in tokenizer.end_ids:
                answers.append(tokenizer.decode(part).strip())
                part = []
            elif target != NONE:
                part.append(target)
        told += answers
    assert told == texts[1::2] and (len(windows) > 1 or context > 80)
    assert conversation.learnable == sum(one != NONE for _, targets in windows for one in targets)


@pytest.mark.parametrize("style", STYLES)
def test_a_long_history_loses_its_oldest_messages(style: str) -> None:
    turns, tokenizer = own(style)
    messages = [SYSTEM]
    for number in range(20):
        messages += [
            {"role": "user", "content": f"ask {number}"},
            {"role": "assistant", "content": f"say {number}"},
        ]
    messages.append({"role": "user", "content": "the last"})
    ids, unread = turns.conversation(messages, tokenizer, 200).prompt()
    whole = wanted(style, messages, True)
    assert len(ids) <= 100 and unread == len(whole) - len(ids) > 0
    kept = next(
        start
        for start in range(1, len(messages), 2)
        if wanted(style, [SYSTEM, *messages[start:]], True) == ids
    )
    assert len(wanted(style, [SYSTEM, *messages[kept - 2 :]], True)) > 100
    long = [{"role": "user", "content": "word " * 200 + "end"}]
    ids, unread = turns.conversation(long, tokenizer, 128).prompt()
    shown = tokenizer._backend.decode(ids, skip_special_tokens=False)
    assert 50 <= len(ids) <= 64 and unread > 100 and "word end" in shown
    assert ids[:3] == wanted(style, long, True)[:3]  # the template's own beginning is whole


def test_a_template_that_rewrites_history_is_refused_for_training() -> None:
    last = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if loop.last or m.role == 'user' %}{{ m.content }}{% else %}...{% endif %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    turns, (_, tokenizer) = PublishedTurns({"jinja": last}), own("chatml")
    messages = read(TALKS["several"])
    with pytest.raises(DataError, match=r"changes earlier turns .* \(after message 2\)"):
        turns.conversation(messages, tokenizer, 4096).windows()
    # one answer can be learnt
    ((_, targets),) = turns.conversation(messages[:3], tokenizer, 4096).windows()
    assert tokenizer.decode([one for one in targets if one != NONE]) == "fine, 你好"


def test_a_tokenizer_is_written_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fingerprint took 30 to 140 ms of every request for a vocabulary of 49,152 tokens."""
    turns, tokenizer = own("chatml")
    written: list[str] = []
    whole = ImportedTokenizer._as_json

    def watched(self: ImportedTokenizer, more: Mapping[str, object]) -> str:
        written.append(whole(self, more))
        return written[-1]

    monkeypatch.setattr(ImportedTokenizer, "_as_json", watched)
    for text in ("one", "two", "three"):
        ids, _ = turns.conversation([{"role": "user", "content": text}], tokenizer, 64).prompt()
        assert ids
    assert len(written) <= 1  # none where a test before this one asked for it


def test_what_a_template_refuses_is_said() -> None:
    turns, tokenizer = own("mistral")
    twice = [{"role": "user", "content": "a"}] * 2
    with pytest.raises(DataError, match="refuses this conversation: After the system"):
        turns.conversation(twice, tokenizer, 64).prompt()
    with pytest.raises(DataError, match="no form for tools"):
        task = chat.build({"context": 64})
        tokenizers = Tokenizers(tokenizer, tokenizer)
        labels = {"template": chat.TEMPLATES["text"], "tags": []}
        task.encode(given(CALLED), tokenizers, labels, "use", None)


def test_a_task_chats_tunes_and_prefers_by_the_template() -> None:
    _, tokenizer = own("chatml")
    tokenizers, labels = Tokenizers(tokenizer, tokenizer), labels_of("chatml")
    task = chat.build({"context": 96})
    asked = task.prepare([given(TALKS["several"])])
    assert task.inherit_labels is not None
    taken = task.inherit_labels(asked, labels, tokenizers)
    assert taken["template"] == labels["template"] and taken["tags"] == []
    predictor = predictor_of(task, taken, tokenizers)
    assert predictor.predict(["hello"])[0].text is not None
    pieces = task.encode(given(TALKS["several"]), tokenizers, taken, "train", None)
    assert task.check is not None
    task.check([pieces], tokenizers)
    assert pieces[-1].unseen == 0
    tuning = preference.build({"context": 96})
    example = Example(messages=TALKS["system"], chosen="fine", rejected="you?")
    (one,) = tuning.encode(example, tokenizers, taken, "train", None)
    ends = one.targets["tokens"].tolist()
    assert ends.count(tokenizer.end_id) == 2
    size = int(one.targets["chosen_tokens"][0])
    assert tokenizer.decode(ends[: size - 1]) == "fine"
    assert tokenizer.decode(ends[size:-1]) == "you?"
    first = one.inputs["target_lengths"][0]
    prompt = wanted("chatml", TALKS["system"], True)
    assert one.inputs["target"][:first].tolist()[: len(prompt)] == prompt


def test_a_template_that_is_no_jinja_names_its_line() -> None:
    with pytest.raises(RunError, match=r"in my\.jinja is not valid Jinja at line 2: .*'foreach'"):
        PublishedTurns({"jinja": "a\n{% foreach x in y %}"}, "my.jinja")
    turns, tokenizer = (
        PublishedTurns({"jinja": "a\n\n{{ messages.x.y }}"}, "my.jinja"),
        own("gemma")[1],
    )
    with pytest.raises(RunError, match=r"in my\.jinja failed at line 3: .*has no attribute 'x'"):
        turns.conversation(TALKS["one"], tokenizer, 64).prompt()
