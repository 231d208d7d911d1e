"""Where a key goes: to the partition to which every other client would send it."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import example, given
from hypothesis import strategies as st

from shared.kafka.producer import KEYS_KNOWN, _placed, partition_of


@pytest.mark.parametrize(
    ("key", "partition"),
    [  # what Kafka's own `Utils.murmur2` gives, of 1,000 partitions
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
def test_a_key_goes_where_the_java_client_sends_it(key: bytes, partition: int) -> None:
    assert partition_of(key, 1_000) == (partition & 0x7FFFFFFF) % 1_000


@given(st.binary(max_size=40), st.integers(1, 100))
@example(b"x" * 255, 32)  # the longest for which the words are laid out already
@example(b"x" * 256, 32)
@example(b"x" * 1_001, 32)
def test_a_key_of_any_length_goes_where_the_client_sends_it_by_itself(key: bytes, count: int) -> None:
    assert partition_of(key, count) == (murmur2(key) & 0x7FFFFFFF) % count


def test_ever_new_keys_are_not_all_remembered() -> None:
    places: dict[bytes, int] = {}
    for number in range(KEYS_KNOWN + 10):
        key = b"%d" % number
        assert _placed(places, key, 32) == partition_of(key, 32)
    assert len(places) == 10
