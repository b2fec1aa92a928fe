from __future__ import annotations

from collections.abc import Iterator

import pytest

from imagenet_nk.collect.fetching.candidate_reader import Reader


@pytest.fixture
def closing() -> Iterator[list[Reader]]:
    readers: list[Reader] = []
    yield readers
    for one in readers:
        one.close()
