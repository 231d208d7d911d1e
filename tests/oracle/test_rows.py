"""Every clock of generated histories, by the services and by the second opinion."""

from __future__ import annotations

from hypothesis import given

from tests.oracle import real
from tests.oracle.effort import effort
from tests.oracle.rows import rows
from tests.oracle.strategies import Case, cases


@effort(300)
@given(cases())
def test_every_clock_is_what_the_documentation_says(case: Case) -> None:
    policies, events, until = case
    assert real.rows(policies, events, until) == rows(policies, events, until)
