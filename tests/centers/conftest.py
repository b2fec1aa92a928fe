"""Images, models and centers for these tests."""

import numpy as np
import pytest

from imagenet_nk.centers.file import Centers
from small_models import entries, tiny  # noqa: F401 - fixtures


@pytest.fixture
def made():
    """Three centers of four numbers, with names that need quoting."""
    rng = np.random.default_rng(0)
    return Centers(
        rng.normal(size=(3, 4)).astype(np.float32),
        np.array([2, 1, 5]),
        np.array([4, 7, 9]),
        rng.random(3).astype(np.float32),
        ("n00000004", "n00000007", "n00000009"),
        ("crane", "crane, bird", 'says "quack"'),
        {"backbone": "x"},
        {"another": np.eye(4, dtype=np.float32)},
    )
