"""Where Java and the jars of Apache Kafka are; Maven fetches the jars once."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from shared.errors import Refused, Unavailable

ROOT: Final = Path(__file__).resolve().parents[2]
POM: Final = Path(__file__).with_name("pom.xml")
LIBS: Final = ROOT / ".plazo" / "kafka" / "libs"

_NEEDED: Final = 17


def missing() -> str | None:
    """One sentence that says what a real Kafka lacks on this machine; None when it can run."""
    program = _program("java")
    if program is None or (version := _java_version(program)) is None:
        place = "in JAVA_HOME" if os.environ.get("JAVA_HOME") else "on the PATH"
        return f"a real Apache Kafka needs a JDK of at least {_NEEDED}, and no java is found {place}"
    if version < _NEEDED:
        return f"a real Apache Kafka needs a JDK of at least {_NEEDED}, and {program} is version {version}"
    if not _copied() and shutil.which("mvn") is None:
        return "a real Apache Kafka needs Maven (mvn) to fetch its jars once, and no mvn is found on the PATH"
    return None


def java() -> str:
    """The program `java`, of JAVA_HOME before the PATH.

    Raises:
        Refused: there is none, it is too old, or Maven is missing to fetch what it would run.
    """
    sentence = missing()
    if sentence is not None:
        raise Refused(sentence)
    return _program("java") or "java"


def classpath() -> str:
    """Java's class path with every jar of Kafka; the first time, Maven copies them (45 jars, 44 MB).

    Raises:
        Unavailable: Maven cannot fetch them; the message has its reason.
    """
    LIBS.parent.mkdir(parents=True, exist_ok=True)
    with (LIBS.parent / "libs.lock").open("w") as lock:
        # Two test runs may start at once: one copies, the other waits and finds them.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _copied():
            _copy()
    return f"{LIBS}/*"


def _copied() -> bool:
    stamp = LIBS / "pom.xml"
    return stamp.exists() and stamp.read_bytes() == POM.read_bytes()


def _copy() -> None:
    made = LIBS.with_name("libs.new")
    for folder in (made, LIBS):
        shutil.rmtree(folder, ignore_errors=True)
    argv = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    done = subprocess.run([*argv, f"-DoutputDirectory={made}"], capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise Unavailable(f"Maven cannot fetch Apache Kafka: {errors[0] if errors else done.stderr.strip()}")
    # Which jars they are is remembered beside them, so that another version in pom.xml fetches anew.
    shutil.copy(POM, made / "pom.xml")
    made.rename(LIBS)


def _program(name: str) -> str | None:
    home = os.environ.get("JAVA_HOME")
    return shutil.which(name, path=f"{home}/bin") if home else shutil.which(name)


def _java_version(program: str) -> int | None:
    # macOS has a `java` that only says that there is none; it prints no version.
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else None
