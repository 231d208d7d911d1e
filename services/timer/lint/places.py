"""Where in a user's policy files each policy, calendar, metric and exclusion stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.timer.lint.finding import Finding
from shared.documents import Document, Path, read_all
from shared.errors import BadDocument, Problem


class Places:
    """The places of everything that has a name in a set of policy files."""

    def __init__(self, files: Mapping[str, str]) -> None:
        """The places in *files* (name -> text).

        Raises:
            BadDocument: some file is not YAML.
        """
        self._documents, problems = read_all(files)
        if problems:
            raise BadDocument(problems)
        self._found: dict[tuple[str, str], tuple[Document, Path]] = {}
        for document in self._documents:
            content = document.value if isinstance(document.value, dict) else {}
            for section, entries in content.items():
                for name, key in _named(entries):
                    self._found[section, name] = (document, (section, key))

    @property
    def inherited(self) -> frozenset[str]:
        """The names of the calendars from which others inherit."""
        contents = [document.value for document in self._documents if isinstance(document.value, dict)]
        calendars = [each for content in contents for each in (content.get("calendars") or {}).values()]
        return frozenset(each["extends"] for each in calendars if isinstance(each, dict) and "extends" in each)

    def problem(self, finding: Finding) -> Problem:
        """The finding with file and line, in the form in which mistakes are told; what has no name, at its section.

        Of what a part inherits, or leaves to a default, the place is that of the part itself.
        """
        if finding.name is None or (finding.section, finding.name) not in self._found:
            document, around = self._whole(finding.section)
            return document.problem((*around, *finding.path), finding.message)
        document, around = self._found[finding.section, finding.name]
        # The name of a calendar or a metric is in the path, that of a policy or an exclusion is not.
        message = finding.message if finding.name in around else f"{finding.subject}: {finding.message}"
        return document.problem((*around, *finding.path), message)

    def _whole(self, section: str) -> tuple[Document, Path]:
        having = (document for document in self._documents if (section,) in document.lines)
        return next(having, self._documents[0]), (section,)


def _named(entries: Any) -> list[tuple[str, str | int]]:
    # Of a list the names and the places in it, of a mapping the keys.
    if isinstance(entries, dict):
        return [(name, name) for name in entries]
    return [(str(each.get("name")), place) for place, each in enumerate(entries or ()) if isinstance(each, dict)]
