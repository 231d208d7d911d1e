"""What a group has committed, asked of its coordinator.

The client's own question looks at the errors of single partitions alone. A coordinator that loads its log, or that the
group has left for another broker, answers with one error for everything and no partition: to the client, as if the
group had never committed anything. Whoever believes that reads everything again, or waits for evidence for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.protocol.commit import OffsetFetchRequest

from shared.kafka.connection import Place

_MOVED = (kafka_errors.NotCoordinatorForGroupError, kafka_errors.GroupCoordinatorNotAvailableError)


async def committed_offsets(coordinator: Any, places: Sequence[Place]) -> dict[Place, int | None]:
    """What the group of *coordinator* (a client's, with its connection) has committed; None where nothing.

    Raises:
        KafkaError: it does not know, or not yet; where the group has moved, the next call looks for its new place.
    """
    await coordinator.ensure_coordinator_known()
    wanted: dict[str, list[int]] = {}
    for topic, partition in places:
        wanted.setdefault(topic, []).append(partition)
    response = await coordinator._send_req(OffsetFetchRequest(coordinator.group_id, list(wanted.items())))
    _check(response.error_code, coordinator)
    found: dict[Place, int | None] = dict.fromkeys(places)
    for topic, partitions in response.topics:
        for partition, offset, _, error_code in partitions:
            _check(error_code, coordinator)
            found[Place(topic, partition)] = offset if offset >= 0 else None
    return found


def _check(error_code: int, coordinator: Any) -> None:
    error = kafka_errors.for_code(error_code)
    # A topic that does not exist has nothing committed.
    if error in (kafka_errors.NoError, kafka_errors.UnknownTopicOrPartitionError):
        return
    if error in _MOVED:
        coordinator.coordinator_dead()
    raise error(f"the offsets of group {coordinator.group_id}")
