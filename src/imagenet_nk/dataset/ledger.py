"""The durable record of every attempt: an SQLite file beside the images, from which a killed run continues."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, Protocol, get_type_hints

from imagenet_nk.dataset.folder_layout import LEDGER
from imagenet_nk.dataset.ledger_writer import LedgerWriter
from imagenet_nk.errors import DatasetError
from imagenet_nk.formats.magic import EXTENSIONS

KEPT, UNREACHED = "kept", "unreached"  # verdicts besides reasons
_FULL = 2**20  # bytes free below which an I/O error means that the disk is full
_VERSION = 1
_CHECKPOINT_PAGES = 16_384  # 64 MB: SQLite's 4 MB mean a thousand waits for the disk while verdicts are written
_CACHE_KIB = 64 * 1024  # of pages: the index of ten million rows does not fit SQLite's two megabytes


class CandidateKey(NamedTuple):
    """Identifies a candidate in a data set: two sources may call two images by one key."""

    source: str
    rank: int  # 0 = source, 1 = fallback
    key: str


class Attempt(NamedTuple):
    """One try of one candidate: a row of the table `attempts`. docs/formats.md describes every column."""

    source: str
    rank: int  # 0 = source, 1 = fallback
    draw: int  # position in the draw order of the class and source, from 0
    key: str  # of the candidate in its source
    wnid: str
    final: int  # 1 = the result of the candidate; 0 = it was tried again
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
    tries: int = 0  # requests made so far; 0 = rejected with its host, without a request
    fetched_at: str = ""  # UTC, ISO 8601
    seconds: float = 0.0


class FinalAttempt(NamedTuple):
    """The result of a candidate, as records and tables need it: columns of the table `attempts`."""

    id: int
    source: str
    rank: int
    draw: int
    key: str
    wnid: str
    verdict: str  # KEPT, UNREACHED, a reason, or "" until a run has ended
    reason: str
    transient: int
    detail: str
    image_id: str
    url: str
    final_url: str
    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    mode: str
    pixels: int
    look: int
    path: str
    fetched_at: str

    @property
    def candidate(self) -> CandidateKey:
        return CandidateKey(self.source, self.rank, self.key)

    @property
    def file_name(self) -> str:
        """Under images/<wnid>/, of a valid image."""
        return f"{self.image_id}.{EXTENSIONS[self.format]}"


_TYPES = {int: "INTEGER", float: "REAL", str: "TEXT"}
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY,
    {", ".join(f"{name} {_TYPES[kind]} NOT NULL" for name, kind in get_type_hints(Attempt).items())},
    verdict TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS attempts_by_class ON attempts (wnid);
"""
_INSERT = f"INSERT INTO attempts ({', '.join(Attempt._fields)}) VALUES ({', '.join('?' * len(Attempt._fields))})"  # noqa: S608 - our names
_SELECT_FINAL = f"SELECT {', '.join(FinalAttempt._fields)} FROM attempts WHERE wnid = ? AND final = 1 ORDER BY id"  # noqa: S608 - our names
_draw_order = attrgetter("rank", "draw", "id")


def signed(number: int) -> int:
    """An unsigned 64-bit number as SQLite's signed one."""
    return number - 2**64 if number >= 2**63 else number


def unsigned(number: int) -> int:
    """The inverse of signed()."""
    return number + 2**64 if number < 0 else number


class AttemptSink(Protocol):
    """Where attempts are recorded: the ledger, or a worker's buffer for it."""

    def record(self, attempt: Attempt) -> None: ...


class Ledger:
    """Reads at once; writes through a thread of its own, in batches, each one a transaction (WAL)."""

    def __init__(self, folder: Path) -> None:
        """Raises DatasetError if the file cannot be opened, is not a ledger, or is one of a later version."""
        self.path = folder / LEDGER
        with self._dataset_errors():
            self._db = self._connect()
            self._db.executescript(_SCHEMA)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                self._db.close()
                raise DatasetError(f"{self.path} was written by a later version of imagenet-nk: upgrade it")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
        self._writer = LedgerWriter(self._connect, _INSERT)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA temp_store = MEMORY")  # TMPDIR may be on another disk, and that one full
            db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        except sqlite3.Error:
            db.close()
            raise
        return db

    @contextmanager
    def _dataset_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DatasetError(self._describe(error)) from error

    def _describe(self, error: Exception) -> str:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
        is_full = code == sqlite3.SQLITE_IOERR and shutil.disk_usage(self.path.parent).free < _FULL
        if code == sqlite3.SQLITE_FULL or is_full:
            return f"no space left for {self.path}: free some, or choose another dataset.dir; then run it again"
        return f"{self.path} cannot be used ({error}); move it away or choose another dataset.dir"

    # --- attempts

    def record(self, attempt: Attempt) -> None:
        """Queue a row. Raises DatasetError if an earlier one could not be written."""
        self.record_many([attempt])

    def record_many(self, attempts: Sequence[Attempt]) -> None:
        """Queue rows. Raises DatasetError if an earlier one could not be written."""
        self._check_writer()
        self._writer.insert(attempts)

    def flush(self) -> None:
        """Return when everything recorded so far is on disk."""
        self._writer.flush()
        self._check_writer()

    def final_attempts(self, wnid: str) -> list[FinalAttempt]:
        """The last final attempt at each candidate of a class, in draw order."""
        with self._dataset_errors():
            rows = map(FinalAttempt._make, self._db.execute(_SELECT_FINAL, (wnid,)))
            latest = {(row.source, row.rank, row.key): row for row in rows}
        return sorted(latest.values(), key=_draw_order)

    def last_id(self) -> int:
        """The highest id so far; 0 for an empty table."""
        with self._dataset_errors():
            return self._db.execute("SELECT max(id) FROM attempts").fetchone()[0] or 0

    def totals(self) -> tuple[int, int, int, float]:
        """Attempts that made a request, valid images among them, their bytes, and seconds of all attempts."""
        query = (
            "SELECT count(*), sum(reason = ''), sum(bytes * (reason = '')), sum(seconds) FROM attempts WHERE tries > 0"
        )
        with self._dataset_errors():
            attempts, images, size, seconds = self._db.execute(query).fetchone()
        return attempts, images or 0, size or 0, seconds or 0.0

    def classes_without_verdicts(self) -> set[str]:
        """Classes with a final attempt that has no verdict: a run was killed before it could write one."""
        query = "SELECT DISTINCT wnid FROM attempts WHERE verdict = '' AND final = 1"
        with self._dataset_errors():
            wnids = [wnid for (wnid,) in self._db.execute(query)]
        return {wnid for wnid in wnids if any(not attempt.verdict for attempt in self.final_attempts(wnid))}

    def write_verdicts(self, verdicts: Iterable[tuple[str, int]]) -> None:
        """Queue (verdict, id) pairs: the run's decision on a final attempt."""
        self._check_writer()
        self._writer.update_verdicts(verdicts)
        self._check_writer()

    def reopen_connection_failures(self, since: int) -> None:
        """Make attempts with an id above `since` that failed to connect count for nothing; they stay on record.

        Final attempts of earlier runs at the same candidates count as before.
        """
        with self._dataset_errors(), self._db:
            self._db.execute(
                "UPDATE attempts SET final = 0 WHERE id > ? AND reason != '' AND transient = 1 AND status = 0", (since,)
            )

    def reopen_source(self, name: str) -> None:
        """Make all attempts of a source count for nothing: they stay on record, and its candidates are open again."""
        with self._dataset_errors(), self._db:
            self._db.execute("UPDATE attempts SET final = 0 WHERE source = ?", (name,))

    # --- the data set as a whole

    def get_meta(self, name: str) -> Any:
        """A value by its name; None if there is none."""
        with self._dataset_errors():
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_meta(self, name: str, value: Any) -> None:
        """Write a value, over an older one of its name."""
        with self._dataset_errors():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value)))

    def close(self) -> None:
        """Write what is queued, and close. Never raises for what could not be written: flush() does."""
        self._writer.close()
        self._db.close()

    def _check_writer(self) -> None:
        if error := self._writer.failure:
            raise DatasetError(self._describe(error)) from error
