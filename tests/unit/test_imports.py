"""What a service loads: each library costs memory and time at every start, so none that it does not use."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory

from shared.db import alembic_config, newest_revision


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("services.ingest.__main__", {"sqlalchemy", "asyncpg"}),  # it has no database
        ("services.timer.__main__", set()),
    ],
)
def test_a_service_loads_no_library_that_it_does_not_use(module: str, spared: set[str]) -> None:
    spared |= {"aiohttp", "alembic", "holidays", "httpx2", "joserfc", "numpy", "pandas", "typer"}
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert spared & set(done.stdout.split()) == set()


def test_the_newest_revision_is_the_head_of_the_migrations() -> None:
    scripts = ScriptDirectory.from_config(alembic_config("postgresql://u@h/d"))
    assert newest_revision() == scripts.get_current_head() is not None
    assert [each.revision for each in scripts.walk_revisions()] == sorted(
        (each.revision for each in scripts.walk_revisions()), reverse=True
    )
