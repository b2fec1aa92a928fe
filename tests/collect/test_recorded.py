from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings

from collect.scheduling.test_scheduler import worlds
from collect.worlds import World, by_definition, inspection, record
from imagenet_nk.collect.recorded import select_recorded
from imagenet_nk.config import Retry
from imagenet_nk.dataset.records import CandidateRecord


@settings(max_examples=100, deadline=None)
@given(world=worlds)
def test_complete_records_give_the_selection_of_a_run(world: World) -> None:
    def load(wnid: str, retry: Retry) -> dict[int, CandidateRecord]:
        assert retry == Retry.none
        return {index: record(wnid, index, truth) for index, truth in enumerate(world.classes[wnid])}

    dataset: Any = SimpleNamespace(records=SimpleNamespace(load=load))
    quotas = select_recorded(dataset, world.classes, lambda wnid: world.quota, inspection(world))
    assert {quota.wnid: quota.selection.verdicts for quota in quotas} == by_definition(world)
