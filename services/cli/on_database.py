"""Commands that need nothing but the database."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.cli.running import load_here
from services.cli.settings import DatabaseSettings
from shared.db import Database

Result = TypeVar("Result")


def on_database(work: Callable[[Database], Awaitable[Result]]) -> Result:
    """What *work* gives on the database of the settings, which is open for as long as it takes.

    Raises:
        Refused, BadDocument: the settings name none.
    """

    async def worked() -> Result:
        database = Database(load_here(DatabaseSettings, os.environ).database_url.get_secret_value(), size=1)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(worked())
