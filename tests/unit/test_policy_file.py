"""Policy files: what they mean, and every mistake in them with its place."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from services.timer.business_hours import BusinessHours
from services.timer.calendar_file import parse_days
from services.timer.calendars import load_calendars
from services.timer.opening_times import Window
from services.timer.policy import Policy, WarnAt
from services.timer.policy_file import json_schema, load
from services.timer.policy_values import parse_duration
from shared.errors import BadDocument
from shared.events import SECOND, parse_instant
from shared.public_holidays import Region

SAMPLE = (Path(__file__).parents[2] / "deploy/local/policies.yaml").read_text()
CALENDAR = "calendars:\n  c: {time_zone: UTC, hours: {mon: '09:00-17:00'}}\n"


def problems(**files: str) -> list[str]:
    with pytest.raises(BadDocument) as caught:
        load(files)
    return [str(problem) for problem in caught.value.problems]


def only(text: str) -> Policy:
    """The one policy of CALENDAR and a policy given as the text of its fields."""
    policies = load({"f": f"{CALENDAR}policies:\n- {{name: p, applies_to: {{}}, calendar: c, {text}}}"}).policies
    assert len(policies) == 1
    return policies[0]


class TestTheSample:
    def test_its_targets_are_those_that_it_says(self) -> None:
        terms = load({"policies.yaml": SAMPLE}).terms("ticket", {"priority": "urgent"}, 0)
        assert {metric: each[0].target // SECOND // 3600 for metric, each in terms.items()} == {
            "first_response": 4,
            "next_response": 8,
            "resolution": 8,
        }

    def test_its_calendar_knows_holidays_and_exceptions(self) -> None:
        madrid = load({"policies.yaml": SAMPLE}).calendars["madrid"]
        assert not madrid.is_open(parse_instant("2026-12-25T10:00:00Z"))
        assert madrid.is_open(parse_instant("2026-12-24T09:00:00Z"))
        assert not madrid.is_open(parse_instant("2026-12-24T14:30:00Z"))

    def test_it_meets_the_schema_for_editors(self) -> None:
        schema = json_schema()
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(yaml.safe_load(SAMPLE), schema)


class TestMeaning:
    def test_every_option_is_understood(self) -> None:
        found = only(
            "severity: high, rank: 2, combine: all, require_reply: true, on_change: keep, on_reopen: ignore, "
            "grace: 5s, "
            "pause_when: {status: [pending, on_hold], waiting: true}, "
            "targets: {resolution: {within: 1h30m, by: {priority: {1: 30m}}, warn_at: 80%, severity: low}, answer: 20s}"
        )
        assert (found.severity, found.rank, found.combine_all, found.require_reply) == ("high", 2, True, True)
        assert (found.on_change, found.on_reopen, found.grace) == ("keep", "ignore", 5 * SECOND)
        assert found.pause_when == {"status": {"pending", "on_hold"}, "waiting": {"true"}}
        resolution = found.targets["resolution"]
        assert resolution.within == 5400 * SECOND
        assert resolution.by == (("priority", {"1": 1800 * SECOND}),)
        assert resolution.warn_at == (WarnAt("80%", share=0.8),)
        assert resolution.severity == "low"
        assert found.targets["answer"].within == 20 * SECOND

    def test_what_is_left_out_has_a_default(self) -> None:
        found = only("targets: {resolution: 4h}")
        assert (found.severity, found.rank, found.combine_all, found.require_reply) == ("medium", None, False, False)
        assert (found.on_change, found.on_reopen, found.grace, found.pause_when) == ("recompute", "resume", 0, {})

    def test_several_files_make_one_set(self) -> None:
        policy = "policies:\n- {name: %s, applies_to: {}, calendar: c, targets: {resolution: 4h}}"
        found = load({"2.yaml": policy % "second", "1.yaml": policy % "first", "3.json": CALENDAR})
        assert [(each.name, each.order) for each in found.policies] == [("first", 0), ("second", 1)]

    def test_json_is_yaml(self) -> None:
        text = '{"calendars": {"c": {"time_zone": "UTC", "hours": {"mon-sun": ["00:00-24:00"]}, "holidays": []}}}'
        assert load_calendars({"c.json": text}).keys() == {"c"}

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("45s", 45), ("30m", 1800), ("4h", 14_400), ("2d", 172_800), ("1h30m", 5400), ("90m", 5400), ("300s", 300)],
    )
    def test_durations(self, text: str, seconds: int) -> None:
        assert parse_duration(text) == seconds * SECOND

    @pytest.mark.parametrize("text", ["", "4", "h", "-1h", "1.5h", "30m1h", "4 h", "1h\n", "4x", "99999999h"])
    def test_what_is_no_duration(self, text: str) -> None:
        with pytest.raises(ValueError, match="expected a duration like 45s"):
            parse_duration(text)

    def test_a_range_of_days_may_run_over_the_end_of_the_week(self) -> None:
        assert parse_days("sat-mon") == [5, 6, 0]

    def test_holidays_are_dates_and_countries(self) -> None:
        calendar = "{time_zone: UTC, hours: {mon: '22:00-06:00'}, holidays: [2026-05-15, {country: ES}]}"
        spec = load_calendars({"f": f"calendars: {{c: {calendar}}}"})["c"].spec
        assert [str(day) for day in spec.holidays] == ["2026-05-15"]
        assert spec.regions == {Region("ES")}
        assert spec.week[0] == (Window(79_200, 108_000),)


class TestVersion:
    ONE = CALENDAR + "policies:\n- {name: p, applies_to: {kind: [chat, call]}, calendar: c, targets: {resolution: 4h}}"

    def test_the_same_content_in_other_words_has_the_same_version(self) -> None:
        other = self.ONE.replace("4h", "240m").replace("chat, call", "call, chat").replace("mon:", "mon-mon:")
        assert load({"a": self.ONE}).version == load({"b": f"# said otherwise\n{other}"}).version

    @pytest.mark.parametrize(
        ("this", "by_that"), [("4h", "5h"), ("UTC", "Europe/Madrid"), ("09:00", "08:00"), ("name: p", "name: q")]
    )
    def test_other_content_has_another(self, this: str, by_that: str) -> None:
        assert load({"a": self.ONE}).version != load({"a": self.ONE.replace(this, by_that)}).version

    def test_the_order_of_by_is_content(self) -> None:
        text = self.ONE.replace("4h", "{by: {a: {x: 1h}, b: {x: 2h}}}")
        other = self.ONE.replace("4h", "{by: {b: {x: 2h}, a: {x: 1h}}}")
        assert load({"a": text}).version != load({"a": other}).version


@pytest.mark.parametrize(
    ("calendar", "expected"),
    [
        ("{time_zone: Europe/Madrit, hours: {mon: '09:00-17:00'}}", "time_zone: expected the name of a time zone"),
        ("{time_zone: UTC}", "hours: is required"),
        ("{time_zone: UTC, hours: {mon-fry: '09:00-17:00'}}", "hours.mon-fry: expected a day like fri"),
        ("{time_zone: UTC, hours: {mon: '9-17'}}", "hours.mon: expected hours like 09:00-14:00, got '9-17'"),
        ("{time_zone: UTC, hours: {mon: ['09:00-25:00']}}", "hours.mon[0]: expected times of day from 00:00 to 24:00"),
        ("{time_zone: UTC, hours: {mon: ['24:00-06:00']}}", "hours.mon[0]: expected times of day from 00:00 to 24:00"),
        ("{time_zone: UTC, hours: {mon: ['09:60-10:00']}}", "hours.mon[0]: expected times of day from 00:00 to 24:00"),
        (
            "{time_zone: UTC, hours: {mon: ['09:00-12:00', '11:00-13:00']}}",
            "hours.mon: expected windows that do not overlap, got 09:00-12:00 and 11:00-13:00",
        ),
        (
            "{time_zone: UTC, hours: {mon-wed: '09:00-12:00', tue: '13:00-14:00'}}",
            "hours: expected each day once, got tue in mon-wed and in tue",
        ),
        ("{time_zone: UTC, hours: {mon: '09:00-12:00'}, holidays: [2026-02-30]}", "holidays[0]: expected a date that"),
        ("{time_zone: UTC, hours: {mon: '09:00-12:00'}, holidays: [3]}", "holidays[0]: expected a date like"),
        ("{time_zone: UTC, hours: {mon: '09:00-12:00'}, holidays: {country: XX}}", "holidays: expected a country"),
        (
            "{time_zone: UTC, hours: {mon: '09:00-12:00'}, holidays: {country: ES, subdivision: XX}}",
            "holidays: expected a country and subdivision",
        ),
        ("{time_zone: UTC, hours: {mon: '09:00-12:00'}, exceptions: {1-1: []}}", "exceptions.1-1: expected a date"),
        (
            "{time_zone: UTC, hours: {mon: '09:00-12:00'}, exceptions: {3026-01-01: []}}",
            "exceptions.3026-01-01: expected a date like 2026-12-24 in the years 1900 to 2199",
        ),
        ("{time_zone: UTC, hours: {mon: '09:00-12:00'}, holliday: []}", "holliday: is not known here"),
        ("5", "expected a mapping, got 5"),
    ],
)
def test_a_mistake_in_a_calendar_is_named(calendar: str, expected: str) -> None:
    with pytest.raises(BadDocument) as caught:
        load_calendars({"f.yaml": f"calendars:\n  c: {calendar}"})
    (problem,) = caught.value.problems
    assert str(problem).startswith("f.yaml:2: calendars.c")
    assert expected in str(problem)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("targets: {}", "targets: expected at least one entry"),
        ("targets: {answr: 20s}", "targets.answr: expected the name of a metric (first_response, next_response, "),
        ("targets: {answer: 20}", "targets.answer: expected a duration like 45s, 30m, 4h, 2d or 1h30m, got 20"),
        ("targets: {answer: 0s}", "targets.answer: expected more than no time at all"),
        ("targets: {answer: {warn_at: [80%]}}", "targets.answer: expected `within`, entries in `by`, or both"),
        ("targets: {answer: {within: 1h, in: 2h}}", "targets.answer.in: is not known here"),
        ("targets: {answer: {by: {priority: {low: 4x}}}}", "targets.answer.by.priority.low: expected a duration"),
        ("targets: {answer: {within: 1h, warn_at: [100%]}}", "targets.answer.warn_at[0]: expected a share like 80%"),
        ("targets: {answer: {within: 1h, warn_at: 0%}}", "targets.answer.warn_at: expected a share like 80%"),
        ("targets: {answer: {within: 1h, warn_at: [1h_left]}}", "expected warnings within the target, got 1h_left"),
        ("targets: {answer: {within: 1h, severity: bad}}", "targets.answer.severity: expected 'low', 'medium'"),
        ("severity: bad", "severity: expected 'low', 'medium', 'high' or 'critical'"),
        ("rank: 0", "rank: expected greater than or equal to 1"),
        ("combine: some", "combine: expected 'all'"),
        ("on_change: x", "on_change: expected 'recompute', 'keep' or 'restart'"),
        ("on_reopen: x", "on_reopen: expected 'resume', 'restart' or 'ignore'"),
        ("require_reply: perhaps", "require_reply: expected true or false, got 'perhaps'"),
        ("grace: soon", "grace: expected a duration"),
        ("pause_when: {kind: chat}", "pause_when: expected attributes that can change"),
        ("pause_when: {status: []}", "pause_when.status: expected at least one entry"),
        ("pause_when: {status: null}", "pause_when.status: expected a text, a number, true or false, got None"),
        ("pauses_when: {status: x}", "pauses_when: is not known here"),
    ],
)
def test_a_mistake_in_a_policy_is_named(fields: str, expected: str) -> None:
    targets = "" if fields.startswith("targets") else "targets: {answer: 20s}, "
    text = f"{CALENDAR}policies:\n- {{name: p, applies_to: {{}}, calendar: c, {targets}{fields}}}"
    (problem,) = problems(f=text)
    assert problem.startswith("f:4: policies[0].")
    assert expected in problem


class TestMistakesTogether:
    POLICY = "- {name: %s, applies_to: {kind: %s}, calendar: %s, targets: {resolution: %s}}\n"

    def test_all_mistakes_of_all_files_are_told_at_once(self) -> None:
        first = CALENDAR + "policies:\n" + self.POLICY % ("p", "mail", "c", "4x")
        second = "policies:\n" + self.POLICY % ("p", "chat", "d", "4h")
        assert problems(**{"1.yaml": first, "2.yaml": second}) == [
            "1.yaml:4: policies[0].applies_to: expected kinds of ticket, chat, call, got 'mail'",
            "1.yaml:4: policies[0].targets.resolution: expected a duration like 45s, 30m, 4h, 2d or 1h30m, got '4x'",
            "2.yaml:2: policies[0].name: expected a name of its own, but another policy is named 'p' too",
            "2.yaml:2: policies[0].calendar: expected the name of a calendar (c), got 'd'",
        ]

    def test_a_file_that_cannot_be_read_hides_no_mistakes_of_others(self) -> None:
        second = "policies:\n" + self.POLICY % ("p", "chat", "d", "4x")
        found = problems(**{"1.yaml": "calendars: [", "2.yaml": second})
        assert len(found) == 2
        assert found[0].startswith("1.yaml:2: not YAML")
        assert "targets.resolution" in found[1]

    def test_mistakes_in_policies_hide_none_between_calendars(self) -> None:
        heirs = "  a: {extends: b}\n  b: {extends: a}\n  d: {extends: e}\n"
        closed = "  f: {time_zone: UTC, hours: {mon: []}}\n"
        found = problems(f=CALENDAR + heirs + closed + "policies:\n" + self.POLICY % ("p", "mail", "c", "4h"))
        assert [each.partition(": expected")[0] for each in found] == [
            "f:3: calendars.a.extends",
            "f:4: calendars.b.extends",
            "f:5: calendars.d.extends",
            "f:6: calendars.f",
            "f:8: policies[0].applies_to",
        ]

    @pytest.mark.parametrize(
        "hostile",
        [
            "policies: " + "[" * 300_000,  # deeper than the stack of libyaml
            "policies: " + "[" * 5_000 + "]" * 5_000,  # deeper than ours
            "policies: &a [*a]",  # endless
            "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 100)}]\n" for i in range(1, 9)),
        ],
        ids=["deepest", "deep", "endless", "multiplied"],
    )
    def test_what_nobody_means_is_refused_before_it_fills_memory_or_stack(self, hostile: str) -> None:
        (problem,) = problems(f=hostile)
        assert re.search(r"^f:\d: .*(at most 32 levels of nesting|nested at most 32 levels deep)$", problem)

    def test_a_calendar_is_defined_once(self) -> None:
        policy = "policies:\n" + self.POLICY % ("p", "chat", "c", "4h")
        assert problems(**{"1.yaml": CALENDAR, "2.yaml": CALENDAR + policy}) == [
            "2.yaml:2: calendars.c: is already defined in 1.yaml"
        ]

    def test_a_calendar_that_never_opens_runs_no_clock(self) -> None:
        policy = "policies:\n" + self.POLICY % ("p", "chat", "c", "4h")
        (problem,) = problems(f="calendars: {c: {time_zone: UTC, hours: {mon: []}}}\n" + policy)
        assert "calendars.c: expected some open hours" in problem

    @pytest.mark.parametrize("files", [{}, {"f": ""}, {"f": CALENDAR}])
    def test_there_must_be_a_policy(self, files: dict[str, str]) -> None:
        (problem,) = problems(**files)
        assert problem.endswith("policies: expected at least one policy")


def test_calendars_can_be_read_without_policies() -> None:
    found = load_calendars({"f": CALENDAR + "policies: [whatever]"})
    assert isinstance(found["c"], BusinessHours)


def test_a_calendar_without_hours_can_be_asked() -> None:
    assert not load_calendars({"f": "calendars: {c: {time_zone: UTC, hours: {}}}"})["c"].is_open(0)
