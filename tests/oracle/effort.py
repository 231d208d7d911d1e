"""How many generated cases a run compares: as many as a minute allows, or `ORACLE_EXAMPLES` each."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings


def effort(examples: int) -> settings:
    """Settings of a property: *examples*, unless the environment asks for another number; a slow one is no failure."""
    number = int(os.environ.get("ORACLE_EXAMPLES", str(examples)))
    return settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))
