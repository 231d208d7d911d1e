"""Random faults are chosen by their seed alone, and there are enough of every kind."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from shared.failpoints import NAMES, parse
from tests.faults.strikes import PLACES, PROCESSES, SERVERS, Fault, place, strikes

SEEDS = st.integers(0, 2**32)
MINUTES = 20


@given(SEEDS)
def test_the_same_seed_chooses_the_same_faults(seed: int) -> None:
    assert list(strikes(seed, 120.0)) == list(strikes(seed, 120.0))
    assert list(strikes(seed, 60.0)) == [each for each in strikes(seed, 120.0) if each.at_s < 60.0]


def test_other_seeds_choose_other_faults() -> None:
    assert list(strikes(1, 60.0)) != list(strikes(2, 60.0))


@given(SEEDS)
def test_twenty_minutes_have_every_kind_of_fault_and_two_hundred_kills(seed: int) -> None:
    found = list(strikes(seed, 60.0 * MINUTES))
    counts = Counter(each.fault for each in found)
    assert set(counts) == set(Fault)
    assert counts[Fault.KILL] >= 180  # places at which processes end by themselves make more of them
    assert {each.whom for each in found} == {*PROCESSES, *SERVERS}
    assert [each.at_s for each in found] == sorted(each.at_s for each in found)


@given(SEEDS)
def test_a_third_of_the_starts_has_a_place_to_end_at(seed: int) -> None:
    for name in PROCESSES:
        chosen = [place(seed, name, start) for start in range(60)]
        assert chosen == [place(seed, name, start) for start in range(60)]
        faults = [parse(each) for each in chosen if each]
        assert 5 <= len(faults) <= 40
        assert {fault.name for fault in faults} <= set(PLACES[name.partition("-")[0]])


def test_every_place_is_struck_in_some_service() -> None:
    assert {name for names in PLACES.values() for name in names} == set(NAMES)
