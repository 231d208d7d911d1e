"""Files that users write: YAML (or JSON, which is YAML) into checked models, with the line of every problem.

The schema is a pydantic model; this module only adds the places. One parse gives all problems at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from shared.errors import BadDocument, Problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]


class Document:
    """The plain value of a YAML text, and the line on which each part of it stands."""

    def __init__(self, text: str, file: str) -> None:
        """Read *text*.

        Raises:
            BadDocument: *text* is not YAML, or repeats a key.
        """
        self.file = file
        self.lines: dict[Path, int] = {}
        self.repeated: list[Problem] = []
        try:
            root = yaml.compose(text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError as exc:
            mark = getattr(exc, "problem_mark", None)
            what = getattr(exc, "problem", None) or getattr(exc, "reason", None) or str(exc)
            raise BadDocument([Problem(file, mark.line + 1 if mark else 1, "", f"not YAML: {what}")]) from exc
        self.value: Any = self._plain(root, ()) if root is not None else None
        if self.repeated:
            raise BadDocument(self.repeated)

    def line(self, path: Path) -> int:
        """The line of *path*, or of the nearest part around it that exists."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: Path, message: str) -> Problem:
        """A problem at *path*."""
        return Problem(self.file, self.line(path), dotted(path), message)

    def _plain(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(child, (*path, i)) for i, child in enumerate(node.value)]
        return _SCALARS.construct_object(node, deep=True)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            # Keys are names: 2026-12-24 stays the text that was written.
            key = key_node.value
            here = (*path, key)
            if key in found:
                line = key_node.start_mark.line + 1
                self.repeated.append(Problem(self.file, line, dotted(here), "the key stands here twice"))
            self.lines[here] = key_node.start_mark.line + 1
            found[key] = self._plain(value_node, here)
        return found


class _Scalars(yaml.constructor.SafeConstructor):
    """YAML 1.1 scalars without its traps: `09:00` is not 540, `NO` is not False, a date stays text."""


_SCALARS = _Scalars()


def _stays_text(tag: str, text: str) -> bool:
    # Dates and times of day are read by whoever knows their meaning, and Norway's country code is not False.
    return tag == "timestamp" or ":" in text or (tag == "bool" and text.lower() not in ("true", "false"))


for _tag in ("timestamp", "int", "float", "bool"):
    _full_tag = f"tag:yaml.org,2002:{_tag}"
    _original = yaml.constructor.SafeConstructor.yaml_constructors[_full_tag]

    def _construct(constructor: Any, node: Any, original: Any = _original, tag: str = _tag) -> Any:
        return node.value if _stays_text(tag, node.value) else original(constructor, node)

    _Scalars.add_constructor(_full_tag, _construct)


def read_all(files: Mapping[str, str]) -> tuple[list[Document], list[Problem]]:
    """The documents in *files* (name -> text) in the order of their names, and the problems of those that are none."""
    documents: list[Document] = []
    problems: list[Problem] = []
    for name in sorted(files):
        try:
            documents.append(Document(files[name], name))
        except BadDocument as exc:
            problems.extend(exc.problems)
    return documents, problems


def named(section: str, documents: Iterable[Document], problems: list[Problem]) -> tuple[str, ...]:
    """The names of all that stands in a section of *documents*; one that is given twice is added to *problems*."""
    files: dict[str, str] = {}
    for document in documents:
        found = document.value.get(section) if isinstance(document.value, dict) else None
        for name in found if isinstance(found, dict) else ():
            if name in files:
                problems.append(document.problem((section, name), f"is already defined in {files[name]}"))
            files.setdefault(name, document.file)
    return tuple(files)


def parse(text: str, model: type[Model], file: str) -> Model:
    """Read *text* as *model*.

    Raises:
        BadDocument: with every problem, each with file, line, field and what was expected.
    """
    document = Document(text, file)
    return validate(document, model)


def validate(document: Document, model: type[Model], context: Any = None) -> Model:
    """The document as *model*; for callers that go on to check what a schema cannot say.

    Args:
        document: what was read.
        model: what it should be.
        context: handed to the model's validators, for what they must know of other places and files.

    Raises:
        BadDocument: with every problem, each with file, line, field and what was expected.
    """
    try:
        return model.model_validate({} if document.value is None else document.value, context=context)
    except ValidationError as exc:
        raise BadDocument([_problem(document, error) for error in exc.errors()]) from exc


def dotted(path: Path) -> str:
    """*path* as people write it: `policies[0].targets.resolution`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _problem(document: Document, error: ErrorDetails) -> Problem:
    # A union adds the names of its branches to the path; only the parts that stand in the file are kept.
    known: Path = ()
    for part in error["loc"]:
        if (*known, part) in document.lines:
            known = (*known, part)
    if error["type"] == "missing":
        known_missing = (*known, error["loc"][-1])
        return Problem(document.file, document.line(known), dotted(known_missing), "is required")
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
    if error["type"] == "extra_forbidden":
        message = "is not known here"
    if error["type"] == "too_short":
        message = "expected at least one entry"
    if error["type"] in ("model_type", "dict_type"):
        message = f"expected a mapping, got {error['input']!r:.60}"
    return document.problem(known, message)
