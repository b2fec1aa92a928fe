"""Class means and spreads of a list, in one pass over its embeddings."""

from __future__ import annotations

from imagenet_nk.embedding.embeddings import Embeddings
from imagenet_nk.embedding.labeled_images import Entries, LabeledImages, describe_empty
from imagenet_nk.errors import CentersError
from imagenet_nk.statistics.streaming import Mean, Spread


def accumulate_means(entries: Entries, embeddings: Embeddings) -> tuple[LabeledImages, Mean, Spread]:
    """The images with the rows of their classes, and mean and spread of each class.

    A class without any embedding has no row. Raises CentersError if no class has one.
    """
    labels = sorted({label for _, label in entries})
    images = LabeledImages(entries, {label: row for row, label in enumerate(labels)}, embeddings)
    dim = embeddings.plan.backbone.dim
    mean, spread = Mean(len(labels), dim), Spread(len(labels), dim)
    for x_BD, classes_B in images.pairs():
        mean.add(x_BD, classes_B)
        spread.add(x_BD, classes_B)
    has_images_K = mean.counts_K > 0
    if not has_images_K.any():
        reason = describe_empty(embeddings, [path for path, _ in entries])
        raise CentersError(f"{reason} (first: {entries[0][0]}): there is no center to make")
    for statistic in (mean, spread):
        for name, value in vars(statistic).items():
            setattr(statistic, name, value[has_images_K])
    filled = [label for label, has_images in zip(labels, has_images_K.tolist(), strict=True) if has_images]
    return LabeledImages(entries, {label: row for row, label in enumerate(filled)}, embeddings), mean, spread
