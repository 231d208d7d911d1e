"""The documentation names everything that a user can set, call, read or receive, and nothing that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import jsonschema
import msgspec
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from services.__main__ import COMMANDS
from services.cli.settings import InstallationSettings
from services.ingest.__main__ import build as build_ingest
from services.ingest.settings import Settings as IngestSettings
from services.ingest.status_file import built_in as status_names
from services.ingest.status_file import extended
from services.notifier import routes_file
from services.notifier.endpoints.chats import Mattermost, Slack, Teams, Telegram
from services.notifier.endpoints.mail import Email
from services.notifier.endpoints.others import Apprise, KafkaTopic
from services.notifier.endpoints.paging import Alertmanager, Opsgenie, PagerDuty
from services.notifier.endpoints.webhook import Webhook
from services.notifier.heartbeat import Heartbeat
from services.notifier.http_side import router as notifier_router
from services.notifier.matching import FIELDS
from services.notifier.people.audience import Role
from services.notifier.people.directory_model import ADDRESSED, DirectoryModel
from services.notifier.reader import Reader
from services.notifier.receivers import CHANNELS
from services.notifier.retry import SCHEDULE
from services.notifier.templates.bounded import LONGEST_RANGE, OF_ANYTHING, OF_TEXTS, SOURCE_CHARACTERS, UNITS
from services.notifier.templates.library import OWN_FILTERS, PARTS
from services.notifier.templates.view import KINDS, NAMES
from services.timer import policy_file
from services.timer.api import router as timer_router
from services.timer.calendars import load_calendars
from services.timer.metric_file import built_in
from services.timer.settings import Settings as TimerSettings
from shared.breach_records import PUBLISHED_TYPES
from shared.cloudevents import decode_structured
from shared.configuration import Upstream, load
from shared.db import Database
from shared.documents import Document
from shared.errors import DeadLetterReason
from shared.events import EVENT_TYPES, SECOND, BreachEvent, SourceSilence, parse_instant
from shared.metrics import Metrics
from shared.version import VERSION
from shared.web import Health, application
from tests.bench.sizes import Sizes
from tests.documentation import DOCS, PAGES, ROOT, TABLES, examples, first_column, made, tables_in

EVENTS: Final = DOCS / "events.md"
POLICIES: Final = DOCS / "policies.md"
NOTIFICATIONS: Final = DOCS / "notifications.md"
CUSTOMERS: Final = DOCS / "customers.md"
PEOPLE: Final = DOCS / "people.md"
TEMPLATES: Final = DOCS / "templates.md"
HOLDING: Final = DOCS / "holding.md"
CHANNELS_PAGE: Final = DOCS / "channels.md"
ALERTS: Final = DOCS / "alerts.md"
OPERATIONS: Final = DOCS / "operations.md"
README: Final = ROOT / "README.md"
FOLDERS: Final = "services|shared|deploy|tests|docs"
BROKER: Final = {"KAFKA_BOOTSTRAP": "localhost:9092", "DATABASE_URL": "postgresql://plazo@localhost/plazo"}


def text_of(pages: Iterable[Path]) -> str:
    """The pages, one after the other."""
    return "\n".join(page.read_text() for page in pages)


def options(schema: Mapping[str, Any], definition: str) -> set[str]:
    """The names of the options in a definition of a JSON Schema."""
    return set(schema["$defs"][definition]["properties"])


def anchors(page: Path) -> set[str]:
    """What a link can point to in a page: its headings, as they are shown on the web."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def http() -> Iterable[FastAPI]:
    """The HTTP side of each process, connected to nothing."""
    metrics = Metrics(VERSION, "")
    database = Database(BROKER["DATABASE_URL"])
    routers = [
        build_ingest(load(IngestSettings, BROKER), metrics).router(),
        timer_router(database),
        notifier_router(database, lambda: 0),
    ]
    return [application("Plazo", [each], Health(), metrics, None) for each in routers]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_as_the_code_is(page: Path) -> None:
    assert page.read_text() == made(page), "run: .venv/bin/python -m tests.documentation"


def test_every_table_that_is_made_from_code_stands_somewhere() -> None:
    assert sorted(name for page in PAGES for name in tables_in(page)) == sorted(TABLES)


def test_every_setting_of_the_commands_is_one_of_a_service() -> None:
    known = {*IngestSettings.model_fields, *TimerSettings.model_fields}
    assert InstallationSettings.model_fields.keys() - known == set()


def test_every_field_of_an_upstream_topic_is_documented() -> None:
    names = set(first_column(OPERATIONS, "Of every service"))
    assert names - {name.upper() for name in TimerSettings.model_fields} == Upstream.model_fields.keys()


def test_a_metric_that_is_named_exists() -> None:
    metrics = Metrics(VERSION, "")
    known = {name for family in metrics.registry.collect() for name in (family.name, f"{family.name}_total")}
    named = set(re.findall(r"`(sla_[a-z_]+)", text_of(PAGES)))
    assert named - known - {"sla_build_info"} == set()


def test_a_variable_that_is_named_exists() -> None:
    code = "\n".join(path.read_text() for part in FOLDERS.split("|") for path in (ROOT / part).rglob("*.py"))
    kinds = (IngestSettings, TimerSettings, Sizes)
    settings = {name.upper() for kind in kinds for name in kind.model_fields}
    assigned = set(re.findall(r"\b([A-Z][A-Z_]{2,})=", text_of(PAGES)))
    unknown = {name for name in assigned if name not in settings and f'"{name}' not in code and name not in _MAKE}
    assert unknown - {"ON_CALL_WEBHOOK_SECRET", "NOTIFY_ROUTES"} == set()


_MAKE: Final = set(re.findall(r"\$\((\w+)\)", (ROOT / "Makefile").read_text()))


def test_a_command_that_is_named_exists() -> None:
    named = set(re.findall(r"\./plazo ([a-z-]+)", text_of(PAGES)))
    assert named == COMMANDS.keys()


def test_a_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert (
        set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", text_of(PAGES), re.MULTILINE))
        - {pair for name in targets for pair in ((name, ""), ("", name))}
        == set()
    )


def test_the_example_of_status_names_can_be_used() -> None:
    (text,) = examples(EVENTS, "yaml", "statuses")
    assert "our-desk" in {system.name for system in extended(text, "events.md").systems}


def test_every_type_of_event_is_documented_and_no_other() -> None:
    assert sorted(first_column(EVENTS, "Event types")) == sorted(EVENT_TYPES)
    assert sorted(first_column(EVENTS, "Breaches")) == sorted(PUBLISHED_TYPES)


def test_every_reason_of_a_dead_letter_is_documented_and_no_other() -> None:
    assert sorted(first_column(EVENTS, "Reasons")) == sorted(get_args(DeadLetterReason))


def test_every_sla_metric_is_documented_and_no_other() -> None:
    assert first_column(POLICIES, "Metrics") == list(built_in())


@pytest.mark.parametrize(
    ("heading", "definition"),
    [
        ("Options of a policy", "PolicyModel"),
        ("Options of a target", "TargetModel"),
        ("Options of a calendar", "HeirModel"),
        ("Sources", "SourceModel"),
        ("Exclusions", "ExclusionModel"),
    ],
)
def test_every_option_of_a_policy_file_is_documented_and_no_other(heading: str, definition: str) -> None:
    assert set(first_column(POLICIES, heading)) == options(policy_file.json_schema(), definition)


def test_every_option_of_the_routes_file_is_documented_and_no_other() -> None:
    assert set(first_column(NOTIFICATIONS, "Routes")) == options(routes_file.json_schema(), "RouteModel")
    assert set(first_column(ALERTS, "Escalation")) == options(routes_file.json_schema(), "StepModel")


def options_of(settings: type[BaseModel]) -> set[str]:
    """The options of a channel, those of a part of it behind the part's name."""
    names: set[str] = set()
    for name, field in settings.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names |= {f"{name}.{each}" for each in options_of(inner)}
        else:
            names.add(field.alias or name)
    return names


@pytest.mark.parametrize(
    ("heading", "settings"),
    [
        ("Webhooks", Webhook),
        ("E-mail", Email),
        ("Slack", Slack),
        ("Microsoft Teams", Teams),
        ("Mattermost", Mattermost),
        ("Telegram", Telegram),
        ("PagerDuty", PagerDuty),
        ("Opsgenie", Opsgenie),
        ("Alertmanager", Alertmanager),
        ("Kafka", KafkaTopic),
        ("Apprise", Apprise),
    ],
)
def test_every_option_of_a_channel_is_documented_and_no_other(heading: str, settings: type[BaseModel]) -> None:
    assert set(first_column(CHANNELS_PAGE, heading)) == options_of(settings)


def test_every_channel_has_an_example_that_is_accepted() -> None:
    shown = []
    for text in examples(CHANNELS_PAGE, "yaml", "receivers"):
        names = re.findall(r"^([a-z-]+):$", text, re.MULTILINE)
        indented = "".join(f"  {line}\n" for line in text.splitlines())
        routes = routes_file.parse(
            f"receivers:\n{indented}routes: [{{receivers: [{', '.join(names)}]}}]", "channels.md"
        )
        assert routes_file.findings(routes) == []
        shown += [each.channel for each in routes.receivers.values()]
    assert {*shown, "console"} == set(CHANNELS)


def test_everything_that_a_template_can_use_is_documented_and_no_more() -> None:
    given = {re.split(r"[.(]", name)[0] for name in first_column(TEMPLATES, "What templates are given")}
    assert given == {*NAMES, *OWN_FILTERS}
    text = TEMPLATES.read_text()
    used = (*OF_TEXTS, *OF_ANYTHING, "join", "range", "namespace", *KINDS, *PARTS)
    assert {name for name in used if f"`{name}`" not in text} == set()
    assert {f"{number:,}" in text for number in (UNITS, SOURCE_CHARACTERS, LONGEST_RANGE)} == {True}


def test_the_receiver_with_a_language_in_the_docs_is_accepted() -> None:
    (text,) = examples(TEMPLATES, "yaml", "receiver")
    routes = routes_file.parse(f"{text}routes: [{{receivers: [guardia]}}]\n", "docs/templates.md")
    assert routes.receivers["guardia"].reader == Reader("es", "Europe/Madrid")
    assert routes.templates == Path("docs/templates")


def test_every_option_of_the_directory_is_documented_and_no_other() -> None:
    schema = DirectoryModel.model_json_schema(by_alias=True)
    for heading, definition in (("Person", "PersonModel"), ("Group", "GroupModel"), ("Rotation", "RotationModel")):
        assert set(first_column(PEOPLE, heading)) == options(schema, definition)
    assert set(first_column(PEOPLE, "Audiences")) == set(get_args(Role))
    listed = {
        line.split("`")[1]
        for line in PEOPLE.read_text().partition("## Channels of people")[2].splitlines()
        if line[:3] == "| `"
    }
    assert listed == set(ADDRESSED)


def test_the_directory_in_the_docs_is_accepted_with_the_routes_that_it_is_for() -> None:
    (notify,), (people,) = examples(PEOPLE, "yaml", "people-routes"), examples(PEOPLE, "yaml", "people")
    routes = routes_file.parse(notify, "notify.yaml", {"people.yaml": Document(people, "people.yaml")})
    assert routes_file.findings(routes) == []
    assert routes.people == {"nora", "luis", "ana"}


def test_the_heartbeat_in_the_docs_is_accepted() -> None:
    (text,) = examples(NOTIFICATIONS, "yaml", "heartbeat")
    routes = routes_file.parse(f"{text}receivers: {{dead-man: {{console: {{}}}}}}\nroutes: [{{receivers: []}}]\n", "x")
    assert routes.heartbeat == Heartbeat("dead-man", 60 * SECOND)


def test_every_option_of_telling_customers_is_documented_and_no_other() -> None:
    listed = first_column(CUSTOMERS, "Telling customers")
    assert set(listed) == options(routes_file.json_schema(), "CustomersModel")
    (text,) = examples(CUSTOMERS, "yaml", "customers")
    assert routes_file.findings(routes_file.parse(text, "customers.md")) == []


def test_the_schedule_of_retries_is_documented() -> None:
    told = re.findall(
        r"(\d+) (s|min|h)\b", NOTIFICATIONS.read_text().partition("## Retries")[2].partition("each wait")[0]
    )
    units = {"s": 1, "min": 60, "h": 3600}
    assert [int(count) * units[unit] * 1_000_000 for count, unit in told] == list(SCHEDULE[1:])


def test_every_route_of_http_is_documented_and_no_other(http: Iterable[FastAPI]) -> None:
    served = {
        f"{method.upper()} {path}"
        for app in http
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    assert set(first_column(OPERATIONS, "HTTP")) == served


def test_the_policies_in_the_docs_are_accepted() -> None:
    first, *others = examples(POLICIES, "yaml", "policies")
    assert [policy.name for policy in policy_file.load({"policies.md": first}).policies] == [
        "standard-tickets",
        "acme-gold",
        "network-team",
    ]
    for text in (first, *others):
        assert policy_file.load({"policies.md": text}).policies
        jsonschema.validate(Document(text, "policies.md").value, policy_file.json_schema())


def test_the_calendars_in_the_docs_are_accepted() -> None:
    (text,) = examples(POLICIES, "yaml", "calendars")
    found = load_calendars({"policies.md": text})
    lunch_on_christmas_eve = parse_instant("2026-12-24T14:30:00Z")
    assert {name for name, hours in found.items() if hours.is_open(lunch_on_christmas_eve)} == {"on-call"}


def test_the_sources_in_the_docs_are_accepted() -> None:
    (text,) = examples(POLICIES, "yaml", "sources")
    rules = policy_file.load({"policies.md": text}).sources
    assert [rule.pattern for rule in rules] == ["/pbx", "/chat/*", "/nightly-import", "*"]


def test_the_routes_in_the_docs_are_accepted() -> None:
    for text in (text for page in (NOTIFICATIONS, HOLDING, ALERTS) for text in examples(page, "yaml", "routes")):
        routes = routes_file.parse(text, "notifications.md")
        assert routes_file.findings(routes) == []
        asked = {name for route in routes.each() for name in (*route.takes.match, *route.takes.patterns)}
        assert {name for name in asked if "." not in name} <= FIELDS | {"type", "customer"}


def test_the_events_in_the_docs_are_read() -> None:
    event, snapshot = examples(EVENTS, "json", "canonical-event")
    assert decode_structured(event.encode()).item == "default/ticket/42"
    assert status_names().mapped(decode_structured(snapshot.encode())).attributes["status"] == "pending"
    (breach,) = examples(EVENTS, "json", "breach")
    assert msgspec.json.decode(breach, type=BreachEvent).breach_id is not None
    assert msgspec.to_builtins(msgspec.json.decode(breach, type=BreachEvent)) == msgspec.json.decode(breach)
    (silence,) = examples(EVENTS, "json", "silence")
    assert msgspec.to_builtins(msgspec.json.decode(silence, type=SourceSilence)) == msgspec.json.decode(silence)


def test_the_event_in_the_readme_is_read() -> None:
    (text,) = [text for text in examples(README, "sh") if "/v1/events" in text]
    body = re.search(r"-d '(\{.*\})'", text, re.DOTALL)
    assert body is not None
    event = body[1].replace("'$(date -u +%FT%TZ)'", "2026-01-05T09:00:00Z")
    assert decode_structured(event.encode()).item == "default/call/1"


def test_the_upstream_topics_in_the_docs_are_accepted() -> None:
    (text,) = examples(OPERATIONS, "json", "upstream")
    (upstream, _) = load(IngestSettings, {**BROKER, "UPSTREAM_TOPICS": text}).upstream
    assert upstream == Upstream(topic="pbx.calls", kinds=frozenset({"call"}), tenant="acme")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_docs_is_python(page: Path) -> None:
    for text in examples(page, "python"):
        compile(text, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_functions_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(rf"`((?:{FOLDERS})(?:\.\w+)+)`", text):
        assert exists(name), name


def exists(dotted: str) -> bool:
    """Whether a module has what a dotted name says."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        file = ROOT.joinpath(*parts[:length])
        if file.with_suffix(".py").exists():
            rest = parts[length:]
            return all(re.search(rf"(class|def) {name}\b", file.with_suffix(".py").read_text()) for name in rest)
        if file.is_dir():
            return length == len(parts)
    return False


def test_the_map_of_the_timer_leads_to_every_module() -> None:
    page = (DOCS / "development.md").read_text()
    mapped = page.partition("<!-- map: services/timer -->")[2].partition("<!-- end -->")[0]
    rows = [row for row in mapped.splitlines() if row.startswith("| **")]
    named = {name.removesuffix(".py") for row in rows for name in re.findall(r"`([a-z_.]+)`", row.split("|")[2])}
    files = [path for path in (ROOT / "services" / "timer").rglob("*") if path.suffix in (".py", ".yaml")]
    there = {path.name.removesuffix(".py") for path in files}
    assert {name for name in named if not name.startswith("sla.")} == there - {"__init__"}
