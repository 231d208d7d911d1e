"""`./plazo explain` on a file, as a user meets it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from services.__main__ import command_line
from services.cli.explained import explained
from services.cli.story import chapters
from services.timer.explaining.explanation import explain
from services.timer.rulebook import Rulebook
from shared.errors import BadDocument
from shared.events import Recount
from tests.documentation import DOCS, ROOT, examples
from tests.histories import at, history, rulebook

POLICIES = ROOT / "deploy" / "local" / "policies.yaml"
EVENTS = DOCS / "examples" / "events.jsonl"
FILES = ("--policies", str(POLICIES), "--events", str(EVENTS), "--at", "2026-01-08T00:00:00Z")
ITEM = "default/ticket/1"
OFFICE = """
- name: office
  applies_to: {kind: ticket}
  calendar: office
  targets: {resolution: {within: 40h, warn_at: [50%]}}
  pause_when: {status: pending}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line(arguments), arguments)


def told(story: str, until: str, *, width: int, rules: str = OFFICE) -> str:
    """The explanation of a history as a terminal of some width shows it."""
    console = Console(width=width, highlight=False, file=io.StringIO())
    with console.capture() as capture:
        console.print(explained(explain(ITEM, history(story), rulebook(rules), at(until))))
    return plain(capture.get())


def plain(text: str) -> str:
    """The text without trailing blanks, and with the same version whatever the time zone database is."""
    lines = [line.rstrip() for line in text.splitlines()]
    return re.sub(r"version [0-9a-f]{16}", f"version {'0' * 16}", "\n".join(lines))


def test_the_example_in_the_docs_is_what_it_prints() -> None:
    (shown,) = examples(DOCS / "explain.md", "text", "explain-42")
    result = run("explain", "42", *FILES)
    assert result.exit_code == 0, result.output
    assert plain(result.stdout) == plain(shown)


def test_a_narrow_terminal_loses_nothing() -> None:
    assert told("16:00 created\n+1 10:00 updated status=pending\n+1 12:00 resolved", "+1 13:00", width=48) == NARROW


NARROW = """\
default/ticket/1 · over · as of Tue 2026-01-06
13:00:00, all times UTC
  Has       status: pending
  Known     3 events with a time up to then;
            when they arrived is not kept

What happened
  Mon 2026-01-05 16:00:00  ticket.created 001
                           (/desk)
                           - resolution#1
                           starts: 40h by office
                           in office, due Mon
                           2026-01-12 16:00:00
  Tue 2026-01-06 10:00:00  ticket.updated 002
                           (/desk)
                           status: – → pending
                           - resolution#1 stands
                           still
  Tue 2026-01-06 12:00:00  ticket.resolved 003
                           (/desk)
                           - resolution#1 is met
                           after 2h

resolution#1 · met Tue 2026-01-06 12:00:00
  Promise   40h in office (UTC), medium, by
            office of version 0000000000000000
  Metric    from created, until over
  Policy    - office wins: kind is ticket (a
              policy by kind only, 1 condition)
  Time      Mon 2026-01-05 16:00:00  running 1h
            Mon 2026-01-05 17:00:00  closed
            Tue 2026-01-06 09:00:00  running 1h
            Tue 2026-01-06 10:00:00  paused 2h:
                                     status is
                                     pending
            Tue 2026-01-06 12:00:00  met
  Counted   2h elapsed + 2h paused = 4h of open
            time
  Due       40h allowed − 2h used by Tue
            2026-01-06 12:00:00 = 38h left; if
            it had gone on then: 38h of open
            time in office end at Tue 2026-01-13
            10:00:00"""


def test_a_year_of_daily_closings_is_shown_by_its_ends_and_a_sum() -> None:
    story = "09:00 created\n+100 10:00 updated status=pending\n+107 10:00 updated status=open"
    shown = told(story, "+300 12:00", width=100)
    assert shown.partition("  Time      ")[2].partition("  Due")[0] == YEAR


YEAR = """\
Mon 2026-01-05 09:00:00  running 8h
            Mon 2026-01-05 17:00:00  closed
            Tue 2026-01-06 09:00:00  running 8h
            …                        140 more: running 560h, closed 70 times
            Tue 2026-04-14 17:00:00  closed
            Wed 2026-04-15 09:00:00  running 1h
            Wed 2026-04-15 10:00:00  paused 40h: status is pending
            Wed 2026-04-22 10:00:00  running 7h
            Wed 2026-04-22 17:00:00  closed
            Thu 2026-04-23 09:00:00  running 8h
            …                        271 more: running 1080h, closed 136 times
            Fri 2026-10-30 09:00:00  running 8h
            Fri 2026-10-30 17:00:00  closed
            Sun 2026-11-01 12:00:00  now
  Counted   1680h elapsed + 40h paused = 1720h of open time
"""


def test_json_has_everything() -> None:
    result = run("explain", "ticket/42", *FILES, "--format", "json")
    found = json.loads(result.stdout)
    assert (found["item"], len(found["events"]), found["next_since"]) == ("default/ticket/42", 7, None)
    assert [(clock["metric"], clock["state"]) for clock in found["clocks"]] == [
        ("first_response", "breached"),
        ("resolution", "met"),
        ("next_response", "met"),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("resolution", ["resolution"]), ("next_response#1", ["next_response"])],
)
def test_one_clock_can_be_asked_for(name: str, expected: list[str]) -> None:
    found = json.loads(run("explain", "42", *FILES, "--clock", name, "--format", "json").stdout)
    assert [clock["metric"] for clock in found["clocks"]] == expected


def test_a_clock_that_is_not_there_is_refused_with_those_that_are() -> None:
    result = run("explain", "42", *FILES, "--clock", "pickup")
    assert result.exit_code == 2
    assert "first_response#1, resolution#1" in re.sub(r"[\s│]+", " ", result.output)


def test_of_many_clocks_the_open_ones_those_that_breached_and_the_latest_are_shown() -> None:
    rules = "- {name: p, applies_to: {}, calendar: always, targets: {next_response: 1h}}"
    answers = {2: "03:30"}  # the second of them comes late
    turns = [(f"{n:02}:00", answers.get(n, f"{n:02}:30")) for n in range(1, 22) if n != 3]
    lines = [f"{asked} customer_replied\n{answered} agent_replied" for asked, answered in turns]
    shown = told("\n".join(["00:00 created", "00:30 agent_replied", *lines]), "23:00", width=100, rules=rules)
    headings = re.findall(r"^(next_response#\d+) · (\w+)", shown, re.MULTILINE)
    assert headings == [("next_response#2", "breached"), *((f"next_response#{n}", "met") for n in range(10, 21))]
    assert "8 more clocks, that ended in time or long ago; --clock METRIC or METRIC#CYCLE shows one" in shown


@pytest.mark.parametrize("name", ["default/ticket/42", "ticket/42", "42"])
def test_an_item_can_be_named_in_short(name: str) -> None:
    assert run("explain", name, *FILES).stdout.startswith("default/ticket/42 · over · as of Thu 2026-01-08 00:00:00")


def test_an_item_that_is_not_there_is_named() -> None:
    result = run("explain", "nobody", *FILES)
    assert isinstance(result.exception, BadDocument)
    assert "there is no item nobody: expected tenant/kind/id, like default/ticket/nobody" in str(result.exception)


def test_a_name_that_several_items_share_is_refused_with_their_keys(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    lines = [
        json.dumps({"specversion": "1.0", "id": "1", "source": "/s", "type": f"{kind}", "subject": "7", "time": TIME})
        for kind in ("ticket.created", "chat.started")
    ]
    file.write_text("\n".join(lines))
    result = run("explain", "7", "--policies", str(POLICIES), "--events", str(file))
    assert "several items are called 7: expected one of default/chat/7, default/ticket/7" in str(result.exception)


TIME = "2026-01-05T09:00:00Z"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # A file needs the policies beside it, and the other way round.
        (("42", "--events", str(EVENTS)), "--events and --policies belong together"),
        (("42", "--policies", str(POLICIES)), "--events and --policies belong together"),
        (("42", *FILES[:4], "--at", "yesterday"), "expected a time like 2026-01-05T08:00:00Z"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: tuple[str, ...], expected: str) -> None:
    result = run("explain", *arguments)
    assert result.exit_code == 2
    assert expected in re.sub(r"[\s│]+", " ", result.output)


def test_what_an_item_carries_does_not_reach_the_terminal_s_controls() -> None:
    shown = told("09:00 created id=a\x1b[2J status=\x1b[31m", "10:00", width=100)
    assert r"ticket.created a\x1b[2J (/desk)" in shown
    assert r"status: – → \x1b[31m" in shown


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (
            OFFICE.replace("40h", "20h"),
            "gets other terms: 20h by office in office, due Wed 2026-01-07 13:00:00, instead",
        ),
        # The same promise, from another version.
        (OFFICE + "  rank: 1\n", "moves to version"),
    ],
)
def test_what_a_person_decided_about_an_item_is_told_with_the_reason(later: str, expected: str) -> None:
    first, second = rulebook(OFFICE).versions[0][1], rulebook(later).versions[0][1]
    rules = Rulebook(((0, first), (at("10:00"), second)))
    (created,) = history("09:00 created")
    decided = Recount(second.version, "a new contract", "ana")
    moved = msgspec.structs.replace(created, time=at("11:00"), id="m", type="ticket.recounted", recount=decided)
    told = chapters(explain(ITEM, [created, moved], rules, at("12:00")))[-1].lines
    assert told[:2] == ("ticket.recounted m (/desk)", "by ana: a new contract")
    assert f"- resolution#1 {expected}" in told[2]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("when: item.amount > 5", "fails: "),
        ("valid: {from: 2026-02-01}", "the cycle did not start in it"),
        ("applies_to: {kind: ticket, amount: 3}", "amount is x, and must be 3"),
        ("applies_to: {kind: chat}", "for other kinds of items"),
    ],
)
def test_only_policies_for_other_kinds_are_counted_without_a_reason(option: str, expected: str) -> None:
    kind = "" if option.startswith("applies_to") else "applies_to: {kind: ticket}, "
    other = f"- {{name: o, {kind}calendar: office, targets: {{resolution: 1h}}, {option}}}\n"
    shown = told("09:00 created amount=x", "10:00", width=300, rules=OFFICE + other)
    (line,) = (line for line in shown.splitlines() if expected in line)
    assert line.lstrip(" -").startswith("1 more" if "other kinds" in expected else "o does not match")


def test_rulebooks_of_several_versions_are_explained_by_the_pinned_one() -> None:
    first, second = rulebook(OFFICE), rulebook(OFFICE.replace("40h", "20h"))
    rules = Rulebook((first.versions[0], (at("10:00"), second.versions[0][1])))
    found = explain(ITEM, history("09:00 created"), rules, at("12:00"))
    assert found.clocks[0].derivation.target == 40 * 3600 * 1_000_000
