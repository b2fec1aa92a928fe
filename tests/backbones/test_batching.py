"""Batches that do not fit: into the memory, or the size that a runtime was compiled for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagenet_nk.backbones.batching import halve_on_oom, pad_batches
from imagenet_nk.errors import CentersError

CROPS = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)


def corner(crops):
    return crops[:, 0, 0, :].astype(np.float32)


def forward_up_to(limit):
    def forward(crops):
        if len(crops) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return corner(crops)

    return forward


def test_batch_too_large_for_the_memory_is_halved(caplog):
    np.testing.assert_array_equal(halve_on_oom(forward_up_to(2))(CROPS), corner(CROPS))
    assert "trying 3" in caplog.text


def test_one_image_too_large_for_the_memory_is_one_line():
    with pytest.raises(CentersError, match="too small for one image"):
        halve_on_oom(forward_up_to(0))(CROPS)


def test_other_runtime_errors_are_raised():
    def forward(_):
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        halve_on_oom(forward)(CROPS)


@pytest.mark.parametrize("size", [1, 4, 6, 8])
def test_padded_batches_give_the_same_rows(size):
    def forward(crops):
        assert len(crops) == size
        return corner(crops)

    np.testing.assert_array_equal(pad_batches(forward, size)(CROPS), corner(CROPS))
