"""The results of earlier runs for the candidates of a class, as far as they still count."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from imagenet_nk.config.collecting import Retry
from imagenet_nk.dataset.ledger import KEPT, CandidateKey, FinalAttempt, Ledger, unsigned
from imagenet_nk.reasons import Reason
from imagenet_nk.storage.locators import text_to_path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """What one candidate came to, by itself; other candidates and classes play no part in it."""

    key: str
    image_id: str = ""
    reason: str = ""  # why it is rejected; "" = a valid image
    url: str = ""
    file: str = ""  # name under images/<wnid>/
    content: int = 0  # first 64 bits of the bytes' sha256
    pixels: int = 0
    look: int = 0
    source: str = ""
    rank: int = 0

    @property
    def candidate(self) -> CandidateKey:
        return CandidateKey(self.source, self.rank, self.key)


class FileSizes(Protocol):
    """Knows the image files of a data set: an ImageStore."""

    def sizes(self, wnid: str) -> Mapping[str, int]:
        """Size in bytes of each file of a class by name."""

    def sha256(self, wnid: str, name: str) -> str | None:
        """Hexadecimal SHA-256 of one of them; None if it cannot be known cheaply."""


class CandidateRecords:
    """The records of a data set folder, out of its ledger and of the image files that are there."""

    def __init__(self, ledger: Ledger, store: FileSizes) -> None:
        self._ledger, self._store = ledger, store
        self._compared: set[tuple[str, str, str]] = set()  # files that were compared with the ledger, and their sha256
        self._missing_files: dict[str, int] = {}  # by class, as it was before this run fetched any again

    def load(self, wnid: str, retry: Retry, since: float = math.inf) -> dict[CandidateKey, CandidateRecord]:
        """The records of a class that count, in draw order; the other candidates are to be read again.

        `since`: attempts with a higher id are of this run, which reads nothing twice.
        """
        attempts = self._ledger.final_attempts(wnid)
        sizes = self._unchanged(wnid, attempts, self._store.sizes(wnid))
        self._missing_files.setdefault(wnid, count_missing(attempts, sizes, since))
        return reusable_records(attempts, sizes, retry, since)

    def _unchanged(self, wnid: str, attempts: Iterable[FinalAttempt], sizes: Mapping[str, int]) -> Mapping[str, int]:
        """`sizes` without the files whose bytes are not those that the ledger records. Each is read once a run."""
        for attempt in attempts:
            name = attempt.file_name if not attempt.reason and not attempt.path else ""
            if sizes.get(name) == attempt.bytes and (wnid, name, attempt.sha256) not in self._compared:
                if self._store.sha256(wnid, name) in (attempt.sha256, None):
                    self._compared.add((wnid, name, attempt.sha256))
                else:
                    log.warning("%s/%s has other bytes than when it was fetched: it is fetched again", wnid, name)
                    sizes = {other: size for other, size in sizes.items() if other != name}
        return sizes

    @property
    def missing_files(self) -> int:
        """Images of the classes loaded so far that earlier runs kept and whose files are gone or damaged."""
        return sum(self._missing_files.values())

    def are_intact(self, wnids: Iterable[str]) -> bool:
        """Whether the files of all kept images of the classes are there, complete."""
        for wnid in wnids:
            sizes = self._store.sizes(wnid)
            kept = (attempt for attempt in self._ledger.final_attempts(wnid) if attempt.verdict == KEPT)
            if not all(file_is_intact(attempt, sizes) for attempt in kept):
                return False
        return True


# Refused without a download, under settings http.* that may be others by now.
_BY_SETTING = frozenset({Reason.FORBIDDEN, Reason.OPT_OUT, Reason.ROBOTS})


def reusable_records(
    attempts: Iterable[FinalAttempt], sizes: Mapping[str, int], retry: Retry, since: float = math.inf
) -> dict[CandidateKey, CandidateRecord]:
    """Records of a class: of rejections that are not to be tried again, and of images whose file is intact.

    `sizes`: bytes of the class's files by name. `since`: as in CandidateRecords.load().
    """
    return {
        attempt.candidate: record_from_attempt(attempt)
        for attempt in attempts
        if (file_is_intact(attempt, sizes) if not attempt.reason else attempt.id > since or _stands(attempt, retry))
    }


def _stands(attempt: FinalAttempt, retry: Retry) -> bool:
    """Whether a rejection by an earlier run is taken as it is."""
    if attempt.reason in _BY_SETTING:
        return False
    return not (retry == Retry.failed or (retry == Retry.transient and attempt.transient))


def record_from_attempt(attempt: FinalAttempt) -> CandidateRecord:
    """The record of a candidate that an earlier run settled."""
    key, image_id, reason, url = attempt.key, attempt.image_id, attempt.reason, attempt.url
    if reason:
        return CandidateRecord(key, image_id, reason, url, source=attempt.source, rank=attempt.rank)
    hashes = content_hash(attempt.sha256), unsigned(attempt.pixels), unsigned(attempt.look)
    return CandidateRecord(key, image_id, reason, url, attempt.file_name, *hashes, attempt.source, attempt.rank)


def content_hash(sha256: str) -> int:
    """The first 64 bits of a hexadecimal SHA-256."""
    return int(sha256[:16], 16)


def file_is_intact(attempt: FinalAttempt, sizes: Mapping[str, int]) -> bool:
    """Whether the file of a valid image is complete in images/ or spare/, or still in its local source, by its size."""
    if attempt.path:
        with suppress(OSError, ValueError):
            return text_to_path(attempt.path).stat().st_size == attempt.bytes
        return False
    return sizes.get(attempt.file_name) == attempt.bytes


def count_missing(attempts: Iterable[FinalAttempt], sizes: Mapping[str, int], since: float = math.inf) -> int:
    """How many images of a class that runs before `since` kept, or were about to, have no intact file any more."""
    kept = (row for row in attempts if not row.reason and row.verdict in (KEPT, "") and row.id <= since)
    return sum(not file_is_intact(row, sizes) for row in kept)
