"""The SQL of what inhibits, within the transaction of whoever calls; nothing is asked where no rule is about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.delivery import alert_id, bucket_in
from services.notifier.held_statements import INHIBIT, INHIBITING, OPEN_SOURCES
from services.notifier.inhibition import Rule, Source, Sources
from services.notifier.new_rows import columns
from shared.breach_records import PublishedRecord
from shared.events import Instant, instant, moment


async def sources(
    connection: AsyncConnection, records: Collection[PublishedRecord], rules: tuple[Rule, ...], now: Instant
) -> Sources:
    """What is open and may mute one of *records*: what was stored before, and what is among them."""
    keys = {key for rule in rules for record in records if (key := rule.of_target(record)) is not None}
    if not keys:
        return {}
    found: dict[str, list[Source]] = defaultdict(list)
    for row in await connection.execute(OPEN_SOURCES, {"all_key": sorted(keys)}):
        found[row.key].append(Source(row.alert_id, instant(row.since)))
    for key, source in _of(records, rules, now):
        if key in keys:
            found[key].append(source)
    return {key: tuple(some) for key, some in found.items()}


async def keep(
    connection: AsyncConnection, records: Collection[PublishedRecord], rules: tuple[Rule, ...], now: Instant
) -> None:
    """Store which alerts, stored by now, inhibit by one of *records*."""
    found = sorted(set(_of(records, rules, now)))
    if found:
        rows = [(key, bucket_in(source.alert), source.alert, moment(source.since)) for key, source in found]
        await connection.execute(INHIBIT, columns(rows, *INHIBITING))


def _of(records: Collection[PublishedRecord], rules: tuple[Rule, ...], now: Instant) -> list[tuple[str, Source]]:
    return [
        (key, Source(alert, now))
        for rule in rules
        for record in records
        if (key := rule.of_source(record)) is not None and (alert := alert_id(record)) is not None
    ]
