"""Files that are read again when they change, however they are replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import BadDocument, Problem
from shared.lifecycle import Signals, reload_on_change
from shared.metrics import Metrics


def rewrite(folder: Path) -> None:
    """As an editor does that writes in place."""
    (folder / "policies.yaml").write_text("new")


def replace(folder: Path) -> None:
    """As an editor does that writes beside it and renames."""
    (folder / "other").write_text("new")
    (folder / "other").rename(folder / "policies.yaml")


def swap_link(folder: Path) -> None:
    """As Kubernetes does: the file is a link through `..data`, which is replaced by a link to another folder."""
    if not (folder / "policies.yaml").is_symlink():
        (folder / "policies.yaml").symlink_to("..data/policies.yaml")
    behind = folder / f"..{len(list(folder.iterdir()))}"
    behind.mkdir()
    (behind / "policies.yaml").write_text("new")
    (folder / "..next").symlink_to(behind.name)
    (folder / "..next").rename(folder / "..data")


@pytest.mark.parametrize("change", [rewrite, replace, swap_link])
async def test_a_changed_file_is_read_again(tmp_path: Path, change: Callable[[Path], None]) -> None:
    change(tmp_path)
    file = tmp_path / "policies.yaml"
    signals, reloaded = Signals(), asyncio.Event()

    async def reload() -> None:
        reloaded.set()

    watching = asyncio.create_task(reload_on_change(file, reload, signals, metrics=Metrics("0", "0")))
    async with asyncio.timeout(20):
        while not reloaded.is_set():  # the watch begins a moment after its task
            change(tmp_path)
            await asyncio.sleep(0.1)
    signals.stop.set()
    await watching


async def test_a_file_with_mistakes_is_told_and_changes_nothing(tmp_path: Path) -> None:
    rewrite(tmp_path)
    file = tmp_path / "policies.yaml"
    signals, tried, metrics = Signals(), asyncio.Event(), Metrics("0", "0")

    async def reload() -> None:
        tried.set()
        raise BadDocument([Problem("policies.yaml", 3, "policies", "is required")])

    watching = asyncio.create_task(reload_on_change(file, reload, signals, metrics=metrics))
    async with asyncio.timeout(20):
        while not tried.is_set():
            rewrite(tmp_path)
            await asyncio.sleep(0.1)
    signals.stop.set()
    await watching
    assert metrics.registry.get_sample_value(
        "sla_config_last_reload_successful", {"file": "policies.yaml"}
    ) == pytest.approx(0)


async def test_a_hangup_in_the_middle_of_reading_has_the_file_read_once_more(tmp_path: Path) -> None:
    rewrite(tmp_path)
    signals, reads, go_on = Signals(), asyncio.Queue[int](), asyncio.Event()

    async def reload() -> None:
        reads.put_nowait(1)
        await go_on.wait()

    metrics = Metrics("0", "0")
    watching = asyncio.create_task(reload_on_change(tmp_path / "policies.yaml", reload, signals, metrics=metrics))
    async with asyncio.timeout(20):
        while reads.empty():
            signals._hang_up()
            await asyncio.sleep(0.01)
        await reads.get()
        signals._hang_up()
        go_on.set()
        await reads.get()
    signals.stop.set()
    await watching


async def test_a_file_beside_it_counts_too_from_when_it_is_named(tmp_path: Path) -> None:
    rewrite(tmp_path)
    (tmp_path / "away").mkdir()
    other = tmp_path / "away" / "people.yaml"
    signals, reads, named = Signals(), asyncio.Queue[int](), set[Path]()

    async def reload() -> None:
        named.add(other)
        reads.put_nowait(1)

    file, metrics = tmp_path / "policies.yaml", Metrics("0", "0")
    watching = asyncio.create_task(reload_on_change(file, reload, signals, metrics=metrics, beside=lambda: named))
    async with asyncio.timeout(20):
        while reads.empty():
            signals._hang_up()
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)  # what the hangups still call for
        while not reads.empty():
            reads.get_nowait()
        while reads.empty():
            other.write_text("people: {}")
            await asyncio.sleep(0.1)
    signals.stop.set()
    await watching
