"""Ids that are made from names."""

from __future__ import annotations

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from services.timer.names import name_in


@given(st.uuids(), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_name_has_the_uuid_that_the_standard_library_gives_it(namespace: UUID, name: str) -> None:
    assert name_in(str(namespace), name) == str(uuid5(namespace, name))
