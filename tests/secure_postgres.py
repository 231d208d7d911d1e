"""A real PostgreSQL that takes connections over TLS alone, where this machine has one that can."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT
from urllib.parse import quote

import trustme

from deploy.local.ports import free_port
from deploy.local.tether import Command, Tethered, last_line

USER = "plazo"
PASSWORD = "p@ss/w%rd:of?PostgreSQL"  # every character that a URL could trip over
GUEST = "guest"  # who shows a certificate instead of a password
_ACCOUNT = "nobody" if os.geteuid() == 0 else None
_WHO = f"hostssl all {USER} 127.0.0.1/32 scram-sha-256\nhostssl all {GUEST} 127.0.0.1/32 cert\n"


@dataclass(frozen=True)
class SecurePostgres:
    """What clients need to know of it; the files are PEM."""

    port: int
    ca_file: Path
    guest_file: Path  # the guest's certificate and its key

    def url(self, user: str = f"{USER}:{quote(PASSWORD, safe='')}", host: str = "127.0.0.1", **parameters: str) -> str:
        """`postgresql://…` with *parameters*."""
        query = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
        return f"postgresql://{user}@{host}:{self.port}/postgres?{query}"

    def verified(self) -> str:
        """The URL of whoever lets nobody in between."""
        return self.url(sslmode="verify-full", sslrootcert=str(self.ca_file))


def programs() -> Path | None:
    """Where the programs of a PostgreSQL with TLS are; None when this machine has none."""
    found = shutil.which("pg_config")
    if found is None:
        return None
    built = subprocess.run([found, "--configure"], capture_output=True, text=True, check=True).stdout
    place = subprocess.run([found, "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
    has_tls = "--with-openssl" in built or "--with-ssl=openssl" in built
    return Path(place) if has_tls and (Path(place) / "initdb").exists() else None


@contextmanager
def secure_postgres(folder: Path, bin_folder: Path) -> Iterator[SecurePostgres]:
    """A started server of *bin_folder*, with its files under *folder*."""
    authority = trustme.CA()
    made = SecurePostgres(free_port(), folder / "ca.pem", folder / "guest.pem")
    authority.cert_pem.write_to_path(str(made.ca_file))
    guest = authority.issue_cert("guest@example.com", common_name=GUEST)
    guest.private_key_and_cert_chain_pem.write_to_path(str(made.guest_file))
    made.guest_file.chmod(0o600)
    _create(folder, bin_folder, authority)
    server = _serve(folder, bin_folder, made)
    try:
        yield made
    finally:
        server.stop()


def _create(folder: Path, bin_folder: Path, authority: trustme.CA) -> None:
    data, password = folder / "data", _given(folder / "password", PASSWORD.encode())
    data.mkdir(mode=0o700)
    _give(data)
    argv = ["initdb", "-D", str(data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
    log = folder / "initdb.log"
    argv[0] = str(bin_folder / "initdb")
    status = Tethered(Command([*argv, "--encoding=UTF8", "--locale=C"], log, user=_ACCOUNT)).wait()
    assert status == 0, last_line(log)
    issued = authority.issue_cert("127.0.0.1")
    _given(folder / "server.pem", issued.private_key_and_cert_chain_pem.bytes())
    _given(data / "pg_hba.conf", _WHO.encode())


def _serve(folder: Path, bin_folder: Path, made: SecurePostgres) -> Tethered:
    own = str(folder / "server.pem")
    settings = {
        "port": str(made.port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "ssl": "on",
        "ssl_cert_file": own,
        "ssl_key_file": own,
        "ssl_ca_file": str(made.ca_file),
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    argv = [str(bin_folder / "postgres"), "-D", str(folder / "data"), *options]
    server = Tethered(Command(argv, folder / "server.log", stop_signal=SIGINT, user=_ACCOUNT))
    deadline = time.monotonic() + 30.0
    while not _ready(folder / "data"):
        if server.ended(0.02) is not None or time.monotonic() > deadline:
            server.stop()
            raise AssertionError(f"PostgreSQL does not start: {last_line(folder / 'server.log')}")
    return server


def _ready(data: Path) -> bool:
    # The eighth line of the lock file is the server's own word for its state.
    try:
        return (data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
    except (FileNotFoundError, IndexError):
        return False


def _given(path: Path, content: bytes) -> Path:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
    _give(path)
    return path


def _give(path: Path) -> None:
    if _ACCOUNT is not None:
        entry = pwd.getpwnam(_ACCOUNT)
        os.chown(path, entry.pw_uid, entry.pw_gid)
