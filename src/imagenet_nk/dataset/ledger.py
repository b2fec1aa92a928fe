"""The durable record of every attempt: an SQLite file beside the images, so that a killed run goes on where it was."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Protocol

from imagenet_nk.dataset.files import FILE
from imagenet_nk.dataset.ledger_writer import Values, Writer
from imagenet_nk.errors import DatasetError

KEPT, UNREACHED = "kept", "unreached"  # verdicts besides reasons
_FULL = 2**20  # bytes free below which an error of the disk is that it is full
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one candidate: a row of the table `attempts`. docs/formats.md describes every column."""

    source: str  # group member that gave the candidate
    rank: int  # 0 = source, 1 = fallback
    draw: int  # position in the draw order of the class and source, from 0
    key: str  # candidate key
    wnid: str
    final: int  # 1 = this settled the candidate; 0 = it was tried again
    url: str
    image_id: str = ""
    final_url: str = ""
    address: str = ""
    status: int = 0  # HTTP status; 0 = no answer, or no HTTP
    reason: str = ""  # "" = a valid image
    transient: int = 0
    detail: str = ""
    bytes: int = 0
    sha256: str = ""
    pixels: int = 0  # hash of the decoded pixels, signed 64 bits as SQLite has it
    look: int = 0
    width: int = 0
    height: int = 0
    format: str = ""
    mode: str = ""
    path: str = ""  # the file of a local source
    tries: int = 0  # requests made so far; 0 = rejected unasked, with its host
    fetched_at: str = ""  # UTC, ISO 8601
    seconds: float = 0.0


_COLUMNS = [column.name for column in fields(Attempt)]
values: Callable[[Attempt], Values] = attrgetter(*_COLUMNS)  # dataclasses.astuple takes a hundred times as long
_TYPES = {"int": "INTEGER", "float": "REAL", "str": "TEXT"}
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY,
    {", ".join(f"{column.name} {_TYPES[str(column.type)]} NOT NULL" for column in fields(Attempt))},
    verdict TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS attempts_by_class ON attempts (wnid);
DROP INDEX IF EXISTS attempts_by_candidate; -- of earlier versions: three times as large, and no quicker to read by
"""
_INSERT = f"INSERT INTO attempts ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_DRAW_ORDER = itemgetter(2, 3, 0)
PLACE = ("id", "source", "rank", "draw", "key")  # what every row of a class begins with
_CHECKPOINT_PAGES = 16_384  # 64 MB: SQLite's 4 MB mean a thousand waits for the disk while ten million rows are judged
_CACHE_KIB = 64 * 1024  # of pages: the index of ten million rows does not fit SQLite's two megabytes


def signed(number: int) -> int:
    """An unsigned 64-bit number as SQLite's signed one."""
    return number - 2**64 if number >= 2**63 else number


def unsigned(number: int) -> int:
    """The inverse of signed()."""
    return number + 2**64 if number < 0 else number


class AttemptSink(Protocol):
    """Where attempts go."""

    def record(self, attempt: Attempt) -> None: ...


def _in_draw_order(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows that begin with PLACE, the last by id of each candidate alone. `rows`: by id."""
    latest = {(row[1], row[2], row[4]): row for row in rows}
    return sorted(latest.values(), key=_DRAW_ORDER)


class Ledger:
    """Reads at once; writes through a thread of its own, in batches, each one a transaction (WAL)."""

    def __init__(self, folder: Path) -> None:
        """Raises DatasetError if the file cannot be opened, is no ledger, or is one of a later version."""
        self.path = folder / FILE
        with self._translated():
            self._db = self._connect()
            self._db.executescript(_SCHEMA)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                self._db.close()
                raise DatasetError(f"{self.path} was written by a later version of imagenet-nk: upgrade it")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
        self._writer = Writer(self._connect, _INSERT)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
        db.row_factory = sqlite3.Row
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA temp_store = MEMORY")  # the disk of TMPDIR is another one, and may be full
            db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        except sqlite3.Error:
            db.close()
            raise
        return db

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DatasetError(self._said(error)) from error

    def _said(self, error: Exception) -> str:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what it was busy with
        unwritten = code == sqlite3.SQLITE_IOERR and shutil.disk_usage(self.path.parent).free < _FULL
        if code == sqlite3.SQLITE_FULL or unwritten:
            return f"no space left for {self.path}: free some, or choose another dataset.dir; then run it again"
        return f"{self.path} cannot be used ({error}); move it away or choose another dataset.dir"

    # --- attempts

    def record(self, attempt: Attempt) -> None:
        """Queue a row. Raises DatasetError if an earlier one could not be written."""
        self._check()
        self._writer.rows([values(attempt)])

    def record_rows(self, rows: Sequence[Values]) -> None:
        """Queue the values of many rows, as values() gives them."""
        self._check()
        self._writer.rows(list(rows))

    def flush(self) -> None:
        """Return when everything recorded so far is on disk."""
        self._writer.flush()
        self._check()

    def settled(self, wnid: str) -> Iterator[sqlite3.Row]:
        """The attempt that settled each candidate of a class so far, in draw order."""
        with self._translated():
            rows = self._db.execute("SELECT * FROM attempts WHERE wnid = ? AND final = 1 ORDER BY id", (wnid,))
            named = {row[0]: row for row in rows}
        yield from (named[place[0]] for place in _in_draw_order(tuple(row)[: len(PLACE)] for row in named.values()))

    def outcomes(self, wnid: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """The same as plain tuples: PLACE, then those columns. Rows by name take twice as long."""
        chosen = ", ".join((*PLACE, *columns))
        with self._translated():
            cursor = self._db.cursor()
            cursor.row_factory = None
            query = f"SELECT {chosen} FROM attempts WHERE wnid = ? AND final = 1 ORDER BY id"  # noqa: S608 - our names
            return _in_draw_order(cursor.execute(query, (wnid,)))

    def last(self) -> int:
        """The highest id so far; 0 for an empty table."""
        with self._translated():
            return self._db.execute("SELECT max(id) FROM attempts").fetchone()[0] or 0

    def rows(self, wnids: Iterable[str] | None = None) -> Iterator[sqlite3.Row]:
        """All attempts, in the order in which they ended."""
        with self._translated():
            if wnids is None:
                yield from self._db.execute("SELECT * FROM attempts ORDER BY id")
                return
            for wnid in wnids:
                yield from self._db.execute("SELECT * FROM attempts WHERE wnid = ? ORDER BY id", (wnid,))

    def totals(self) -> tuple[int, int, int, float]:
        """Attempts that made a request, valid images among them, their bytes, and seconds of all attempts."""
        query = (
            "SELECT count(*), sum(reason = ''), sum(bytes * (reason = '')), sum(seconds) FROM attempts WHERE tries > 0"
        )
        with self._translated():
            attempts, images, size, seconds = self._db.execute(query).fetchone()
        return attempts, images or 0, size or 0, seconds or 0.0

    def unjudged(self) -> set[str]:
        """Classes with a settled candidate of which no run has made anything: one was killed before it could."""
        with self._translated():
            perhaps = self._db.execute("SELECT DISTINCT wnid FROM attempts WHERE verdict = '' AND final = 1").fetchall()
        return {wnid for (wnid,) in perhaps if any(not row[-1] for row in self.outcomes(wnid, ("verdict",)))}

    def judge(self, verdicts: Iterable[tuple[str, int]]) -> None:
        """Queue (verdict, id) pairs: what the whole run made of the attempt that settled a candidate."""
        self._check()
        self._writer.judge(verdicts)
        self._check()

    def reopen_connection_failures(self, since: int) -> None:
        """Settle nothing by attempts after the row `since` that met a dead network: they stay on record.

        What earlier runs settled of their candidates counts as before.
        """
        with self._translated(), self._db:
            self._db.execute(
                "UPDATE attempts SET final = 0 WHERE id > ? AND reason != '' AND transient = 1 AND status = 0", (since,)
            )

    def reopen_source(self, name: str) -> None:
        """Settle nothing by what a source gave: its attempts stay on record, and its candidates are open again."""
        with self._translated(), self._db:
            self._db.execute("UPDATE attempts SET final = 0 WHERE source = ?", (name,))

    # --- facts about the data set as a whole

    def meta(self) -> dict[str, Any]:
        with self._translated():
            return {name: json.loads(value) for name, value in self._db.execute("SELECT name, value FROM meta")}

    def note(self, facts: Mapping[str, Any]) -> None:
        """Keep facts by name, overwriting older ones."""
        with self._translated(), self._db:
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                [(name, json.dumps(value)) for name, value in facts.items()],
            )

    def close(self) -> None:
        """Write what is queued, and close. Never raises for what could not be written: flush() does."""
        self._writer.close()
        self._db.close()

    def _check(self) -> None:
        if error := self._writer.failure:
            raise DatasetError(self._said(error)) from error
