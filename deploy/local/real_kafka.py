"""A real Apache Kafka on this machine, without Docker: one node in KRaft mode on 127.0.0.1, its data in one folder.

`python -m deploy.local.real_kafka` (`make kafka`) runs one in the foreground. It needs a JDK of at least 17, and Maven
for the first time only, which copies the jars that pom.xml names.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.local.kafka_admin import answers, create_topic, ensure_topic
from deploy.local.kafka_jars import classpath, java
from deploy.local.ports import free_port
from deploy.local.tether import Command, Tethered, last_line
from shared.errors import Refused, Unavailable

_START_S: Final = 60.0
_PARTITIONS: Final = 4  # of a topic that `make kafka` is asked for
_CLUSTER_ID: Final = "cGxhem8tbG9jYWwtbm9kZQ"
"""Any 16 bytes in base 64; the data of a folder is bound to it."""

_JVM: Final = ("-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35")
"""As Kafka's own start script has them, but for a smaller heap."""

_SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # After a kill the node waits for its former self to be given up, 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


@dataclass
class RealKafka:
    """A broker over *directory*, from `start` to `stop`; started again, it has the same address and the same records.

    *port* 0 takes a free one when the object is made. *settings* are added to the broker's own, by their Kafka names.
    *detours* are ports at which something else listens, and passes on what it gets to `behind` them: clients that come
    through one are told that address, and keep to it. *protected* are listeners that want TLS or a login: security
    protocol -> port.
    """

    directory: Path
    port: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    detours: tuple[int, ...] = ()
    protected: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory = self.directory.absolute()
        self.log = self.directory / "kafka.log"
        self.port = self.port or free_port()
        self._controller_port = free_port()
        self._behind = {detour: free_port() for detour in self.detours}
        self._broker: Tethered | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    def behind(self, detour: int) -> int:
        """The port at which the broker itself listens for what comes through a detour."""
        return self._behind[detour]

    def start(self) -> None:
        """Listen and answer; a started broker stays as it is.

        Raises:
            Refused: Java or Maven is missing, the port is taken, or the folder cannot be written.
            Unavailable: the broker does not come up; the message has the last of what it said.
        """
        if self._broker is not None:
            return
        program, jars = java(), classpath()
        self._check_port()
        settings = self._configure()
        self._format([program, "-cp", jars], settings)
        argv = [program, *_JVM, "-cp", jars, *self._logging(), "kafka.Kafka", str(settings)]
        self._broker = Tethered(Command(argv, self.log))
        try:
            self._wait_until_it_answers(self._broker)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the broker in order; a stopped broker stays as it is."""
        if self._broker is not None:
            self._broker.stop()
        self._broker = None

    def kill(self) -> None:
        """End the broker as a power cut would."""
        if self._broker is not None:
            self._broker.kill()
        self._broker = None

    def __enter__(self) -> RealKafka:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def create_topic(self, name: str, partitions: int, settings: Mapping[str, str] | None = None) -> None:
        """Make an empty topic, with *settings* by their Kafka names; it can be used when this returns.

        Raises:
            Refused: it exists, or the broker does not take a setting.
        """
        create_topic(self.bootstrap, name, partitions, settings)

    def ended(self, wait_s: float) -> bool:
        """Whether the broker is not running, or ends within *wait_s* seconds."""
        return self._broker is None or self._broker.ended(wait_s) is not None

    def _check_port(self) -> None:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", self.port))
            except OSError as exc:
                raise Refused(f"port {self.port} on 127.0.0.1 cannot be used: {exc.strerror}") from exc

    def _configure(self) -> Path:
        settings = {
            **_SETTINGS,
            **self._listeners(),
            "log.dirs": str(self.directory / "data"),
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            **self.settings,
        }
        path = self.directory / "server.properties"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        except OSError as exc:
            raise Refused(f"{self.directory} cannot be written: {exc.strerror}") from exc
        return path

    def _listeners(self) -> dict[str, str]:
        # Kafka tells a client the address that is announced for the listener by which it came.
        ports = {"PLAINTEXT": self.port, **self.protected}
        listening = [f"{protocol}://127.0.0.1:{port}" for protocol, port in ports.items()]
        announced = list(listening)
        protocols = [*(f"{protocol}:{protocol}" for protocol in ports), "CONTROLLER:PLAINTEXT"]
        for number, (detour, port) in enumerate(self._behind.items(), start=1):
            announced.append(f"DETOUR{number}://127.0.0.1:{detour}")
            listening.append(f"DETOUR{number}://127.0.0.1:{port}")
            protocols.append(f"DETOUR{number}:PLAINTEXT")
        return {
            "listeners": ",".join([*listening, f"CONTROLLER://127.0.0.1:{self._controller_port}"]),
            "advertised.listeners": ",".join(announced),
            "listener.security.protocol.map": ",".join(protocols),
        }

    def _format(self, java_argv: list[str], settings: Path) -> None:
        if (self.directory / "data" / "meta.properties").exists():
            return
        quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        argv = [*java_argv, *quick, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(settings)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, start_new_session=True)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise Refused(f"Kafka cannot prepare {self.directory}: {said[-1] if said else 'no reason given'}")

    def _logging(self) -> list[str]:
        return [f"-Dlog4j2.configurationFile={Path(__file__).with_name('kafka_log4j2.properties')}"]

    def _wait_until_it_answers(self, broker: Tethered) -> None:
        waited = 0.0
        while not answers(self.bootstrap):
            if broker.ended(0.05) is not None or (waited := waited + 0.05) > _START_S:
                raise Unavailable(f"Kafka does not start: {last_line(self.log)} (see {self.log})")


def _wait_for_the_end(kafka: RealKafka) -> int:
    try:
        while not kafka.ended(3600.0):
            pass
    except KeyboardInterrupt:
        return 0
    print(f"Kafka ended by itself: {last_line(kafka.log)}", file=sys.stderr)
    return 1


def main() -> int:
    """Run a broker until Ctrl-C; KAFKA_PORT (9092), KAFKA_DIR and KAFKA_TOPICS say where, and with which topics."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory, port = os.environ.get("KAFKA_DIR", ".plazo/kafka/node"), os.environ.get("KAFKA_PORT", "9092")
    if not port.isdecimal():
        print(f"KAFKA_PORT: expected a port number, got {port!r}", file=sys.stderr)
        return 2
    kafka = RealKafka(Path(directory), int(port))
    try:
        with kafka:
            for topic in os.environ.get("KAFKA_TOPICS", "").replace(",", " ").split():
                ensure_topic(kafka.bootstrap, topic, _PARTITIONS)
            place = f"Apache Kafka listens on {kafka.bootstrap}, its data is in {kafka.directory}."
            print(f"{place} Ctrl-C ends it.", flush=True)
            return _wait_for_the_end(kafka)
    except (Refused, Unavailable) as exc:
        print(exc, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
