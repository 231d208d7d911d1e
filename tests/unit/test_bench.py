"""The harness of the benchmarks: figures and their goals, the traffic, and clocks that fall due when they should."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from pydantic import ValidationError

from services.timer import backtest
from services.timer.policies import read_files
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.cloudevents import decode_structured
from shared.events import SECOND, Instant, parse_instant
from tests.bench import policies
from tests.bench.catalogue import BENCHMARKS
from tests.bench.figures import Series, at_least, at_most, keep, kept, markdown, written
from tests.bench.latency import quantile
from tests.bench.sizes import Sizes, unusual
from tests.bench.workload import LATE, REPEATED, STEPS, Shape, lifecycles, probes

NOON = parse_instant("2026-11-20T12:00:00Z")
ORDER = ["one", "other"]


def series(name: str = "one", **sizes: str) -> Series:
    return Series(name, sizes)


# --- figures ---


def test_a_figure_is_the_median_of_its_runs() -> None:
    some = series()
    for value in (3.0, 1.0, 2.0):
        some.add("speed", value, "events/s", at_least(2))
    (figure,) = some.figures()
    assert (figure.value, figure.runs, figure.goal, figure.met) == (2.0, [3.0, 1.0, 2.0], "≥ 2", True)


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (at_most(2.0), True),  # just so
        (at_most(1.9), False),
        (at_least(2.0), True),
        (at_least(2.1), False),
        (None, None),
    ],
)
def test_a_figure_says_whether_its_goal_is_met(goal: object, met: object) -> None:
    some = series()
    some.add("speed", 2.0, "s", goal)  # type: ignore[arg-type] # the table has both kinds and none
    assert some.figures()[0].met is met


def test_a_figure_of_another_size_is_not_held_to_its_goal() -> None:
    some = series(EVENTS="20000")
    some.add("speed", 2.0, "s", at_most(1))
    (figure,) = some.figures()
    assert (figure.goal, figure.met, figure.sizes) == ("≤ 1", None, {"EVENTS": "20000"})


def test_a_ratio_is_that_of_the_medians_with_the_single_ones_beside_it() -> None:
    some = series()
    for ours, theirs in ((10.0, 5.0), (30.0, 6.0), (20.0, 20.0)):
        some.add("ours", ours, "events/s")
        some.add("theirs", theirs, "events/s")
    some.ratio("times", "ours", "theirs", at_least(1))
    figure = some.figures()[-1]
    assert (figure.value, figure.runs, figure.met) == (20.0 / 6.0, [2.0, 5.0, 1.0], True)


def test_the_cpu_time_of_a_process_is_the_median_too() -> None:
    some = series()
    some.add("speed", 1.0, "s")
    for used in (1.0, 9.0, 2.0):
        some.used("speed", {"timer": used})
    assert some.figures()[0].cpu_s == {"timer": 2.0}


def test_a_benchmark_replaces_its_own_figures_only(tmp_path: Path) -> None:
    file = tmp_path / ".bench" / "latest.json"
    for name, value in (("other", 1.0), ("one", 2.0), ("one", 3.0)):
        some = series(name)
        some.add(f"{name}_speed", value, "s")
        keep(file, name, some.figures(), ORDER)
    assert [(figure.name, figure.value) for figure in kept(file)] == [("one_speed", 3.0), ("other_speed", 1.0)]
    assert set(msgspec.json.decode(file.read_bytes())) == {"machine", "figures"}


def test_figures_of_a_benchmark_that_is_gone_go_too(tmp_path: Path) -> None:
    some = series("gone")
    some.add("gone_speed", 1.0, "s")
    keep(tmp_path / "latest.json", "gone", some.figures(), ["gone"])
    keep(tmp_path / "latest.json", "one", [], ORDER)
    assert kept(tmp_path / "latest.json") == []


def test_the_figures_are_a_table_for_a_page() -> None:
    some = series()
    some.add("speed", 1234.5, "events/s", at_least(1000), note="a | b")
    some.used("speed", {"timer": 1.25})
    header, rule, row = markdown(some.figures()).splitlines()
    assert header.startswith("| figure | median | unit | goal | met |")
    assert rule.count("---") == header.count("|") - 1
    assert row == "| speed | 1,234 | events/s | ≥ 1,000 | yes |  | timer 1.2 | a \\| b |"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "1,234"),  # all that stands before the point
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.0, "0"),  # a whole number has no point
        (3.0, "3"),
    ],
)
def test_a_value_is_written_with_the_digits_that_count(value: float, text: str) -> None:
    assert written(value) == text


def test_sizes_that_are_usual_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Sizes.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("CLOCKS", "2000")
    monkeypatch.setenv("EVENTS", "500000")
    assert unusual(Sizes(), list(Sizes.model_fields)) == {"CLOCKS": "2000"}
    assert unusual(Sizes(), ["events"]) == {}


def test_a_size_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDLE", "10k")
    with pytest.raises(ValidationError):
        Sizes()


def test_every_size_belongs_to_a_benchmark() -> None:
    assert {size for each in BENCHMARKS.values() for size in each.sizes} == set(Sizes.model_fields)


def test_all_benchmarks_that_run_together_take_less_than_three_quarters_of_an_hour() -> None:
    assert sum(each.minutes for each in BENCHMARKS.values() if not each.by_name_only) <= 45


def test_a_quantile_is_the_value_below_which_a_share_lies() -> None:
    values = list(range(1, 101))
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([7], 0.99)) == (51, 100, 7)


# --- traffic ---


def test_the_traffic_has_whole_lives_with_repeats_and_late_events() -> None:
    found = [decode_structured(value) for _, value in lifecycles(Shape(10_000, in_flight=100), NOON)]
    count = Counter(event.id for event in found)
    lives = Counter(event.subject for event in {event.id: event for event in found}.values())
    assert set(lives.values()) == {len(STEPS)}
    assert len(lives) == 10_000 // len(STEPS)
    assert max(count.values()) == 2
    assert sum(times - 1 for times in count.values()) / 10_000 == pytest.approx(REPEATED, rel=0.3)
    late, latest = set[str](), dict[str, Instant]()
    for event in found:
        if event.time < latest.get(event.subject, event.time) and count[event.id] == 1:
            late.add(event.id)
        latest[event.subject] = max(event.time, latest.get(event.subject, event.time))
    assert 0 < len(late) / 10_000 <= 1.5 * LATE  # of those held back, some come before their successor all the same
    assert max(latest.values()) <= NOON


@pytest.mark.parametrize(
    "now",
    [
        "2026-11-20T02:30:00Z",  # the calendar closes in the afternoon
        "2026-11-20T10:30:00Z",  # it closes with the day
        "2026-11-20T11:30:00Z",  # it begins an hour after the day
        "2026-11-20T22:59:59Z",  # it closes in the morning
        "2026-12-25T12:00:00Z",  # a holiday
        "2026-11-22T03:00:00Z",  # a Sunday, at night
        "2026-10-25T01:30:00Z",  # the night in which an hour comes twice
        "2027-03-28T01:30:00Z",  # the night in which an hour is left out
    ],
)
def test_probes_fall_due_within_their_window_whenever_it_is(now: str, tmp_path: Path) -> None:
    start = parse_instant(now)
    policies.write(tmp_path / "policies", start)
    rulebook = Rulebook(((0, load(read_files(tmp_path / "policies"), now=start)),))
    due, window = start + 60 * SECOND, 30 * SECOND
    events = [decode_structured(value) for _, value in probes(50, due, window)]
    rows = backtest.run(events, rulebook, due + window + 1)
    first = [row for row in rows if row.metric == "first_response"]
    assert len(first) == 50
    assert {row.state for row in first} == {"breached"}
    dues = [row.due_at for row in first if row.due_at is not None]
    assert len(dues) == 50
    assert due <= min(dues) < max(dues) <= due + window
    assert {row.state for row in rows if row.metric == "resolution"} == {"running"}
