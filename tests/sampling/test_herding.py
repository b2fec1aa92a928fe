"""Herding: the greedy choice of images whose mean stays near the mean of the pool."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from imagenet_nk.sampling.herding import herding_order


def pool(images: int = 12, dim: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 1, size=(images, dim))


def test_each_herding_step_is_the_best_remaining_choice() -> None:
    x = pool()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    chosen = herding_order(x, 6)
    for step, row in enumerate(chosen):
        left = [image for image in range(len(x)) if image not in chosen[:step]]
        gaps = {image: np.linalg.norm(unit.mean(0) - unit[[*chosen[:step], image]].mean(0)) for image in left}
        assert row == min(gaps, key=gaps.__getitem__)


def test_smaller_count_is_a_prefix() -> None:
    orders = [herding_order(pool(), count) for count in range(1, 13)]
    assert all(longer[: len(shorter)] == shorter for shorter, longer in itertools.pairwise(orders))
    assert sorted(orders[-1]) == list(range(12))


def test_equal_images_are_taken_in_draw_order_and_each_once() -> None:
    assert herding_order(np.ones((4, 3)), 3) == [0, 1, 2]


def test_pool_smaller_than_the_count_is_used_completely() -> None:
    assert sorted(herding_order(pool(3), 10)) == [0, 1, 2]


@pytest.mark.parametrize("count", [1, 3])
def test_mean_is_nearer_than_that_of_random_images_on_average(count: int) -> None:
    gaps = []
    for seed in range(20):
        x = pool(seed=seed)
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        gaps.append(
            [np.linalg.norm(unit.mean(0) - unit[rows].mean(0)) for rows in (herding_order(x, count), range(count))]
        )
    herding, random = np.mean(gaps, axis=0)
    assert herding < random
