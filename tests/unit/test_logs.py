"""What the log keeps to itself."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from shared.logs import configure


@pytest.fixture
def configured() -> Iterator[io.StringIO]:
    """The log of a process, as text; afterwards everything is as before."""
    root, names = logging.getLogger(), ("aiokafka", "uvicorn", "watchfiles", "alembic", "httpx2")
    before = (root.handlers, root.level, {name: logging.getLogger(name).level for name in names})
    stream = io.StringIO()
    configure("info", "json", stream)
    yield stream
    root.handlers, level, levels = before
    root.setLevel(level)
    for name in names:
        logging.getLogger(name).setLevel(levels[name])


def test_the_address_of_a_webhook_is_not_logged_with_each_request(configured: io.StringIO) -> None:
    logging.getLogger("httpx2").info("HTTP Request: POST https://example.com/hooks/a-secret")
    logging.getLogger("services.notifier").info("delivered")
    assert "delivered" in configured.getvalue()
    assert "a-secret" not in configured.getvalue()
