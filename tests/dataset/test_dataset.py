from __future__ import annotations

from pathlib import Path

from imagenet_nk.dataset.dataset import DataSet, fingerprint
from imagenet_nk.dataset.ledger import Attempt

A = "n01440764"


def test_data_set_is_complete_while_its_kept_files_are_intact(tmp_path: Path) -> None:
    dataset = DataSet(tmp_path)
    dataset.ledger.record(Attempt("urls", 0, 0, "a", A, 1, "u", image_id="a", format="JPEG", bytes=1))
    dataset.ledger.write_verdicts([("kept", 1)])
    dataset.ledger.flush()
    dataset.store.write(A, "a.jpg", b"1")
    assert not dataset.is_complete("x", [A])
    dataset.state.set_completed_by("x")
    assert dataset.is_complete("x", [A])
    dataset.store.write(A, "a.jpg", b"")
    assert not dataset.is_complete("x", [A])
    dataset.close()


def test_fingerprint_follows_the_content_of_named_files(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("one")
    settings = {"source": {"list": str(tmp_path / "list")}, "nk": 3}
    before = fingerprint(settings)
    assert before == fingerprint(dict(reversed(settings.items())))
    (tmp_path / "list").write_text("another")
    assert fingerprint(settings) != before
