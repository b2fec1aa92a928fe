"""The ledger's writing thread: rows and verdicts in batches, each one a transaction."""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from typing import Any

_Verdicts = dict[str, list[int]]  # ids by verdict

_COMMIT_EVERY_S = 0.1  # what a kill can lose; those files are fetched once more
_UPDATE = "UPDATE attempts SET verdict = ? WHERE id IN (SELECT value FROM json_each(?))"
_MAX_QUEUED = 100  # items; beyond, whoever writes verdicts waits for the disk


class LedgerWriter:
    """Writes what it is given, in that order, over a connection of its own."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], insert: str) -> None:
        """`insert`: the statement for the values of a row."""
        self.failure: Exception | None = None  # what ended it: nothing more is written
        self._connect, self._insert = connect, insert
        self._queue: queue.SimpleQueue[Sequence[tuple[Any, ...]] | _Verdicts | threading.Event | None]
        self._queue = queue.SimpleQueue()
        self._flush_requested = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Queue rows."""
        self._queue.put(rows)

    def update_verdicts(self, verdicts: Iterable[tuple[str, int]]) -> None:
        """Queue (verdict, id) pairs; waits for the disk where too much is queued already."""
        ids: _Verdicts = defaultdict(list)
        for verdict, number in verdicts:
            ids[verdict].append(number)
        self._queue.put(ids)
        if self._queue.qsize() > _MAX_QUEUED:
            self.flush()

    def flush(self) -> None:
        """Return when everything queued so far is on disk, or nothing more will be."""
        done = threading.Event()
        self._queue.put(done)
        self._flush_requested.set()
        while not done.wait(0.5) and self._thread.is_alive():
            pass

    def close(self) -> None:
        """Write what is queued, and end the thread."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._flush_requested.set()
            self._thread.join()

    # --- the thread

    def _run(self) -> None:
        try:
            with closing(self._connect()) as db:
                while self._write_batch(db):
                    pass
        except Exception as error:  # noqa: BLE001 - carried to whoever records or flushes, where it is raised
            self.failure = error

    def _write_batch(self, db: sqlite3.Connection) -> bool:
        """Write what comes within one commit interval; False at the end."""
        items = [self._queue.get()]
        if isinstance(items[0], Sequence | dict):
            self._flush_requested.wait(_COMMIT_EVERY_S)
            self._flush_requested.clear()
        with suppress(queue.Empty):
            while True:
                items.append(self._queue.get_nowait())
        with db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(self._insert, [row for item in items if isinstance(item, Sequence) for row in item])
            verdicts: _Verdicts = defaultdict(list)
            for verdict, ids in (pair for item in items if isinstance(item, dict) for pair in item.items()):
                verdicts[verdict] += ids
            # One statement for many rows: Python's lock is free while it runs, and readers continue.
            db.executemany(_UPDATE, [(verdict, json.dumps(ids)) for verdict, ids in verdicts.items()])
        for item in items:
            if isinstance(item, threading.Event):
                item.set()
        return None not in items
