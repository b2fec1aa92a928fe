"""What classes keep by the attempts on record alone: nothing is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.collect.scheduling.cross_class import CrossClassIndex
from imagenet_nk.config.collecting import CrossClassDuplicates, InspectConfig, Retry
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.dataset.folder_state import Target
from imagenet_nk.dataset.records import CandidateRecord


def select_recorded(
    dataset: DataSet, wnids: Iterable[str], wanted: Target, inspect: InspectConfig
) -> Sequence[ClassQuota]:
    """The classes with the candidates that are settled, without those that were still to come before them."""
    quotas = [_quota(wnid, wanted(wnid), dataset.records.load(wnid, Retry.none)) for wnid in wnids]
    _select(quotas, inspect)
    return quotas


def _quota(wnid: str, nk: int | None, records: Mapping[Any, CandidateRecord]) -> ClassQuota:
    quota = ClassQuota(wnid, nk, iter(()))
    quota.records = list(records.values())  # in draw order, as the ledger gives them
    return quota


def _select(quotas: Sequence[ClassQuota], inspect: InspectConfig) -> None:
    """Select in all classes, until no further placeholder or shared image turns up."""
    rules = AcceptanceRules(inspect.near_duplicate_bits)
    repeats = CrossClassIndex(inspect.placeholder_repeats)
    drops_shared = inspect.cross_class_duplicates == CrossClassDuplicates.drop
    fresh = True
    while fresh:
        fresh = False
        for quota in quotas:
            quota.restart()
            for record in quota.advance(rules):
                placeholder, shared = repeats.reach(quota.wnid, record)
                if placeholder and record.content not in rules.placeholders:
                    rules.placeholders.add(record.content)
                    fresh = True
                if shared and drops_shared and record.pixels not in rules.shared:
                    rules.shared.add(record.pixels)
                    fresh = True
