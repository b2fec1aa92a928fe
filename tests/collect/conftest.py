from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from collect.hostile import hostile
from collect.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with hostile("0.0.0.0") as server:
        one = Town(server, tmp_path)
        one.build(random.Random(7))
        yield one
