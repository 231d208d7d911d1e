"""`./plazo keys` as a user meets it."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.__main__ import command_line
from services.cli.key_store import changed
from shared.api_keys import ApiKey, KeyFile, hash_of, read
from shared.callers import Caller
from shared.errors import BadDocument, Denied, Refused
from shared.events import SECOND


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line(["keys"]), ["keys", *arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "api_keys.yaml"


def made(file: Path, *options: str, tenant: str = "acme") -> str:
    """A new key."""
    result = run("new", "--file", str(file), "--name", "desk", "--tenant", tenant, "--scopes", "read,write", *options)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def caller(file: Path, key: str, in_days: int = 0) -> Caller:
    """Who shows *key*, in so many days."""
    now = time.time_ns() // 1000 + in_days * 86_400 * SECOND
    return read(file.read_text(), str(file)).caller(key, now)


def test_a_new_key_is_printed_alone_and_opens(file: Path) -> None:
    key = made(file)
    assert re.fullmatch(r"plazo_[a-z]{8}_[0-9a-f]{48}", key)
    assert caller(file, key) == Caller(f"key {key[6:14]}", frozenset({"read", "write"}), "acme")


def test_the_file_keeps_no_key(file: Path) -> None:
    key = made(file)
    assert key[15:] not in file.read_text()


def test_keys_are_added_to_those_that_are_there(file: Path) -> None:
    first, second = made(file), made(file, tenant="*")
    assert (caller(file, first).tenant, caller(file, second).tenant) == ("acme", None)


def test_a_key_can_be_for_a_time(file: Path) -> None:
    key = made(file, "--expires", "90d")
    assert caller(file, key, in_days=89).tenant == "acme"
    with pytest.raises(Denied, match="expired"):
        caller(file, key, in_days=91)


def test_a_revoked_key_opens_nothing_and_is_still_listed(file: Path) -> None:
    key, other = made(file), made(file)
    assert run("revoke", key[6:14], "--file", str(file)).exit_code == 0
    with pytest.raises(Denied, match="revoked"):
        caller(file, key)
    assert caller(file, other).tenant == "acme"
    listed = run("list", "--file", str(file)).stdout
    assert re.search(rf"{key[6:14]}\s+acme\s+read write\s+\S+Z\s+was revoked\s+desk", listed)
    assert re.search(rf"{other[6:14]}\s+acme\s+read write\s+\S+Z\s+open\s+desk", listed)
    assert key[15:] not in listed
    assert hash_of(key) not in listed


def test_revoking_again_keeps_the_first_instant(file: Path) -> None:
    key = made(file)
    run("revoke", key[6:14], "--file", str(file))
    before = file.read_text()
    assert run("revoke", key[6:14], "--file", str(file)).exit_code == 0
    assert file.read_text() == before


def test_a_key_that_is_not_there_cannot_be_revoked(file: Path) -> None:
    made(file)
    result = run("revoke", "abcdefgh", "--file", str(file))
    assert isinstance(result.exception, Refused)
    assert "has no key abcdefgh" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--tenant", "a/b", "--scopes", "read"], "--tenant: expected a tenant"),
        (["--tenant", "acme", "--scopes", "everything"], "--scopes: expected 'read', 'write', 'metrics' or 'admin'"),
        (["--tenant", "acme", "--scopes", "metrics"], "metrics are of all tenants at once"),
        (["--tenant", "acme", "--scopes", "read", "--expires", "soon"], "--expires: expected days like 90d"),
    ],
)
def test_a_mistake_is_named_by_its_option_and_makes_nothing(file: Path, options: list[str], told: str) -> None:
    result = run("new", "--file", str(file), "--name", "desk", *options)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert not file.exists()


def test_a_file_with_mistakes_is_left_alone(file: Path) -> None:
    file.write_text("keys: [{id: 7}]")
    result = run("new", "--file", str(file), "--name", "desk", "--tenant", "acme", "--scopes", "read")
    assert isinstance(result.exception, BadDocument)
    assert file.read_text() == "keys: [{id: 7}]"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "keys.yaml"
    for result in (
        run("list", "--file", str(missing)),
        run("new", "--file", str(missing), "--name", "desk", "--tenant", "acme", "--scopes", "read"),
    ):
        assert isinstance(result.exception, Refused)
        assert "nowhere" in str(result.exception)


def test_who_may_read_the_file_stays_as_it_was(file: Path) -> None:
    made(file)
    file.chmod(0o640)
    made(file)
    assert file.stat().st_mode & 0o777 == 0o640


def test_keys_that_are_made_at_once_are_all_kept(file: Path) -> None:
    def add(number: int) -> None:
        identity = "a" * 7 + chr(ord("a") + number)
        key = {"id": identity, "name": "desk", "tenant": "*", "scopes": ["read"], "hash": hash_of(identity)}
        with changed(file) as keys:
            keys.append(ApiKey.model_validate({**key, "created": 0}))

    with ThreadPoolExecutor() as threads:
        list(threads.map(add, range(12)))
    kept: KeyFile = read(file.read_text(), str(file))
    assert len({key.id for key in kept.keys}) == 12
    assert [path.name for path in file.parent.iterdir()] == [file.name]
