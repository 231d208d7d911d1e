"""The built-in metrics, read from `metrics.yaml` beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from services.timer.metric import Metric
from services.timer.metric_model import MetricFile
from shared.documents import parse

# Under this name the text is kept with a version of the policies, beside the user's files; none of them can have it.
FILE: Final = "built-in/metrics.yaml"


@cache
def built_in_text() -> str:
    """The file as it is shipped, in the language in which users add metrics; part of the program, like its code."""
    return files("services.timer").joinpath("metrics.yaml").read_text("utf-8")


def built_in() -> Mapping[str, Metric]:
    """name -> metric, in the order of the file."""
    return metrics_in(built_in_text())


@cache
def metrics_in(text: str) -> Mapping[str, Metric]:
    """The metrics that a text like the built-in one defines, which may be that of an earlier release.

    Raises:
        BadDocument: with every problem in it.
    """
    return {name: model.metric(name) for name, model in parse(text, MetricFile, FILE).metrics.items()}
