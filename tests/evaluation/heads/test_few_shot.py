"""The few-shot protocol: which images train and test, and who is left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagenet_nk.evaluation.heads.few_shot import EmbeddedImages, divide, few_shot_table

WNIDS = ("n1", "n2", "n3")


def images(counts: tuple[int, ...] = (6, 6, 6), noise: float = 0.1, seed: int = 0) -> EmbeddedImages:
    """Images whose first coordinate is their own number, so that they can be told apart."""
    classes = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(classes), 8))) * noise
    x += 5 * torch.eye(8)[classes + 1]
    x[:, 0] = torch.arange(len(classes)) * 1e-6
    return EmbeddedImages(x, classes)


def ids(part: EmbeddedImages) -> set[int]:
    return set((part.embeddings[:, 0] * 1e6).round().int().tolist())


def test_fewer_shots_are_a_subset_and_the_test_images_stay() -> None:
    everything = images()
    few, many = (divide(everything, None, shots, 4, 3, seed=1) for shots in (2, 4))
    assert ids(few.train) < ids(many.train)
    assert ids(few.test) == ids(many.test) == set(range(18)) - ids(many.train)
    assert torch.bincount(few.train.classes).tolist() == [2, 2, 2]


def test_the_draw_of_a_class_does_not_depend_on_other_classes() -> None:
    alone, together = divide(images((6,)), None, 3, 3, 1, seed=5), divide(images((6, 9)), None, 3, 3, 2, seed=5)
    assert ids(alone.train) == {image for image in ids(together.train) if image < 6}


def test_another_seed_draws_other_images() -> None:
    assert ids(divide(images(), None, 2, 2, 3, seed=0).train) != ids(divide(images(), None, 2, 2, 3, seed=1).train)


def test_classes_with_too_few_images_are_left_out_by_name() -> None:
    table = few_shot_table(images((6, 2, 6)), None, WNIDS, shots=[1, 4], seeds=[0, 1], heads=["ncm"])
    one, four = table["rows"]
    assert (one["excluded"], four["excluded"]) == ([], ["n2"])
    assert (one["images"], four["images"]) == (2 + 1 + 2, 4)
    assert four["mean"] == 1


def test_shots_that_no_class_has_give_an_empty_row() -> None:
    (row,) = few_shot_table(images(), None, WNIDS, shots=[6], seeds=[0], heads=["ridge"])["rows"]
    assert (row["mean"], row["std"], row["classes"], row["excluded"]) == (None, None, 0, list(WNIDS))


def test_held_out_images_are_tested_and_all_others_may_train() -> None:
    held_out = images(seed=1)
    division = divide(images(), held_out, 6, 6, 3, seed=0)
    assert len(division.train) == 18
    assert division.test.embeddings is not held_out.embeddings
    assert torch.equal(division.test.embeddings, held_out.embeddings)


@pytest.mark.parametrize("head", ["ncm", "knn", "ridge"])
def test_mean_and_deviation_are_those_of_the_seeds(head: str) -> None:
    everything = images((8, 8, 8), noise=3.0)
    (row,) = few_shot_table(everything, None, WNIDS, shots=[3], seeds=[0, 1, 2], heads=[head])["rows"]
    assert len(row["values"]) == 3
    assert row["mean"] == pytest.approx(np.mean(row["values"]))
    assert row["std"] == pytest.approx(np.std(row["values"], ddof=1))
    assert 1 / 3 < row["mean"] < 1
