"""Files that users write: YAML (or JSON, which is YAML) into checked models, with the line of every problem.

The schema is a pydantic model; this module only adds the places. One parse gives all problems at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from shared.errors import BadDocument, Problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]

DEPTH: Final = 32  # what people write is nested seven deep; some 100,000 levels overflow the stack of libyaml
VALUES: Final = 1_000_000  # aliases (`*name`) can make more of ten lines than fits into memory


class Document:
    """The plain value of a YAML text, and the line on which each part of it stands."""

    def __init__(self, text: str, file: str) -> None:
        """Read *text*.

        Raises:
            BadDocument: *text* is not YAML, repeats a key, or is larger or nested deeper than anybody means.
        """
        self.file = file
        self.lines: dict[Path, int] = {}
        self.repeated: list[Problem] = []
        try:
            root = yaml.compose(text, Loader=_Loader)
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
        # An alias within what it names is endless, and was no deeper than the rest when it was composed.
        if len(path) > DEPTH or len(self.lines) > VALUES:
            expected = f"expected at most {VALUES:,} values, nested at most {DEPTH} levels deep"
            raise BadDocument([self.problem(path[:1], expected)])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(child, (*path, i)) for i, child in enumerate(node.value)]
        try:
            return _SCALARS.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, LookupError) as exc:  # `<<`, `!!int x`, `!!bool maybe`, a tag of no meaning
            tag = str(node.tag).removeprefix("tag:yaml.org,2002:")
            raise BadDocument([self.problem(path, f"expected a plain value, got {node.value!r:.60} as {tag}")]) from exc

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            # Keys are names: 2026-12-24 stays the text that was written.
            key = key_node.value
            if not isinstance(key, str):  # `{{ x }}` is a mapping whose key is one
                problem = Problem(self.file, key_node.start_mark.line + 1, dotted(path), "expected names as keys")
                raise BadDocument([problem])
            here = (*path, key)
            if key in found:
                line = key_node.start_mark.line + 1
                self.repeated.append(Problem(self.file, line, dotted(here), "the key stands here twice"))
            self.lines[here] = key_node.start_mark.line + 1
            found[key] = self._plain(value_node, here)
        return found


class _Loader(yaml.CSafeLoader):
    """Composes no deeper than `DEPTH`; of the resolver that it overrides nothing else is used."""

    depth = 0

    def descend_resolver(self, current_node: yaml.Node | None, current_index: Any) -> None:
        self.depth += 1
        if self.depth > DEPTH + 1 and current_node is not None:
            mark = current_node.start_mark
            raise yaml.composer.ComposerError(None, None, f"expected at most {DEPTH} levels of nesting", mark)

    def ascend_resolver(self) -> None:
        self.depth -= 1


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


def said_of(error: ErrorDetails) -> str:
    """What a validation error says, in the words of all problems."""
    kind = error["type"]
    if kind in _SAID:
        return _SAID[kind]
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {error['input']!r:.60}"
    said = error["msg"].removeprefix("Value error, ")
    for theirs, ours in _OURS.items():
        said = said.replace(theirs, ours, 1)
    return said


def _problem(document: Document, error: ErrorDetails) -> Problem:
    # A union adds the names of its branches to the path; only the parts that stand in the file are kept.
    known: Path = ()
    for part in error["loc"]:
        if (*known, part) in document.lines:
            known = (*known, part)
    if error["type"] == "missing":
        known_missing = (*known, error["loc"][-1])
        return Problem(document.file, document.line(known), dotted(known_missing), "is required")
    return document.problem(known, said_of(error))


_OURS: Final = {
    "Input should be": "expected",
    "String should have": "expected",
    "String should match": "expected a name that matches",
}
_SAID: Final = {
    "missing": "is required",
    "extra_forbidden": "is not known here",
    "too_short": "expected at least one entry",
    "string_too_short": "expected at least one character",
}
_EXPECTED: Final = {
    **dict.fromkeys(("model_type", "dict_type"), "a mapping"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    "list_type": "a list",
    "string_type": "a text",
}
