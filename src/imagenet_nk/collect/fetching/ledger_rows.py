"""Rows of the ledger, and back: what a reading came to as an Attempt, and what an attempt means as a Fact."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from imagenet_nk.collect.fetching.inspector import ImageInfo
from imagenet_nk.collect.fetching.work_item import QueuedCandidate, ReadOutcome
from imagenet_nk.dataset.ledger import Attempt, signed
from imagenet_nk.dataset.records import CandidateRecord, content_hash
from imagenet_nk.net.host_table import HOST_FAULTS
from imagenet_nk.sources.contract import Rejected
from imagenet_nk.storage.locators import path_to_text

_MAX_DETAIL = 200


def attempt_row(drawn: QueuedCandidate, outcome: ReadOutcome) -> Attempt:
    """A reading that ended, or that is to be tried again, as a row."""
    reading, judged = outcome.reading, outcome.judged
    response, found = reading.response, reading.found
    return Attempt(
        **_where(drawn),
        **_verdict(judged.verdict, drawn),
        final=int(outcome.final),
        image_id=found.image_id if found else "",
        final_url=(found.final_url if found else "") or response.final_url,
        address=response.address,
        status=response.status,
        bytes=judged.size,
        path=path_to_text(str(found.path)) if found and found.path else "",
        tries=reading.tries,
        fetched_at=_now(),
        seconds=round(time.monotonic() - reading.started, 4),
    )


def host_down_row(drawn: QueuedCandidate, fault: str) -> Attempt:
    """The row of a candidate that is rejected with its host, without a request."""
    detail = "its host does not answer" if fault in HOST_FAULTS else "its host asked for too long a pause"
    rejected = Rejected(fault, transient=True, detail=detail)
    return Attempt(**_where(drawn), **_verdict(rejected, drawn), final=1, fetched_at=_now())


def record(drawn: QueuedCandidate, outcome: ReadOutcome) -> CandidateRecord:
    """A reading that ended, reduced to what the rules need."""
    verdict, found = outcome.judged.verdict, outcome.reading.found
    key, url = drawn.candidate.key, drawn.candidate.url
    image_id = found.image_id if found else ""
    source, rank = drawn.source.name, drawn.rank
    if isinstance(verdict, Rejected):
        return CandidateRecord(key, image_id, verdict.reason, url, source=source, rank=rank)
    hashes = content_hash(verdict.sha256), verdict.pixels, verdict.dhash
    return CandidateRecord(key, image_id, "", url, outcome.judged.file, *hashes, source, rank)


def fact_unasked(drawn: QueuedCandidate, fault: str) -> CandidateRecord:
    """A candidate that is rejected with its host."""
    candidate = drawn.candidate
    return CandidateRecord(candidate.key, reason=fault, url=candidate.url, source=drawn.source.name, rank=drawn.rank)


def _where(drawn: QueuedCandidate) -> dict[str, Any]:
    candidate = drawn.candidate
    return {
        "source": drawn.source.name,
        "rank": drawn.rank,
        "draw": drawn.draw,
        "key": candidate.key,
        "wnid": candidate.wnid,
        "url": candidate.url,
    }


def _verdict(verdict: ImageInfo | Rejected, drawn: QueuedCandidate) -> dict[str, Any]:
    if isinstance(verdict, Rejected):
        detail = verdict.detail[:_MAX_DETAIL].encode(errors="backslashreplace").decode()  # a path need not be Unicode
        wanted = drawn.candidate.sha256
        return {"reason": verdict.reason, "transient": int(verdict.transient), "detail": detail, "sha256": wanted}
    return {
        "sha256": verdict.sha256,
        "pixels": signed(verdict.pixels),
        "look": signed(verdict.dhash),
        "width": verdict.width,
        "height": verdict.height,
        "format": verdict.format,
        "mode": verdict.mode,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
