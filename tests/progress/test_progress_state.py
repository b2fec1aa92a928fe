from __future__ import annotations

import pytest

from imagenet_nk.progress.progress_state import EtaEstimator, ProgressState, format_duration


def test_fraction_counts_images_where_their_number_is_known() -> None:
    assert ProgressState("collect", "classes", 0, 20, 50, 1.0, images_fraction=0.25).fraction == 0.25
    assert ProgressState("collect", "classes", 5, 20, 50, 1.0).fraction == 0.25
    assert ProgressState("collect", "classes", 0, 0, 0, 1.0).fraction == 1.0


def test_eta_is_unknown_before_the_first_step() -> None:
    estimator = EtaEstimator(40, now=100.0)
    assert estimator.eta(200, now=101.0) is None
    estimator.observe(41, now=101.0)
    assert estimator.eta(200, now=101.0) == 159.0


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")])
def test_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
