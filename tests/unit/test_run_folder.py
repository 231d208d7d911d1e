"""The folder of `./plazo run`: its owner, its log, and how other commands find what runs."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from services.cli.folder import claimed
from services.cli.running import announced, load_here, runs, surroundings
from shared.configuration import CommonSettings
from shared.errors import Refused

SETTINGS = {"KAFKA_BOOTSTRAP": "127.0.0.1:9", "DATABASE_URL": "postgresql://u:p@h/d"}


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with (
        claimed(tmp_path / "a"),
        pytest.raises(Refused, match="in use by another"),
        claimed(tmp_path / "a"),
    ):
        pass
    with claimed(tmp_path / "a"):
        pass


def test_a_second_owner_leaves_the_log_of_the_first_alone(tmp_path: Path) -> None:
    with claimed(tmp_path) as log:
        log.write("first\n")
        with pytest.raises(Refused), claimed(tmp_path):
            pass
    assert (tmp_path / "run.log").read_text() == "first\n"


def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with claimed(tmp_path) as log:
            log.write(text)
    assert (tmp_path / "run.previous.log").read_text() == "one"
    assert (tmp_path / "run.log").read_text() == "two"


def test_a_folder_that_cannot_be_one_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match=r"the folder .*file cannot be used: "), claimed(tmp_path / "file"):
        pass


def test_an_error_inside_is_not_taken_for_one_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), claimed(tmp_path):
        raise FileNotFoundError("something else")


def test_other_commands_find_what_runs_until_it_ends(tmp_path: Path) -> None:
    with announced(tmp_path, SETTINGS):
        assert surroundings({}, tmp_path) == SETTINGS
        assert runs(tmp_path)
    assert surroundings({}, tmp_path) == {}
    assert not runs(tmp_path)


def test_what_a_killed_run_left_behind_is_not_found(tmp_path: Path) -> None:
    with announced(tmp_path, SETTINGS):
        left_behind = (tmp_path / "running.json").read_text()
    (tmp_path / "running.json").write_text(left_behind)
    assert surroundings({}, tmp_path) == {}


def test_who_has_no_kafka_hears_that_a_run_of_this_folder_would_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match=r"KAFKA_BOOTSTRAP: is required\n.*`\./plazo run` in this folder"):
        load_here(CommonSettings, {})


def test_who_has_a_kafka_hears_only_of_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused) as caught:
        load_here(CommonSettings, {"KAFKA_BOOTSTRAP": "kafka:9092", "HTTP_PORT": "many"})
    assert "./plazo run" not in str(caught.value)


def test_a_kafka_of_ones_own_is_not_mixed_with_what_runs(tmp_path: Path) -> None:
    own = {"KAFKA_BOOTSTRAP": "kafka:9092"}
    with announced(tmp_path, SETTINGS):
        assert surroundings(own, tmp_path) == own


def test_what_the_user_sets_comes_first(tmp_path: Path) -> None:
    with announced(tmp_path, SETTINGS):
        assert surroundings({"DATABASE_URL": "mine"}, tmp_path)["DATABASE_URL"] == "mine"


def test_the_password_is_nobody_elses(tmp_path: Path) -> None:
    with announced(tmp_path, SETTINGS):
        (file,) = tmp_path.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
