"""Open clocks that a person moves to another version of the policies: the rules one by one, and the laws."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.timer import fold
from services.timer.clock import Clock, counted
from services.timer.exclusion import Exclusion
from services.timer.item import ItemState
from services.timer.policy_set import PolicySet
from services.timer.rulebook import Rulebook
from shared.events import Event, Instant, Recount
from tests.histories import DAY, at, clocks, event, history, policies
from tests.strategies_events import LENGTH, RULEBOOKS, UNTIL, histories
from tests.unit.test_clock import LAW

OLD = "- {name: p, applies_to: {}, calendar: always, targets: {resolution: 8h}, pause_when: {status: pending}}"
NEW = "- {name: p, applies_to: {}, calendar: always, targets: {resolution: 2h}, pause_when: {status: pending}}"
OFFICE = "- {name: p, applies_to: {}, calendar: office, targets: {resolution: 8h}}"
NOBODY = "- {name: p, applies_to: {}, calendar: always, targets: {first_response: 8h}}"
ACME = "- {name: p, applies_to: {customer: acme}, calendar: always, targets: {resolution: 8h}}"
TEAM = """
- {name: p, applies_to: {}, calendar: always, targets: {resolution: 8h}}
- {name: team, applies_to: {}, calendar: always, targets: {resolution: 6h}, combine: all}
"""


def two(old: str, new: str, since: str = "+20 00:00") -> Rulebook:
    """Two versions, of which the second is in force from an instant on, later than the stories unless it is given."""
    return Rulebook(((0, policies(old)), (at(since), policies(new))))


def moved(time: str, rules: Rulebook, number: int = 99) -> Event:
    """The move of an item to the last version of *rules*."""
    plain = event(f"{time} updated", number=number)
    return replace(plain, type="ticket.recounted", recount=Recount(rules.versions[-1][1].version, "new", "ana"))


@pytest.mark.parametrize(
    ("versions", "story", "expected"),
    [
        # another target holds since the start
        ((OLD, NEW), "08:00 created", "resolution 1 p running 08:00– due 10:00 elapsed 1:30"),
        # time in which it stood still under the new terms does not count
        (
            (OLD, NEW),
            "08:00 created|08:30 updated status=pending|09:00 updated status=open",
            "resolution 1 p running 08:00– due 10:30 elapsed 1:00 paused 0:30",
        ),
        # one that stands still goes on standing still
        (
            (OLD, NEW),
            "08:00 created|09:00 updated status=pending",
            "resolution 1 p paused 08:00– elapsed 1:00 paused 0:30",
        ),
        # another calendar
        ((OLD, OFFICE), "08:00 created", "resolution 1 p running 08:00– due 17:00 elapsed 0:30"),
        # the new version pauses by other conditions, also in the past
        ((OFFICE, OLD), "08:00 created status=pending", "resolution 1 p paused 08:00– elapsed 0:00 paused 1:30"),
        # nobody measures it any more
        ((OLD, NOBODY), "08:00 created", "resolution 1 p cancelled 08:00–09:00 due 16:00 elapsed 1:00"),
        # one that ended is not changed
        ((OLD, NEW), "08:00 created|08:30 resolved", "resolution 1 p met 08:00–08:30 due 16:00 elapsed 0:30"),
        # one that was taken up again counts its time of being over as paused under the new terms too
        (
            (OLD, NEW),
            "08:00 created|08:10 resolved|08:40 reopened",
            "resolution 1 p running 08:00– due 10:30 elapsed 1:00 paused 0:30",
        ),
    ],
)
def test_an_open_clock_moves_as_if_its_new_terms_had_held_since_its_start(
    versions: tuple[str, str], story: str, expected: str
) -> None:
    rules = two(*versions)
    events = [*history(story.replace("|", "\n")), moved("09:00", rules)]
    told = [line for line in clocks(events, rules, until="09:30") if line.startswith("resolution")]
    assert told == [expected]


def test_a_due_time_that_is_past_by_the_new_terms_breaches_at_the_move() -> None:
    rules = two(OLD, NEW)
    assert clocks([*history("08:00 created"), moved("11:00", rules)], rules, until="12:00") == [
        "resolution 1 p breached 08:00– due 10:00 breached 11:00 elapsed 4:00"
    ]


def test_also_while_the_clock_stands_still() -> None:
    rules = two(OLD, NEW)
    story = history("08:00 created\n10:30 updated status=pending")
    assert clocks([*story, moved("11:00", rules)], rules, until="12:00") == [
        "resolution 1 p breached 08:00– due 10:00 breached 11:00 elapsed 2:30 paused 1:30"
    ]


def test_a_clock_that_breached_keeps_what_it_broke() -> None:
    rules = two(NEW, OLD)
    assert clocks([*history("08:00 created"), moved("11:00", rules)], rules, until="12:00") == [
        "resolution 1 p breached 08:00– due 10:00 elapsed 4:00"
    ]
    state = fold.refold([*history("08:00 created"), moved("11:00", rules)], rules)
    assert state.clocks[0].version == rules.versions[0][1].version


@pytest.mark.parametrize("on_change", ["keep", "restart", "recompute"])
def test_a_move_is_decided_so_on_change_has_no_say(on_change: str) -> None:
    options = f"\n  on_change: {on_change}"
    body = "- name: p\n  applies_to: {{}}\n  calendar: always\n  targets: {{resolution: {0}}}" + options
    rules = two(body.format("8h"), body.format("2h"))
    assert clocks([*history("08:00 created"), moved("09:00", rules)], rules, until="09:30") == [
        "resolution 1 p running 08:00– due 10:00 elapsed 1:30"
    ]


KEPT = """
- name: p
  applies_to: {}
  calendar: always
  targets: {resolution: {within: 8h, by: {priority: {high: 4h}}}}
  on_change: keep
"""


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        # the policy stands in the new version as it was, beside another one: the clock goes on keeping its terms
        (f"{KEPT}- {{name: q, applies_to: {{kind: chat}}, calendar: always, targets: {{pickup: 1m}}}}", "16:00"),
        # another change of the policy: what it promises now
        (KEPT.replace("4h", "3h"), "11:00"),
        # only what the clock kept has changed: likewise
        (KEPT.replace("8h", "7h"), "12:00"),
    ],
)
def test_terms_that_were_kept_in_a_change_stand_only_where_the_new_version_leaves_them(new: str, expected: str) -> None:
    rules = two(KEPT, new)
    story = history("08:00 created\n08:30 updated priority=high")
    assert clocks([*story, moved("09:00", rules)], rules, until="09:00") == [
        f"resolution 1 p running 08:00– due {expected} elapsed 1:00"
    ]


def test_a_metric_that_nobody_measured_is_measured_from_its_start_while_its_cycle_is_open() -> None:
    rules = two(NOBODY, OLD)
    assert clocks([*history("08:00 created"), moved("09:00", rules)], rules, until="10:00") == [
        "first_response 1 p cancelled 08:00–09:00 due 16:00 elapsed 1:00",
        "resolution 1 p running 08:00– due 16:00 elapsed 2:00",
    ]


def test_a_metric_that_nobody_measured_gets_no_clock_for_a_cycle_that_ended() -> None:
    rules = two(OLD, NOBODY)
    story = history("08:00 created\n08:30 agent_replied")
    assert clocks([*story, moved("09:00", rules)], rules, until="10:00") == [
        "resolution 1 p cancelled 08:00–09:00 due 16:00 elapsed 1:00"
    ]


def test_what_ended_before_a_late_event_is_decided_by_the_history_with_it() -> None:
    rules = two(OLD, NOBODY)
    story = history("08:00 created")
    late = event("08:30 agent_replied", number=5)
    open_still = clocks([*story, moved("09:00", rules)], rules, until="10:00")
    assert open_still[0] == "first_response 1 p running 08:00– due 16:00 elapsed 2:00"
    assert clocks([*story, moved("09:00", rules), late], rules, until="10:00") == open_still[1:]


def test_a_cycle_that_no_policy_matched_is_under_the_new_version_from_the_move_on() -> None:
    rules = two(ACME, ACME.replace("8h", "2h"))
    story = [*history("08:00 created"), moved("09:00", rules)]
    assert clocks(story, rules, until="09:30") == []
    late = event("09:30 updated customer=acme", number=5)
    assert clocks([*story, late], rules, until="09:30") == ["resolution 1 p running 08:00– due 10:00 elapsed 1:30"]
    rules = two(ACME, NEW)
    assert clocks([*history("08:00 created"), moved("09:00", rules)], rules, until="09:30") == [
        "resolution 1 p running 08:00– due 10:00 elapsed 1:30"
    ]


def test_policies_beside_the_winner_come_and_go() -> None:
    plain = TEAM.strip().splitlines()[0]
    rules = two(plain, TEAM)
    assert clocks([*history("08:00 created"), moved("09:00", rules)], rules, until="09:30") == [
        "resolution 1 p running 08:00– due 16:00 elapsed 1:30",
        "resolution 2 team running 08:00– due 14:00 elapsed 1:30",
    ]
    rules = two(TEAM, plain)
    assert clocks([*history("08:00 created"), moved("09:00", rules)], rules, until="09:30") == [
        "resolution 1 p running 08:00– due 16:00 elapsed 1:30",
        "resolution 2 team cancelled 08:00–09:00 due 14:00 elapsed 1:00",
    ]


def test_beside_a_winner_that_breached_a_new_policy_is_measured_too() -> None:
    rules = two(TEAM.strip().splitlines()[0].replace("8h", "30m"), TEAM)
    assert clocks([*history("08:00 created"), moved("09:00", rules)], rules, until="09:30") == [
        "resolution 1 p breached 08:00– due 08:30 elapsed 1:30",
        "resolution 2 team running 08:00– due 14:00 elapsed 1:30",
    ]


def test_nothing_starts_on_an_item_that_is_over() -> None:
    rules = two(ACME, TEAM)
    story = history("08:00 created\n08:30 resolved")
    assert clocks([*story, moved("09:00", rules)], rules, until="09:30") == []


def test_warnings_that_were_given_are_not_given_again() -> None:
    warned = OLD.replace("resolution: 8h", "resolution: {within: 8h, warn_at: [25%, 50%]}")
    rules = two(warned, warned.replace("8h", "4h"))
    [clock] = fold.refold([*history("08:00 created"), moved("11:00", rules)], rules).clocks
    assert [(each.at, each.label) for each in clock.warned] == [(at("10:00"), "25%"), (at("11:00"), "50%")]
    assert clock.pending == ()


def test_a_recount_without_a_version_changes_nothing_by_itself() -> None:
    rules = two(OLD, NEW)
    story = history("08:00 created\n08:30 updated status=pending")
    again = replace(moved("09:00", rules), recount=Recount(reason="maintenance"))
    before, after = fold.refold(story, rules), fold.refold([*story, again], rules)
    assert replace(after, order=before.order) == before


def test_a_recount_follows_nothing_so_that_the_item_is_always_folded_again() -> None:
    rules = two(OLD, NEW)
    assert not fold.follows(fold.refold(history("08:00 created"), rules), moved("09:00", rules))


def test_a_version_that_is_not_known_is_not_guessed_at() -> None:
    rules = two(OLD, NEW)
    with pytest.raises(KeyError):
        fold.refold([*history("08:00 created"), moved("09:00", rules)], Rulebook(rules.versions[:1]))


def renamed(policies: PolicySet) -> PolicySet:
    """The same policies as another version."""
    return policies.named("other")


def plain(state: ItemState) -> ItemState:
    """The item without what tells apart two versions of the same terms."""
    return replace(
        state,
        order=None,
        clocks=tuple(replace(clock, version="") for clock in state.clocks),
        unmeasured=tuple(replace(cycle, version="") for cycle in state.unmeasured),
        waiting=tuple(replace(cycle, version="") for cycle in state.waiting),
    )


def move_at(instant: Instant, version: str, like: Event) -> Event:
    """The move of the item of *like*."""
    return replace(
        like,
        time=instant,
        id="move",
        source="/plazo",
        type=f"{like.kind}.recounted",
        attributes={},
        recount=Recount(version),
        snapshot=None,
    )


def instants(events: list[Event]) -> st.SearchStrategy[Instant]:
    """Instants of a history: those of its events, and any between and after."""
    times = [event.time for event in events]
    return st.sampled_from(times) | st.integers(min(times), max(times) + LENGTH)


def identity(clock: Clock) -> tuple[str, str, str, bool, str]:
    """What a clock counts."""
    return (clock.metric, clock.source, clock.event_id, clock.beside, clock.policy if clock.beside else "")


class TestLaws:
    @LAW
    @given(histories(), st.sampled_from(RULEBOOKS), st.data())
    def test_a_move_to_the_same_terms_changes_nothing(
        self, events: list[Event], rules: Rulebook, data: st.DataObject
    ) -> None:
        ((_, first),) = rules.versions
        since = data.draw(instants(events))
        covers = data.draw(st.sampled_from(({}, {"priority": frozenset({"urgent"})})))
        first = first.excluding([Exclusion("outage", since, since + DAY, "the network was down", covers)])
        rules = Rulebook(((0, first),))
        both = rules.adding(data.draw(instants(events)), renamed(first))
        move = move_at(data.draw(instants(events)), "other", events[0])
        still = replace(move, recount=Recount())  # what ran out by the instant of the move is noted in any case
        assert plain(fold.refold([*events, move], both)) == plain(fold.refold([*events, still], rules))

    @LAW
    @given(histories(), st.permutations(RULEBOOKS), st.data())
    def test_live_is_the_same_as_folded_again(
        self, events: list[Event], books: list[Rulebook], data: st.DataObject
    ) -> None:
        first, second = books[0].versions[0][1], books[1].versions[0][1]
        rules = Rulebook(((0, first), (data.draw(instants(events)), second)))
        moves = [move_at(data.draw(instants(events)), version.version, events[0]) for version in (second, first)]
        known = [*events, replace(moves[0], id="first"), moves[1]]
        random = Random(data.draw(st.integers(0, 1_000)))
        state, arrived = fold.EMPTY, []
        for each in sorted(known, key=lambda event: (event.time // (6 * 3600 * 1_000_000), random.random())):
            arrived.append(each)
            state = fold.apply(state, each, rules) if fold.follows(state, each) else fold.refold(arrived, rules)
        assert state == fold.refold(known, rules)

    @LAW
    @given(histories(), st.permutations(RULEBOOKS), st.data())
    def test_every_clock_accounts_for_its_business_time(
        self, events: list[Event], books: list[Rulebook], data: st.DataObject
    ) -> None:
        first, second = books[0].versions[0][1], books[1].versions[0][1]
        rules = Rulebook(((0, first), (UNTIL, second)))
        move = move_at(data.draw(instants(events)), second.version, events[0])
        for clock in fold.refold([*events, move], rules).clocks:
            hours = rules.version(clock.version).calendars[clock.calendar]
            end = clock.stopped_at if clock.stopped_at is not None else UNTIL
            assert sum(counted(clock, UNTIL, hours)) == hours.between(clock.started_at, end)

    @LAW
    @given(histories(), st.permutations(RULEBOOKS[:2]), st.data())
    def test_what_moved_is_as_if_the_version_had_always_been_in_force(
        self, events: list[Event], books: list[Rulebook], data: st.DataObject
    ) -> None:
        first, second = books[0].versions[0][1], books[1].versions[0][1]
        move = move_at(data.draw(instants(events)), second.version, events[0])
        told = [each for each in events if each.order < move.order]
        state = fold.refold([*told, move], Rulebook(((0, first), (UNTIL, second))))
        expected = {
            identity(clock): clock
            for clock in fold.refold(told, Rulebook(((0, second),))).clocks
            if clock.stopped_at is None and clock.breached_at is None
        }
        for clock in state.clocks:
            always = expected.get(identity(clock))
            if clock.version == second.version and always is not None and always.gaps == clock.gaps:
                assert (clock.policy, clock.target, clock.calendar) == (always.policy, always.target, always.calendar)
                assert clock.breached_at in (None, move.time)
                if clock.breached_at is None:
                    assert (clock.due_at, clock.phase) == (always.due_at, always.phase)
