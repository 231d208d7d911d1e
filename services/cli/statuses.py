"""What status names mean in files of recorded events: as ingest would map them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.files import read_text
from services.ingest.status_file import built_in, extended
from services.ingest.statuses import StatusTable

StatusesOption = Annotated[
    Path | None, typer.Option(help="A YAML file that adds to the table of what the status names of systems mean.")
]


def status_table(path: Path | None) -> StatusTable:
    """The built-in table, with what a file adds.

    Raises:
        BadDocument: the file cannot be read, or has mistakes.
    """
    return built_in() if path is None else extended(read_text(path), str(path))
