"""Policy files: a user's texts into one checked PolicySet, or every mistake in them at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from typing import Any

from services.timer.business_hours import BusinessHours
from services.timer.calendar_data import CalendarData, installed_data
from services.timer.calendar_file import canonical
from services.timer.calendars import inherit, unopened, written_in
from services.timer.conditions import By
from services.timer.metric_file import built_in_text, metrics_in
from services.timer.policy import Policy
from services.timer.policy_model import PolicyFile
from services.timer.policy_set import PolicySet
from services.timer.silence import SourceRule
from services.timer.target_model import Surroundings
from shared.documents import Document, named, read_all, validate
from shared.errors import BadDocument, Problem
from shared.events import Instant


def load(
    files: Mapping[str, str],
    *,
    now: Instant | None = None,
    data: CalendarData | None = None,
    metrics: str | None = None,
) -> PolicySet:
    """The policies in *files* (name -> text, YAML or JSON), which together make one set.

    A policy may name a calendar or a metric of another file. The order of the policies is that of the files' names,
    then that in the file.

    Args:
        files: name -> text.
        now: within 400 days of it every calendar must have open time; without it, at any time.
        data: what to compute the calendars with; unless given, what the installed packages say.
        metrics: the text of the built-in metrics, where it is that of another release.

    Raises:
        BadDocument: with every problem in every file, each with file, line, field and what was expected.
    """
    documents, problems = read_all(files)
    known = frozenset(named("calendars", documents, problems))
    built_in = metrics_in(built_in_text() if metrics is None else metrics)
    metrics_known = (*built_in, *named("metrics", documents, problems))
    surroundings = Surroundings(data=data) if problems else Surroundings(known, metrics_known, data)
    read = _read(documents, surroundings, problems)
    written, _ = written_in(documents, surroundings)  # what is wrong with them is among the problems already
    specs, wrong = inherit(written, known)
    data = installed_data(specs.values()) if data is None else data
    calendars = {name: BusinessHours(data.given_to(spec)) for name, spec in specs.items()}
    problems += [*wrong, *unopened(written, calendars, now)]
    if not problems and not any(file.policies for _, file in read):
        problems.append(Problem(next(iter(sorted(files)), "policies"), 1, "policies", "expected at least one policy"))
    if problems:
        raise BadDocument(sorted(problems, key=lambda problem: (problem.file, problem.line)))
    policies, sources = _policies_of(read, calendars), _sources_of(read, calendars)
    exclusions = [model.exclusion() for _, file in read for model in file.exclusions]
    own = {name: model.metric(name) for _, file in read for name, model in file.metrics.items()}
    # A built-in metric keeps its place, whoever defines it.
    found = PolicySet("", policies, calendars, metrics={**built_in, **own}, calendar_data=data, sources=sources)
    unnamed = found.excluding(exclusions)
    return unnamed.named(_version(unnamed))


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file, for editors: the full list of options."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **PolicyFile.model_json_schema()}


def _read(
    documents: list[Document], surroundings: Surroundings, problems: list[Problem]
) -> list[tuple[Document, PolicyFile]]:
    read = []
    for document in documents:
        try:
            read.append((document, validate(document, PolicyFile, surroundings)))
        except BadDocument as exc:
            problems.extend(exc.problems)
    return read


def _policies_of(read: list[tuple[Document, PolicyFile]], calendars: Mapping[str, BusinessHours]) -> list[Policy]:
    models = [model for _, file in read for model in file.policies]
    return [model.policy(order, calendars[model.calendar.default].spec) for order, model in enumerate(models)]


def _sources_of(
    read: list[tuple[Document, PolicyFile]], calendars: Mapping[str, BusinessHours]
) -> tuple[SourceRule, ...]:
    rules = [model.rule(pattern) for _, file in read for pattern, model in file.sources.items()]
    return tuple(replace(rule, hours=calendars[rule.calendar]) if rule.calendar else rule for rule in rules)


def _version(policies: PolicySet) -> str:
    # What else decides about open hours belongs to the content: the rules of time zones and of public holidays.
    content: dict[str, Any] = {
        "calendars": {name: canonical(hours.spec) for name, hours in policies.calendars.items()},
        "metrics": [asdict(metric) for metric in policies.metrics.values()],
        "policies": [_canonical(policy) for policy in policies.policies],
        "calendar_data": policies.calendar_data.fingerprint,
        "exclusions": policies.exclusions.revision,
    }
    if rules := [[rule.pattern, rule.after, rule.severity, rule.calendar] for rule in policies.sources]:
        content["sources"] = rules
    return sha256(json.dumps(content, sort_keys=True, default=sorted).encode()).hexdigest()[:16]


def _canonical(policy: Policy) -> dict[str, Any]:
    plain = asdict(policy)
    for choice in (plain["calendar"], *plain["targets"].values()):
        choice["by"] = _ordered(choice["by"])
    for target in plain["targets"].values():
        if target["calendar"] is not None:
            target["calendar"]["by"] = _ordered(target["calendar"]["by"])
    return plain


def _ordered(by: By[Any]) -> list[tuple[str, list[tuple[str, Any]]]]:
    # The order of its entries counts, and the names in a JSON object are sorted.
    return [(name, list(entries.items())) for name, entries in by]
