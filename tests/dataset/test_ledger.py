from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.dataset.folder_layout import LEDGER
from imagenet_nk.dataset.ledger import Attempt, Ledger, signed, unsigned
from imagenet_nk.errors import DatasetError

A, B = "n01440764", "n01443537"
ONE = Attempt("urls", 0, 3, f"{A}_1", A, 1, "http://a.test/1", image_id=f"{A}_1", sha256="ab", pixels=-5, seconds=0.25)


def count_attempts(folder: Path) -> int:
    with closing(sqlite3.connect(folder / LEDGER)) as db:
        return int(db.execute("SELECT count(*) FROM attempts").fetchone()[0])


def test_text_that_cannot_be_written_is_an_error_at_the_next_flush(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(ONE._replace(url="http://a.test/\udcff"))
    with pytest.raises(DatasetError, match="surrogates not allowed"):
        ledger.flush()
    ledger.close()


def test_recorded_attempts_are_read_after_reopening(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(ONE)
    ledger.record(
        ONE._replace(
            key=f"{A}_2",
            draw=1,
            reason="http_404",
            url="http://ü\n\0.test/\ud800".encode(errors="replace").decode(),
        )
    )
    ledger.close()
    again = Ledger(tmp_path)
    rows = again.final_attempts(A)
    again.close()
    assert [row.key for row in rows] == [f"{A}_2", f"{A}_1"]  # in draw order
    row = rows[1]._asdict()
    assert (row.pop("id"), row.pop("verdict")) == (1, "")
    assert row == {name: getattr(ONE, name) for name in row}


def test_last_final_attempt_settles_a_candidate(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for attempt in (
        ONE._replace(reason="http_503", final=0),
        ONE._replace(reason="timeout"),
        ONE,
        ONE._replace(reason="http_500", final=0),
        ONE._replace(source="archive", rank=1),
        ONE._replace(rank=1, reason="gone"),  # two sources of one kind may call two images by one key
        ONE._replace(wnid=B),
    ):
        ledger.record(attempt)
    ledger.flush()
    assert [(row.source, row.rank, row.reason) for row in ledger.final_attempts(A)] == [
        ("urls", 0, ""),
        ("archive", 1, ""),
        ("urls", 1, "gone"),
    ]
    assert len(ledger.final_attempts(B)) == 1
    assert count_attempts(tmp_path) == 7
    ledger.close()


def test_verdicts_and_meta_are_read_after_reopening(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(ONE)
    ledger.flush()
    ledger.write_verdicts([("kept", 1)])
    ledger.set_meta("draw", {"seed": 0})
    ledger.set_meta("done", "x")
    ledger.set_meta("done", "y")
    ledger.close()
    again = Ledger(tmp_path)
    assert [row.verdict for row in again.final_attempts(A)] == ["kept"]
    assert [again.get_meta(name) for name in ("draw", "done", "named")] == [{"seed": 0}, "y", None]
    again.close()


def test_connection_failures_are_reopened(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(ONE._replace(reason="refused", transient=1))
    ledger.record(ONE._replace(key="k2", reason="http_404", status=404))
    ledger.record(ONE._replace(key="k3", reason="http_503", transient=1, status=503))
    ledger.flush()
    before = ledger.last_id()
    ledger.record(ONE._replace(reason="timeout", transient=1))
    ledger.record(ONE._replace(key="k4", reason="refused", transient=1))
    ledger.flush()
    ledger.reopen_connection_failures(before)
    assert {row.key: row.reason for row in ledger.final_attempts(A)} == {
        ONE.key: "refused", "k2": "http_404", "k3": "http_503",
    }  # fmt: skip
    ledger.reopen_connection_failures(0)
    assert {row.key for row in ledger.final_attempts(A)} == {"k2", "k3"}
    assert count_attempts(tmp_path) == 5
    ledger.close()


def test_flushed_attempts_survive_a_kill(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from imagenet_nk.dataset.ledger import Attempt, Ledger
ledger = Ledger(Path({str(tmp_path)!r}))
for number in range(1000):
    ledger.record(Attempt("urls", 0, number, str(number), "{A}", 1, "u"))
ledger.flush()
print("flushed", flush=True)
while True:
    ledger.record(Attempt("urls", 0, 0, "more", "{A}", 1, "u"))
    time.sleep(0.001)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment())
    assert child.stdout is not None
    assert child.stdout.readline() == b"flushed\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    ledger = Ledger(tmp_path)
    assert {str(number) for number in range(1000)} <= {row.key for row in ledger.final_attempts(A)}
    ledger.close()


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be one" * 50, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_file_that_is_not_a_ledger_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LEDGER).write_bytes(content)
    with pytest.raises(DatasetError, match=r"cannot be used.*another dataset\.dir") as caught:
        Ledger(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / LEDGER).read_bytes() == content


def test_later_version_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path).close()
    with sqlite3.connect(tmp_path / LEDGER) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(DatasetError, match="later version"):
        Ledger(tmp_path)


def test_damaged_table_is_an_error_of_one_line(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in range(3000):
        ledger.record(ONE._replace(key=str(number)))
    ledger.close()
    data = bytearray((tmp_path / LEDGER).read_bytes())
    data[8192:-4096] = os.urandom(len(data) - 12288)
    (tmp_path / LEDGER).write_bytes(data)
    with pytest.raises(DatasetError, match="cannot be used"):  # noqa: PT012
        again = Ledger(tmp_path)
        try:
            again.final_attempts(A)
        finally:
            again.close()


def test_full_disk_is_an_error_at_the_next_record_or_flush(tmp_path: Path) -> None:
    """SQLite's own limit on pages gives the very error of a full disk: SQLITE_FULL."""
    program = f"""
import sqlite3
from pathlib import Path
from imagenet_nk.dataset import ledger as module
from imagenet_nk.errors import DatasetError
connect = module.Ledger._connect
def narrow(self):
    db = connect(self)
    db.execute("PRAGMA max_page_count = 30")
    return db
module.Ledger._connect = narrow
ledger = module.Ledger(Path({str(tmp_path)!r}))
try:
    for number in range(20000):
        ledger.record(module.Attempt("urls", 0, number, str(number), "{A}", 1, "http://a.test/" + "x" * 100))
    ledger.flush()
except DatasetError as error:
    print(error)
ledger.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True
    )
    assert "no space left" in done.stdout or "full" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    ledger = Ledger(tmp_path)  # what was written before is intact
    ledger.final_attempts(A)
    ledger.close()


@given(st.integers(0, 2**64 - 1))
def test_signed_and_unsigned_are_inverse(number: int) -> None:
    assert -(2**63) <= signed(number) < 2**63
    assert unsigned(signed(number)) == number


@pytest.mark.parametrize("column", [*Attempt._fields, "verdict"])
def test_every_column_is_documented(column: str) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text()
    assert re.search(rf"`{column}`", text.partition("### ledger.sqlite")[2])
