"""Every setting does something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.ingest.settings import Settings as IngestSettings
from services.notifier.settings import Settings as NotifierSettings
from services.timer.settings import Settings as TimerSettings

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {name for kind in (IngestSettings, NotifierSettings, TimerSettings) for name in kind.model_fields}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_setting_is_read_somewhere(name: str) -> None:
    read = re.compile(rf"(settings|self|common)\.{name}\b")
    files = [*ROOT.glob("services/**/*.py"), *ROOT.glob("shared/**/*.py")]
    assert any(read.search(file.read_text()) for file in files)
