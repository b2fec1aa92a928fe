"""Class means and spreads of a list, in one pass over its embeddings."""

from __future__ import annotations

from imagenet_nk.embedding.dataset import Entries, LabeledImages, listed, none_embedded
from imagenet_nk.embedding.embedder import Embedder, Progress
from imagenet_nk.errors import CentersError
from imagenet_nk.statistics.streaming import Mean, Spread


def first_reading(
    entries: Entries, embedder: Embedder, progress: Progress | None
) -> tuple[LabeledImages, Mean, Spread]:
    """The list, and mean and spread of its classes; classes none of whose images could be read have no row."""
    labels = sorted({label for _, label in entries})
    every = listed(entries, {label: row for row, label in enumerate(labels)}, embedder)
    dim = embedder.built.dim
    mean, spread = Mean(len(labels), dim), Spread(len(labels), dim)
    for part in embedder.stream(every.paths, progress):
        for x_BD, classes_B, _ in every.prepared(part):
            mean.add(x_BD, classes_B)
            spread.add(x_BD, classes_B)
    there = mean.counts_K > 0
    if not there.any():
        raise CentersError(f"{none_embedded(embedder)} (first: {entries[0][0]}): there is no center to make")
    for statistic in (mean, spread):
        for name, value in vars(statistic).items():
            setattr(statistic, name, value[there])
    kept = [label for label, is_there in zip(labels, there.tolist(), strict=True) if is_there]
    return listed(entries, {label: row for row, label in enumerate(kept)}, embedder), mean, spread
