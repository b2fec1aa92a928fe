"""Herding: the images of a class whose running mean stays nearest to the mean of all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def herding_order(embeddings_ND: NDArray[np.floating], count: int) -> list[int]:
    """Rows of the first `count` images of a class, in the order of their choice (iCaRL, Rebuffi et al. 2017, alg. 4).

    embeddings_ND: (N, D) of the pool, in draw order; scaled to unit length first, as iCaRL does. Each step takes the
    image that brings the mean of the chosen ones nearest to the mean of the pool; of equally good ones, the first in
    draw order. A smaller count gives a prefix.
    """
    x_ND = np.asarray(embeddings_ND, np.float64)
    x_ND = x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    mean_D, sum_D = x_ND.mean(0), np.zeros(x_ND.shape[1])
    chosen: list[int] = []
    for step in range(1, min(count, len(x_ND)) + 1):
        distances_N = np.linalg.norm(mean_D - (sum_D + x_ND) / step, axis=1)
        distances_N[chosen] = np.inf
        chosen.append(int(distances_N.argmin()))
        sum_D += x_ND[chosen[-1]]
    return chosen
