"""Who gives a command, for records that are kept."""

from __future__ import annotations

import getpass
import os


def user() -> str:
    """The name of the user, or their number: in a container they often have no name."""
    try:
        return getpass.getuser()
    except OSError:
        return f"uid {os.getuid()}"
