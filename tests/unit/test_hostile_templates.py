"""Templates that want out of the sandbox, or never to end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.reader import Reader
from services.notifier.templates.bounded import UNITS
from services.notifier.templates.folder import shelf
from services.notifier.templates.library import Library, Shelf
from services.notifier.templates.view import view
from shared.errors import BadDocument
from tests.factories import delivery

BUILT_IN = shelf(None).built_in
DOUBLED = "".join("{% set a = a ~ a %}" for _ in range(60))
CAPTURED = "".join("{% set a %}{{ a }}{{ a }}{% endset %}" for _ in range(60))
NESTED = "".join("{% set a = [a, a] %}{% set b = [b, b] %}" for _ in range(60))
CALLED = "".join(f"{{% macro m{n + 1}() %}}{{{{ m{n}() }}}}{{{{ m{n}() }}}}{{% endmacro %}}" for n in range(40))
FILTERED = ("{% for i in range(1000) if " + " or ".join(["i < 0"] * 60) + " %}{% endfor %}") * 40
LOOPS = "{% for i in range(1000) %}" * 5 + "{% endfor %}" * 5


def rendered(text: str, **others: str) -> str:
    library = Library(Shelf(BUILT_IN, {"en/text.j2": text, **{f"en/{name}.j2": each for name, each in others.items()}}))
    reader = Reader()
    return library.render("text", "breached", reader, view(delivery(), "breached", reader))


@pytest.mark.parametrize(
    "text",
    [
        # out of the sandbox
        "{{ ''.__class__.__mro__ }}",
        "{{ event['__class__'] }}",
        "{{ self.__init__.__globals__ }}",
        "{{ range.__globals__ }}",
        "{{ cycler }}",
        "{{ lipsum(1000000000) }}",
        "{{ ''|attr('__class__') }}",
        "{{ '{0.__class__}'.format(event) }}",
        "{{ '%s' % event }}",
        "{{ event.update({'id': 'x'}) }}",
        "{{ event.items() }}",
        "{{ [1].append(2) }}",
        "{% include '/etc/passwd' %}",
        "{% include '../../../settings.py' %}",
        "{% autoescape true %}{% endautoescape %}",
        # too much at once
        "{{ 'a' * 10 ** 9 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ [0] * 10 ** 9 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ 'a'|center(1000000000) }}",
        "{{ 'a'|indent(1000000000) }}",
        "{{ 1.5|round(1000000000, 'ceil') }}",
        "{{ range(10 ** 9)|join }}",
        "{{ range(1000000000)|join('x') }}",
        "{{ " + "9" * 5_000 + " }}",
        "{{ " + "*".join(["9223372036854775807"] * 9) + " }}",
        # too much by and by
        LOOPS,
        "{% set a = 'a' %}" + DOUBLED,
        "{% set a = 'a' %}" + CAPTURED,
        "{% macro m0() %}a{% endmacro %}" + CALLED + "{{ m40() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% include 'text.j2' %}{% include 'text.j2' %}",
        "{% extends 'text.j2' %}",
        "{% set a = [1] %}{% set b = [1] %}" + NESTED + "{{ a == b }}",
        "{% set a = [1] %}{% set b = [1] %}" + NESTED + "{{ a in [b] }}",
        "{% set a = [1] %}{% set b = [1] %}" + NESTED + "{{ a }}",
        "{% set a = [1] %}{% set b = [1] %}" + NESTED + "{{ a|string }}",
        "{% set a = [1] %}{% set b = [1] %}" + NESTED + "{{ a|length ~ a }}",
        "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% for i in range(1000) recursive %}{{ loop(range(1000)) }}{% endfor %}",
        FILTERED,
        "{% for i in range(1000) %}" + "x" * 30_000 + "{% endfor %}",
        "x" * 40_000,
        "{{ " + "(" * 5_000 + ")" * 5_000 + " }}",
        "{% if true %}" * 2_000 + "{% endif %}" * 2_000,
    ],
)  # fmt: skip
def test_it_is_stopped_and_named(text: str) -> None:
    with pytest.raises(BadDocument):
        rendered(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ 1 + 2 * 3 }} {{ 7 // 2 }} {{ -1 }}", "7 3 -1"),
        ("{% for name, value in {'a': 1, 'b': 2}|items if name != 'b' %}{{ name ~ value }}{% endfor %}", "a1"),
        ("{% for i in range(3) %}{{ loop.cycle('a', 'b') }}{% endfor %}", "aba"),
        ("{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "6"),
        ("{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{{ twice('a') }}", "aa"),
        ("{% call(x) each() %}{{ x }}!{% endcall %}", "1!2!"),
        ("{{ [1, 'b', none]|join(', ') }}", "1, b, "),
        ("{{ nothing|default('-') }} {{ nothing is defined }}", "- False"),
        ("{{ event.id ~ '/' ~ event.cycle }} {{ event.metric|words|title }}", "42/1 First Response"),
        ("{{ 'a b'|urlencode }} {{ 'abcdefghijkl'|truncate(5) }} {{ 'abc'[:2] }}", "a%20b ab... ab"),
        ("{{ event.severity in ['high', 'low'] }} {{ 'x' ~ (1 if alert else 2) }}", "True x2"),
    ],
)  # fmt: skip
def test_what_is_left_is_enough_to_write_with(text: str, expected: str) -> None:
    macro = "{% macro each() %}{% for x in [1, 2] %}{{ caller(x) }}{% endfor %}{% endmacro %}"
    assert rendered(macro + text) == expected


def test_a_text_may_be_as_long_as_what_it_costs() -> None:
    line = "{% for i in range(1000) %}" + "x" * 100 + "{% endfor %}"
    assert len(rendered(line * 4)) == 400_000 < UNITS
    with pytest.raises(BadDocument, match="too much text, or takes too long"):
        rendered(line * 5)


PIECES = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{%",
            "%}",
            "for",
            "in",
            "if",
            "endif",
            "endfor",
            "else",
            "set",
            "=",
            "macro",
            "endmacro",
            "include",
        ),
        *("a", "event", "range", "namespace", "__class__", "'x'", "1", "\n"),
        *("|", "|join", "~", "(", ")", "[", "]", "**", "*", ".", "-", ","),
    ]
)


@given(st.lists(PIECES, max_size=40).map(" ".join) | st.text(max_size=80))
def test_any_text_is_a_template_or_a_mistake_with_a_place(text: str) -> None:
    try:
        found: object = isinstance(rendered(text), str)
    except BadDocument as exc:
        found = [problem for problem in exc.problems if problem.line >= 1 and problem.message]
    assert found
