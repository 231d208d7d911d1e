"""Structured logs: one JSON object a line, or coloured lines for a person at a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal, TextIO

import structlog

LogFormat = Literal["json", "console"]

OWN: Final = ("services", "shared", "deploy")
NOISY: Final = ("aiokafka", "uvicorn", "watchfiles", "alembic", "httpx2")
_OF_SEVERAL_LINES: Final = frozenset({"exception", "stack"})  # ours, not what somebody sent


def configure(level: str, log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Send every log record of the process, the libraries' too, through one renderer to *stream* or standard output."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    # JSON escapes what could end a line by itself; for people, it is done before.
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [_on_one_line, structlog.dev.ConsoleRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        # Not cached: a logger that was used before would keep what was configured then. It costs 1 us a call.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout if stream is None else stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    _choose_levels(root, logging.getLevelNamesMapping()[level.upper()])


def _choose_levels(root: logging.Logger, least: int) -> None:
    # What libraries say below a warning is not for operators, and some tell what must not be told: httpx2 the address
    # of every request, httpcore2 the headers of each, and of the answer.
    root.setLevel(max(least, logging.WARNING))
    for own in OWN:
        logging.getLogger(own).setLevel(least)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(max(least, logging.ERROR))


def escaped(text: str) -> str:
    """*text* with control characters, and others that cannot be seen, as Python writes them: `\\n`, `\\x1b`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _on_one_line(_logger: Any, _method: str, event: Mapping[str, Any]) -> dict[str, Any]:
    # Of everything that a terminal would act on: nobody else writes a line of the log, or colors it.
    return {
        escaped(name): escaped(value) if isinstance(value, str) and name not in _OF_SEVERAL_LINES else value
        for name, value in event.items()
    }
