"""Who is told in the place of a receiver that is no more. PURE."""

from __future__ import annotations

from collections.abc import Collection

from services.notifier.routing import Routes


def stand_in(routes: Routes, receiver: str, disabled: Collection[str]) -> str | None:
    """The receiver that hears what *receiver* cannot be told: the file's fallback, else who hears of the rest.

    None where there is no other, or all are *disabled*, too: what waits for *receiver* then goes on waiting.
    """
    of_the_rest = [name for each in reversed(routes.routes) if not each.goes_on for name in each.receivers]
    candidates = [*([] if routes.fallback is None else [routes.fallback]), *of_the_rest]
    return next((name for name in candidates if name != receiver and name not in disabled), None)
