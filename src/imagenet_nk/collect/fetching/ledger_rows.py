"""The result of a reading as a row of the ledger, and as the record that selection works on."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from imagenet_nk.collect.fetching.candidate_read import CandidateRead
from imagenet_nk.collect.fetching.inspector import ImageInfo
from imagenet_nk.dataset.ledger import Attempt, signed
from imagenet_nk.dataset.records import CandidateRecord, content_hash
from imagenet_nk.net.host_table import HOST_FAULTS
from imagenet_nk.reasons import Rejected
from imagenet_nk.storage.locators import path_to_text

_MAX_DETAIL = 200  # characters


def attempt_row(read: CandidateRead) -> Attempt:
    """The row of a reading that ended, or of a failed request that is repeated."""
    candidate, response, image = read.candidate, read.response, read.image
    return Attempt(
        source=read.source.name,
        rank=read.rank,
        draw=read.draw,
        key=candidate.key,
        wnid=candidate.wnid,
        url=candidate.url,
        final=int(read.is_final),
        image_id=image.image_id if image else "",
        final_url=(image.final_url if image else "") or response.final_url,
        address=response.address,
        status=response.status,
        bytes=read.size,
        path=path_to_text(str(image.path)) if image and image.path else "",
        tries=read.tries,
        fetched_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        seconds=round(time.monotonic() - read.started, 4) if read.started else 0.0,
        **_verdict_columns(read),
    )


def record(read: CandidateRead) -> CandidateRecord:
    """A reading that ended, reduced to what selection needs."""
    verdict, key, url = read.verdict, read.candidate.key, read.candidate.url
    image_id = read.image.image_id if read.image else ""
    if not isinstance(verdict, ImageInfo):
        reason = verdict.reason if verdict else ""
        return CandidateRecord(key, image_id, reason, url, source=read.source.name, rank=read.rank)
    file = verdict.file_name(image_id)
    hashes = content_hash(verdict.sha256), verdict.pixels, verdict.dhash
    return CandidateRecord(key, image_id, "", url, file, *hashes, read.source.name, read.rank)


def host_down(fault: str) -> Rejected:
    """The verdict on a candidate whose host is down, so that no request is made."""
    detail = "its host does not answer" if fault in HOST_FAULTS else "its host asked for too long a pause"
    return Rejected(fault, transient=True, detail=detail)


def _verdict_columns(read: CandidateRead) -> dict[str, Any]:
    verdict = read.verdict
    if isinstance(verdict, ImageInfo):
        return {
            "sha256": verdict.sha256,
            "pixels": signed(verdict.pixels),
            "look": signed(verdict.dhash),
            "width": verdict.width,
            "height": verdict.height,
            "format": verdict.format,
            "mode": verdict.mode,
        }
    rejected = verdict or Rejected("")
    detail = rejected.detail[:_MAX_DETAIL].encode(errors="backslashreplace").decode()  # a path need not be Unicode
    columns = {"reason": rejected.reason, "transient": int(rejected.transient), "detail": detail}
    return {**columns, "sha256": read.candidate.sha256}
