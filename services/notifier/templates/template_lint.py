"""What is wrong in the templates of an installation: each is compiled, and each message is written once. PURE."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from jinja2 import meta, nodes

from services.notifier.reader import FALLBACK, Reader, locale_of
from services.notifier.templates.library import ANY, PARTS, SUFFIX, WORDS, Library, Shelf
from services.notifier.templates.samples import samples
from services.notifier.templates.view import KINDS, NAMES, view
from shared.errors import BadDocument, Problem

_FILE: Final = re.compile(rf"^(?:(?:{'|'.join(KINDS)})\.)?(?:{'|'.join(PARTS)}){re.escape(SUFFIX)}$")
_INCLUDED: Final = "_"  # how the names of those begin that only others use


def findings(shelf: Shelf) -> list[Problem]:
    """Every mistake that is found in the installation's own templates, in the order of files and lines."""
    if not shelf.own:
        return []
    library = Library(shelf)
    found = [problem for name in shelf.own for problem in _of_file(name, shelf, library)]
    found += _of_messages(shelf, library)
    return sorted(set(found), key=lambda each: (each.file, each.line, each.message))


def _of_file(name: str, shelf: Shelf, library: Library) -> Iterator[Problem]:
    language, _, file = name.partition("/")
    here = f"{shelf.folder}/{name}"
    try:
        locale_of(FALLBACK if language == ANY else language)
    except ValueError as exc:
        yield Problem(here, 1, "", str(exc))
    if not (_FILE.match(file) or file == WORDS or file.startswith(_INCLUDED)):
        expected = f"expected a name like breached.subject{SUFFIX}, subject{SUFFIX}, {WORDS}, or _x{SUFFIX} to include"
        yield Problem(here, 1, "", f"{expected}; kinds are {', '.join(KINDS)}, and parts {', '.join(PARTS)}")
    try:
        parsed = library.parsed(name)
    except BadDocument as exc:
        yield from exc.problems
        return
    if not file.startswith(_INCLUDED):  # what those are given is their users' choice
        assigned = {each.name for each in parsed.find_all(nodes.Name) if each.ctx == "store"}
        for unknown in sorted(meta.find_undeclared_variables(parsed) - NAMES - library.functions - assigned):
            yield Problem(
                here, _line(parsed, unknown), "", f"{unknown!r} is undefined; given are {', '.join(sorted(NAMES))}"
            )


def _line(parsed: nodes.Template, name: str) -> int:
    return min((each.lineno for each in parsed.find_all(nodes.Name) if each.name == name), default=1)


def _of_messages(shelf: Shelf, library: Library) -> Iterator[Problem]:
    for reader in _readers(shelf):
        for kind in KINDS:
            for sample in samples(kind):
                for part in PARTS:
                    try:
                        library.render(part, kind, reader, view(sample, kind, reader))
                    except BadDocument as exc:
                        yield from exc.problems


def _readers(shelf: Shelf) -> Iterator[Reader]:
    folders = {name.partition("/")[0] for name in shelf.own}
    if ANY in folders:
        folders |= {name.partition("/")[0] for name in shelf.built_in}
    for language in sorted(folders - {ANY}):
        try:
            yield Reader(language)
        except ValueError:
            continue  # told with its files
