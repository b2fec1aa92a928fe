"""Which class (WNID) a label of a data set means, checked against all that names it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.numbers import parse_number
from imagenet_nk.image_ids import WNID

_OFFICIAL_NAME = re.compile(r"(?:(n[0-9]{8})_[0-9]+|ILSVRC2012_val_[0-9]{8})(?:_(n[0-9]{8}))?\Z")

_NO_LABEL = (None, -1, "-1", "")  # -1: what `datasets` writes where a split keeps its labels back


class Labels:
    """Label -> WNID by the class names that come with a data set.

    Names that are WNIDs may be in any order. Names that are words must be those of the reference order, one by one:
    words cannot be looked up, since two classes are called crane.
    """

    def __init__(self, names: Sequence[str] | None, reference: Mapping[str, str], trusted: bool = False) -> None:
        """`reference`: WNID -> words ("tench, Tinca tinca") in sorted-WNID order; `trusted`: labels without names are
        positions in it. Raises SourceError if the names are in another order.
        """
        self.wnids: list[str] | None = None
        if names is None:
            self.wnids = list(reference) if trusted else None
        elif all(WNID.match(name) for name in names):
            self.wnids = list(names)
        else:
            self.wnids = _wnids_by_words(names, reference)

    def wnid(self, label: int | str | None, image_name: str | None, where: str) -> str | None:
        """The class of one image; None if it has no label.

        Raises SourceError if its label has no meaning, or the name of the image contradicts it.
        """
        official = official_id(image_name)
        official_wnid = official[1] if official else None
        if label in _NO_LABEL and (self.wnids is not None or official_wnid is None):
            return None
        if isinstance(label, str):
            number = parse_number(label)
            label = label if number is None else number
        if isinstance(label, str) and WNID.match(label):
            wnid: str | None = label
        elif self.wnids is None:
            wnid = official_wnid
        elif isinstance(label, int) and 0 <= label < len(self.wnids):
            wnid = self.wnids[label]
        else:
            raise SourceError(f"{where}: label {label!r} is not among the data set's {len(self.wnids)} classes")
        if wnid is None:
            raise SourceError(
                f"{where}: nothing names the class of label {label!r}; if labels are positions in the sorted WNIDs, "
                "type source.sorted_labels=true"
            )
        if official_wnid and official_wnid != wnid:
            raise SourceError(
                f"{where}: label {label!r} would be {wnid}, but the image is called {image_name}; the label column is "
                "in another order than the class names, so this data set cannot be used"
            )
        return wnid


def official_id(image_name: str | None) -> tuple[str, str | None] | None:
    """(image id, WNID) of a file name of ImageNet, such as n03954731_53652_n03954731.JPEG; else None."""
    stem = (image_name or "").rpartition("/")[2].partition(".")[0]
    if not (match := _OFFICIAL_NAME.match(stem)):
        return None
    return (stem.removesuffix(f"_{match[2]}") if match[2] else stem), match[2] or match[1]


def names_in_schema(metadata: Mapping[bytes, bytes] | None, column: str) -> list[str] | None:
    """Class names that `datasets` writes into a parquet file's schema, under the key `huggingface`; None without."""
    try:
        feature = json.loads((metadata or {})[b"huggingface"])["info"]["features"][column]
        return _name_list(feature["names"])
    except (KeyError, TypeError, ValueError, RecursionError):  # nested too deeply
        return None


def names_in_card(card: Mapping[str, Any]) -> list[str] | None:
    """Class names of a README.md's `dataset_info`: features with a class_label; None without."""
    infos = card.get("dataset_info")
    for info in infos if isinstance(infos, list) else [infos]:
        features = info.get("features") if isinstance(info, Mapping) else None
        for feature in features if isinstance(features, list) else []:
            try:
                return _name_list(feature["dtype"]["class_label"]["names"])
            except (KeyError, TypeError, ValueError):
                continue  # a feature of another kind
    return None


def _name_list(names: Any) -> list[str]:
    """Class names by label: a list, or a mapping of numbers. Raises TypeError and ValueError."""
    if isinstance(names, Mapping):
        return [str(names[number]) for number in sorted(names, key=int)]
    if not isinstance(names, list):
        raise TypeError("neither a list nor a mapping")
    return [str(name) for name in names]


def _wnids_by_words(names: Sequence[str], reference: Mapping[str, str]) -> list[str]:
    if len(names) != len(reference):
        raise SourceError(
            f"the data set names {len(names)} classes by words; only the {len(reference)} of ImageNet-1k can be"
        )
    for label, (name, (wnid, words)) in enumerate(zip(names, reference.items(), strict=True)):
        if not _lemmas(name) & _lemmas(words):
            raise SourceError(
                f"the data set calls label {label} {name!r}, but in sorted-WNID order it is {wnid} {words!r}; its "
                "labels are in another order, so this data set cannot be used"
            )
    return list(reference)


def _lemmas(words: str) -> set[str]:
    return {re.sub(r"[\W_]+", " ", word).strip().lower() for word in words.split(",")} - {""}
