"""The templates of all languages: which one says a part of a message, and what it then says. PURE.

What a language says stands in its `words.j2`, and how a part of a message is laid out in `any/PART.j2`, for all of
them. A part is written by the first of these that exists, in the first language of the reader's that has one:

    LANGUAGE/KIND.PART.j2    for one kind of message, as es/breached.subject.j2
    LANGUAGE/PART.j2         for all kinds
    any/PART.j2              where there is LANGUAGE/words.j2

A template of the installation's folder stands before a built-in one of the same name; `built-in/NAME` is the latter.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from types import TracebackType
from typing import Any, Final, Literal, get_args

from jinja2 import FunctionLoader, TemplateError, TemplateSyntaxError, nodes

from services.notifier.reader import Reader
from services.notifier.templates.bounded import BoundedEnvironment, Filter
from services.notifier.templates.view import KINDS, TemplateKind
from shared.errors import BadDocument, Problem

Part = Literal["subject", "line", "text", "html", "chat", "button"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
BUILT_IN: Final = "built-in/"
SUFFIX: Final = ".j2"
OWN_FILTERS: Final = ("time", "clock", "duration", "words", "pad")
WIDEST: Final = 80  # of a column of a text
ANY: Final = "any"  # the folder of what is the same in every language
WORDS: Final = f"words{SUFFIX}"
MISHAPS: Final = (TemplateError, ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, SyntaxError)
"""What templates raise, beside TypeError and ValueError: what else comes out of them is a bug of ours."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Templates by their names, `es/breached.subject.j2`, and where those of the installation stand."""

    built_in: Mapping[str, str]
    own: Mapping[str, str]
    folder: str = ""  # of the installation's own


class Library:
    """Compiled templates; one rendering at a time."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._reader = Reader()
        self._plain, self._html = (self._environment(escapes=each) for each in (False, True))

    def prepare(self, reader: Reader) -> None:
        """Compile what is said to *reader*: it takes 0.2 s once, for which no alert should wait.

        What cannot be compiled is told when it is used, or by the lint.
        """
        self._reader = reader
        for part, kind in product(PARTS, KINDS):
            environment = self._environment_of(part)
            with suppress(BadDocument, *MISHAPS, TypeError, ValueError):
                environment.get_template(self.find(part, kind, reader))
                environment.get_template(self.beside(WORDS, f"{ANY}/{part}{SUFFIX}"))

    def render(self, part: Part, kind: TemplateKind, reader: Reader, given: Mapping[str, Any]) -> str:
        """What *part* of a message of *kind* says to *reader*, when it is *given* this.

        Raises:
            BadDocument: the template that is to blame, its line, and what is wrong there.
        """
        self._reader = reader
        name = self.find(part, kind, reader)
        environment = self._environment_of(part)
        environment.start()
        try:
            return environment.get_template(name).render(given)
        except (*MISHAPS, TypeError, ValueError) as exc:
            raise BadDocument([self._problem(exc, name)]) from exc

    def find(self, part: Part, kind: TemplateKind, reader: Reader) -> str:
        """The name of the template for *part* of a message of *kind* to *reader*.

        Raises:
            BadDocument: there is none, in any language that would do.
        """
        for language in reader.languages:
            for name in (f"{language}/{kind}.{part}{SUFFIX}", f"{language}/{part}{SUFFIX}"):
                if self._text(name) is not None:
                    return name
            if self._text(f"{language}/{WORDS}") is not None:
                return f"{ANY}/{part}{SUFFIX}"
        raise BadDocument([Problem(self._shelf.folder, 1, "", f"expected a template {reader.language}/{part}{SUFFIX}")])

    def beside(self, template: str, parent: str) -> str:
        """The name of what *parent* calls *template*: one of the same folder, or the words of the reader's language."""
        if "/" in template:
            return template
        folder = parent.removeprefix(BUILT_IN).partition("/")[0]
        places = [folder] if template != WORDS else [*([] if folder == ANY else [folder]), *self._reader.languages]
        found = (name for name in (f"{place}/{template}" for place in places) if self._text(name) is not None)
        return next(found, f"{folder}/{template}")

    @property
    def functions(self) -> frozenset[str]:
        """What every template can use beside what it is given."""
        return frozenset(self._plain.globals)

    def parsed(self, name: str) -> nodes.Template:
        """The template called *name* as Jinja reads it.

        Raises:
            BadDocument: it is not there, or is no template.
        """
        try:
            self._plain.get_template(name)
            return self._plain.parse(self._text(name) or "", name, name)
        except (*MISHAPS, TypeError, ValueError) as exc:
            raise BadDocument([self._problem(exc, name)]) from exc

    def _environment_of(self, part: Part) -> BoundedEnvironment:
        return self._html if part == "html" else self._plain

    def _environment(self, *, escapes: bool) -> BoundedEnvironment:
        return _Environment(
            self,
            dict(zip(OWN_FILTERS, (self._time, self._clock, self._duration, _words, _pad), strict=True)),
            autoescape=escapes,
            loader=FunctionLoader(self._load),
            cache_size=-1,  # all of them, for as long as the library is in use
        )

    def _time(self, at: str | None) -> str:
        return self._reader.time(at)

    def _clock(self, at: str | None, beside: str | None = None) -> str:
        return self._reader.clock(at, beside)

    def _duration(self, seconds: float) -> str:
        return self._reader.duration(seconds)

    def _load(self, name: str) -> tuple[str, str, None] | None:
        found = self._text(name)
        return None if found is None else (found, name, None)

    def _text(self, name: str) -> str | None:
        if name.startswith(BUILT_IN):
            return self._shelf.built_in.get(name.removeprefix(BUILT_IN))
        return self._shelf.own.get(name, self._shelf.built_in.get(name))

    def _problem(self, exc: Exception, name: str) -> Problem:
        place, line = _place(exc, self._shelf) or (name, 1)
        own = place in self._shelf.own
        file = f"{self._shelf.folder}/{place}" if own else BUILT_IN + place.removeprefix(BUILT_IN)
        said = exc.message if isinstance(exc, TemplateError) and exc.message else f"{type(exc).__name__}: {exc}"
        return Problem(file, line, "", " ".join(said.split())[:300])


class _Environment(BoundedEnvironment):
    """Finds what a template names beside it."""

    def __init__(self, library: Library, own: Mapping[str, Filter], **options: Any) -> None:
        super().__init__(own, **options)
        self._library = library

    def join_path(self, template: str, parent: str) -> str:
        """The name of what *parent* calls *template*."""
        return self._library.beside(template, parent)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _pad(text: str, width: int) -> str:
    return text.ljust(min(width, WIDEST))


def _place(exc: BaseException, shelf: Shelf) -> tuple[str, int] | None:
    # The innermost line of a template: Jinja writes names and lines of templates into tracebacks.
    if isinstance(exc, TemplateSyntaxError):
        return (exc.name, exc.lineno) if exc.name else None
    found, step = None, exc.__traceback__
    while isinstance(step, TracebackType):
        name = step.tb_frame.f_code.co_filename
        if name.removeprefix(BUILT_IN) in shelf.built_in or name in shelf.own:
            found = name, step.tb_lineno
        step = step.tb_next
    return found
