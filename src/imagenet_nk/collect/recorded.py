"""The images that classes keep by their recorded attempts alone, without a request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.collect.scheduling.cross_class import CrossClassSelection
from imagenet_nk.config.collecting import InspectConfig, Retry
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.dataset.folder_state import Target


def select_recorded(
    dataset: DataSet, wnids: Iterable[str], target_of: Target, inspect: InspectConfig
) -> Sequence[ClassQuota]:
    """The classes with their settled candidates, as if no candidate was still to come between them."""
    quotas = [ClassQuota(wnid, target_of(wnid), iter(())) for wnid in wnids]
    selection = CrossClassSelection(quotas, inspect)
    for quota in quotas:
        quota.records = list(
            dataset.records.load(quota.wnid, Retry.none).values()
        )  # in draw order, as the ledger has them
        quota.restart()
    for quota in quotas:
        selection.advance(quota)
    return quotas
