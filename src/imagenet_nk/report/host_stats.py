"""Statistics from the ledger: how each host answered, and which images are in several classes."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from imagenet_nk.dataset.folder_layout import LEDGER
from imagenet_nk.dataset.ledger import KEPT, UNREACHED

HOSTS = 40  # shown


@dataclass
class Host:
    """The candidates of one host."""

    name: str
    tried: int = 0
    kept: int = 0
    unreached: int = 0  # fetched ahead of need and not reached: neither tried nor kept
    seconds: float = 0.0  # waited for it in all
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def seconds_per_candidate(self) -> float | None:
        """Mean seconds of a candidate; None if none was tried."""
        return self.seconds / self.tried if self.tried else None

    @property
    def top_reason(self) -> str:
        """The most frequent reason why its candidates were rejected."""
        return max(sorted(self.reasons), key=lambda reason: self.reasons[reason], default="")


@dataclass(frozen=True)
class FetchStats:
    """What a ledger tells. Without one `ended` is None."""

    ended: bool | None = None  # whether the last collection came to its end
    hosts: tuple[Host, ...] = ()  # those asked most
    host_count: int = 0
    cross_class_duplicates: tuple[
        tuple[str, ...], ...
    ] = ()  # WNIDs of the classes that have one picture in common, a picture each


def read(folder: Path) -> FetchStats:
    """Read the ledger of a data set folder, if there is one that can be read."""
    path = folder / LEDGER
    if not path.is_file():
        return FetchStats()
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            has_ended = (
                db.execute("SELECT count(*) FROM meta WHERE name = 'done' AND value != '\"\"'").fetchone()[0] > 0
            )
            hosts = _hosts(db)
            return FetchStats(
                has_ended,
                tuple(sorted(hosts, key=lambda h: (-h.tried, h.name))[:HOSTS]),
                len(hosts),
                _cross_class_duplicates(db),
            )
    except sqlite3.Error:
        return FetchStats()


def _hosts(db: sqlite3.Connection) -> list[Host]:
    hosts: dict[str, Host] = {}
    for source, url, verdict, reason, seconds in _settled(db):
        name = _host(url) or source
        host = hosts.setdefault(name, Host(name))
        if verdict == UNREACHED:
            host.unreached += 1
            continue
        host.tried += 1
        host.kept += verdict == KEPT
        host.seconds += seconds
        if verdict != KEPT and (reason or verdict):
            host.reasons[reason or verdict] += 1
    return list(hosts.values())


def _settled(db: sqlite3.Connection) -> Iterator[tuple[str, str, str, str, float]]:
    return db.execute("SELECT source, url, verdict, reason, seconds FROM attempts WHERE final = 1")


def _host(url: str) -> str:
    try:
        split = urlsplit(url)
        return (split.hostname or "") if split.scheme in ("http", "https") else ""
    except ValueError:  # what stands in lists of addresses need not be one
        return "(no address)"


def _cross_class_duplicates(db: sqlite3.Connection) -> tuple[tuple[str, ...], ...]:
    query = """
    SELECT pixels, wnid FROM attempts WHERE verdict = 'kept' AND final = 1 AND pixels IN
        (SELECT pixels FROM attempts WHERE verdict = 'kept' AND final = 1 AND pixels != 0
         GROUP BY pixels HAVING count(DISTINCT wnid) > 1)
    """
    classes: defaultdict[int, set[str]] = defaultdict(set)
    for pixels, wnid in db.execute(query):
        classes[pixels].add(wnid)
    return tuple(sorted(tuple(sorted(wnids)) for wnids in classes.values()))
