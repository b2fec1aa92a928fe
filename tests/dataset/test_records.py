from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from imagenet_nk.config import Retry
from imagenet_nk.dataset.image_store import ImageStore
from imagenet_nk.dataset.ledger import Attempt, Ledger
from imagenet_nk.dataset.records import CandidateRecords

A = "n01440764"


@pytest.fixture
def records(tmp_path: Path) -> CandidateRecords:
    """Two images, of which one file is damaged, and three rejections: for good, for now, and by a setting."""
    ledger, store = Ledger(tmp_path), ImageStore(tmp_path)
    for number, name in enumerate(("intact", "damaged")):
        image = {"image_id": name, "format": "JPEG", "bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
        ledger.record(Attempt("urls", 0, number, name, A, 1, "u", **image))  # type: ignore[arg-type]
    for number, (reason, transient) in enumerate((("http_404", 0), ("timeout", 1), ("robots", 0)), start=2):
        ledger.record(Attempt("urls", 0, number, reason, A, 1, "u", reason=reason, transient=transient))
    ledger.flush()
    store.write(A, "intact.jpg", b"abc")
    store.write(A, "damaged.jpg", b"ab")
    return CandidateRecords(ledger, store)


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (Retry.none, ["intact", "http_404", "timeout"]),
        (Retry.transient, ["intact", "http_404"]),
        (Retry.failed, ["intact"]),
    ],
)
def test_records_count_unless_they_are_to_be_retried_or_damaged(
    records: CandidateRecords, retry: Retry, expected: list[str]
) -> None:
    loaded = records.load(A, retry)
    assert [candidate.key for candidate in loaded] == expected
    assert all(candidate == record.candidate for candidate, record in loaded.items())
    assert records.missing_files == 1


def test_rejection_of_this_run_is_not_retried(records: CandidateRecords) -> None:
    assert [candidate.key for candidate in records.load(A, Retry.failed, since=3)] == ["intact", "timeout", "robots"]


def test_file_with_other_bytes_of_the_same_size_does_not_count(
    records: CandidateRecords, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "images" / A / "intact.jpg").write_bytes(b"xyz")
    assert "intact" not in [candidate.key for candidate in records.load(A, Retry.none)]
    assert records.missing_files == 2
    assert "intact.jpg has other bytes" in caplog.text


def test_spare_file_with_other_bytes_does_not_replace_the_one_that_was_fetched_anew(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    store.write(A, "a.jpg", b"old")
    store.arrange(A, set(), set())
    (tmp_path / "spare" / A / "a.jpg").write_bytes(b"bad")
    store.write(A, "a.jpg", b"old")
    assert store.sha256(A, "a.jpg") == hashlib.sha256(b"old").hexdigest()
    store.arrange(A, {"a.jpg"}, set())
    assert (tmp_path / "images" / A / "a.jpg").read_bytes() == b"old"
    assert not (tmp_path / "spare" / A / "a.jpg").exists()
