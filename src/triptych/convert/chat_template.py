"""Write the template of conversations as the Jinja template of the library transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..data.formats.messages import ROLES
from ..data.tokenizers.subwords import Tokenizer
from ..tasks.turns import MARK, ChatTemplate

# Conversations on which both ways are compared. Words at borders of turns are what can differ.
PROBES: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", "Hello there"),),
    (("system", "Be brief."), ("user", " 1 + 1? "), ("assistant", "2"), ("user", "(why)")),
    (("user", "你好"), ("assistant", "「好」"), ("user", "one\n\ntwo")),
)
LONGEST = 1 << 20  # tokens: nothing of a probe is cut


def jinja(forms: Mapping[str, str], tokenizer: Tokenizer) -> str:
    """Return the template; marks are spelt as the tokenizer's special tokens.

    A message's text is without white space around it, and the end of an answer is not written, as
    in training (`tasks/turns.py`).
    """
    template = ChatTemplate(forms)
    parts: list[str] = []
    for place, role in enumerate(ROLES):
        form = template.forms[role]
        before = f"{_spelt(form.lead, tokenizer)}{' ' * form.space}"
        parts.append(
            f"{{% {'elif' if place else 'if'} message['role'] == {_quoted(role)} %}}"
            f"{_shown(before)}{{{{ message['content'] | trim }}}}"
            f"{_shown(_spelt(form.after, tokenizer))}"
        )
    lead = _shown(_spelt(template.forms["assistant"].lead, tokenizer))
    parts.append("{% else %}{{ raise_exception('No form for the role ' + message['role']) }}")
    return (
        f"{{{{ bos_token }}}}{{% for message in messages %}}{''.join(parts)}{{% endif %}}"
        f"{{% endfor %}}{{% if add_generation_prompt %}}{lead}{{% endif %}}"
    )


def differs(forms: Mapping[str, str], tokenizer: Tokenizer, written: Mapping[str, object]) -> bool:
    """Tell whether the written tokenizer.json cuts a conversation into other tokens than ours.

    It reads a conversation as one text, where ours reads each turn alone. Special tokens around
    the turns make both alike; a template in words may not.
    """
    import tokenizers

    backend = tokenizers.Tokenizer.from_str(json.dumps(written))
    backend.add_special_tokens(tokenizer.pieces([tokenizer.begin_id]))
    template = ChatTemplate(forms)
    for probe in PROBES:
        messages = [{"role": role, "content": text} for role, text in probe]
        wanted, _ = template.conversation(messages, tokenizer, LONGEST).prompt()
        text = _rendered(template, messages, tokenizer)
        if backend.encode(text, add_special_tokens=False).ids != wanted:
            return True
    return False


def _rendered(template: ChatTemplate, messages: list[dict[str, str]], tokenizer: Tokenizer) -> str:
    """Return the text that `jinja` writes of a conversation, with the prompt for an answer."""
    found = tokenizer.pieces([tokenizer.begin_id])[0]
    for message in messages:
        form = template.forms[message["role"]]
        found += f"{_spelt(form.lead, tokenizer)}{' ' * form.space}{message['content'].strip()}"
        found += _spelt(form.after, tokenizer)
    return found + _spelt(template.forms["assistant"].lead, tokenizer)


def _spelt(text: str, tokenizer: Tokenizer) -> str:
    """Spell the marks in a form as the special tokens that they are."""
    return MARK.sub(lambda mark: tokenizer.pieces([tokenizer.tags[mark[1]]])[0], text)


def _shown(text: str) -> str:
    return f"{{{{ {_quoted(text)} }}}}" if text else ""


def _quoted(text: str) -> str:
    """Write a text as a literal of Jinja, which reads JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)
