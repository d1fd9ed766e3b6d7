"""A template from outside: it ends, it stays small, and it gets nothing of Python's."""

from __future__ import annotations

import time
from typing import Any

import pytest
from transformers.utils.chat_template_utils import _compile_jinja_template

from triptych.data.templates.published import PublishedTemplate
from triptych.errors import DataError, RunError

GROWING = "{% set ns = namespace(x='ab') %}{% for i in range(90) %}"
ENDLESS = {
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}": "steps",
    GROWING + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}": "characters",
    GROWING + "{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}": "characters",
    GROWING + "{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}{{ ns.x }}": "characters",
    GROWING + "{% set ns.x = ns.x.replace('ab', 'abab') %}{% endfor %}{{ ns.x }}": "characters",
    "{{ 'a' * 10**9 }}": "characters",
    "{{ 7 ** (10 ** 10) }}": "bits",
    "{{ '%1000000000d' % 1 }}": "width",
    "{{ '%*d' % (10**9, 1) }}": "width",
    "{{ '{:>1000000000}'.format(1) }}": "width",
    "{{ '{:{w}}'.format(1, w=10**9) }}": "width",
    "{{ '%1000000000d' | format(1) }}": "width",
    "{{ 'a' | center(10**9) }}": "center",
    "{{ 'a'.rjust(10**9) }}": "characters",
    "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}": "characters",
    "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}": "characters",
    "{{ ''.join(['a' * 1000000] * 10000) }}": "characters",
    "{% macro f(n) %}{{ f(n - 1) }}{{ f(n - 1) }}{% endmacro %}{{ f(9) }}": "recursion",
    "{% set x %}{% for a in range(900) %}{% for b in range(900) %}longer{% endfor %}"
    "{% endfor %}{% endset %}{{ x }}": "characters",
}
FORBIDDEN = [
    "{{ ''.__class__.__mro__ }}",
    "{% include '/etc/passwd' %}",
    "{{ messages.append(1) }}",
    "{{ raise_exception.__globals__ }}",
    "{{ cycler.__init__.__globals__ }}",
]
ORDINARY = [
    "{{ {'a': '<b>', 'é': [1, none]} | tojson }}{{ {'a': 1} | tojson(indent=2) }}",
    "{% for m in messages %}{% if loop.index0 == 1 %}{% continue %}{% endif %}\n"
    "{{ m.content }}{{ loop.last }}{{ loop.length }}{% endfor %}",
    "  {% if true %}\n  a\n  {% endif %}\nb\n",
    "{% generation %}x{% endgeneration %}{{ [1, 2] | map('string') | join('-') }}",
    "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}",
    "{% set ns = namespace(n=0) %}{% for m in messages | reverse %}{% set ns.n = ns.n + 1 %}"
    "{% endfor %}{{ ns.n }}{{ bos_token }}{{ missing }}",
    "{% macro f(x, y=2) %}{{ x }}{{ y }}{{ caller() if caller }}{% endmacro %}{{ f(1) }}"
    "{% call f(3) %}in{% endcall %}",
    "{{ '%s-%s' % ('a', 'b') }}{{ '{}'.format('x') }}{{ 7 // 2 }}{{ 'a' ~ 1 ~ none }}",
    "{{ messages[0].content.split(' ')[-1].strip().upper() | trim | replace('X', 'y') }}",
    "{% for x in range(3) | select('odd') %}{{ x }}{{ loop.index }}{% endfor %}",
    "{{ 'a,b'.split(',') | length }}{{ 'abc'[::-1] }}{{ 'x' | indent(4, true) }}{{ 3 | string }}",
    "{{ strftime_now('%%') }}{{ tools is none }}{{ documents is none }}",
]
TALK = [{"role": "user", "content": "hello <x> X"}, {"role": "assistant", "content": "fine"}]


@pytest.mark.parametrize("text", ENDLESS)
def test_a_template_that_never_ends_or_grows_is_stopped(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(RunError, match=ENDLESS[text]):
        PublishedTemplate({"jinja": text}, "x.jinja").render(TALK, True)
    assert time.monotonic() - began < 3


def test_time_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.data.templates.sandbox.SECONDS", 0.05)
    text = "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(40) }}"
    with pytest.raises(RunError, match=r"is stopped because it takes more than 0\.05 seconds"):
        PublishedTemplate({"jinja": text}).render(TALK, True)


@pytest.mark.parametrize("text", FORBIDDEN)
def test_nothing_of_pythons_is_reached(text: str) -> None:
    try:
        found = PublishedTemplate({"jinja": text}).render(TALK, True)
    except RunError as problem:
        assert "failed at line 1" in str(problem)
    else:
        assert found == ""


@pytest.mark.parametrize("text", ORDINARY)
def test_what_templates_do_is_done_as_in_transformers(text: str) -> None:
    values: dict[str, Any] = {"bos_token": "<s>"}
    wanted = _compile_jinja_template(text).render(
        messages=TALK, tools=None, documents=None, add_generation_prompt=True, **values
    )
    assert PublishedTemplate({"jinja": text, **values}).render(TALK, True) == wanted


def test_errors_say_what_and_where() -> None:
    with pytest.raises(DataError, match="refuses this conversation: no system"):
        PublishedTemplate({"jinja": "{{ raise_exception('no system') }}"}).render(TALK, True)
    with pytest.raises(RunError, match=r"x\.jinja has 2,000,000 characters"):
        PublishedTemplate({"jinja": "x" * 2_000_000}, "x.jinja")
    with pytest.raises(RunError, match="not valid Jinja"):
        PublishedTemplate({"jinja": "{{" + "(" * 9000 + ")" * 9000 + "}}"})
    long = "x" * (1 << 23)  # a long message is not the template's fault
    messages = [{"role": "user", "content": long}]
    assert len(
        PublishedTemplate({"jinja": "{{ messages[0].content ~ 'y' }}"}).render(messages, True)
    )
