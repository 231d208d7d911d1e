"""What messages say by templates, in each language, and what becomes of them when a template fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import message
from services.notifier.channels.mail import compose
from services.notifier.delivery import AlertView, Delivery
from services.notifier.endpoints.mail import Email, Smtp
from services.notifier.reader import Reader
from services.notifier.templates import template_lint
from services.notifier.templates.folder import shelf
from services.notifier.templates.library import PARTS, Library, Part, Shelf
from services.notifier.templates.samples import samples
from services.notifier.templates.view import KINDS, NAMES, TemplateKind, kind_of, view
from services.notifier.templates.writer import TemplateWriter
from shared.errors import BadDocument
from tests.factories import BREACH_ID, CLOCK_ID, DUE, breach, delivery, silence

BUILT_IN = shelf(None)
LIBRARY = Library(BUILT_IN)
MADRID = Reader("es", "Europe/Madrid")
READERS = (Reader(), MADRID, Reader("es-MX", "America/Mexico_City"), Reader("de", "Europe/Berlin"))


def with_templates(**own: str) -> Library:
    """The built-in templates, and some of an installation's own: `es__subject` is es/subject.j2."""
    texts = {f"{name.replace('__', '/').replace('_in_', '.')}.j2": text for name, text in own.items()}
    return Library(Shelf(BUILT_IN.built_in, texts, "templates"))


def said(part: Part, found: Delivery, reader: Reader = READERS[0], library: Library = LIBRARY) -> str:
    kind = kind_of(found)
    return library.render(part, kind, reader, view(found, kind, reader))


def writer(library: Library, faults: list[tuple[TemplateKind, str]], reader: Reader = READERS[0]) -> TemplateWriter:
    return TemplateWriter(library, reader, lambda kind, fault: faults.append((kind, str(fault))))


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_part_of_every_message_is_written_in_both_languages(kind: TemplateKind, language: str) -> None:
    reader = Reader(language, "Europe/Madrid")
    for sample in samples(kind):
        for part in PARTS:
            assert LIBRARY.find(part, kind, reader).partition("/")[0] in ("any", language)
            assert LIBRARY.render(part, kind, reader, view(sample, kind, reader)).strip()


@pytest.mark.parametrize("kind", KINDS)
def test_no_english_is_left_in_a_spanish_message(kind: TemplateKind) -> None:
    english, spanish = (
        {
            line.strip()
            for sample in samples(kind)
            for part in ("text", "chat")
            for line in LIBRARY.render(part, kind, reader, view(sample, kind, reader)).splitlines()
        }
        for reader in (Reader("en"), Reader("es"))
    )
    same = english & spanish
    assert {line for line in same if line and ": " not in line} == set()  # attributes of the item are alike
    assert {line.partition(":")[0] for line in same if line} <= {"assignee", "customer", "group", "plan", "priority"}


def test_a_breach_in_english() -> None:
    assert said("subject", delivery()).strip() == "[Plazo] Breached: ticket 42, first response"
    assert said("line", delivery()).strip() == "Breached: ticket 42, first response (high)"
    assert said("text", delivery()) == "\n".join(
        [
            "Breached: ticket 42, first response",
            "",
            "The promise of first response within 4 hours is broken: the time is used up, and it has not been kept.",
            "",
            "Item:            default/ticket/42",
            "Promise:         first response within 4 hours",
            "Policy:          standard-tickets (high), hours of madrid",
            "Started:         Mon, Jan 5, 2026, 08:00:00 UTC",
            "Due:             Mon, Jan 5, 2026, 12:00:00 UTC",
            "Breached:        Mon, Jan 5, 2026, 12:00:00 UTC",
            "Detected:        Mon, Jan 5, 2026, 12:00:00 UTC, 3 ms after it happened",
            "Used:            4 hours of business time",
            "",
            "About the item",
            "  priority: high",
            '  tags: ["vip","billing"]',
            "",
            f"Sent by route default takes everything. Breach {BREACH_ID}, clock {CLOCK_ID}.",
            "",
        ]
    )


def test_a_breach_in_spanish_has_the_readers_own_times_and_business_time() -> None:
    late = breach(
        "event-2", "sla.breach.stopped.v1", elapsed_s=19_800.0, stopped_at="2026-01-05T13:30:00Z", policy="estándar"
    )
    text = said("text", delivery(late), MADRID)
    assert text.splitlines()[:3] == [
        "Hecho con retraso: tique 42, primera respuesta",
        "",
        "Lo prometido se ha hecho al fin, con 1 hora y 30 minutos de retraso.",
    ]
    assert "Vence:           lun, 5 ene 2026, 13:00:00 CET" in text
    assert "Política:        estándar (gravedad alta), horario madrid" in text


@pytest.mark.parametrize(
    ("at", "reader", "expected"),
    [
        ("2026-01-05T12:00:00Z", Reader("en", "UTC"), "Mon, Jan 5, 2026, 12:00:00 UTC"),
        # the day is that of the reader's zone
        ("2026-01-05T23:30:00Z", Reader("es", "Europe/Madrid"), "mar, 6 ene 2026, 0:30:00 CET"),
        # the same hour of the clock twice, told apart by the zone's name
        ("2026-10-25T00:30:00Z", Reader("en-GB", "Europe/Madrid"), "Sun, 25 Oct 2026, 02:30:00 CEST"),
        ("2026-10-25T01:30:00Z", Reader("en-GB", "Europe/Madrid"), "Sun, 25 Oct 2026, 02:30:00 CET"),
        # a zone whose name is a number
        ("2026-01-05T12:00:00Z", Reader("pt-BR", "America/Sao_Paulo"), "seg., 5 de jan. de 2026, 09:00:00 UTC-03"),
        (None, Reader(), ""),
    ],
)
def test_a_time_is_written_as_it_is_read_where_the_reader_is(at: str | None, reader: Reader, expected: str) -> None:
    assert reader.time(at) == expected


def test_a_time_beside_another_of_the_same_day_leaves_the_day_out() -> None:
    reader = Reader("en", "Europe/Madrid")
    assert reader.clock("2026-01-05T12:00:00Z", "2026-01-05T22:59:59Z") == "13:00:00 CET"
    assert reader.clock("2026-01-05T12:00:00Z", "2026-01-05T23:00:00Z") == "Jan 5, 13:00:00 CET"


@pytest.mark.parametrize(
    ("seconds", "english", "spanish"),
    [
        (0, "0 seconds", "0 segundos"),
        (0.0034, "3 ms", "3 ms"),
        (60, "1 minute", "1 minuto"),
        (5400, "1 hour and 30 minutes", "1 hora y 30 minutos"),
        (90_061, "1 day and 1 hour", "1 día y 1 hora"),  # the two largest units
        (-2880, "48 minutes", "48 minutos"),  # what is left is not negative
    ],
)
def test_a_length_of_time_is_put_into_words(seconds: float, english: str, spanish: str) -> None:
    assert (Reader("en").duration(seconds), Reader("es").duration(seconds)) == (english, spanish)


@pytest.mark.parametrize(
    ("language", "zone"),
    [("klingon", "UTC"), ("../en", "UTC"), ("", "UTC"), ("en", "Europe/Atlantis"), ("en", "../etc"), ("en", "")],
)
def test_a_language_or_a_zone_that_nobody_knows_is_refused(language: str, zone: str) -> None:
    with pytest.raises(ValueError, match=r"expected a (language|time zone) like"):
        Reader(language, zone)


def test_a_language_without_templates_is_told_in_english() -> None:
    assert said("subject", delivery(), Reader("de")) == said("subject", delivery())


def test_a_language_is_added_by_its_words_alone() -> None:
    words = BUILT_IN.built_in["en/words.j2"].replace("Breached", "Gerissen")
    german = with_templates(de__words=words)
    assert said("subject", delivery(), Reader("de-AT"), german) == "[Plazo] Gerissen: ticket 42, first response"
    assert said("subject", delivery(), MADRID, german) == said("subject", delivery(), MADRID)


def test_one_message_of_one_language_is_said_otherwise() -> None:
    own = with_templates(es__breached_in_subject="¡Ay! {{ event.id }}")
    assert said("subject", delivery(), MADRID, own) == "¡Ay! 42"
    assert said("subject", delivery(silence()), MADRID, own) == said("subject", delivery(silence()), MADRID)
    assert said("subject", delivery(), library=own) == said("subject", delivery())


def test_what_is_built_in_can_be_extended_by_a_template_of_its_own_name() -> None:
    own = with_templates(any__chat='{% include "built-in/any/chat.j2" %}\n\nhttps://desk.example.com/{{ event.id }}')
    assert said("chat", delivery(), library=own) == said("chat", delivery()) + "\nhttps://desk.example.com/42"


def test_a_digest_names_the_worst_first_and_how_many_more_there_are() -> None:
    members = tuple(breach(f"e{n}", item=f"default/ticket/{n}") for n in range(3))
    found = delivery(members=members, count=250)
    assert said("subject", found).strip() == "[Plazo] 250 alerts, the worst: Breached: ticket 0, first response"
    text = said("text", replace(found, alert=AlertView(found.id, "open", url="https://plazo.example.com/ack")))
    assert "/ack" not in text  # a link would acknowledge one of them only
    assert text.index("ticket 0") < text.index("ticket 1") < text.index("ticket 2") < text.index("and 247 more")


def test_an_escalation_says_that_nobody_has_taken_it_up() -> None:
    found = delivery(step="+30m")
    assert said("subject", found, MADRID).startswith("[Plazo] Nadie lo atiende todavía: Incumplido: tique 42")
    assert "(step +30m)" in said("chat", found)


@pytest.mark.parametrize("part", ["text", "html", "chat"])
def test_whoever_reads_can_acknowledge_by_a_link_until_somebody_has(part: Part) -> None:
    alert = AlertView(delivery().id, "open", url="https://plazo.example.com/ack?token=a&b=c")
    shown = "https://plazo.example.com/ack?token=a&amp;b=c" if part == "html" else alert.url
    assert str(shown) in said(part, delivery(alert=alert))
    taken = said(part, delivery(alert=replace(alert, standing="acknowledged", acknowledged_by="Ana <ana>")))
    assert "Acknowledged by Ana" in taken
    assert "token=" not in taken


@pytest.mark.parametrize("kind", ["customer_told", "customer_restored"])
def test_a_customer_is_told_nothing_that_is_the_teams(kind: TemplateKind) -> None:
    for sample in samples(kind):
        for part in PARTS:
            text = LIBRARY.render(part, kind, MADRID, view(sample, kind, MADRID))
            for ours in ("standard-tickets", "nora", "token=", "urgent", "Plazo", str(sample.record.id)):
                assert ours not in text.partition("<body>")[2] or part != "html", ours
                assert ours not in text or part == "html", ours


HOSTILE = st.text(st.sampled_from("ab<>&\"'{}%\r\n\0\x85\u2028é") | st.characters(), max_size=40)


@given(HOSTILE, st.dictionaries(HOSTILE, HOSTILE, max_size=3))
def test_nothing_of_an_item_becomes_html_or_a_line_or_a_template(text: str, attributes: dict[str, str]) -> None:
    found = delivery(breach(id=text, policy=text, metric=text, tenant=text, attributes=attributes))
    plain = said(
        "html", delivery(breach(id="x", policy="x", metric="x", tenant="x", attributes=dict.fromkeys(attributes, "x")))
    )
    for tag in ("<", ">"):
        assert said("html", found).count(tag) == plain.count(tag)
    for part in ("subject", "line"):
        assert len(said(part, found).strip().splitlines()) == 1


def test_a_mail_is_text_and_html_in_one() -> None:
    letter = writer(LIBRARY, [], MADRID).letter(delivery())
    smtp = Smtp(host="mail.example.com")
    settings = Email.model_validate({"to": "a@example.com", "from": "p@example.com", "smtp": smtp})
    mail = BytesParser(policy=default).parsebytes(compose(delivery(), settings, letter, DUE).as_bytes())
    assert mail["Subject"] == "[Plazo] Incumplido: tique 42, primera respuesta"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert [part.get_content().splitlines() for part in mail.iter_parts()] == [
        text.splitlines() for text in (letter.text, letter.html or "")
    ]


@pytest.mark.parametrize(
    ("own", "line", "what"),
    [
        ({"en__text": "fine\n{{ evnt.id }}"}, 2, "'evnt' is undefined"),
        ({"en__text": "{{ event.idd }}"}, 1, "no attribute 'idd'"),
        ({"en__text": "\n{% if %}"}, 2, "Expected an expression"),
        ({"en__html": "{{ event.id|nothing }}"}, 1, "No filter named 'nothing'"),
        ({"en__words": "{% set title = 1 %}"}, 6, "'lead'"),  # the words lack what the layout asks for
    ],
)
def test_a_template_that_fails_never_loses_a_message(own: Mapping[str, str], line: int, what: str) -> None:
    faults: list[tuple[TemplateKind, str]] = []
    letter = writer(with_templates(**own), faults).letter(delivery())
    assert letter.subject == message.subject(breach())
    assert letter.text.startswith(message.text(delivery()))
    assert f".j2:{line}: " in letter.text
    assert what in letter.text
    assert [(kind, what in fault) for kind, fault in faults] == [("breached", True)]


def test_a_line_and_a_chat_of_a_template_that_fails_have_the_built_in_form_with_the_error() -> None:
    broken = writer(with_templates(any__line="{{ x }}", any__chat="{{ x }}"), [])
    for text in (broken.line(delivery()), broken.chat(delivery())):
        assert text.startswith(message.line(breach()))
        assert "templates/any/" in text
        assert "'x' is undefined" in text
    assert len(broken.line(delivery()).splitlines()) == 1


def test_a_subject_stays_one_line_whatever_a_template_makes_of_it() -> None:
    letter = writer(with_templates(any__subject="a\nBcc: x@example.com\r\n{{ '\x00' }}"), []).letter(delivery())
    assert letter.subject == "a Bcc: x@example.com"


def test_templates_are_given_what_is_documented_and_no_more() -> None:
    assert view(delivery(), "breached", MADRID).keys() == NAMES


@pytest.mark.parametrize(
    ("name", "text", "line", "what"),
    [
        ("es/breached.subject.j2", "fine {{ event.id }}", 0, ""),
        ("any/_footer.j2", "{{ whatever }}", 0, ""),  # what is included is given what its users give
        ("es/subject.j2", "\n{% for %}", 2, "Expected an expression"),
        ("es/subject.j2", "\n{% if false %}\n{{ evnt }}{% endif %}", 3, "'evnt' is undefined"),  # never reached
        ("es/breached.subject.j2", "{{ event.quiet_s }}", 1, "no attribute 'quiet_s'"),  # of a silence only
        ("es/sbject.j2", "x", 1, "expected a name like"),
        ("es/broken.subject.j2", "x", 1, "expected a name like"),
        ("spanish/subject.j2", "x", 1, "expected a language like"),
        ("es/breached.subject.j2", "{{ event.id.upper() }}", 1, "upper() cannot be called"),
        ("es/chat.j2", "{{ 'a' ~ }}", 1, "unexpected"),
    ],
)
def test_lint_finds_the_file_and_the_line(name: str, text: str, line: int, what: str) -> None:
    found = template_lint.findings(Shelf(BUILT_IN.built_in, {name: text}, "our"))
    assert [(each.file, each.line, what in each.message) for each in found] == (
        [(f"our/{name}", line, True)] if line else []
    )


def test_lint_has_nothing_to_say_of_what_is_built_in() -> None:
    assert template_lint.findings(Shelf({}, BUILT_IN.built_in, "built-in")) == []


def test_a_folder_is_read_by_its_languages(tmp_path: Path) -> None:
    (tmp_path / "es").mkdir()
    (tmp_path / "es" / "subject.j2").write_text("hola")
    (tmp_path / "es" / "README").write_text("not a template")
    (tmp_path / "loose.j2").write_text("of no language")
    assert shelf(tmp_path).own == {"es/subject.j2": "hola"}


def test_a_folder_that_cannot_be_read_is_a_mistake_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match="No such file"):
        shelf(tmp_path / "nowhere")


def test_a_value_that_is_long_is_cut() -> None:
    given: dict[str, Any] = view(delivery(breach(id="x" * 5_000, attributes={"a": ["y" * 5_000]})), "breached", MADRID)
    assert (len(given["event"]["id"]), len(given["event"]["attributes"]["a"])) == (200, 200)
