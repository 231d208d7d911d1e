"""The cursor of a page: where the next one begins, as a text that only the API reads."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from services.notifier.delivery_log import Place
from shared.events import instant, moment
from shared.problems import ProblemError


def cursor_of(row: Mapping[str, Any]) -> str:
    """The cursor of what comes after *row*."""
    return base64.urlsafe_b64encode(msgspec.json.encode((instant(row["created_at"]), row["id"]))).decode()


def read_cursor(cursor: str | None) -> Place | None:
    """The place that *cursor* names; None without one.

    Raises:
        ProblemError: 422, it was never given out.
    """
    if cursor is None:
        return None
    try:
        place: Place = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[int, UUID])
        moment(place[0])  # what is no instant of the calendar's was never given out
    except (msgspec.DecodeError, binascii.Error, ValueError, OverflowError) as exc:
        raise ProblemError(422, "cursor: expected the next_cursor of another page") from exc
    return place
