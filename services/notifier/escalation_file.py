"""`escalations:` of `notify.yaml`: who hears of an alert later, step by step. PURE."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, field_validator, model_validator

from services.notifier.alerts.escalation import Escalation, Step, Unless
from services.notifier.endpoints.values import Strict
from services.notifier.lengths import Length, length_of
from services.notifier.route_model import AudienceNames
from shared.documents import Document, Path
from shared.errors import Problem
from shared.events import SECOND, Span

SHORTEST_REPEAT: Final[Span] = 60 * SECOND  # whoever is told more often hears nothing any more
_SHARE: Final = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,3})?) ?%")
_LEFT: Final = "_left"
_EXPECTED: Final = "expected a share like 80%, a time left like 15m_left, breach, or a time after it like +30m"


def _at(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    if text == "breach":
        return text
    if share := _SHARE.fullmatch(text):
        return f"{share[1]}%"
    length = text[1:] if text.startswith("+") else text.removesuffix(_LEFT) if text.endswith(_LEFT) else ""
    try:
        is_some = length_of(length) > 0
    except ValueError:
        is_some = False
    if not is_some:
        raise ValueError(f"{_EXPECTED}, got {value!r:.60}")
    return text


class StepModel(Strict):
    """One step as it is written."""

    at: Annotated[str, BeforeValidator(_at)]
    receivers: tuple[str, ...] = ()
    audience: AudienceNames = ()
    unless: Unless = "acknowledged"

    @model_validator(mode="after")
    def _heard(self) -> StepModel:
        if not self.receivers and not self.audience:
            raise ValueError("expected receivers, an audience, or both")
        return self

    @property
    def after(self) -> Span | None:
        """How long after the breach it is; None of a step that hangs on a warning."""
        if self.at == "breach":
            return 0
        return length_of(self.at[1:]) if self.at.startswith("+") else None

    @property
    def step(self) -> Step:
        """It as it is taken."""
        return Step(self.at, self.receivers, self.after, self.unless, self.audience)


class EscalationModel(Strict):
    """One escalation as it is written."""

    steps: tuple[StepModel, ...] = Field(min_length=1)
    repeat_every: Length | None = None

    @field_validator("steps")
    @classmethod
    def _in_order(cls, steps: tuple[StepModel, ...]) -> tuple[StepModel, ...]:
        names = [step.at for step in steps]
        if len(set(names)) != len(names):
            raise ValueError("expected each `at` once: a step may name several receivers")
        places = [-1 if step.after is None else step.after for step in steps]
        if places != sorted(places):
            raise ValueError("expected the steps in order: those of warnings, the breach, then the times after it")
        return steps

    @field_validator("repeat_every")
    @classmethod
    def _not_too_often(cls, every: Span | None) -> Span | None:
        if every is not None and every < SHORTEST_REPEAT:
            raise ValueError("expected at least 1m")
        return every


def problems(
    document: Document, escalations: Mapping[str, EscalationModel], receivers: Collection[str]
) -> Iterator[Problem]:
    """What is wrong with *escalations*: receivers that there are none of."""
    known = ", ".join(receivers)
    for place, step in _placed(escalations):
        for n, receiver in enumerate(step.receivers):
            if receiver not in receivers:
                said = f"expected one of the receivers {known}, got {receiver!r}"
                yield document.problem((*place, "receivers", n), said)


def unresolved(document: Document, escalations: Mapping[str, EscalationModel]) -> Iterator[Problem]:
    """The audiences of a file that names no directory to find them in."""
    for place, step in _placed(escalations):
        if step.audience:
            said = "expected a `directory` in this file, to find people in"
            yield document.problem((*place, "audience"), said)


def _placed(escalations: Mapping[str, EscalationModel]) -> Iterator[tuple[Path, StepModel]]:
    for name, escalation in escalations.items():
        for at, step in enumerate(escalation.steps):
            yield ("escalations", name, "steps", at), step


def built(document: Document, escalations: Mapping[str, EscalationModel]) -> dict[str, Escalation]:
    """The escalations as they are taken, by their names."""
    return {name: _built(name, given, document.line(("escalations", name))) for name, given in escalations.items()}


def _built(name: str, given: EscalationModel, line: int) -> Escalation:
    return Escalation(name, tuple(step.step for step in given.steps), given.repeat_every, line)


def unused(file: str, escalations: Mapping[str, Escalation], chosen: Collection[str | None]) -> Iterator[Problem]:
    """The escalations that no route names."""
    for name, escalation in escalations.items():
        if name not in chosen:
            yield Problem(file, escalation.line, f"escalations.{name}", "no route names this escalation")
