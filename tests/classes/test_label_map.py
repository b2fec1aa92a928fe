"""LabelMap: look-ups, and the errors of look-ups."""

from __future__ import annotations

import pytest

from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.classes.table import ClassTable
from imagenet_nk.errors import LabelError

A, B, C = "n00000001", "n00000002", "n00000003"
TABLE = ClassTable("three", (A, B, C), {A: "tench, Tinca tinca", B: "crane"}, {A: "a fish"})


@pytest.fixture
def classes() -> LabelMap:
    return LabelMap.build({C: 7, A: 3, B: 5}, TABLE, "mine")


def test_label_map_is_aligned_and_in_label_order(classes: LabelMap) -> None:
    assert (classes.wnids, classes.labels) == ((A, B, C), (3, 5, 7))
    assert classes.names == ("tench", "crane", C)
    assert classes.words == ("tench, Tinca tinca", "crane", "")
    assert classes.glosses == ("a fish", "", "")
    assert list(classes) == [A, B, C]
    assert (len(classes), A in classes, "n9" in classes) == (3, True, False)


def test_dense_rows_hold_both_numbers() -> None:
    dense = LabelMap.build({C: 7, A: 3}, TABLE, "mine", dense=True)
    assert list(dense.rows()) == [(0, A, "tench, Tinca tinca", 3), (1, C, "", 7)]
    assert (dense.label(C), dense.wnid(1), dense.order) == (1, C, "mine, renumbered 0..1")


def test_unknown_wnid_or_label_is_a_label_error(classes: LabelMap) -> None:
    with pytest.raises(LabelError, match="'n00000004' is none of the 3 classes of this run; did you mean n0000000"):
        classes.label("n00000004")
    with pytest.raises(LabelError, match="none of the 3"):
        classes.name("tench")
    with pytest.raises(LabelError, match=r"no class has label 4: 3 classes, labels 3 to 7 \(mine\)"):
        classes.wnid(4)


def test_duplicate_label_is_refused() -> None:
    with pytest.raises(LabelError, match="twice"):
        LabelMap.build({A: 1, B: 1}, TABLE, "mine")
