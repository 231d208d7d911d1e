"""Standard output for people: coloured at a terminal, plain elsewhere, one line a thing."""

from __future__ import annotations

import os
import sys

from rich.console import Console


class Terminal(Console):
    """Writes lines as they are; raises BrokenPipeError once nobody reads them."""

    def __init__(self) -> None:
        super().__init__(highlight=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Let what is still to be written go nowhere, and tell the caller; rich's own would end the event loop."""
        drop_output()
        raise BrokenPipeError("nobody reads the output any more")


def drop_output() -> None:
    """Let everything that is written to standard output from now on go nowhere, also what Python holds back."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
