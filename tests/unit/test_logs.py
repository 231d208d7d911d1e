"""What the log keeps to itself."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from services.ingest.handlers import Ingest
from services.ingest.normalize import Origin
from shared.cloudevents import Tenancy
from shared.events import SECOND, Topics, parse_instant
from shared.kafka.connection import MAX_RECORD_BYTES
from shared.logs import NOISY, OWN, LogFormat, configure
from shared.metrics import Metrics
from tests.fakes import FakeProducer, FakeRecord

FORGED = '\n{"event": "forged", "level": "error"}\r\x1b[31m\x85\u2028\u2029\x00'


@pytest.fixture
def configured() -> Iterator[io.StringIO]:
    """The log of a process, as text; afterwards everything is as before."""
    root, names = logging.getLogger(), (*OWN, *NOISY)
    before = (root.handlers, root.level, {name: logging.getLogger(name).level for name in names})
    stream = io.StringIO()
    configure("info", "json", stream)
    structlog.configure(**{**structlog.get_config(), "cache_logger_on_first_use": False})
    yield stream
    structlog.reset_defaults()
    root.handlers, level, levels = before
    root.setLevel(level)
    for name in names:
        logging.getLogger(name).setLevel(levels[name])


def test_the_address_of_a_webhook_is_not_logged_with_each_request(configured: io.StringIO) -> None:
    logging.getLogger("httpx2").info("HTTP Request: POST https://example.com/hooks/a-secret")
    configure("debug", "json", configured)
    logging.getLogger("httpcore2.http11").debug("send_request_headers: POST /hooks/a-secret")
    logging.getLogger("services.notifier").debug("delivered")
    assert "delivered" in configured.getvalue()
    assert "a-secret" not in configured.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_whatever_is_logged_stays_on_its_own_line(configured: io.StringIO, log_format: LogFormat) -> None:
    configure("info", log_format, configured)
    log = structlog.get_logger("services.test")
    log.warning("told", value=FORGED)
    log.warning(f"told {FORGED}", nested={"value": [FORGED]})
    log.warning("told", **{FORGED: 1})
    logging.getLogger("library").warning("told %s", FORGED)
    lines = configured.getvalue().splitlines()  # at everything that any reader takes for an end of a line
    assert len(lines) == 4
    assert all("told" in line for line in lines)
    assert not [line for line in lines if line.startswith('{"event": "forged"')]


def test_in_json_an_error_is_on_the_line_of_its_event(configured: io.StringIO) -> None:
    structlog.get_logger("services.test").error("failed", exc_info=ValueError(FORGED))
    (line,) = configured.getvalue().splitlines()
    assert json.loads(line)["event"] == "failed"
    assert "forged" in json.loads(line)["exception"]


@pytest.mark.parametrize("field", ["specversion", "id", "source", "type", "subject", "time", "tenant", "data", FORGED])
async def test_no_field_of_an_event_writes_a_line_of_the_log(configured: io.StringIO, field: str) -> None:
    event = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/helpdesk",
        "type": "ticket.created",
        "subject": "1",
        "time": "2026-01-05T11:59:00Z",
        "data": {"attributes": {"status": "open"}},
    }
    origins = {"tickets": Origin("canonical", Tenancy(trusted=True), MAX_RECORD_BYTES)}
    now = parse_instant("2026-01-05T12:00:00Z")
    ingest = Ingest(FakeProducer(), Topics(), origins, 300 * SECOND, Metrics("", ""), now=lambda: now)
    await ingest.on_batch([FakeRecord(json.dumps({**event, field: FORGED}).encode())])
    await ingest.on_batch([FakeRecord(json.dumps({**event, "data": {"attributes": {"status": FORGED}}}).encode())])
    told = [json.loads(line)["event"] for line in configured.getvalue().splitlines()]
    assert told
    assert "forged" not in told
