"""The directory: who is called what, who is on call, and whom an item comes to."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import routes_file
from services.notifier.people.audience import Audience, resolve
from services.notifier.people.directory_model import ADDRESSED
from services.notifier.people.on_call import Rotation
from services.notifier.reader import Reader
from services.notifier.receivers import CHANNELS, Receiver
from services.notifier.routing import Routes, route
from shared.documents import Document
from shared.errors import BadDocument
from shared.events import parse_instant
from tests.factories import breach, silence

PEOPLE = """
people:
  nora:
    name: Nora Díaz
    also: [ndiaz, "1017"]
    channels: {email: nora@example.com}
  ana: {channels: {webhook: "https://example.com/ana", email: ana@example.com}}
  luis: {channels: {email: luis@example.com}}
  bot: {}
groups:
  Network: {members: [nora, ana, bot], manager: luis, on_call: network}
  billing: {members: [bot], manager: bot}
  front desk: {channel: room}
on_call:
  default: {people: luis, zone: Europe/Madrid, from: 2026-01-05}
  network:
    people: [nora, ana]
    zone: Europe/Madrid
    from: 2026-01-05 09:00
    overrides:
      - {from: 2026-01-07T00:00, until: 2026-01-08T00:00, person: luis}
fallback: [luis]
"""
NOTIFY = """
receivers:
  terminal: {console: {}}
  room: {console: {}}
directory: people.yaml
people_channels:
  email: {from: plazo@example.com, smtp: {host: smtp.example.com}}
routes:
- {name: all, receivers: [terminal], audience: [assignee, group]}
"""
MONDAY = parse_instant("2026-01-05T12:00:00Z")


def loaded(people: str = PEOPLE, notify: str = NOTIFY) -> Routes:
    return routes_file.parse(notify, "notify.yaml", {"people.yaml": Document(people, "people.yaml")})


ROUTES = loaded()


def found(audience: Audience, attributes: dict[str, object]) -> tuple[tuple[str, ...], str]:
    assert ROUTES.directory is not None
    answer = resolve(ROUTES.directory, audience, breach(attributes=attributes), MONDAY)
    return answer.receivers, answer.how


class TestAnAudience:
    @pytest.mark.parametrize(
        ("audience", "attributes", "receivers", "how"),
        [
            # everybody is known by the key, the name, other names and addresses, whatever the case
            ((("assignee",),), {"assignee": "nora"}, ("nora",), "assignee nora"),
            ((("assignee",),), {"assignee": "NORA DÍAZ"}, ("nora",), "assignee nora"),
            ((("assignee",),), {"assignee": 1017}, ("nora",), "assignee nora"),
            ((("assignee",),), {"assignee": "nora@example.com"}, ("nora",), "assignee nora"),
            # the first entry that comes to somebody decides
            ((("assignee",), ("group",)), {"assignee": "ana", "group": "network"}, ("ana",), "assignee ana"),
            (
                (("assignee",), ("group",)),
                {"group": "network"},
                ("nora", "ana"),
                "group network (nobody is assigned)",
            ),
            # an entry of several is all of them, each told once
            (
                (("assignee", "group", "manager"),),
                {"assignee": "ana", "group": "network"},
                ("ana", "nora", "luis"),
                "assignee ana, group network, manager luis",
            ),
            # a group that has a channel is told there
            ((("group",),), {"group": "Front Desk"}, ("room",), "group Front Desk"),
            # the manager is that of the item's group, or of its assignee's
            ((("manager",),), {"group": "network"}, ("luis",), "manager luis"),
            ((("manager",),), {"assignee": "nora"}, ("luis",), "manager luis"),
            # whoever is on call in the group's rotation, or in the default one
            ((("on_call",),), {"group": "network"}, ("nora",), "on call nora"),
            ((("on_call",),), {"group": "billing"}, ("luis",), "on call luis"),
            ((("on_call",),), {}, ("luis",), "on call luis"),
        ],
    )
    def test_comes_to_whoever_is_responsible(
        self, audience: Audience, attributes: dict[str, object], receivers: tuple[str, ...], how: str
    ) -> None:
        assert found(audience, attributes) == (receivers, how)

    @pytest.mark.parametrize(
        ("audience", "attributes", "how"),
        [
            ((("assignee",),), {}, "the fallback (nobody is assigned)"),
            ((("assignee",),), {"assignee": ["nora"]}, "the fallback (nobody is assigned)"),
            ((("assignee",),), {"assignee": " "}, "the fallback (nobody is assigned)"),
            ((("assignee",),), {"assignee": "who"}, "the fallback (assignee who is not in the directory)"),
            ((("assignee",),), {"assignee": "bot"}, "the fallback (assignee bot has no channel)"),
            ((("group",),), {"group": "sales"}, "the fallback (group sales is not in the directory)"),
            ((("group",),), {"group": "billing"}, "the fallback (nobody of group billing is reached)"),
            ((("manager",),), {"group": "billing"}, "the fallback (manager bot has no channel)"),
            ((("manager",), ("group",)), {}, "the fallback (there is no manager; it has no group)"),
        ],
    )
    def test_that_comes_to_nobody_comes_to_the_fallback_and_says_why(
        self, audience: Audience, attributes: dict[str, object], how: str
    ) -> None:
        assert found(audience, attributes) == (("luis",), how)

    def test_of_a_source_comes_to_whoever_is_on_call(self) -> None:
        assert ROUTES.directory is not None
        answer = resolve(ROUTES.directory, (("assignee",), ("on_call",)), silence(), MONDAY)
        assert (answer.receivers, answer.how) == (("luis",), "on call luis (nobody is assigned)")

    @given(
        st.lists(st.lists(st.sampled_from(["assignee", "group", "manager", "on_call"]), min_size=1).map(tuple)),
        st.dictionaries(
            st.sampled_from(["assignee", "group"]),
            st.sampled_from(["nora", "bot", "who", "network", "billing", "", 7, True, ["nora"], None]),
        ),
    )
    def test_always_comes_to_somebody_who_can_be_reached(
        self, audience: list[tuple[str, ...]], attributes: dict[str, object]
    ) -> None:
        receivers, _ = found(tuple(audience), attributes)  # type: ignore[arg-type]  # hypothesis knows no literals
        assert receivers
        assert set(receivers) <= ROUTES.receivers.keys()
        assert len(set(receivers)) == len(receivers)


class TestARotation:
    @pytest.mark.parametrize(
        ("at", "person"),
        [
            ("2026-01-05T07:59:59Z", "ana"),  # the turn before the first one
            ("2026-01-05T08:00:00Z", "nora"),  # 09:00 in Madrid
            ("2026-01-06T22:59:59Z", "nora"),
            ("2026-01-06T23:00:00Z", "luis"),  # an exception, from midnight on
            ("2026-01-07T22:59:59Z", "luis"),
            ("2026-01-07T23:00:00Z", "nora"),
            ("2026-01-12T07:59:59Z", "nora"),
            ("2026-01-12T08:00:00Z", "ana"),
            ("2026-01-19T08:00:00Z", "nora"),
            # in summer, 09:00 is at 07:00 of UTC
            ("2026-06-15T06:59:59Z", "nora"),
            ("2026-06-15T07:00:00Z", "ana"),
        ],
    )
    def test_changes_at_the_same_time_of_day_all_year(self, at: str, person: str) -> None:
        assert ROUTES.directory is not None
        assert ROUTES.directory.on_call("network", parse_instant(at)) == person

    @given(
        st.integers(0, 2**51),
        st.integers(1, 30),
        st.sampled_from(["UTC", "Europe/Madrid", "America/Sao_Paulo", "Australia/Lord_Howe"]),
    )
    def test_comes_round_after_everybody_had_a_turn(self, at: int, days: int, zone: str) -> None:
        rotation = Rotation(("a", "b", "c"), zone, datetime.fromisoformat("2026-01-05 09:00"), days)
        later = at + 3 * days * 86_400_000_000
        here = {rotation.at(at), rotation.at(at - 3_600_000_000), rotation.at(at + 3_600_000_000)}
        # A change of the clock between the two moves one of them by an hour at most.
        assert rotation.at(later) in here


class TestARoute:
    def test_tells_its_receivers_and_its_audience(self) -> None:
        told = route(ROUTES, breach(attributes={"assignee": "nora"}), MONDAY)
        assert [(notice.receiver, notice.channel, notice.reason) for notice in told] == [
            ("terminal", "console", "route all takes everything"),
            ("nora", "email", "route all takes everything; to assignee nora"),
        ]

    def test_can_name_a_person_as_a_receiver(self) -> None:
        routes = loaded(notify=NOTIFY.replace("receivers: [terminal], audience: [assignee, group]", "receivers: [ana]"))
        assert [notice.receiver for notice in route(routes, breach(), MONDAY)] == ["ana"]

    def test_with_an_audience_needs_no_receivers(self) -> None:
        routes = loaded(notify=NOTIFY.replace("receivers: [terminal], ", ""))
        assert [notice.receiver for notice in route(routes, breach(attributes={}), MONDAY)] == ["luis"]

    def test_within_another_has_its_audience(self) -> None:
        within = "audience: [[assignee, manager]], routes: [{name: low, match: {severity: low}, receivers: []}]"
        routes = loaded(notify=NOTIFY.replace("audience: [assignee, group]", within))
        told = route(routes, breach(severity="low", attributes={"assignee": "nora"}), MONDAY)
        assert [(notice.route, notice.receiver) for notice in told] == [("all/low", "nora"), ("all/low", "luis")]


class TestTheChannelOfAPerson:
    def test_is_the_first_of_theirs_that_is_opened(self) -> None:
        ana = ROUTES.receivers["ana"].email
        assert ana is not None
        assert (ana.to, ana.sender, ana.smtp.host) == (("ana@example.com",), "plazo@example.com", "smtp.example.com")
        opened = NOTIFY.replace("people_channels:\n", "people_channels:\n  webhook: {secret_env: PEOPLE}\n")
        webhook = loaded(notify=opened).receivers["ana"].webhook
        assert webhook is not None
        assert (webhook.url, webhook.secret_env) == ("https://example.com/ana", ("PEOPLE",))

    def test_is_told_of_the_language_and_the_zone_of_the_person(self) -> None:
        routes = loaded(people=PEOPLE.replace("    name: Nora Díaz\n", "    language: es\n    zone: Europe/Madrid\n"))
        assert routes.receivers["nora"].reader == Reader("es", "Europe/Madrid")
        assert routes.receivers["luis"].reader == Reader()

    def test_has_the_hours_of_the_person(self) -> None:
        hours = "    quiet_hours: {zone: Europe/Madrid, open: {mon-fri: 08:00-20:00}}\n"
        routes = loaded(people=PEOPLE.replace("    name: Nora Díaz\n", hours))
        quiet = routes.receivers["nora"].quiet_hours
        assert quiet is not None
        assert quiet.until("low", parse_instant("2026-01-05T05:00:00Z")) == parse_instant("2026-01-05T07:00:00Z")

    def test_has_a_setting_for_the_address_of_each_kind(self) -> None:
        assert ADDRESSED.keys() <= set(CHANNELS)
        for kind, field in ADDRESSED.items():
            settings = Receiver.model_fields[kind].annotation
            assert field in str(settings.__args__[0].model_fields), kind  # type: ignore[union-attr]  # Model | None


class TestMistakes:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("fallback: [luis]", "", "people.yaml:2: fallback: is required"),
            ("fallback: [luis]", "fallback: []", "fallback: expected at least one entry"),
            ("fallback: [luis]", "fallback: [pager]", "fallback: expected one of nora, ana, luis, bot, terminal, room"),
            ("fallback: [luis]", "fallback: bot", "fallback: bot has no channel that people_channels opens"),
            (
                "email: nora@example.com",
                "email: nora",
                "people.yaml:6: people.nora.channels.email: expected an address",
            ),
            ("email: nora@example.com", "pager: 7", "people.nora.channels.pager: expected one of email, slack, tel"),
            ("name: Nora Díaz", "zone: Madrid", "people.yaml:4: people.nora.zone: expected a time zone"),
            ("name: Nora Díaz", "language: klingon", "people.yaml:4: people.nora.language: expected a language"),
            ('also: [ndiaz, "1017"]', "also: [Luis]", "people.yaml:8: people.luis: 'luis' is nora already"),
            ("  bot: {}", "  room: {}\n  bot: {}", "people.room: notify.yaml has a receiver of this name"),
            (
                "[nora, ana, bot]",
                "[nora, pat]",
                "groups.Network.members: expected one of nora, ana, luis, bot, got 'pat'",
            ),
            ("manager: luis", "manager: pat", "groups.Network.manager: expected one of"),
            ("channel: room", "channel: nora", "groups.front desk.channel: expected one of terminal, room, got 'nora'"),
            ("on_call: network", "on_call: net", "groups.Network.on_call: expected one of default, network, got 'net'"),
            ("front desk:", "NETWORK:", "groups.NETWORK: another group has this name"),
            ("people: [nora, ana]", "people: []", "on_call.network.people: expected at least one entry"),
            ("people: [nora, ana]", "people: [pat]", "on_call.network.people: expected one of"),
            ("person: luis", "person: pat", "on_call.network.overrides[0].person: expected one of"),
            ("until: 2026-01-08T00:00", "until: 2026-01-07T00:00", "overrides[0]: expected from to be before until"),
            ("from: 2026-01-05 09:00", "from: 2026-01-05T09:00Z", "on_call.network.from: expected a time in the zone"),
            ("from: 2026-01-05 09:00", "from: monday", "on_call.network.from: expected a time in the zone"),
            (
                "zone: Europe/Madrid\n",
                "zone: Madrid\n",
                "on_call.network.zone: expected a time zone like Europe/Madrid",
            ),
        ],
    )
    def test_in_the_directory_are_named_with_line_and_field(self, old: str, new: str, expected: str) -> None:
        assert PEOPLE.count(old) == 1
        with pytest.raises(BadDocument) as caught:
            loaded(people=PEOPLE.replace(old, new))
        assert any(expected in str(problem) for problem in caught.value.problems), caught.value

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("directory: people.yaml\n", "", "notify.yaml:8: routes[0].audience: expected a `directory` in this file"),
            ("people.yaml", "staff.yaml", "notify.yaml:5: directory: expected a file, found none at staff.yaml"),
            ("audience: [assignee, group]", "audience: [boss]", "routes[0].audience"),
            ("audience: [assignee, group]", "audience: [[]]", "expected at least one of an entry's roles"),
            (
                "smtp: {host: smtp.example.com}",
                "smtp: {}",
                "notify.yaml:7: people_channels.email.smtp.host: is required",
            ),
            ("  email: {from", "  pager: {from", "people_channels.pager: expected one of email, slack, tel"),
        ],
    )
    def test_in_the_routes_are_named_with_line_and_field(self, old: str, new: str, expected: str) -> None:
        assert NOTIFY.count(old) == 1
        with pytest.raises(BadDocument) as caught:
            loaded(notify=NOTIFY.replace(old, new))
        assert any(expected in str(problem) for problem in caught.value.problems), caught.value

    def test_in_a_kind_of_channel_are_told_once_however_many_have_it(self) -> None:
        with pytest.raises(BadDocument) as caught:
            loaded(notify=NOTIFY.replace("host: smtp.example.com", "port: 0, host: h"))
        (problem,) = caught.value.problems
        assert problem.field == "people_channels.email.smtp.port"


def test_people_and_whom_audiences_come_to_are_no_receivers_without_a_route() -> None:
    assert routes_file.findings(ROUTES) == []
    unheard = loaded(
        notify=NOTIFY.replace("receivers: [terminal], audience: [assignee, group]", "receivers: [terminal]")
    )
    assert [problem.field for problem in routes_file.findings(unheard)] == ["receivers.room"]
