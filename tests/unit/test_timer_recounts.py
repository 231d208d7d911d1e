"""When the timer folds an item again that no event came late for: a person decided so, or the exclusions changed."""

from __future__ import annotations

import pytest
from msgspec import structs

from services.timer import fold
from services.timer.exclusion import Exclusion
from services.timer.rulebook import Rulebook
from shared.events import Event, Recount
from tests.histories import at, event, policies
from tests.timer_desk import ITEM, RULES, Desk, created
from tests.unit.test_timer_handlers import BrokenRules

SHORT = policies("- {name: plain, applies_to: {}, calendar: always, targets: {resolution: 1h}}")
TWO = RULES.adding(at("+20 00:00"), SHORT)
OLD = RULES.versions[0][1].version
NOTHING = Exclusion("nothing", 0, 1, "long ago")


def recounted(time: str, version: str | None = SHORT.version, number: int = 90) -> Event:
    """A person's decision about the item."""
    plain = event(f"{time} updated", number=number)
    return structs.replace(plain, type="ticket.recounted", recount=Recount(version, "new contract", "ana"))


def otherwise(text: str) -> Rulebook:
    """RULES under other exclusions: the very same version counts as if its text were this one."""
    return Rulebook(((0, policies(text).named(OLD).excluding([NOTHING])),))


LATER = otherwise(
    """
- name: plain
  applies_to: {}
  calendar: always
  targets: {first_response: 5h, resolution: 11h}
  pause_when: {status: pending}
"""
)


@pytest.mark.parametrize("where", ["in memory", "in the database"])
async def test_a_recount_moves_the_item_and_what_is_past_by_it_fires(where: str) -> None:
    desk = Desk(TWO, keep_items=1_000 if where == "in memory" else 0)
    await desk.write(created())
    await desk.timer.close()
    desk.time.at = at("10:30")
    await desk.write(recounted("10:30"))
    assert desk.stored().state == fold.refold([created(), recounted("10:30")], TWO)
    assert desk.history() == ["001", "090"]
    desk.time.at = at("10:31")
    await desk.fire()
    assert desk.published() == ["clock.warning first_response", "clock.breached resolution"]  # it had warned at 10:00
    breach = desk.breaches()[-1]
    assert (breach.metric, breach.policy_version) == ("resolution", SHORT.version)
    assert (breach.due_at, breach.breached_at) == ("2026-01-05T10:00:00Z", "2026-01-05T10:30:00Z")


async def test_a_recount_that_comes_again_changes_nothing() -> None:
    desk = Desk(TWO)
    await desk.write(created(), recounted("09:30"))
    await desk.write(recounted("09:30"))
    assert desk.history() == ["001", "090"]


async def test_a_version_that_was_just_registered_is_looked_for() -> None:
    desk = Desk()
    desk.registered = TWO
    await desk.write(created(), recounted("09:30"))
    assert desk.stored().state == fold.refold([created(), recounted("09:30")], TWO)
    assert desk.published() == []


async def test_a_version_that_nobody_registered_is_a_dead_letter_and_the_item_goes_on() -> None:
    desk = Desk()
    await desk.write(created(), recounted("09:30", "nonsense"))
    await desk.write(event("09:40 agent_replied", number=2))
    assert desk.published() == ["dead letter invalid"]
    assert desk.stored().state == fold.refold([created(), event("09:40 agent_replied", number=2)], RULES)
    assert not desk.stored().quarantined


async def test_an_item_that_is_not_there_is_not_recounted() -> None:
    desk = Desk(TWO)
    await desk.write(recounted("09:30"))
    assert desk.published() == ["dead letter invalid"]
    assert desk.tables.items == {}
    assert desk.tables.leases[0].items == 0


@pytest.mark.parametrize("where", ["in memory", "in the lane", "in the database"])
async def test_what_is_no_longer_due_by_other_exclusions_does_not_fire_and_is_due_later(where: str) -> None:
    desk = Desk(keep_items=0 if where == "in the database" else 1_000)
    await desk.fold(created())
    await desk.timer.close()
    if where != "in the lane":
        await desk.commit()
        await desk.timer.close()
    desk.rules = LATER
    desk.time.at = at("11:30")  # by the exclusions before, first_response was due at 11:00
    await desk.fire((at("11:00"), 0, ITEM))
    assert desk.published() == []
    assert desk.stored().next_due == at("14:00")
    assert desk.stored().state == fold.refold([created()], LATER)
    desk.time.at = at("14:01")
    await desk.fire()
    assert [breach.due_at for breach in desk.breaches()] == ["2026-01-05T14:00:00Z"]


async def test_an_event_in_order_folds_an_item_again_that_was_folded_under_other_exclusions() -> None:
    desk = Desk()
    await desk.write(created())
    desk.rules = LATER
    story = [event("10:00 updated status=pending", number=2), event("10:10 updated status=open", number=3)]
    await desk.write(*story)
    assert desk.stored().state == fold.refold([created(), *story], LATER)
    assert desk.stored().state.exclusions == LATER.exclusions_revision != ""


async def test_a_breach_that_does_not_stand_under_the_exclusions_is_taken_back_by_a_recount() -> None:
    desk = Desk()
    await desk.write(created())
    desk.time.at = at("11:30")
    await desk.fire()
    assert desk.published() == ["clock.warning first_response", "clock.breached first_response"]
    desk.rules = LATER
    await desk.write(recounted("11:31", None))
    assert desk.published()[2:] == ["breach.retracted first_response"]


async def test_a_fold_that_fails_while_a_deadline_fires_sets_the_item_aside() -> None:
    desk = Desk()
    await desk.write(created())
    ((since, version),) = RULES.versions
    desk.rules = BrokenRules(((since, version.excluding([NOTHING])),))
    desk.time.at = at("11:30")
    await desk.fire((at("11:00"), 0, ITEM))
    assert desk.stored().quarantined
    assert [breach.late_evidence_possible for breach in desk.breaches()] == [True, True]
