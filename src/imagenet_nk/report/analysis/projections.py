"""Projections of class centers (PCA, t-SNE), their cosine similarities, and an order by similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def cosines(vectors_KD: NDArray[np.floating]) -> Matrix:
    """(K, K) cosine similarities; a vector of zeros has similarity 0."""
    x = np.asarray(vectors_KD, dtype=np.float64)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    unit = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
    return np.asarray(np.clip(unit @ unit.T, -1.0, 1.0), np.float64)


def pca(vectors_KD: NDArray[np.floating], axes: int = 2) -> tuple[Matrix, Matrix]:
    """(K, axes) coordinates on the principal axes, and the share of the variance that each explains.

    The sign of an axis is free; it is chosen so that the largest coordinate in size is positive.
    """
    x = np.asarray(vectors_KD, dtype=np.float64)
    x = x - x.mean(axis=0, keepdims=True)
    left, singular, _ = np.linalg.svd(x, full_matrices=False)
    points = np.zeros((len(x), axes))
    n_axes = min(axes, len(singular))
    points[:, :n_axes] = left[:, :n_axes] * singular[:n_axes]
    points *= np.where(points[np.abs(points).argmax(axis=0), np.arange(axes)] < 0, -1.0, 1.0)
    total = float((singular**2).sum())
    shares = np.zeros(axes)
    shares[:n_axes] = singular[:n_axes] ** 2 / total if total else 0.0
    return points, shares


def tsne(vectors_KD: NDArray[np.floating], perplexity: float = 30.0, steps: int = 500) -> Matrix:
    """(K, 2) exact t-SNE (van der Maaten and Hinton 2008) from the PCA on, so that the same input gives the same map.

    Start, exaggeration and learning rate as in Kobak and Berens 2019. K x K numbers: for some thousand classes at most.
    """
    points, _ = pca(vectors_KD, 50)
    p = _affinities(points, min(perplexity, (len(points) - 1) / 3)).astype(np.float32)
    y = (points[:, :2] / max(float(points[:, 0].std()), 1e-12) * 1e-4).astype(np.float32)
    move, gain = np.zeros_like(y), np.ones_like(y)
    rate, early = max(len(points) / 12, 4.0), steps // 4
    for step in range(steps):
        squares = (y**2).sum(axis=1)
        q = 1 / (1 + np.maximum(squares[:, None] - 2 * y @ y.T + squares, 0))
        np.fill_diagonal(q, 0)
        force = (p * (12 if step < early else 1) - q / q.sum()) * q
        slope = 4 * (force.sum(axis=1)[:, None] * y - force @ y)
        gain = np.maximum(
            np.where(slope * move > 0, gain * 0.8, gain + 0.2), 0.01
        )  # Jacobs 1988: slower where it swings
        move = (0.5 if step < early else 0.8) * move - rate * gain * slope
        y = y + move
    return np.asarray(y - y.mean(axis=0), dtype=np.float64)


def _affinities(points: Matrix, perplexity: float, rounds: int = 50) -> Matrix:
    """Symmetric joint probabilities; each row's width is found by bisection to give the perplexity."""
    squares = (points**2).sum(axis=1)
    distances = np.maximum(squares[:, None] - 2 * points @ points.T + squares, 0)
    np.fill_diagonal(distances, np.inf)
    distances /= max(float(np.median(distances[np.isfinite(distances)])), 1e-12)
    low, high, beta = np.zeros(len(points)), np.full(len(points), np.inf), np.ones(len(points))
    for _ in range(rounds):
        weights = np.exp(-(distances - distances.min(axis=1, keepdims=True)) * beta[:, None])
        p = weights / weights.sum(axis=1, keepdims=True)
        entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
        is_too_wide = entropy > np.log(perplexity)
        low, high = np.where(is_too_wide, beta, low), np.where(is_too_wide, high, beta)
        beta = np.where(np.isinf(high), beta * 2, (low + high) / 2)
    return np.asarray(np.maximum((p + p.T) / (2 * len(points)), 1e-12), np.float64)


def leaf_order(similarity_KK: Matrix) -> list[int]:
    """An order of the classes: the leaves of their average-linkage tree, found by chains of nearest neighbours.

    The two halves of each join are turned so that their nearer ends meet.
    """
    count = len(similarity_KK)
    distance = 1 - similarity_KK
    np.fill_diagonal(distance, np.inf)
    leaves: dict[int, list[int]] = {k: [k] for k in range(count)}
    chain: list[int] = []
    while len(leaves) > 1:
        if not chain:
            chain.append(min(leaves))
        tip = chain[-1]
        near = int(distance[tip].argmin())
        if len(chain) > 1 and distance[tip, chain[-2]] <= distance[tip, near]:
            near = chain[-2]
        if len(chain) < 2 or near != chain[-2]:
            chain.append(near)
            continue
        chain[-2:] = []
        a, b = len(leaves[tip]), len(leaves[near])
        mean = (a * distance[tip] + b * distance[near]) / (a + b)
        leaves[tip] = _join_leaves(leaves[tip], leaves.pop(near), similarity_KK)
        distance[tip], distance[:, tip] = mean, mean
        distance[near], distance[:, near], distance[tip, tip] = np.inf, np.inf, np.inf
    return next(iter(leaves.values()), [])


def _join_leaves(left: list[int], right: list[int], similarity: Matrix) -> list[int]:
    turns = [(a, b) for a in (left, left[::-1]) for b in (right, right[::-1])]
    first, second = max(turns, key=lambda turn: similarity[turn[0][-1], turn[1][0]])
    return first + second
