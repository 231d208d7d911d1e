"""The image, the compose file and the scrape configuration: what can be known of them without an engine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from alembic.script import ScriptDirectory
from pydantic_settings import BaseSettings

from services.__main__ import COMMANDS
from services.cli.settings import InstallationSettings
from services.ingest.settings import Settings as IngestSettings
from services.notifier.settings import Settings as NotifierSettings
from services.timer.settings import Settings as TimerSettings
from shared.configuration import load
from shared.db import MIGRATIONS
from shared.http_settings import is_this_machine
from shared.version import VERSION

ROOT: Final = Path(__file__).resolve().parents[2]
DEPLOY: Final = ROOT / "deploy"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
OURS: Final[dict[str, type[BaseSettings]]] = {
    "migrate": InstallationSettings,
    "ingest": IngestSettings,
    "timer": TimerSettings,
    "notifier": NotifierSettings,
}
PINNED: Final = re.compile(r"[a-z0-9/._-]+:v?[0-9]+\.[0-9]+(\.[0-9]+)?(-[a-z0-9-]+)?")


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) of the Dockerfile, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    words = (line.strip().partition(" ") for line in text.splitlines() if line.strip())
    return [(name, " ".join(rest.split())) for name, _, rest in words]


def arguments(instruction: str) -> list[str]:
    """The arguments of every such instruction of the Dockerfile, in order."""
    return [rest for name, rest in instructions() if name == instruction]


def inside(service: str) -> dict[str, str]:
    """The environment that a service of ours gets: the image's, and the compose file's over it."""
    image = dict(part.split("=", 1) for text in arguments("ENV") for part in text.split())
    return {**image, **SERVICES[service]["environment"]}


def test_the_migrations_of_the_database_are_one_chain() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert (len(scripts.get_heads()), len(scripts.get_bases())) == (1, 1)
    assert sorted(each.revision for each in scripts.walk_revisions()) == sorted(
        path.stem for path in MIGRATIONS.glob("versions/*.py")
    )


def test_images_are_pinned() -> None:
    images = [service["image"] for service in SERVICES.values()] + [text.split()[0] for text in arguments("FROM")]
    assert [image for image in images if not PINNED.fullmatch(image)] == []


def test_the_image_of_the_services_has_their_version() -> None:
    assert {SERVICES[name]["image"] for name in OURS} == {f"plazo:{VERSION}"}


def test_the_image_runs_as_a_user_without_rights() -> None:
    assert [re.fullmatch(r"[1-9][0-9]{3,}:[1-9][0-9]{3,}", user) is not None for user in arguments("USER")] == [True]


def test_everything_that_is_copied_into_the_image_exists() -> None:
    copied = [text.split()[:-1] for text in arguments("COPY") if not text.startswith("--from")]
    assert [name for names in copied for name in names if not (ROOT / name).exists()] == []


def test_packages_are_installed_from_the_lock_by_their_hashes() -> None:
    installed = [text for text in arguments("RUN") if " install " in text]
    assert ["--require-hashes" in text and "-r requirements.lock" in text for text in installed] == [True]
    assert "://" not in (DEPLOY / "Dockerfile").read_text().replace("http://127.0.0.1", "")


def test_the_health_check_asks_whether_the_process_lives() -> None:
    (check,) = arguments("HEALTHCHECK")
    program, option, code = json.loads(check.partition("CMD ")[2])
    compile(code, "HEALTHCHECK", "exec")
    assert (program, option) == ("/opt/plazo/.venv/bin/python", "-c")
    assert "/healthz/live" in code


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_the_compose_file_starts_with_the_settings_that_it_gets(name: str, tmp_path: Path) -> None:
    environment = inside(name)
    if "DATABASE_URL_FILE" in environment:
        (tmp_path / "database_url").write_text("postgresql://plazo:secret@postgres:5432/plazo\n")
        environment["DATABASE_URL_FILE"] = str(tmp_path / "database_url")
    settings = load(OURS[name], environment)
    assert settings.model_dump()["kafka_bootstrap"] == "kafka:19092"


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_the_compose_file_is_given_only_settings_that_it_has(name: str) -> None:
    known = {field.upper() for field in OURS[name].model_fields}
    given = SERVICES[name]["environment"].keys() - known
    assert {variable.removesuffix("_FILE") for variable in given} - known == set()


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_the_compose_file_can_do_little_beside_its_work(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["command"] == [name]
    assert name in COMMANDS


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_secrets_come_from_files_that_are_not_committed() -> None:
    files = [secret["file"] for secret in COMPOSE["secrets"].values()]
    assert all(file.startswith("./secrets/") for file in files)
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == COMPOSE["secrets"].keys()


def test_the_files_that_services_read_are_mounted() -> None:
    variables = [("timer", "POLICIES"), ("notifier", "NOTIFY_ROUTES")]
    for service, variable in variables:
        source, target, mode = SERVICES[service]["volumes"][0].split(":")
        name = SERVICES[service]["environment"][variable].removeprefix(f"{target}/")
        assert (DEPLOY / source / name).is_file()
        assert mode == "ro"


@pytest.mark.parametrize("name", ["ingest", "timer", "notifier"])
def test_a_service_that_others_can_reach_asks_them_for_a_key(name: str) -> None:
    given = inside(name)
    assert not is_this_machine(given["HTTP_HOST"])
    (folder,) = [mount.split(":")[1] for mount in SERVICES[name]["volumes"] if mount.startswith("./secrets/http:")]
    assert Path(given["API_KEYS_FILE"]).parent == Path(folder)


def test_prometheus_has_a_key_for_every_service() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    assert SERVICES["prometheus"]["secrets"] == ["metrics_key"]
    shown = [job["authorization"]["credentials_file"] for job in scraped]
    assert shown == ["/run/secrets/metrics_key"] * 3


def test_services_wait_for_what_they_need() -> None:
    for name in ("ingest", "timer", "notifier"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    needed = {other for service in SERVICES.values() for other in service.get("depends_on", [])}
    assert needed <= SERVICES.keys()


def test_prometheus_scrapes_every_service_at_its_port() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    found = {
        job["job_name"]: [target for each in job["static_configs"] for target in each["targets"]] for job in scraped
    }
    assert found == {name: [f"{name}:{inside(name)['HTTP_PORT']}"] for name in ("ingest", "timer", "notifier")}
