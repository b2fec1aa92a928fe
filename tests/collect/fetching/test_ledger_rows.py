from __future__ import annotations

from imagenet_nk.collect.fetching import ledger_rows
from imagenet_nk.collect.fetching.candidate_read import CandidateRead
from imagenet_nk.collect.fetching.inspector import ImageInfo
from imagenet_nk.dataset.ledger import unsigned
from imagenet_nk.net.http import Response
from imagenet_nk.sources.contract import Candidate, FetchedImage, Rejected
from imagenet_nk.sources.none import NoSource


def reading(**result: object) -> CandidateRead:
    return CandidateRead(Candidate("key", "n1", "http://a.test/x"), NoSource(), 1, 7, **result)  # type: ignore[arg-type]


def test_valid_image_has_the_same_hashes_in_its_row_and_its_record() -> None:
    info = ImageInfo("PNG", 64, 48, "RGB", "ab" * 32, 2**64 - 1, 2**63)
    read = reading(
        image=FetchedImage("id", b""), size=5, verdict=info, response=Response(200, final_url="http://b.test/")
    )
    row, record = ledger_rows.attempt_row(read), ledger_rows.record(read)
    assert (row.rank, row.draw, row.reason, row.bytes, row.final_url) == (1, 7, "", 5, "http://b.test/")
    assert (record.image_id, record.file, record.reason) == ("id", "id.png", "")
    assert (unsigned(row.pixels), unsigned(row.look)) == (record.pixels, record.look) == (2**64 - 1, 2**63)


def test_rejection_keeps_its_reason_and_a_short_detail() -> None:
    read = reading(verdict=Rejected("http_503", transient=True, detail="x" * 999), is_final=False)
    row = ledger_rows.attempt_row(read)
    assert (row.reason, row.transient, row.final, len(row.detail)) == ("http_503", 1, 0, 200)
    assert ledger_rows.record(read).reason == "http_503"


def test_candidate_of_a_host_that_is_down_made_no_request() -> None:
    row = ledger_rows.attempt_row(reading(verdict=ledger_rows.host_down("refused")))
    assert (row.reason, row.detail, row.tries, row.status, row.seconds) == (
        "refused",
        "its host does not answer",
        0,
        0,
        0,
    )
