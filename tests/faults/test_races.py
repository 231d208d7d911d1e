"""Every rule against a race is needed: without it, the tests that are named for it fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from tests.documentation import ROOT
from tests.faults.matrix import row
from tests.faults.races import RACES, Race, Rule

PARTS: Final = ("services", "shared", "deploy", "tests", "docs")
FAILED: Final = 1  # pytest's exit status when tests ran, and some failed
PATIENCE_S: Final = 300.0


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project once more, to be changed."""
    folder = tmp_path_factory.mktemp("without")
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def run(folder: Path, tests: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """Run tests of the copy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    # Without compiled files: one of the same second and length would be taken for the other.
    environment = {**kept, "PYTHONDONTWRITEBYTECODE": "1", "TEST_BROKER": "embedded", "CI": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def passing_without(rule: Rule, folder: Path) -> list[str]:
    """What the tests of a rule say that do not fail without it."""
    module = folder / rule.module
    text = module.read_text()
    module.write_text(rule.taken_out(text))
    try:
        ran = {test: run(folder, [test]) for test in rule.fails}
    finally:
        module.write_text(text)
    return [
        f"without {rule.says!r}, {test}:\n{each.stdout[-3_000:]}{each.stderr[-1_000:]}"
        for test, each in ran.items()
        if each.returncode != FAILED
    ]


@pytest.mark.parametrize("race", [pytest.param(race, marks=row(None, f"race: {race.race}")) for race in RACES])
def test_without_a_rule_its_tests_fail(race: Race, copy: Path) -> None:
    passing = [said for rule in race.rules for said in passing_without(rule, copy)]
    assert not passing, "\n".join(passing)


@row(None, "race: with all rules")
def test_with_every_rule_all_of_these_tests_pass(copy: Path) -> None:
    ran = run(copy, dict.fromkeys(test for race in RACES for rule in race.rules for test in rule.fails))
    assert ran.returncode == 0, ran.stdout[-3_000:] + ran.stderr[-1_000:]
