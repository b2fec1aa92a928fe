"""One small run that most tests look at, and may spoil in a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from report.making import Run


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Six classes of six pictures, nothing wrong with them."""
    run = Run(tmp_path_factory.mktemp("good"), 6, 6)
    run.draw()
    run.collect()
    run.judge()
    return run


@pytest.fixture
def spoiled(good: Run, tmp_path: Path) -> Run:
    """A copy of the good run."""
    return good.copy(tmp_path)
