"""Stopping the client of the brokers, which may be away."""

from __future__ import annotations

import asyncio

import pytest

from shared.kafka.connection import within


async def client_with_a_cancelled_task() -> None:
    """What the client does when it stops while its broker is away: it awaits a task of its own that was cancelled."""
    task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()
    await task


async def never() -> None:
    await asyncio.Event().wait()


async def test_the_end_of_a_task_of_the_clients_own_is_no_end_of_ours() -> None:
    await within(client_with_a_cancelled_task(), seconds=5.0)


async def test_a_client_that_does_not_stop_is_left_alone() -> None:
    await within(never(), seconds=0.01)


async def test_who_is_cancelled_while_it_waits_ends() -> None:
    begun = asyncio.Event()

    async def stopping() -> None:
        begun.set()
        await never()

    waiting = asyncio.create_task(within(stopping(), seconds=5.0))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
