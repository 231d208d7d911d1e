"""What is held, in PostgreSQL: taken up when it is due, and put where a release says, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.alerts.standing import unpack
from services.notifier.delivery import MEMBERS_SHOWN, Notice, bucket_in, delivery_id
from services.notifier.grouping import Grouping, group_in
from services.notifier.held_statements import (
    CHANGE_HELD,
    CHANGED,
    DIGEST,
    DIGESTS,
    DUE_RECEIVERS,
    HELD,
    HOW_MANY,
    NEXT_HELD,
    OLD_GROUPS,
    OLD_SILENCES,
    PACE,
    PACE_THERE,
    PACED,
    REPEAT,
    REPEATED,
    REPEATING,
    STILL_OPEN,
    TELL,
    TO_REPEAT,
    TOLD,
    TOLD_LAST,
)
from services.notifier.holding.release import Digest, Held, Release, Situation, release
from services.notifier.holding.rules import Rules
from services.notifier.new_rows import columns
from shared.breach_records import published_record
from shared.db import Database
from shared.events import Instant, instant, moment, rfc3339

RELEASED_AT_ONCE: Final = 10_000  # of one receiver: a flood of them is one digest, and takes 2 s
REPEATED_AT_ONCE: Final = 20  # groups


class HeldStore:
    """What waits, in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: Instant) -> tuple[list[str], Instant | None]:
        """The receivers of which something held is due at *now*; and when the first of all that is held is due.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        async with self._database.transaction("read what is held") as connection:
            first = (await connection.execute(NEXT_HELD)).scalar()
            if first is None or first > moment(now):
                return [], None if first is None else instant(first)
            names = (await connection.execute(DUE_RECEIVERS, {"now": moment(now)})).scalars()
            return sorted(names), instant(first)

    async def release(self, receiver: str, rules: Rules, now: Instant) -> Release | None:
        """Put what is held for *receiver* and due where it belongs; None where another process is at it.

        Raises:
            Unavailable, BadData, Refused: see `shared.db`.
        """
        async with self._database.transaction("release what is held") as connection:
            await connection.execute(PACE_THERE, {"receiver": receiver})
            locked = (await connection.execute(PACE, {"receiver": receiver})).all()
            if not locked:
                return None
            full_at = None if locked[0].full_at is None else instant(locked[0].full_at)
            wanted = {"receiver": receiver, "now": moment(now), "most": RELEASED_AT_ONCE}
            held = [_held(row) for row in await connection.execute(HELD, wanted)]
            told = await _told_last(connection, held)
            found = release(held, Situation(now, rules, told, full_at))
            await _keep(connection, found, now)
            await _tell_groups(connection, found, rules.groupings, now)
            if found.full_at != full_at and found.full_at is not None:
                await connection.execute(PACED, {"whose": receiver, "full": moment(found.full_at)})
        return found

    async def count(self) -> int:
        """How many deliveries are held.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        async with self._database.transaction("count what is held") as connection:
            return (await connection.execute(HOW_MANY)).scalar_one()

    async def prune(self, before: Instant) -> None:
        """Forget groups that were told last before *before*, and silences that were over by then.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        async with self._database.transaction("forget old groups and silences") as connection:
            await connection.execute(OLD_GROUPS, {"before": moment(before)})
            await connection.execute(OLD_SILENCES, {"before": moment(before)})

    async def repeat(self, now: Instant) -> int:
        """Hold again, due at once, what is still open of groups whose repeat is due; how much that is.

        Raises:
            Unavailable, BadData, Refused: see `shared.db`.
        """
        async with self._database.transaction("repeat what is still open") as connection:
            due = (await connection.execute(TO_REPEAT, {"now": moment(now), "most": REPEATED_AT_ONCE})).all()
            rows: list[tuple[Any, ...]] = []
            for group in due:
                found = await connection.execute(STILL_OPEN, {"key": group.key})
                rows += [_repeated(_held(row), instant(group.told_at), now) for row in found]
            if rows:
                await connection.execute(REPEAT, columns(rows, *REPEATED))
            if due:
                await connection.execute(REPEATING, {"all_key": [group.key for group in due]})
        return len(rows)


async def _told_last(connection: AsyncConnection, held: Sequence[Held]) -> Mapping[str, Instant]:
    keys = {each.notice.group for each in held if each.notice.group is not None}
    if not keys:
        return {}
    found = await connection.execute(TOLD_LAST, {"all_key": sorted(keys)})
    return {row.key: instant(row.told_at) for row in found}


async def _keep(connection: AsyncConnection, found: Release, now: Instant) -> None:
    if found.digests:
        rows = [_digest(each, now) for each in found.digests]
        await connection.execute(DIGESTS, columns(rows, *DIGEST))
    changes = list(_changes(found, now))
    if changes:
        await connection.execute(CHANGE_HELD, columns(changes, *CHANGED))


def _changes(found: Release, now: Instant) -> Iterable[tuple[Any, ...]]:
    at = moment(now)
    for each in found.go:
        yield (*_key(each), "pending", each.notice.why, each.notice.group, at, None, None, None, None)
    for each, wait in found.waits:
        group = each.notice.group if wait.group is None else each.notice.group or wait.group.key
        yield (*_key(each), "held", wait.why, group, moment(wait.until), None, None, None, None)
    for each, ending in found.ends:
        yield (*_key(each), ending.state, ending.why, each.notice.group, None, at, None, None, ending.silence)
    for digest in found.digests:
        for place, each in enumerate(digest.members, 1):
            shown = place if place <= MEMBERS_SHOWN else None
            yield (*_key(each), "digested", each.notice.why, each.notice.group, None, at, digest.id, shown, None)


def _key(each: Held) -> tuple[int, UUID]:
    return bucket_in(each.id), each.id


def _digest(digest: Digest, now: Instant) -> tuple[Any, ...]:
    worst = digest.members[0]
    told, at = worst.notice, moment(now)
    key = (bucket_in(digest.id), digest.id, worst.record.id)
    said = (told.route, told.receiver, told.channel, digest.reason, "pending", "", told.group)
    return (*key, *said, len(digest.members), 0, 0, at, at)


async def _tell_groups(
    connection: AsyncConnection, found: Release, groupings: Mapping[str, Grouping], now: Instant
) -> None:
    told = {each.notice.group for each in found.told if each.notice.group is not None}
    rows = []
    for key in sorted(told):
        grouping = groupings.get(group_in(key).route or "")
        if grouping is not None:
            rows.append((key, moment(now), None if grouping.repeat is None else moment(now + grouping.repeat)))
    if rows:
        await connection.execute(TELL, columns(rows, *TOLD))


def _repeated(told: Held, last: Instant, now: Instant) -> tuple[Any, ...]:
    notice = replace(told.notice, step=f"repeat after {rfc3339(last)}")
    identity, at = delivery_id(told.record, notice), moment(now)
    key = (bucket_in(identity), identity, told.record.id, told.alert_id)
    said = (notice.route, notice.receiver, notice.channel, notice.reason, "held", "still open", notice.group)
    return (*key, *said, notice.step, 0, 0, at, at)


def _held(row: Row[Any]) -> Held:
    notice = Notice(
        *(row.route, row.receiver, row.channel, row.reason),
        state="held",
        due=None if row.next_attempt_at is None else instant(row.next_attempt_at),
        why=row.why,
        group=row.group_key,
        step=row.step,
    )
    record = published_record({"id": row.event_id, "type": row.type, "time": row.time, "data": row.data})
    alert = None if row.alert_state is None else unpack(row.alert_state)
    return Held(row.id, notice, record, alert, row.alert_id)
