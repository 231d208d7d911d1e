"""The table of status names: the built-in one, and the file in which a user adds to it. PURE."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.ingest.statuses import CATEGORIES, Category, StatusTable, System, plain
from shared.documents import Document, parse, validate
from shared.errors import BadDocument

FILE: Final = "statuses.yaml"


class SystemModel(BaseModel):
    """What a user may write about a system."""

    model_config = ConfigDict(extra="forbid")

    sources: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = Field(
        (), description="the sources of its events, in which `*` stands for any characters"
    )
    statuses: dict[str, Category] = Field({}, description="its status names, and what each means")

    @field_validator("statuses")
    @classmethod
    def _categories_mean_themselves(cls, statuses: dict[str, Category]) -> dict[str, Category]:
        for name, category in statuses.items():
            if name in CATEGORIES and name != category:
                raise ValueError(f"`{name}` is a category itself, so it cannot mean {category}")
        names = [plain(name) for name in statuses]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"each name once, whatever its case: {', '.join(repeated)}")
        return statuses


class StatusFile(BaseModel):
    """What a user may write into a file of status names."""

    model_config = ConfigDict(extra="forbid")

    systems: dict[Annotated[str, Field(min_length=1, max_length=64)], SystemModel]


@cache
def built_in() -> StatusTable:
    """The table as it is shipped; part of the program, like its code."""
    text = files("services.ingest").joinpath(FILE).read_text("utf-8")
    return StatusTable(_systems(parse(text, StatusFile, FILE)))


def extended(text: str, file: str) -> StatusTable:
    """The built-in table with what a user's file adds: a system of a known name gets more sources and names.

    What the file says counts before what is built in, and its systems in their order.

    Raises:
        BadDocument: with every mistake in *text*, each with *file*, line, field and what was expected.
    """
    document = Document(text, file)
    added = _systems(validate(document, StatusFile))
    shipped = {system.name: system for system in built_in().systems}
    nowhere = [system.name for system in added if not system.sources and system.name not in shipped]
    if nowhere:
        what = "is no system that is built in, so it needs `sources`"
        raise BadDocument([document.problem(("systems", name), what) for name in nowhere])
    systems = [_joined(system, shipped.pop(system.name, None)) for system in added]
    return StatusTable([*systems, *shipped.values()])


def _joined(added: System, shipped: System | None) -> System:
    if shipped is None:
        return added
    return System(added.name, (*added.sources, *shipped.sources), {**shipped.statuses, **added.statuses})


def _systems(read: StatusFile) -> list[System]:
    return [
        System(name, model.sources, {plain(status): category for status, category in model.statuses.items()})
        for name, model in read.systems.items()
    ]
