from __future__ import annotations

import pytest

from imagenet_nk.collect.fetching.candidate_read import CandidateRead
from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.sources.contract import Candidate
from imagenet_nk.sources.none import NoSource


def quota(target: int | None, count: int) -> ClassQuota:
    reads = (CandidateRead(Candidate(str(n), "n1", f"x://{n}"), NoSource(), 0, n) for n in range(count))
    return ClassQuota("n1", target, reads)


def image(number: int) -> CandidateRecord:
    return CandidateRecord(str(number), str(number), content=number, pixels=number)


def test_class_needs_more_until_what_is_in_flight_will_probably_fill_it() -> None:
    one = quota(2, 9)
    reads = one.candidates(now=0.0)
    for expected in (True, True, False):
        assert one.needs_more(0.0) is expected
        if expected:
            one.start(next(reads).index, slow_at=5.0, probability=1.0)
    assert one.needs_more(6.0), "both are slow by now"


def test_selection_waits_for_the_first_unsettled_candidate() -> None:
    one, rules = quota(2, 3), AcceptanceRules()
    first, second, third = one.candidates(now=0.0)
    for read in (first, second, third):
        one.start(read.index, 9.0, 1.0)
    one.record(third.index, image(3))
    assert list(one.select_next(rules)) == []
    assert one.valid_so_far == 1
    one.record(first.index, CandidateRecord("0", reason="http_404"))
    one.record(second.index, image(2))
    assert [record.image_id for record in one.select_next(rules)] == ["2", "3"]
    assert one.is_full
    assert list(one.verdicts().values()) == ["http_404", "", ""]


@pytest.mark.parametrize(("kept", "reason", "lacks"), [(0, "http_404", True), (1, "", False), (1, "unlisted", True)])
def test_class_without_a_target_lacks_images_if_it_has_none_or_could_not_list_all(
    kept: int, reason: str, lacks: bool
) -> None:
    one = quota(None, 0)
    one.records = [*map(image, range(kept)), *([CandidateRecord("x", reason=reason)] if reason else [])]
    list(one.select_next(AcceptanceRules()))
    assert one.lacks_images is lacks
