"""The SQL of what a digest tells of, within the transaction of whoever calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, and_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.tables import delivery, received
from shared.breach_records import PublishedRecord, published_record

# What the digests `all_id` show of their members, each in its place.
MEMBERS: Final = (
    select(delivery.c.digest_id, received.c.event_id, received.c.type, received.c.time, received.c.data)
    .join_from(
        delivery,
        received,
        and_(received.c.bucket == delivery.c.bucket, received.c.event_id == delivery.c.event_id),
    )
    .where(delivery.c.digest_id == func.any(bindparam("all_id", type_=ARRAY(Uuid()))), delivery.c.place.is_not(None))
    .order_by(delivery.c.digest_id, delivery.c.place)
)


async def members(connection: AsyncConnection, digests: Iterable[UUID]) -> Mapping[UUID, tuple[PublishedRecord, ...]]:
    """What each of *digests* shows of what it tells of, the worst first; nothing is asked where there are none."""
    ids = list(digests)
    if not ids:
        return {}
    found: dict[UUID, list[PublishedRecord]] = defaultdict(list)
    for row in await connection.execute(MEMBERS, {"all_id": ids}):
        fields = {"id": row.event_id, "type": row.type, "time": row.time, "data": row.data}
        found[row.digest_id].append(published_record(fields))
    return {digest: tuple(records) for digest, records in found.items()}
