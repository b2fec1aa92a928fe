"""docs/formats.md names every column and every reason that the code can write."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from imagenet_nk.dataset.ledger import Attempt
from imagenet_nk.dataset.manifest import MANIFEST_COLUMNS
from imagenet_nk.net import curl_transfer

ROOT = Path(__file__).resolve().parents[2]
WORDS = set(re.findall(r"`([A-Za-z_0-9]+)`", (ROOT / "docs" / "formats.md").read_text()))


def reasons() -> set[str]:
    found = {*curl_transfer._FAULTS.values(), curl_transfer.OTHER}
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text()
        found |= set(re.findall(r'Rejected\(\s*"([a-z_]+)"', text))
        if path.parent.name == "collect":
            found |= set(re.findall(r'fault="([a-z_]+)"', text))
    found |= set(
        re.findall(r'return "([a-z_]+)"', (ROOT / "src/imagenet_nk/collect/scheduling/acceptance.py").read_text())
    )
    return found


@pytest.mark.parametrize("column", [*(one.name for one in fields(Attempt)), *MANIFEST_COLUMNS, "verdict"])
def test_every_column_is_described(column: str) -> None:
    assert column in WORDS


def test_every_reason_is_described() -> None:
    assert len(reasons()) > 30
    assert reasons() - WORDS == set()
