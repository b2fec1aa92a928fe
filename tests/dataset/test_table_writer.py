from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from imagenet_nk.classes.loading import load
from imagenet_nk.config import ClassesConfig, LabelsConfig, Materialize
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.dataset.ledger import Attempt, CandidateKey
from imagenet_nk.dataset.summary import Summary, TableContext
from imagenet_nk.dataset.table_writer import RECHECK
from imagenet_nk.reasons import Reason
from imagenet_nk.sampling.draw_order import EvalOnly

A = "n01440764"


@dataclass
class Decided:
    """The verdicts on a class."""

    wnid: str
    by_key: dict[str, str]

    def verdicts(self) -> Mapping[CandidateKey, str]:
        return {CandidateKey("urls", 0, key): verdict for key, verdict in self.by_key.items()}


def finalize(folder: Path, verdicts: dict[str, str], stamp: str = "x") -> tuple[Summary, str]:
    """Images a, b and c, and an attempt of an unlisted rest, under these verdicts; and who completed the folder."""
    dataset = DataSet(folder)
    for number, key in enumerate("abc"):
        image = {"image_id": key, "format": "PNG", "bytes": 1, "sha256": key * 64, "pixels": number}
        dataset.ledger.record(Attempt("urls", 0, number, key, A, 1, "u", **image))  # type: ignore[arg-type]
        dataset.store.write(A, f"{key}.png", key.encode())
    dataset.ledger.record(Attempt("urls", 0, 3, "rest", A, 1, "u", reason=Reason.UNLISTED))
    labels = load(ClassesConfig(table="imagenet-1k", wnids=[A]), LabelsConfig(order="sorted"))
    context = TableContext(labels, lambda _: None, EvalOnly(), {"urls": Materialize.copy})
    summary = dataset.tables.finalize([Decided(A, verdicts)], stamp, context)
    completed_by = dataset.state.completed_by
    dataset.close()
    return summary, completed_by


def test_finalize_arranges_images_and_writes_tables(tmp_path: Path) -> None:
    summary, completed_by = finalize(tmp_path, {"a": "", "b": Reason.DUPLICATE})
    assert (summary.kept, dict(summary.reasons), summary.short, completed_by) == (1, {"duplicate": 1}, (), "x")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")) == [
        f"images/{A}/a.png", f"spare/{A}/c.png",
    ]  # fmt: skip
    assert list(pd.read_csv(tmp_path / "manifest.csv")["path"]) == [f"images/{A}/a.png"]
    assert pd.read_csv(tmp_path / "classes.csv").loc[0, ["kept", "tried", "duplicate"]].tolist() == [1, 2, 1]


def test_class_with_unlisted_images_is_short_and_checked_again(tmp_path: Path) -> None:
    verdicts = {"a": "", "b": "", "c": "", "rest": Reason.UNLISTED}
    summary, completed_by = finalize(tmp_path, verdicts)
    assert (summary.kept, summary.short, completed_by) == (3, (A,), RECHECK)
