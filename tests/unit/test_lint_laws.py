"""What holds of findings in any policies: they are told without failing, and they are true."""

from __future__ import annotations

import json
from itertools import product
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from services.timer.lint.event_lint import coverage
from services.timer.lint.finding import Finding
from services.timer.lint.places import Places
from services.timer.lint.policy_lint import findings
from services.timer.lint.recording import recording
from services.timer.policy_file import load
from services.timer.policy_set import PolicySet
from shared.events import DAY, Event, parse_instant
from tests.strategies_events import histories

NOW: Final = parse_instant("2026-01-05T00:00:00Z")
CALENDARS: Final = {
    "always": {"time_zone": "UTC", "hours": {"mon-sun": ["00:00-24:00"]}},
    "once": {"time_zone": "UTC", "hours": {}, "exceptions": {"2026-03-02": ["09:00-10:00"]}},
}
VALUES: Final[dict[str, tuple[str, ...]]] = {
    "kind": ("ticket", "chat", "call"),
    "customer": ("acme", "zed"),
    "priority": ("urgent", "low"),
    "status": ("open", "pending", "spam"),
    "tags": ("vip", "new"),
}
EXPRESSIONS: Final = ('item.priority != "low"', 'has(item.group) && item.group == "g1"', 'kind == "ticket"')
VALIDITIES: Final = ({"until": "2025-06-01"}, {"from": "2026-02-01"}, {"from": "2025-01-01", "until": "2026-06-01"})


def one_of(*names: str) -> st.SearchStrategy[dict[str, list[str]]]:
    """Conditions on some of these attributes."""
    each = {name: st.lists(st.sampled_from(VALUES[name]), min_size=1, unique=True) for name in names}
    return st.fixed_dictionaries({}, optional=each)


def by(entries: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, dict[str, str]]]:
    each = {name: st.dictionaries(st.sampled_from(VALUES[name]), entries, min_size=1) for name in ("priority", "tags")}
    return st.fixed_dictionaries({}, optional=each)


DURATIONS: Final = st.sampled_from(("15m", "1h", "4h", "40h"))
NAMES: Final = st.sampled_from(tuple(CALENDARS))
CHOICES: Final = NAMES | st.fixed_dictionaries({"default": NAMES, "by": by(NAMES)})
TARGETS: Final = DURATIONS | st.fixed_dictionaries(
    {},
    optional={
        "within": st.just("40h") | DURATIONS,
        "by": by(DURATIONS),
        "warn_at": st.sampled_from((["50%"], ["10m_left"])),
        "calendar": CHOICES,
        "pause_when": one_of("status", "tags"),
    },
).filter(lambda target: bool(target.get("within") or target.get("by")))
METRICS: Final = st.sampled_from(("resolution", "first_response", "pickup", "answer"))

POLICIES: Final = st.fixed_dictionaries(
    {"applies_to": one_of(*VALUES), "calendar": CHOICES, "targets": st.dictionaries(METRICS, TARGETS, min_size=1)},
    optional={
        "rank": st.integers(1, 2),
        "combine": st.just("all"),
        "when": st.sampled_from(EXPRESSIONS),
        "valid": st.sampled_from(VALIDITIES),
        "pause_when": one_of("status", "tags"),
    },
)
EXCLUSIONS: Final = st.fixed_dictionaries(
    {"applies_to": one_of(*VALUES)}, optional={"when": st.sampled_from(EXPRESSIONS)}
)


@st.composite
def files(draw: st.DrawFn, policy: st.SearchStrategy[dict[str, Any]] = POLICIES) -> str:
    """A policy file that passes."""
    policies = draw(st.lists(policy, min_size=1, max_size=6))
    span = {"from": "2026-03-02T08:00:00Z", "until": "2026-03-02T09:00:00Z", "reason": "r"}
    exclusions = draw(st.lists(EXCLUSIONS, max_size=2))
    named: dict[str, Any] = {
        "calendars": CALENDARS,
        "policies": [{"name": f"p{number}", **each} for number, each in enumerate(policies)],
        "exclusions": [{"name": f"x{number}", **span, **each} for number, each in enumerate(exclusions)],
    }
    return json.dumps(named, indent=1)


def checked(text: str) -> tuple[PolicySet, list[Finding]]:
    policies = load({"f.yaml": text})
    return policies, findings(policies, NOW)


# Every item that differs in what the generated policies ask, and begins in another time of their validity.
KINDS_AND_ATTRIBUTES: Final = [
    (kind, {name: value for name, value in zip(("priority", "tags", "group"), values, strict=True) if value})
    for kind in VALUES["kind"]
    for values in product((*VALUES["priority"], "other", None), ((), ["vip"], ["new", "vip"]), ("g1", None))
]
STARTS: Final = [NOW + days * DAY for days in (0, 40, 400)]  # what has ended by now is told to have ended


def rivals(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Policies with few ways to differ, so that most of them meet."""
    targets = st.fixed_dictionaries(
        {"resolution": st.sampled_from(("1h", {"by": {"priority": {"urgent": "1h"}}}))},
        optional={"pickup": st.just("1h")},
    )
    fixed = {"applies_to": one_of("kind", "priority"), "calendar": st.just("always"), "targets": targets}
    return files(st.fixed_dictionaries(fixed, optional=optional))


RIVALS: Final = (
    rivals(when=st.sampled_from(EXPRESSIONS))
    | rivals(valid=st.sampled_from(VALIDITIES))
    | rivals(combine=st.just("all"))
)


@given(RIVALS)
def test_what_never_wins_never_wins(text: str) -> None:
    policies, found = checked(text)
    by_name = {policy.name: policy for policy in policies.policies}
    losses = [each for each in found if each.message.startswith("never wins")]
    for each in losses:
        policy = by_name[each.name or ""]
        lost = {str(each.path[-1])} if each.path else policy.targets.keys()
        for (kind, attributes), start in product(KINDS_AND_ATTRIBUTES, STARTS):
            decided = policies.terms(kind, attributes, start).items()
            won = {metric for metric, terms in decided if policy in [one.policy for one in terms]}
            assert won.isdisjoint(lost), (each, kind, attributes)


@given(files())
def test_every_finding_has_its_line_and_a_cure(text: str) -> None:
    _, found = checked(text)
    places = Places({"f.yaml": text})
    lines = text.splitlines()
    for each in found:
        problem = places.problem(each)
        assert each.cure.endswith(".")
        # The line is that of the part itself, or of the nearest thing around it that is written.
        assert problem.line > 1
        if each.name is not None and not each.path and each.section == "policies":
            assert f'"name": "{each.name}"' in lines[problem.line - 1] + lines[problem.line]


@given(files())
def test_an_item_stands_for_each_finding_where_no_expression_decides(text: str) -> None:
    policies, found = checked(text)
    expressions = any(policy.when is not None for policy in policies.policies) or policies.exclusions.all
    for each in found:
        # Of a tie, a third policy may decide over every item that both cover.
        if each.section == "policies" and not expressions and not each.message.startswith("only the order"):
            assert each.example is not None, each


@given(files(), st.lists(histories(max_size=5), max_size=3))
def test_any_policies_and_events_are_looked_at(text: str, recorded: list[list[Event]]) -> None:
    policies, found = checked(text)
    seen = recording(policies, [event for history in recorded for event in history])
    told = coverage(policies, seen)
    assert {str(each) for each in findings(policies, NOW, recorded=seen.examples)} >= {str(each) for each in found}
    assert len({(each.subject, each.path, each.message) for each in told}) == len(told)
