"""The tables of the documentation that are made from code, and the examples that stand in it.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. `python -m tests.documentation` writes all of them
anew; `tests/unit/test_docs.py` fails when one is not as the code is.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import yaml
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from services.__main__ import COMMANDS
from services.ingest.settings import Settings as IngestSettings
from services.ingest.status_file import built_in
from services.notifier.settings import Settings as NotifierSettings
from services.timer.settings import Settings as TimerSettings
from shared.configuration import CommonSettings
from shared.events import Topics
from shared.http_settings import HttpSettings
from shared.metrics import Metrics
from tests.bench.catalogue import BENCHMARKS
from tests.bench.sizes import Sizes

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
PAGES: Final = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")))
_TABLE: Final = re.compile(r"(<!-- table: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_EXAMPLE: Final = re.compile(r"^```(\w+)(?: ([\w-]+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_UNITS: Final = {"_s": "seconds", "_ms": "milliseconds", "_bytes": "bytes", "_days": "days"}
_PLAIN: Final[Mapping[object, str]] = {str: "text", SecretStr: "secret", Path: "path", int: "number", float: "number"}


def made(page: Path) -> str:
    """The text of *page* with every table as the code is now."""
    return _TABLE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], page.read_text())


def tables_in(page: Path) -> list[str]:
    """The names of the tables of *page*."""
    return [found[2] for found in _TABLE.finditer(page.read_text())]


def examples(page: Path, language: str, name: str | None = None) -> list[str]:
    """The code blocks of *page* in a language; with *name*, those that are named so behind the language."""
    found = _EXAMPLE.findall(page.read_text())
    return [text for kind, title, text in found if kind == language and (name is None or title == name)]


def first_column(page: Path, heading: str) -> list[str]:
    """What stands in backticks in the first column of the table under *heading* (its text without the marks)."""
    sections = re.split(r"^#+ ", page.read_text(), flags=re.MULTILINE)
    (text,) = [section for section in sections if section.startswith(f"{heading}\n")]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def _table(header: str, rows: Iterable[Iterable[object]]) -> str:
    names = header.split(" | ")
    lines = [names, ["---"] * len(names), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _settings(settings: type[BaseSettings], but: Iterable[str] = ()) -> str:
    fields = {name: field for name, field in settings.model_fields.items() if name not in but}
    rows = [
        [f"`{name.upper()}`", _type(name, field), _default(field), field.description] for name, field in fields.items()
    ]
    return _table("variable | type | default | what it says", rows)


def _type(name: str, field: FieldInfo) -> str:
    plain = _bare(field.annotation)
    if get_origin(plain) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(plain))
    if get_origin(plain) in (tuple, frozenset):
        return "list"
    unit = next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), None)
    return (unit or _PLAIN[plain]) + _range(field)


def _bare(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _bare(next(each for each in get_args(annotation) if each is not NoneType))
    return annotation


def _range(field: FieldInfo) -> str:
    bounds = {
        sign: f"{getattr(limit, name):,}"
        for limit in field.metadata
        for name, sign in (("ge", "from"), ("gt", "above"), ("le", "to"))
        if getattr(limit, name, None) is not None
    }
    return ", " + " ".join(f"{sign} {bound}" for sign, bound in bounds.items()) if bounds else ""


def _default(field: FieldInfo) -> str:
    if field.default_factory is socket.gethostname:
        return "the host's name"
    if field.default is PydanticUndefined:
        return "**required**"
    if field.default in ("", (), frozenset(), None):
        return "none"
    if isinstance(field.default, tuple):
        return f"`{','.join(field.default)}`"
    return f"`{field.default}`"


def _metrics() -> str:
    metrics = Metrics("", "")
    labels = {each._name: each._labelnames for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)}
    rows = []
    for family in metrics.registry.collect():
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        names = ", ".join(f"`{label}`" for label in labels.get(family.name, ("version", "tzdata", "holidays")))
        rows.append([f"`{family.name}{suffix}`", family.type, names, family.documentation])
    return _table("metric | type | labels | what it says", rows)


def _topics() -> str:
    wanted = yaml.safe_load((ROOT / "deploy" / "topics.yaml").read_text())["topics"]
    own = Topics()
    said = {getattr(own, name): part.__doc__ for name, part in vars(Topics).items() if isinstance(part, property)}
    rows = [
        [
            f"`{name}`",
            each["partitions"],
            each["retention"],
            each.get("cleanup", "delete"),
            each["replicas"],
            said[name],
        ]
        for name, each in wanted.items()
    ]
    return _table("topic | partitions | kept for | cleanup | replicas | what it holds", rows)


def _targets() -> str:
    found = re.findall(r"^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return _table("target | what it does", [[f"`make {name}`", text] for name, text in found])


def _commands() -> str:
    return _table("command | what it does", [[f"`./plazo {name}`", text] for name, text in COMMANDS.items()])


def _statuses() -> str:
    rows = []
    for system in built_in().systems:
        meanings: dict[str, list[str]] = {}
        for name, category in system.statuses.items():
            if name != category:
                meanings.setdefault(category, []).append(f"`{name}`")
        told = "; ".join(f"{category}: {', '.join(names)}" for category, names in meanings.items())
        rows.append([f"`{system.name}`", ", ".join(f"`{source}`" for source in system.sources), told])
    return _table("system | its sources | what its names mean", rows)


def _sizes() -> str:
    rows = [[f"`{name.upper()}`", each.default, each.description] for name, each in Sizes.model_fields.items()]
    return _table("size | without it | what it is", rows)


def _benchmarks() -> str:
    rows = [
        [
            f"`{name}`" + (" (by name only)" if each.by_name_only else ""),
            f"{each.minutes:g}",
            each.measure.__doc__,
            ", ".join(f"`{size.upper()}`" for size in each.sizes),
        ]
        for name, each in BENCHMARKS.items()
    ]
    return _table("benchmark | minutes | what it measures | sizes", rows)


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "settings of the http side": lambda: _settings(HttpSettings),
    "settings of every service": lambda: _settings(CommonSettings, HttpSettings.model_fields),
    "settings of ingest": lambda: _settings(IngestSettings, CommonSettings.model_fields),
    "settings of the timer": lambda: _settings(TimerSettings, CommonSettings.model_fields),
    "settings of the notifier": lambda: _settings(NotifierSettings, CommonSettings.model_fields),
    "metrics": _metrics,
    "topics": _topics,
    "statuses": _statuses,
    "make targets": _targets,
    "commands": _commands,
    "sizes": _sizes,
    "benchmarks": _benchmarks,
}


def main() -> None:
    """Write every table of every page anew."""
    for page in PAGES:
        page.write_text(made(page))


if __name__ == "__main__":
    main()
