from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from imagenet_nk.dataset.class_table import ClassRow, class_frame, missing_images, write_missing
from imagenet_nk.dataset.ledger import Attempt, FinalAttempt, Ledger


def test_reasons_are_columns_the_most_frequent_first() -> None:
    rows = [ClassRow({"label": 0}, Counter(a=1, b=1), {"gloss": "x"}), ClassRow({"label": 1}, Counter(b=1), {})]
    frame = class_frame(rows)
    assert list(frame) == ["label", "b", "a", "gloss"]
    assert frame["b"].tolist() == [1, 1]
    assert list(class_frame([])) == ["label", "wnid", "name", "wanted", "kept", "tried"]


@pytest.fixture
def attempts(tmp_path: Path) -> list[FinalAttempt]:
    ledger = Ledger(tmp_path)
    ledger.record(Attempt("manifest", 0, 0, "a", "n1", 1, "u", reason="http_404", sha256="00", detail="gone"))
    ledger.record(Attempt("urls", 1, 0, "a", "n1", 1, "u", image_id="a"))
    ledger.flush()
    found = ledger.final_attempts("n1")
    ledger.close()
    return found


@pytest.mark.parametrize(
    ("kept", "details"), [({}, ["gone"]), ({"a": "00"}, []), ({"a": "11"}, ["gone; the fallback"])]
)
def test_image_is_missing_unless_a_fallback_has_its_very_bytes(
    attempts: list[FinalAttempt], kept: dict[str, str], details: list[str], tmp_path: Path
) -> None:
    rows = missing_images(attempts, kept)
    assert [str(row["detail"]).partition(" gave")[0] for row in rows] == details
    write_missing(rows, tmp_path / "missing.csv")
    assert (tmp_path / "missing.csv").exists() == bool(details)
