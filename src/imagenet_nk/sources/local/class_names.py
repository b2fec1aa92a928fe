"""Which class a folder, a file or a label of other people's data sets stands for."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from functools import cache

from imagenet_nk.classes.index_dictionary import NameLookup
from imagenet_nk.classes.loading import clsloc_wnids
from imagenet_nk.classes.table import read_table
from imagenet_nk.config.sources import NumberOrder
from imagenet_nk.errors import SourceError
from imagenet_nk.image_ids import WNID
from imagenet_nk.wording import first_few

log = logging.getLogger(__name__)

_IN_FILE_NAME = re.compile(r"(?:(n\d{8})(?!\d)|ILSVRC2012_val_\d{8}_(n\d{8})\.)")
_NUMBER = re.compile(r"[0-9]{1,6}\Z")
_FIRST = {NumberOrder.sorted: 0, NumberOrder.clsloc: 1}


def wnid_of_file(name: str) -> str | None:
    """The WNID in a file's name, as in n01440764_10026.JPEG or ILSVRC2012_val_00000293_n01978287.JPEG."""
    found = _IN_FILE_NAME.match(name)
    return found and (found[1] or found[2])


def wnids_of(names: Collection[str], order: NumberOrder | None, where: str) -> dict[str, str]:
    """Name to WNID, of names that are WNIDs, numbers in the stated order, or words; empty if they are none of these.

    A warning for each name that stands for no class, or for several. Raises SourceError for numbers that no order, or
    another one, gives a meaning.
    """
    if all(WNID.match(name) for name in names):
        return {name: name for name in names}
    if all(_NUMBER.match(name) for name in names):
        return _by_number(names, order, where) if max(map(int, names)) <= 1000 else {}
    found = {name: _classes_by_words(name) for name in sorted(names)}
    wnids = {name: classes[0] for name, classes in found.items() if len(classes) == 1}
    if 2 * len(wnids) < len(names):
        return {}
    for name, classes in found.items():
        if name not in wnids:
            meaning = f"is {' or '.join(classes[:3])}" if classes else "is no class of ImageNet"
            log.warning("%s: %r %s; it is left out", where, name, meaning)
    return wnids


def wnid_by_number(numbers: Collection[int], order: NumberOrder | None, where: str) -> Mapping[int, str]:
    """WNID by class number. Raises SourceError if no order is stated, or the numbers are not in it."""
    seen = f"numbers its classes {min(numbers)} to {max(numbers)}"
    if order is None:
        raise SourceError(
            f"{where} {seen}, which says no order; type source.order=sorted (0..999 by WNID, as torchvision and timm "
            "count) or source.order=clsloc (1..1000 of the devkit)"
        )
    first, wnids = _FIRST[order], _in_order(order)
    if min(numbers) < first or max(numbers) >= first + len(wnids):
        raise SourceError(
            f"{where} {seen}, but source.order={order} counts {first} to {first + len(wnids) - 1}; type the other order"
        )
    return dict(enumerate(wnids, first))


def _by_number(names: Collection[str], order: NumberOrder | None, where: str) -> dict[str, str]:
    by_number = wnid_by_number([int(name) for name in names], order, where)
    if len({int(name) for name in names}) < len(names):
        raise SourceError(f"{where} has a number twice, among {first_few(sorted(names))}; rename one")
    return {name: by_number[int(name)] for name in names}


@cache
def _in_order(order: NumberOrder) -> tuple[str, ...]:
    return tuple(clsloc_wnids()) if order is NumberOrder.clsloc else read_table("imagenet-1k").wnids


def _classes_by_words(name: str) -> list[str]:
    """The classes that a name stands for, of the 1000, else of all."""
    return next(
        (list(found) for table in ("imagenet-1k", "imagenet-22k") if (found := _lookup(table).classes(name))), []
    )


@cache
def _lookup(table: str) -> NameLookup:
    return NameLookup(read_table(table))
