"""How many images go through the model at once, where the user does not say."""

from __future__ import annotations

import logging
import time

import numpy as np

from imagenet_nk.centers.backbone import Backbone
from imagenet_nk.centers.lanes import Forward, one_thread_each

log = logging.getLogger(__name__)

ON_CPU = 16  # at most: larger batches outgrow the caches and gain nothing
SECONDS = 0.5  # that one batch may take on one core: at the end of the list one lane waits for the other's last
ON_GPU = (32, 64, 128, 256, 512)
WORTH = 1.05  # a doubling that gains less is the last


def on_cpu(backbone: Backbone, forward: Forward) -> int:
    """A power of two up to ON_CPU whose forward pass takes one core about SECONDS."""
    with one_thread_each(True):
        _seconds(backbone, forward, 1)
        single = _seconds(backbone, forward, 1)
    batch = 1
    while batch < ON_CPU and 2 * batch * single <= SECONDS:
        batch *= 2
    return batch


def on_gpu(backbone: Backbone, forward: Forward) -> int:
    """The batch from which on a doubling gains next to nothing, or does not fit and is halved by `forward`."""
    best, rate = ON_GPU[0], 0.0
    for batch in ON_GPU:
        _seconds(backbone, forward, batch)
        faster = batch / _seconds(backbone, forward, batch)
        if faster < WORTH * rate:
            break
        best, rate = batch, faster
    log.info("%s: %d images at once, %.0f a second", backbone.name, best, rate)
    return best


def _seconds(backbone: Backbone, forward: Forward, batch: int) -> float:
    crops = np.zeros((batch, *backbone.input_size, 3), dtype=np.uint8)
    started = time.perf_counter()
    forward(crops)
    return time.perf_counter() - started
