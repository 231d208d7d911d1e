"""What a user may write about metrics, checked field by field."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from services.timer.calendar_file import one_or_list
from services.timer.conditions import Conditions
from services.timer.metric import KINDS, NEVER, AnyTrigger, Change, GoesOn, Metric, Trigger
from services.timer.occurrences import Occurrence, meaning_of, speaker_of
from services.timer.policy_values import Values, conditions_of
from shared.events import EVENT_TYPES, Author, Kind

_OCCURRENCES: Final[tuple[str, ...]] = get_args(Occurrence)
_WAYS: Final = ("occurrence", "event", "becomes", "leaves")
_ENDS: Final = frozenset({"over", "final"})  # on an item that is over nothing starts


def _known_occurrence(name: object) -> object:
    if name not in _OCCURRENCES:
        raise ValueError(
            f"expected one of {', '.join(_OCCURRENCES)}, or {{event: TYPE}}, {{becomes: ATTRIBUTES}}, "
            f"{{leaves: ATTRIBUTES}}, got {name!r}"
        )
    return name


def _known_type(name: str) -> str:
    if name not in EVENT_TYPES:
        raise ValueError(f"expected types of events ({', '.join(sorted(EVENT_TYPES))}), got {name!r}")
    return name


def _can_change(conditions: dict[str, list[str]]) -> dict[str, list[str]]:
    if not conditions or "kind" in conditions:
        raise ValueError("expected at least one attribute that can change; the kind of an item never does")
    return conditions


def _word_or_state(value: Any) -> Any:
    if not isinstance(value, dict) and value not in ("policy", "never"):
        raise ValueError(f"expected policy, never, or attributes to values, got {value!r}")
    return value


EventTypes = Annotated[
    list[Annotated[str, AfterValidator(_known_type)]],
    Field(min_length=1),
    BeforeValidator(one_or_list, json_schema_input_type=str | list[str]),
]
Authors = Annotated[
    list[Author], Field(min_length=1), BeforeValidator(one_or_list, json_schema_input_type=Author | list[Author])
]
State = Annotated[dict[str, Values], AfterValidator(_can_change)]
Pausing = Annotated[Literal["policy", "never"] | State, BeforeValidator(_word_or_state)]


class TriggerModel(BaseModel):
    """One thing that happens: an occurrence, an event of a type, or a state that attributes come to."""

    model_config = ConfigDict(extra="forbid")

    occurrence: Annotated[Occurrence, BeforeValidator(_known_occurrence)] | None = Field(
        None, description="by its name; alone it need not be written as a mapping"
    )
    event: EventTypes | None = Field(None, description="the type of an event, or several")
    becomes: State | None = Field(None, description="attributes to values: all of them match now, and did not before")
    leaves: State | None = Field(None, description="attributes to values: all of them matched before, and do not now")
    author: Authors | None = Field(
        None, description="of an event: who may have spoken; whom the type names unless given"
    )
    public: bool | Literal["any"] = Field(default=True, description="of an event: whether it must be public")
    counts_when: dict[str, Values] = Field({}, description="it counts only while all of these attributes match")

    @model_validator(mode="after")
    def _one_way(self) -> TriggerModel:
        if sum(getattr(self, way) is not None for way in _WAYS) != 1:
            raise ValueError(f"expected exactly one of {', '.join(_WAYS)}")
        if self.event is None and self.model_fields_set & {"author", "public"}:
            raise ValueError("expected `author` and `public` beside `event` only; what an occurrence counts is fixed")
        return self

    def triggers(self) -> list[AnyTrigger]:
        """What it defines: one for each type of event."""
        counts_when = conditions_of(self.counts_when)
        if self.becomes is not None:
            return [Change("becomes", conditions_of(self.becomes), counts_when)]
        if self.leaves is not None:
            return [Change("leaves", conditions_of(self.leaves), counts_when)]
        if self.occurrence == "assigned" or self.occurrence == "unassigned":  # noqa: PLR1714 # mypy narrows by ==, not by `in`
            return [Change(self.occurrence, counts_when=counts_when)]
        if self.occurrence is not None:
            return [Trigger(self.occurrence, counts_when=counts_when)]
        return [self._of_type(name, counts_when) for name in self.event or ()]

    def _of_type(self, name: str, counts_when: Conditions) -> Trigger:
        speaker = speaker_of(name)
        authors = self.author or ([] if speaker is None else [speaker])
        public = None if self.public == "any" else self.public
        return Trigger(name, frozenset(authors), public, counts_when)


def _written_out(value: Any) -> Any:
    return {"occurrence": value} if isinstance(value, str) else value


OneTrigger = Annotated[TriggerModel, BeforeValidator(_written_out, json_schema_input_type=str | TriggerModel)]
Triggers = Annotated[
    list[OneTrigger], BeforeValidator(one_or_list, json_schema_input_type=OneTrigger | list[OneTrigger])
]
Kinds = Annotated[
    list[Kind], Field(min_length=1), BeforeValidator(one_or_list, json_schema_input_type=Kind | list[Kind])
]


class MetricModel(BaseModel):
    """What is promised: what starts a clock, what ends it, and when it stands still."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field("", max_length=500, description="for people")
    kinds: Kinds = Field(list(KINDS), description="the kinds of items that it is measured of")
    starts: Triggers = Field(min_length=1, description="what starts a cycle, unless one is open")
    stops: Triggers = Field(min_length=1, description="what ends it as met")
    abandons: Triggers = Field([], description="what ends it as abandoned: neither met nor breached")
    cancels: Triggers = Field([], description="what cancels it")
    pauses: Pausing = Field(
        "policy", description="when its clocks stand still: as the policy says, never, or while these attributes match"
    )
    repeats: bool = Field(default=False, description="whether another cycle may start after the first one")
    after_answer: bool = Field(default=False, description="whether it starts only once an agent has replied")
    holds_start: bool = Field(
        default=False, description="whether what starts it while the item is over counts once the item is reopened"
    )
    goes_on: GoesOn = Field(
        "never", description="whether it goes on when the item is over; `required`: if the policy requires a reply"
    )
    taken_up: bool = Field(
        default=False, description="whether reopening takes up a clock that ended because the item was over"
    )

    @field_validator("starts")
    @classmethod
    def _can_start(cls, starts: list[TriggerModel]) -> list[TriggerModel]:
        for trigger in starts:
            for name in (trigger.occurrence, *(trigger.event or ())):
                if name is not None and not _ENDS.isdisjoint({name, *meaning_of(name)}):
                    raise ValueError(f"expected what happens while the item is open; with {name} it is over")
        return starts

    @model_validator(mode="after")
    def _ends_in_one_way(self) -> MetricModel:
        triggers = [trigger for trigger, _ in self.metric("").ends]
        if twice := [trigger for trigger in triggers if triggers.count(trigger) > 1]:
            raise ValueError(f"expected each thing once among stops, abandons and cancels, but {twice[0]} stands twice")
        if self.goes_on != "never" and Trigger("over") in triggers:
            raise ValueError("expected no `over` among stops, abandons and cancels, because goes_on lets it go on")
        return self

    def metric(self, name: str) -> Metric:
        """The metric that it defines."""
        return Metric(
            name,
            starts=_triggers(self.starts),
            stops=_triggers(self.stops),
            abandons=_triggers(self.abandons),
            cancels=_triggers(self.cancels),
            kinds=tuple(kind for kind in KINDS if kind in self.kinds),
            pauses=self._pauses(),
            repeats=self.repeats,
            after_answer=self.after_answer,
            holds_start=self.holds_start,
            goes_on=self.goes_on,
            taken_up=self.taken_up,
        )

    def _pauses(self) -> Conditions | None:
        if isinstance(self.pauses, dict):
            return conditions_of(self.pauses)
        return NEVER if self.pauses == "never" else None


def _triggers(models: list[TriggerModel]) -> tuple[AnyTrigger, ...]:
    return tuple(trigger for model in models for trigger in model.triggers())


MetricName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Metrics = dict[MetricName, MetricModel]


class MetricFile(BaseModel):
    """Metrics alone, as the file of the built-in ones has them."""

    model_config = ConfigDict(extra="forbid")

    metrics: Metrics
