"""What is known of who owns a partition, and of how many processes share them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from shared.events import Instant

LEASE_S: Final = 3.0  # how long one lives that is not renewed


class Lease(NamedTuple):
    """A partition's row in the table of leases."""

    partition: int
    owner: str | None
    epoch: int
    expired: bool
    revision: int
    next_offset: int | None
    published_through: int
    items: int
    open_clocks: Mapping[str, int]
    told_below: int
    loss_at: Instant | None = None  # when a person had it read on behind records that were lost


class Crew(NamedTuple):
    """How many timer processes there are, this one included."""

    live: int
    in_touch: int  # of these, whom Kafka answers


def lease_of(row: Mapping[str, Any]) -> Lease:
    """A row of `timer.lease` with `expired` computed by the database's clock."""
    return Lease(
        partition=row["partition"],
        owner=row["owner"],
        epoch=row["epoch"],
        expired=row["expired"],
        revision=row["revision"],
        next_offset=row["next_offset"],
        published_through=row["published_through"],
        items=row["items"],
        open_clocks=json.loads(row["open_clocks"]),
        told_below=row["told_below"],
        loss_at=row["loss_at"],
    )
