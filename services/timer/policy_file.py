"""Policy files: a user's texts into one checked PolicySet, or every mistake in them at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version as installed_version
from typing import Any

import tzdata

from services.timer.business_hours import BusinessHours
from services.timer.calendar_file import canonical
from services.timer.policy import Policy
from services.timer.policy_model import PolicyFile, Surroundings
from services.timer.policy_set import PolicySet
from shared.documents import Document, validate
from shared.errors import BadDocument, Problem


def load(files: Mapping[str, str]) -> PolicySet:
    """The policies in *files* (name -> text, YAML or JSON), which together make one set.

    A policy may name a calendar of another file. The order of the policies is that of the files' names, then that in
    the file.

    Raises:
        BadDocument: with every problem in every file, each with file, line, field and what was expected.
    """
    documents, problems = _documents(files)
    surroundings = Surroundings(None if problems else frozenset(_calendars_named(documents, problems)))
    read: list[PolicyFile] = []
    for document in documents:
        try:
            read.append(validate(document, PolicyFile, surroundings))
        except BadDocument as exc:
            problems.extend(exc.problems)
    if not problems and not any(file.policies for file in read):
        problems.append(Problem(next(iter(sorted(files)), "policies"), 1, "policies", "expected at least one policy"))
    if problems:
        raise BadDocument(sorted(problems, key=lambda problem: (problem.file, problem.line)))
    return _policy_set(read)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file, for editors: the full list of options."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **PolicyFile.model_json_schema()}


def _documents(files: Mapping[str, str]) -> tuple[list[Document], list[Problem]]:
    documents: list[Document] = []
    problems: list[Problem] = []
    for name in sorted(files):
        try:
            documents.append(Document(files[name], name))
        except BadDocument as exc:
            problems.extend(exc.problems)
    return documents, problems


def _calendars_named(documents: list[Document], problems: list[Problem]) -> dict[str, str]:
    # name -> file; a name that stands in two files is a problem.
    named: dict[str, str] = {}
    for document in documents:
        section = document.value.get("calendars") if isinstance(document.value, dict) else None
        for name in section if isinstance(section, dict) else ():
            if name in named:
                problems.append(document.problem(("calendars", name), f"is already defined in {named[name]}"))
            named.setdefault(name, document.file)
    return named


def _policy_set(files: list[PolicyFile]) -> PolicySet:
    calendars = {name: BusinessHours(each.spec()) for file in files for name, each in file.calendars.items()}
    models = [model for file in files for model in file.policies]
    policies = [model.policy(order) for order, model in enumerate(models)]
    return PolicySet(_version(policies, calendars), policies, calendars)


def _version(policies: list[Policy], calendars: Mapping[str, BusinessHours]) -> str:
    # What else decides about open hours belongs to the content: the rules of time zones and of public holidays.
    regions = any(hours.spec.regions for hours in calendars.values())
    content = {
        "calendars": {name: canonical(hours.spec) for name, hours in calendars.items()},
        "policies": [_canonical(policy) for policy in policies],
        "tzdata": tzdata.IANA_VERSION,
        "holidays": installed_version("holidays") if regions else None,
    }
    return sha256(json.dumps(content, sort_keys=True, default=sorted).encode()).hexdigest()[:16]


def _canonical(policy: Policy) -> dict[str, Any]:
    plain = asdict(policy)
    for target in plain["targets"].values():
        target["by"] = [(name, list(spans.items())) for name, spans in target["by"]]  # their order counts
    return plain
