"""wnid <-> label <-> name for the classes of one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from imagenet_nk.classes.table import ClassTable, first_word
from imagenet_nk.errors import LabelError
from imagenet_nk.wording import did_you_mean

_COLUMNS = ("wnids", "labels", "names", "words", "glosses", "table_labels")


@dataclass(frozen=True)
class LabelMap:
    """The classes of one run, aligned and in label order. Immutable; no WNID and no label occurs twice."""

    wnids: tuple[str, ...]
    labels: tuple[int, ...]  # ascending
    names: tuple[str, ...]  # first word of the synset; for people, never a key: two classes are called crane
    words: tuple[str, ...]  # all words of the synset: "tench, Tinca tinca"; "" where unknown
    glosses: tuple[str, ...]  # what WordNet says that it is; "" where unknown
    table_labels: tuple[int, ...]  # labels before labels.dense renumbered them; the same as `labels` otherwise
    order: str = ""  # in words: the order that the labels are the index in
    _position: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    _wnid: Mapping[int, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_position", {wnid: position for position, wnid in enumerate(self.wnids)})
        object.__setattr__(self, "_wnid", dict(zip(self.labels, self.wnids, strict=True)))
        if len(self._position) < len(self.wnids) or len(self._wnid) < len(self.labels):
            raise LabelError(f"a class or a label occurs twice in the order {self.order!r}")

    @classmethod
    def build(cls, numbered: Mapping[str, int], table: ClassTable, order: str, dense: bool = False) -> LabelMap:
        """Classes out of {wnid: label} in label order; `dense` renumbers them 0..C-1 in that order."""
        wnids = tuple(sorted(numbered, key=numbered.__getitem__))
        table_labels = tuple(numbered[wnid] for wnid in wnids)
        words = tuple(table.words.get(wnid, "") for wnid in wnids)
        return cls(
            wnids=wnids,
            labels=tuple(range(len(wnids))) if dense else table_labels,
            names=tuple(first_word(text) or wnid for wnid, text in zip(wnids, words, strict=True)),
            words=words,
            glosses=tuple(table.glosses.get(wnid, "") for wnid in wnids),
            table_labels=table_labels,
            order=f"{order}, renumbered 0..{len(wnids) - 1}" if dense else order,
        )

    def subset(self, wnids: Iterable[str]) -> LabelMap:
        """Some of the classes, with the labels that they have here."""
        at = sorted(self._index(wnid) for wnid in wnids)
        columns: dict[str, Any] = {name: tuple(getattr(self, name)[i] for i in at) for name in _COLUMNS}
        return replace(self, **columns)

    def label(self, wnid: str) -> int:
        """The number of a class. Raises LabelError, naming close WNIDs, for a class that the run does not have."""
        return self.labels[self._index(wnid)]

    def wnid(self, label: int) -> str:
        """The class of a number. Raises LabelError for a number that no class of the run has."""
        if label not in self._wnid:
            first, last = (self.labels[0], self.labels[-1]) if self.labels else (None, None)
            raise LabelError(
                f"no class has label {label}: {len(self)} classes, labels {first} to {last} ({self.order})"
            )
        return self._wnid[label]

    def name(self, wnid: str) -> str:
        """The first word of a class's synset, for people. Raises LabelError like label()."""
        return self.names[self._index(wnid)]

    def rows(self) -> Iterator[tuple[int, str, str, int]]:
        """(label, wnid, words, label before renumbering) of each class: the map that a user of dense labels needs."""
        return zip(self.labels, self.wnids, self.words, self.table_labels, strict=True)

    def __len__(self) -> int:
        return len(self.wnids)

    def __contains__(self, wnid: object) -> bool:
        return wnid in self._position

    def __iter__(self) -> Iterator[str]:
        return iter(self.wnids)

    def _index(self, wnid: str) -> int:
        if wnid not in self._position:
            raise LabelError(f"{wnid!r} is none of the {len(self)} classes of this run{did_you_mean(wnid, self.wnids)}")
        return self._position[wnid]
