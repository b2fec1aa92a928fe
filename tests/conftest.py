"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from imagenet_nk.net import retry_policy

# A busy machine is no fault of what is tested.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once, so that no test waits for them."""
    monkeypatch.setattr(retry_policy, "BACKOFF_S", 0.0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photographs, label files and the broken web; tests that ask for it are marked `real`."""
    folder = Path(os.environ.get("IMAGENET_NK_SHARED") or ROOT.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data: {folder} is not there (IMAGENET_NK_SHARED names another folder)")
    return folder
