"""Random faults for minutes: at the end nothing is lost, invented, told differently or delivered twice."""

from __future__ import annotations

import gc
import os
from typing import Final

import pytest

from tests.faults.matrix import row
from tests.faults.site import Site
from tests.faults.soak import Soak, delays, spread

SEED: Final = int(os.environ.get("SEED") or 20_261_122)
MINUTES: Final = float(os.environ.get("MINUTES") or 2)


@pytest.mark.kafka
# The client of this very process, too, leaves connections open when a broker is killed while they are made.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@row(None, "soak of random faults")
async def test_after_random_faults_everything_agrees(here: Site) -> None:
    soak = Soak(here, SEED)
    await soak.run(60 * MINUTES)
    print(f"{MINUTES:g} minutes, {soak.summary()}")
    await here.agree(late=True, alerts_again=True)
    print(spread(delays(await here.plant.published())))
    soak.assert_ends()
    gc.collect()  # before the warnings count again
