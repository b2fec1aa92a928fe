"""Nearest class mean classification."""

from __future__ import annotations

import torch

from imagenet_nk.evaluation import ncm


def test_image_is_left_out_of_its_own_mean():
    x = torch.tensor([[0.0], [10.0], [4.9], [5.1]]).double()
    classes = torch.tensor([0, 0, 1, 1])
    mean = torch.tensor([[5.0], [5.0]]).double()
    predictions = ncm.classify(x, classes, mean, ncm.euclidean, torch.tensor([2, 2]))
    assert predictions.ranks.tolist() == [1, 1, 1, 1]  # with itself in the mean the last two would be hits


def test_lower_of_equally_near_classes_is_predicted():
    x, classes = torch.zeros(2, 3).double(), torch.tensor([0, 2])
    predictions = ncm.classify(x, classes, torch.ones(4, 3).double(), ncm.euclidean)
    assert predictions.ranks.tolist() == [0, 2]
