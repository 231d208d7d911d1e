"""Batches of records as only other clients write them: with headers whose names are no UTF-8."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

UNREADABLE = b"ce_\xff\xfe"


class _Name(str):
    """The name of a header that is written as UNREADABLE."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return UNREADABLE


async def write_unreadable(bootstrap: str, topic: str, values: Iterable[bytes], *, partition: int = 0) -> None:
    """Write *values* in one batch; the second of them has a header whose name is no UTF-8."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(
            magic=2,
            compression_type=0,
            is_transactional=0,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=100_000,
        )
        for number, value in enumerate(values):
            headers: list[tuple[str, bytes]] = [(_Name("ce_name"), b"x")] if number == 1 else []
            assert batch.append(key=b"k", value=value, timestamp=None, headers=headers) is not None
        await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()
