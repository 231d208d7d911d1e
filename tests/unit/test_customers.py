"""Customers: of which breaches they are told, when, that they hear of the end, and that nothing is shown to them."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import routes_file
from services.notifier.alerts.deciding import Decider
from services.notifier.alerts.standing import StandingAlert, snoozed
from services.notifier.customers import CUSTOMERS, CustomerMail, address_in, for_the_customer, notice
from services.notifier.delivery import AlertView, Notice
from services.notifier.reader import Reader
from services.notifier.routing import Routes, route
from services.notifier.templates.customer_writer import CustomerWriter, writer_for
from services.notifier.templates.folder import shelf
from services.notifier.templates.library import Library, Shelf
from services.notifier.templates.view import TemplateKind
from shared.breach_records import BreachRecord, PublishedRecord
from shared.errors import BadDocument
from shared.events import SECOND
from tests.factories import DUE, breach, delivery, silence

NOTIFY = """
receivers: {terminal: {console: {}}}
routes: [{receivers: [terminal]}]
customers:
  tell: immediately
  from: Support <support@example.com>
  smtp: {host: smtp.example.com}
"""
ADDRESS = {"requester_email": "ana@example.com"}


def loaded(old: str = "", new: str = "") -> Routes:
    assert not old or NOTIFY.count(old) == 1
    return routes_file.parse(NOTIFY.replace(old, new) if old else NOTIFY, "notify.yaml")


ROUTES = loaded()
PLANNED = loaded("tell: immediately", "tell: when_planned")


def stopped(**changes: object) -> BreachRecord:
    fields = {"stopped_at": "2026-01-05T13:00:00Z", "sequence": 2, "attributes": ADDRESS, **changes}
    return breach("event-2", "sla.breach.stopped.v1", DUE + 3600 * SECOND, **fields)


def retracted(**changes: object) -> BreachRecord:
    fields = {"sequence": 2, "attributes": ADDRESS, **changes}
    return breach("event-2", "sla.breach.retracted.v1", DUE + SECOND, **fields)


def told(routes: Routes, *records: PublishedRecord, alert: StandingAlert | None = None) -> list[list[str]]:
    """Who hears of each of *records*, which are published one after the other."""
    found = []
    for record in records:
        decision = Decider().on_event(record, route(routes, record, DUE), alert, DUE)
        alert = decision.alert
        found.append([each.receiver for each in decision.notices])
    return found


def reason(routes: Routes, record: PublishedRecord) -> str | None:
    assert routes.customers is not None
    found = notice(routes.customers, record)
    return None if found is None else found.reason


@pytest.mark.parametrize(
    ("routes", "record", "expected"),
    [
        (ROUTES, breach(attributes=ADDRESS), "customers, at requester_email: told immediately"),
        (ROUTES, breach(attributes={}), None),  # no address
        (ROUTES, breach(attributes={"requester_email": "Ana"}), None),
        (ROUTES, breach(event_type="sla.clock.warning.v1", breach_id=None, attributes=ADDRESS), None),
        (ROUTES, breach(event_type="sla.breach.cancelled.v1", attributes=ADDRESS), None),
        (ROUTES, silence(), None),
        (ROUTES, stopped(), "customers, at requester_email: it is over"),
        (ROUTES, retracted(), "customers, at requester_email: it is over"),
        (ROUTES, retracted(replaced_by="b2"), None),  # to whoever waits it is the same breach
        # when there is a plan
        (PLANNED, breach(attributes=ADDRESS), None),
        (PLANNED, breach(attributes={**ADDRESS, "plan": ""}), None),
        (
            PLANNED,
            breach(attributes={**ADDRESS, "restore_at": "15:00"}),
            "customers, at requester_email: there is a plan, in restore_at",
        ),
        (
            loaded("tell: immediately", "tell: when_planned\n  plan: eta"),
            breach(attributes={**ADDRESS, "eta": 3}),
            "customers, at requester_email: there is a plan, in eta",
        ),
        # which breaches, and which attribute
        (loaded("tell: immediately", "tell: immediately\n  match: {severity: low}"), breach(attributes=ADDRESS), None),
        (loaded("tell: immediately", "tell: immediately\n  when: item.vip"), breach(attributes=ADDRESS), None),
        (
            loaded("tell: immediately", "tell: immediately\n  address: mail"),
            breach(attributes={"mail": "a@example.com"}),
            "customers, at mail: told immediately",
        ),
    ],
)
def test_a_customer_is_told_of_a_breach_and_of_its_end(
    routes: Routes, record: PublishedRecord, expected: str | None
) -> None:
    assert reason(routes, record) == expected


def test_without_a_section_of_their_own_customers_are_told_nothing() -> None:
    routes = routes_file.parse(NOTIFY.partition("customers:")[0], "notify.yaml")
    assert told(routes, breach(attributes=ADDRESS), stopped()) == [["terminal"], ["terminal"]]


@pytest.mark.parametrize(
    ("routes", "records", "expected"),
    [
        # whoever hears of the breach hears of its end, once
        (ROUTES, [breach(attributes=ADDRESS), stopped(), retracted()], [True, True, False]),
        # whoever never heard of it does not
        (ROUTES, [breach(attributes={}), stopped()], [False, False]),
        (PLANNED, [breach(attributes=ADDRESS), stopped(attributes={**ADDRESS, "plan": "soon"})], [False, False]),
        (PLANNED, [breach(attributes={**ADDRESS, "plan": "soon"}), stopped()], [True, True]),
        (ROUTES, [stopped()], [False]),
        # a breach that another one replaces is told once
        (
            ROUTES,
            [
                breach(attributes=ADDRESS),
                retracted(replaced_by="b2"),
                breach("event-3", breach_id="b2", sequence=3, attributes=ADDRESS),
                stopped(sequence=4),
            ],
            [True, False, False, True],
        ),
        # one that was taken back and happens after all is another
        (
            ROUTES,
            [breach(attributes=ADDRESS), retracted(), breach("event-3", sequence=3, attributes=ADDRESS)],
            [True, True, True],
        ),
        # of what does not have to be done any more nothing is told
        (
            ROUTES,
            [breach(attributes=ADDRESS), breach("event-2", "sla.breach.cancelled.v1", sequence=2, attributes=ADDRESS)],
            [True, False],
        ),
    ],
)
def test_the_end_is_for_whoever_heard_of_the_beginning(
    routes: Routes, records: Sequence[BreachRecord], expected: list[bool]
) -> None:
    assert [CUSTOMERS in each for each in told(routes, *records)] == expected


def test_a_snooze_of_the_team_delays_no_customer() -> None:
    warned = Decider().on_event(breach("event-0", "sla.clock.warning.v1", sequence=0), (), None, DUE).alert
    assert warned is not None
    alert = snoozed(warned, "luis", "", DUE + 3600 * SECOND, DUE)
    record = breach(attributes=ADDRESS)
    decision = Decider().on_event(record, route(ROUTES, record, DUE), alert, DUE)
    assert {each.receiver: each.state for each in decision.notices} == {"terminal": "held", CUSTOMERS: "pending"}


def test_what_is_silenced_was_not_told() -> None:
    def hidden(each: Notice, *_: object) -> Notice:
        return Notice(each.route, each.receiver, each.channel, each.reason, state="silenced", why="maintenance")

    record = breach(attributes=ADDRESS)
    decision = Decider(hidden).on_event(record, route(ROUTES, record, DUE), None, DUE)
    assert told(ROUTES, stopped(), alert=decision.alert) == [["terminal"]]


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("ana@example.com", "ana@example.com"),
        (" ana@example.com ", "ana@example.com"),
        ("Ana <ana@example.com>", None),  # only the address itself
        ("ana@example.com, bea@example.com", None),  # and only one
        ("ana@example.com\nBcc: bea@example.com", None),
        ("ana@exam\xa0ple.com", None),
        ("ana@exámple.com", None),  # mail servers need not know such names
        ("ana", None),
        ("", None),
        (None, None),
        (["ana@example.com"], None),
        (7, None),
    ],
)
def test_an_address_is_one_plain_address(value: object, address: str | None) -> None:
    assert address_in(breach(attributes={"mail": value}), "mail") == address


@given(st.one_of(st.text(), st.from_regex(r"[!-~]{1,8}@[!-~]{1,8}", fullmatch=True)))
def test_whatever_is_taken_for_an_address_is_one_word_with_one_at_that_a_mail_can_be_sent_to(text: str) -> None:
    found = address_in(breach(attributes={"mail": text}), "mail")
    if found is not None:
        assert found.count("@") == 1
        assert not any(c.isspace() or c in ",;<>" for c in found)
        mail = EmailMessage(policy=SMTP)
        mail["To"] = found
        assert found.encode() in mail.as_bytes()


def test_what_is_the_teams_is_not_in_what_the_customer_is_shown() -> None:
    record = breach(attributes={**ADDRESS, "plan": "soon", "cause": "secret"}, late_evidence_possible=True)
    shown = for_the_customer(record, ("plan", "restore_at")).data
    assert shown.attributes == {"plan": "soon"}
    assert (shown.policy, shown.policy_version, shown.calendar, shown.calendar_data, shown.explanation) == (
        "",
        "",
        "",
        "",
        [],
    )
    assert (shown.id, shown.metric, shown.due_at) == ("42", "first_response", "2026-01-05T12:00:00Z")


SETTINGS = CustomerMail.model_validate(
    {
        "from": "Support <support@example.com>",
        "smtp": {"host": "smtp.example.com"},
        "attribute": "requester_email",
        "shown": ("plan",),
        "language_from": "locale",
    }
)
SECRET = {**ADDRESS, "plan": "Ana calls you <soon>", "cause": "the secret cause", "assignee": "luis"}
OURS = ("secret", "luis", "standard-tickets", "route", "Plazo", "acknowledge", "madrid", "high")


def letter(record: BreachRecord, library: Library | None = None) -> tuple[str, str, str | None]:
    faults: list[tuple[TemplateKind, BadDocument]] = []
    writer = CustomerWriter(library or Library(shelf(None)), Reader(), SETTINGS, lambda *fault: faults.append(fault))
    alert = AlertView(delivery().id, "acknowledged", "luis", "https://plazo.example.com/acknowledge")
    given = writer.letter(delivery(record, alert=alert, reason="route secret: severity is high"))
    assert bool(faults) is (library is not None)
    return given.subject, given.text, given.html


@pytest.mark.parametrize(
    ("record", "subject", "said"),
    [
        (breach(attributes=SECRET), "Your ticket 42: we are late", "Ana calls you <soon>"),
        (stopped(attributes=SECRET), "Your ticket 42: done", "has been done now"),
        (retracted(attributes=SECRET), "Your ticket 42: not late after all", "was done in time"),
        (breach(attributes={**SECRET, "locale": "es-MX"}), "Su tique 42: vamos con retraso", "Lo sentimos"),
        (breach(attributes={**SECRET, "locale": "klingon"}), "Your ticket 42: we are late", "We are sorry"),
        (breach(attributes={**SECRET, "locale": ["es"]}), "Your ticket 42: we are late", "We are sorry"),
    ],
)
def test_a_letter_says_what_the_customer_needs_and_no_more(record: BreachRecord, subject: str, said: str) -> None:
    found, text, html = letter(record)
    assert found == subject
    assert said in text
    assert html is not None
    body = html.partition("<body>")[2]
    for ours in OURS:
        assert ours not in f"{found} {text}".lower()
        assert ours not in body.lower()


def test_a_template_that_fails_shows_the_customer_neither_its_fault_nor_what_is_the_teams() -> None:
    broken = Library(
        Shelf(built_in={}, own={"en/words.j2": "{{ nothing }}", "any/subject.j2": "{% include 'words.j2' %}"})
    )
    subject, text, html = letter(breach(attributes=SECRET), broken)
    assert (subject, html) == ("Your ticket 42: we are late", None)
    assert text == f"{subject}\n\nWe have not yet done what we promised you. We are sorry, and we are working on it.\n"


def test_customers_have_a_writer_of_their_own() -> None:
    library = Library(shelf(None))
    writers = {
        name: type(writer_for(each, library, lambda *_: None)).__name__ for name, each in ROUTES.receivers.items()
    }
    assert writers == {"terminal": "TemplateWriter", CUSTOMERS: "CustomerWriter"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("tell: immediately", "tell: never", "notify.yaml:5: customers.tell: expected 'immediately' or 'when_planned'"),
        ("  tell: immediately\n", "", "customers.tell: is required"),
        ("tell: immediately", "tell: immediately\n  plan: []", "customers.plan: expected at least one entry"),
        ("tell: immediately", "tell: immediately\n  zone: Madrid", "customers.zone: expected a time zone"),
        ("tell: immediately", "tell: immediately\n  language: klingon", "customers.language: expected a language"),
        ("tell: immediately", "tell: immediately\n  to: a@example.com", "customers.to: is not known here"),
        ("tell: immediately", "tell: immediately\n  when: item.a ==", "customers.when: line 1, column 10"),
        ("from: Support <support@example.com>", "from: support", "customers.from: expected an address"),
        (
            "terminal: {console: {}}",
            "terminal: {console: {}}, customers: {console: {}}",
            "expected no receiver and no person",
        ),
        (
            "{receivers: [terminal]}",
            "{receivers: [customers]}",
            "routes[0].receivers[0]: expected one of the receivers",
        ),
    ],
)
def test_mistakes_are_named_with_line_and_field(old: str, new: str, expected: str) -> None:
    with pytest.raises(BadDocument) as caught:
        loaded(old, new)
    assert any(expected in str(problem) for problem in caught.value.problems), caught.value


def test_what_is_hardly_meant_is_found_in_it_too() -> None:
    assert routes_file.findings(ROUTES) == []
    login = "{host: smtp.example.com, starttls: false, username: u, password_env: P}"
    (finding,) = routes_file.findings(loaded("{host: smtp.example.com}", login))
    assert str(finding).startswith("notify.yaml:4: customers: the password crosses the network in the clear")
