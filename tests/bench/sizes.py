"""How much the benchmarks do: the sizes that the goals are meant for, and smaller ones for trying."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import Field
from pydantic_settings import BaseSettings


class Sizes(BaseSettings):
    """Each can be given in the environment under its name in capital letters."""

    events: int = Field(500_000, ge=1_000, description="events of a run through the whole path")
    clocks: int = Field(100_000, ge=10, description="clocks that fall due in a run of latency or burst")
    seconds: int = Field(60, ge=1, description="over which they fall due in a run of latency")
    rate: int = Field(10_000, ge=10, description="other events a second in `latency_busy`, the highest that is tried")
    open: int = Field(1_000_000, ge=1_000, description="open clocks at the restart")
    idle: str = Field("10000,100000,1000000,3000000", pattern=r"^\d+(,\d+)*$", description="other clocks in `growth`")
    deliveries: int = Field(20_000, ge=100, description="alerts of a run of `notifier`")
    minutes: float = Field(20.0, gt=0, description="of `steady`")

    @property
    def idles(self) -> list[int]:
        """The numbers of other clocks in `growth`, the least first."""
        return sorted(int(text) for text in self.idle.split(","))


def unusual(sizes: Sizes, names: Iterable[str]) -> Mapping[str, str]:
    """Of the sizes called *names* those that are not what the goals are meant for: NAME -> value."""
    usual: Any = Sizes.model_construct()
    chosen = {name: getattr(sizes, name) for name in names}
    return {name.upper(): str(value) for name, value in chosen.items() if value != getattr(usual, name)}


PEERS: Final = "PEERS"


def peers_folder() -> str:
    """Where the programs to compare with are: PEERS, `none` for nowhere, else beside the project."""
    return os.environ.get(PEERS, "../shared/peers")
