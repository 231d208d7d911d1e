"""Rules of style that can be counted: sizes, names, and what does not belong in a place."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "base", "models", "types", "misc"}

SOURCES = [path for folder in ("services", "shared", "deploy") for path in sorted((ROOT / folder).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def short(path: Path) -> str:
    """The path as people write it."""
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[Function]:
    """Every function of a file, nested ones too."""
    tree = ast.parse(path.read_text())
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def body_lines(function: Function) -> int:
    """How many lines a function has without its docstring and its decorators."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_a_file_can_be_read_in_one_sitting() -> None:
    lines = {short(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: count for name, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_a_function_can_be_seen_whole() -> None:
    lines = {f"{short(path)}:{each.lineno}": body_lines(each) for path in SOURCES for each in functions(path)}
    assert {place: count for place, count in lines.items() if count > MAX_FUNCTION_LINES} == {}


def test_a_module_is_named_for_what_it_holds() -> None:
    assert [short(path) for path in SOURCES + TESTS if path.stem in NAMES_THAT_SAY_NOTHING] == []


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    taken = sys.stdlib_module_names - {"__main__"}
    assert [short(path) for path in SOURCES if path.stem in taken] == []


def test_the_files_that_make_packages_are_empty() -> None:
    inits = [path for path in SOURCES + TESTS if path.name == "__init__.py"]
    assert inits
    assert [short(path) for path in inits if path.read_text().strip()] == []


def test_unit_tests_wait_for_nothing() -> None:
    waiting = re.compile(r"(?<!\w)(time|asyncio)\.sleep\((?!0\))")
    files = [path for path in TESTS if path.parent.name == "unit" and path != Path(__file__)]
    assert [short(path) for path in files if waiting.search(path.read_text())] == []


def test_nothing_is_left_for_later() -> None:
    mark = re.compile(r"\b(TODO|FIXME|XXX)\b")
    files = [path for path in SOURCES + TESTS if path != Path(__file__)]
    assert [short(path) for path in files if mark.search(path.read_text())] == []
