"""The built-in metrics, read from `metrics.yaml` beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from services.timer.metric import Metric
from services.timer.metric_model import MetricFile
from shared.documents import parse

FILE: Final = "metrics.yaml"


@cache
def text() -> str:
    """The file as it is shipped, in the language in which users add metrics; part of the program, like its code."""
    return files("services.timer").joinpath(FILE).read_text("utf-8")


@cache
def built_in() -> Mapping[str, Metric]:
    """name -> metric, in the order of the file."""
    return {name: model.metric(name) for name, model in parse(text(), MetricFile, FILE).metrics.items()}
