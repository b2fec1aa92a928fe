"""What a collection leaves that ended before it settled anything: its tables come from the ledger."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from imagenet_nk.collect import recovery, stage
from imagenet_nk.collect.progress import Progress
from imagenet_nk.config import InspectConfig
from imagenet_nk.dataset.table_writer import TableWriter
from imagenet_nk.sampling.draw_order import EvalOnly
from report.making import Run, label_map, wnids


class Killed(BaseException):
    """Ends a collection as SIGKILL does: nothing is settled."""


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Three classes of four pictures, all fetched, none settled."""
    run = Run(tmp_path, 3, 4)
    run.draw()
    monkeypatch.setattr(TableWriter, "finalize", kill)
    with pytest.raises(Killed):
        run.collect(nk=3)
    monkeypatch.undo()
    return run


def kill(*_: object) -> None:
    raise Killed


def settle(run: Run) -> object:
    return recovery.finalize_killed_run(run.folder, label_map(5), EvalOnly(), InspectConfig())


def test_tables_of_a_killed_run_hold_what_it_kept(killed: Run) -> None:
    assert not (killed.folder / "manifest.parquet").exists()
    summary = settle(killed)
    assert summary is not None
    assert (summary.classes, summary.kept, summary.short) == (3, 9, ())
    table = pd.read_parquet(killed.folder / "manifest.parquet")
    assert sorted(set(table["wnid"])) == sorted(wnids(3))
    assert all((killed.folder / path).is_file() for path in table["path"])
    assert pd.read_csv(killed.folder / "classes.csv")["wanted"].tolist() == [3, 3, 3]


def test_candidates_that_were_still_to_come_leave_a_class_short_and_the_folder_unfinished(killed: Run) -> None:
    with sqlite3.connect(killed.folder / "ledger.sqlite") as db:
        db.execute("DELETE FROM attempts WHERE wnid = ? AND draw IN (0, 3)", (wnids(3)[1],))
    db.close()
    summary = settle(killed)
    assert summary is not None
    assert summary.short == (wnids(3)[1],)
    killed.collect(nk=3)
    again = Run(killed.place / "again", 3, 4)
    again.draw()
    again.collect(nk=3)
    assert (killed.folder / "eval.txt").read_bytes() == (again.folder / "eval.txt").read_bytes()


def test_finished_run_is_not_finalized_again(killed: Run) -> None:
    killed.collect(nk=3)
    before = (killed.folder / "manifest.parquet").stat().st_mtime_ns
    assert settle(killed) is None
    assert (killed.folder / "manifest.parquet").stat().st_mtime_ns == before


def test_killed_run_is_finalized_once(killed: Run) -> None:
    assert settle(killed) is not None
    assert settle(killed) is None


def test_folder_without_a_ledger_is_ignored(tmp_path: Path) -> None:
    assert settle(Run(tmp_path, 1, 1)) is None


def test_running_collection_is_not_finalized(killed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = []

    def look(_: Progress) -> None:
        with ThreadPoolExecutor(1) as another:  # the thread at work holds the lock, and would get it again
            found.append(another.submit(settle, killed).result())

    monkeypatch.setattr("report.making.collect", lambda job: stage.collect(job, look))
    killed.collect(nk=3)
    assert set(found) == {None}
    assert found


def test_collection_of_another_machine_is_not_finalized(killed: Run) -> None:
    note = killed.folder / f"{stage.LOCK}.holder"
    note.write_text(json.dumps({"pid": 1, "host": "another machine", "since": "yesterday"}))
    assert settle(killed) is None
    note.unlink()
    assert settle(killed) is not None
