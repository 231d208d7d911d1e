"""`notify.yaml` and the files beside it, read from the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.notifier.reading import files_beside, read_routes
from shared.errors import BadDocument

NOTIFY = """
receivers: {terminal: {console: {}}}
directory: who/people.yaml
routes: [{audience: assignee}]
"""
PEOPLE = "people: {nora: {}}\nfallback: terminal\n"


def written(folder: Path, people: bytes | None) -> Path:
    (folder / "who").mkdir()
    if people is not None:
        (folder / "who" / "people.yaml").write_bytes(people)
    path = folder / "notify.yaml"
    path.write_text(NOTIFY)
    return path


def test_the_directory_is_read_relative_to_the_routes(tmp_path: Path) -> None:
    path = written(tmp_path, PEOPLE.encode())
    directory = read_routes(path).directory
    assert directory is not None
    assert directory.fallback == ("terminal",)
    assert files_beside(path) == [tmp_path / "who" / "people.yaml"]


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (None, "notify.yaml:3: directory: expected a file, found none at who/people.yaml"),
        (b"people: \xff", "people.yaml:1: expected text in UTF-8"),
        (b"people: [", "people.yaml:2: not YAML"),
        (b"people: {nora: {}}\nfallback: [pat]", "people.yaml:2: fallback: expected one of nora, terminal, got 'pat'"),
    ],
)
def test_a_directory_with_mistakes_is_refused_in_its_own_name(tmp_path: Path, people: bytes | None, said: str) -> None:
    with pytest.raises(BadDocument) as caught:
        read_routes(written(tmp_path, people))
    assert said in str(caught.value)


def test_the_folder_of_templates_counts_with_its_languages(tmp_path: Path) -> None:
    path = tmp_path / "notify.yaml"
    path.write_text("templates: words\n")
    (tmp_path / "words" / "es").mkdir(parents=True)
    assert files_beside(path) == [tmp_path / "words", tmp_path / "words" / "es"]


@pytest.mark.parametrize("text", ["[", "", "- a", "directory: [a]"])
def test_a_file_that_cannot_be_read_names_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notify.yaml"
    path.write_text(text)
    assert files_beside(path) == []
    assert files_beside(tmp_path / "none.yaml") == []
