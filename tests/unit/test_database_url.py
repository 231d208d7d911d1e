"""`DATABASE_URL`: what it may be, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from shared.database_url import exposure, url_of
from shared.errors import Refused


@pytest.mark.parametrize(
    "text",
    [
        "db.example.com:5432/plazo",
        "mysql://plazo:s3cret@db.example.com/plazo",
        "postgresql://plazo:12@s3cret@db.example.com/plazo",  # a password that ends too early
        "postgresql://plazo:s3cret@db.example.com:s3cret/plazo",
        "postgresql://plazo:s3cret@db.example.com/plazo?sslmode=verify",
        "postgresql://plazo:s3cret@db.example.com/plazo?sslmode=verify-full&sslrootcert=/nowhere.pem",
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_password(text: str) -> None:
    with pytest.raises(Refused, match="DATABASE_URL: ") as caught:
        url_of(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("written", ["s3cret/7", "12#s3cret", "s3%40cret", "s3?c:r[e]t", "%25"])
def test_a_password_can_have_every_character(written: str) -> None:
    assert url_of(f"postgresql://plazo:{written}@db.example.com/plazo").password == unquote(written)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"sslcert: No such file or directory: {tmp_path}/own.pem"):
        url_of(f"postgresql://db/plazo?sslcert={tmp_path}/own.pem")


@pytest.mark.parametrize(
    ("url", "exposed"),
    [
        ("postgresql://db.example.com/plazo?sslmode=verify-full", False),
        ("postgresql://db.example.com/plazo?sslmode=verify-ca", True),  # anybody whom the authority knows
        ("postgresql://db.example.com/plazo?sslmode=require", True),
        ("postgresql://db.example.com/plazo", True),
        ("postgresql://10.0.0.7/plazo", True),
        # nobody is in between
        ("postgresql://localhost/plazo", False),
        ("postgresql://127.0.0.1/plazo", False),
        ("postgresql://[::1]/plazo", False),
        ("postgresql:///plazo?host=/run/postgresql", False),
    ],
)
def test_a_connection_that_others_could_listen_to_is_warned_of(url: str, exposed: bool) -> None:
    assert bool(exposure(url_of(url))) == exposed
