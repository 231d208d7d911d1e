"""Reads templates: those that come with Plazo, and those of a folder that `notify.yaml` names."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from services.notifier.templates.library import SUFFIX, Shelf
from shared.errors import BadDocument, Problem

HERE: Final = Path(__file__).parent
MOST_FILES: Final = 2_000  # of a folder: who names / by mistake is not kept waiting


def shelf(folder: Path | None) -> Shelf:
    """The built-in templates, and those of *folder*, if there is one.

    Raises:
        BadDocument: the folder cannot be read, or is not one of templates.
    """
    if folder is None:
        return Shelf(_built_in(), {})
    try:
        return Shelf(_built_in(), _texts(folder), str(folder))
    except OSError as exc:
        raise BadDocument([Problem(str(folder), 1, "templates", f"{exc.strerror}: {exc.filename}")]) from exc


@cache
def _built_in() -> dict[str, str]:
    return _texts(HERE)


def _texts(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for language in sorted(folder.iterdir()):
        if not language.is_dir():
            continue
        for file in sorted(language.glob(f"*{SUFFIX}")):
            found[f"{language.name}/{file.name}"] = file.read_text(encoding="utf-8", errors="replace")
            if len(found) > MOST_FILES:
                raise BadDocument([Problem(str(folder), 1, "templates", f"expected at most {MOST_FILES} files")])
    return found
