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


def assert_needed(rule: Rule, folder: Path) -> None:
    """Without the rule each of its tests fails."""
    module = folder / rule.module
    text = module.read_text()
    module.write_text(rule.taken_out(text))
    try:
        for test in rule.fails:
            ran = run(folder, [test])
            assert ran.returncode == FAILED, f"without {rule.says!r}:\n{ran.stdout[-3_000:]}{ran.stderr[-1_000:]}"
    finally:
        module.write_text(text)


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.race)
def test_without_a_rule_its_tests_fail(race: Race, copy: Path) -> None:
    for rule in race.rules:
        assert_needed(rule, copy)


def test_with_every_rule_all_of_these_tests_pass(copy: Path) -> None:
    ran = run(copy, dict.fromkeys(test for race in RACES for rule in race.rules for test in rule.fails))
    assert ran.returncode == 0, ran.stdout[-3_000:] + ran.stderr[-1_000:]
