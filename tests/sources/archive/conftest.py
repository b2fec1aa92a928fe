from __future__ import annotations

from collections.abc import Iterator

import pytest

from sources.tars import A, B, members
from sources.web import Web, web


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as site:
        yield site


@pytest.fixture(scope="module")
def classes() -> dict[str, list[tuple[str, bytes]]]:
    return {wnid: members(wnid, 8) for wnid in (A, B)}
