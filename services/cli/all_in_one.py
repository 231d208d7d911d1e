"""Every service in one process, with the servers around them: wiring only."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TextIO, TypeVar

import structlog

from deploy.local import traffic
from deploy.local.help_desk import Desk
from services.cli.files import read_text, read_texts
from services.cli.following import follow, open_breaches
from services.cli.installation import install_tables, install_topics
from services.cli.instants import present
from services.cli.notify_file import read_notify
from services.cli.running import announced
from services.cli.screen import Screen
from services.cli.servers import EmbeddedBrokers, Servers, open_servers
from services.cli.terminal import Terminal
from services.cli.topics_file import PATH, Topic, read, small
from services.ingest.__main__ import build as build_ingest
from services.ingest.service import IngestService
from services.ingest.settings import Settings as IngestSettings
from services.notifier.__main__ import world
from services.notifier.service import NotifierService
from services.notifier.settings import Settings as NotifierSettings
from services.timer.__main__ import build as build_timer
from services.timer.lease_store import LeaseStore
from services.timer.policy_file import load as load_policies
from services.timer.settings import Settings as TimerSettings
from shared.configuration import CommonSettings, Upstream, load
from shared.credentials import credentials_of
from shared.db import Database
from shared.kafka.producer import Producer
from shared.lifecycle import Signals, collect_garbage, together, unless, watch_loop
from shared.lifecycle import run as run_until_stopped
from shared.logs import configure
from shared.metrics import Metrics
from shared.version import HOLIDAYS, TZDATA, VERSION
from shared.web import Health, application, serve

log = structlog.get_logger(__name__)
Part = Callable[[], Coroutine[Any, Any, None]]
Common = TypeVar("Common", bound=CommonSettings)


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for."""

    environment: Mapping[str, str]  # POLICIES and NOTIFY_ROUTES are in it
    folder: Path
    sock: socket.socket
    traffic: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """What has to run."""

    ingest: IngestService
    others: list[Part]
    last: Signals  # those of ingest


def main(plan: Plan, log_stream: TextIO, console: Terminal) -> int:
    """Run everything until Ctrl-C; the exit status."""
    configure(plan.environment.get("LOG_LEVEL", "info"), "json", log_stream)
    status = 0
    try:
        status = run_until_stopped(partial(_process, plan, console))
    except* BrokenPipeError:
        log.info("stopped, because nobody reads the screen any more")
    return status


async def _process(plan: Plan, console: Terminal, signals: Signals) -> None:
    async with AsyncExitStack() as stack:
        parts = await unless(signals.stop, _assemble(plan, console, signals, stack))
        if parts is not None:
            gc.enable()
            await _run(parts, signals.stop)
            console.print("Stopping.")


async def _run(parts: Parts, stop: asyncio.Event) -> None:
    """Run *parts* until *stop*; what the others read from ends last, because a deadline may just wait for it."""

    async def others() -> None:
        try:
            await together(stop, *(part() for part in parts.others))
        finally:
            parts.last.stop.set()

    await together(parts.last.stop, parts.ingest.run(parts.last), others())


async def _assemble(plan: Plan, console: Terminal, signals: Signals, stack: AsyncExitStack) -> Parts:
    """Start everything, in the order in which each needs the other; what then has to run."""
    _check_files(plan.environment)
    servers = await open_servers(plan.environment, plan.folder, stack)
    environment = {**plan.environment, **servers.settings}
    await _install(load(TimerSettings, environment), servers, traffic_topics=plan.traffic)
    stack.enter_context(announced(plan.folder, _announcement(environment)))
    desk = Desk(Random(secrets.randbits(64)), present())  # noqa: S311 # a made-up desk needs no secret chance
    screen = Screen(console, now=present, left_over=desk.is_from_before)
    parts = await _services(plan, environment, screen, signals=signals, stack=stack)
    if plan.traffic:
        parts.others.append(await _traffic(load(CommonSettings, environment), desk, signals, stack=stack))
    screen.header(_header(plan, servers, environment))
    return parts


def _check_files(environment: Mapping[str, str]) -> None:
    # A mistake in a file is told before anything is started for it.
    load_policies(read_texts(Path(environment["POLICIES"])))
    routes = environment["NOTIFY_ROUTES"]
    read_notify(Path(routes))


async def _install(settings: TimerSettings, servers: Servers, *, traffic_topics: bool) -> None:
    wanted = read(read_text(PATH), str(PATH), settings.topic_prefix)
    if traffic_topics:
        wanted[traffic.TOPIC] = Topic.model_validate({"partitions": traffic.PARTITIONS, "retention": "48h"})
    database = Database(settings.database_url.get_secret_value())
    try:
        await install_tables(database)
        events = settings.topics.events
        await install_topics(servers.brokers, database, small(wanted) if servers.kafka_embedded else wanted, events)
        if isinstance(servers.brokers, EmbeddedBrokers):
            await LeaseStore(database).reset_positions((await servers.brokers.cluster()).id)
    finally:
        await database.close()


async def _services(
    plan: Plan, environment: Mapping[str, str], screen: Screen, *, signals: Signals, stack: AsyncExitStack
) -> Parts:
    metrics = Metrics(VERSION, TZDATA, HOLIDAYS)
    ingest = build_ingest(_settings(IngestSettings, environment, plan), metrics)
    timer = build_timer(_settings(TimerSettings, environment, plan), metrics)
    # The line of a delivered alert is its line on the console too, so that receiver has nothing to write.
    around = replace(world(environment), write=lambda _line: None, on_delivered=screen.delivered)
    notifier = NotifierService(load(NotifierSettings, environment), metrics, around)
    common = load(CommonSettings, environment)
    async with asyncio.TaskGroup() as starting:
        for service in (ingest, timer, notifier):
            stack.push_async_callback(service.stop)
            starting.create_task(service.start())
    breaches = await open_breaches(common.connection, common.topics.breaches, "end")
    stack.push_async_callback(breaches.stop)
    health = Health({"ingest": ingest.ready, "timer": timer.ready, "notifier": notifier.ready})
    routers = [ingest.router(), timer.router(), notifier.router()]
    credentials = credentials_of(common, present)
    app = application("Plazo", routers, health, metrics, credentials)
    log.info("started", **_announcement({**environment, "DATABASE_URL": "…"}))
    others: list[Part] = [
        partial(timer.run, signals),
        partial(notifier.run, signals),
        partial(serve, app, plan.sock, signals.stop),
        partial(watch_loop, metrics, "all", signals.stop),
        partial(collect_garbage, signals.stop),
        partial(follow, breaches, screen.published, signals.stop),
    ]
    if credentials is not None:
        others.append(partial(credentials.run, signals, metrics))
    return Parts(ingest, others, Signals(hangup=signals.hangup))


def _settings(kind: type[Common], environment: Mapping[str, str], plan: Plan) -> Common:
    settings = load(kind, environment)
    if not plan.traffic:
        return settings
    return settings.model_copy(update={"upstream_topics": (*settings.upstream_topics, Upstream(topic=traffic.TOPIC))})


async def _traffic(common: CommonSettings, desk: Desk, signals: Signals, *, stack: AsyncExitStack) -> Part:
    writer = Producer(common.connection, "help-desk")
    stack.push_async_callback(writer.stop)
    await writer.start()
    return partial(traffic.play, desk, writer, now=present, stop=signals.stop)


def _announcement(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("KAFKA_BOOTSTRAP", "DATABASE_URL", "POLICIES", "NOTIFY_ROUTES", "TOPIC_PREFIX")
    return {name: environment[name] for name in names if name in environment}


def _header(plan: Plan, servers: Servers, environment: Mapping[str, str]) -> dict[str, str]:
    url = "http://{}:{}".format(*plan.sock.getsockname()[:2])
    kafka = environment.get("KAFKA_BOOTSTRAP", "as set")
    database = f"embedded, its data in {plan.folder / 'postgres'}" if servers.postgres_embedded else "your own"
    return {
        "API docs": f"{url}/docs",
        "Metrics": f"{url}/metrics",
        "Health": f"{url}/healthz/ready",
        "Kafka": f"{kafka} ({'embedded' if servers.kafka_embedded else 'your own'})",
        "PostgreSQL": database,
        "Policies": os.path.relpath(plan.environment["POLICIES"]),
        "Traffic": f"a made-up support desk on {traffic.TOPIC}" if plan.traffic else "none but your own",
        "Log": str(plan.folder / "run.log"),
    }
