from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.errors import SourceError
from imagenet_nk.sources.hub.labels import Labels, names_in_card, names_in_schema, official_id

REFERENCE = {
    "n01440764": "tench, Tinca tinca",
    "n01443537": "goldfish, Carassius auratus",
    "n02012849": "crane",
    "n03126707": "crane",
    "n03594945": "jeep, landrover",
}
WNIDS = list(REFERENCE)


def test_names_that_are_wnids_hold_in_any_order() -> None:
    labels = Labels(["n03594945", "n01440764"], REFERENCE)
    assert labels.wnid(0, None, "here") == "n03594945"
    assert labels.wnid("1", "n01440764_7.JPEG", "here") == "n01440764"


@pytest.mark.parametrize(
    "names",
    [
        list(REFERENCE.values()),
        ["tench", "goldfish", "crane", "crane", "jeep"],
        ["Tinca_tinca", "GOLDFISH", "crane", "crane", "land rover, jeep"],
    ],
)
def test_words_of_the_reference_order_are_its_wnids(names: list[str]) -> None:
    labels = Labels(names, REFERENCE)
    assert [labels.wnid(label, None, "here") for label in range(5)] == WNIDS


def test_words_in_another_order_are_refused_with_the_first_that_differs() -> None:
    names = ["tench", "jeep", "crane", "crane", "goldfish"]
    with pytest.raises(SourceError, match=r"calls label 1 'jeep', but in sorted-WNID order it is n01443537 'goldfish"):
        Labels(names, REFERENCE)


def test_image_names_give_the_class_without_label_names() -> None:
    labels = Labels(None, REFERENCE)
    assert labels.wnid(4, "n01443537_12.JPEG", "here") == "n01443537"
    assert labels.wnid("n02012849", None, "here") == "n02012849"
    with pytest.raises(SourceError, match=r"row 3: nothing names the class of label 4; .* source\.sorted_labels=true"):
        labels.wnid(4, "picture.jpg", "row 3")
    assert Labels(None, REFERENCE, trusted=True).wnid(4, "picture.jpg", "row 3") == "n03594945"


@pytest.mark.parametrize("label", [5, -2, "x", True + 4, "-2", "²"])
def test_label_outside_the_classes_is_refused(label: int | str | None) -> None:
    with pytest.raises(SourceError, match=r"row 3: label .* is not among the data set's 5 classes"):
        Labels(WNIDS, REFERENCE).wnid(label, None, "row 3")


@pytest.mark.parametrize("label", [None, -1, "-1", ""])
def test_missing_label_is_no_class_unless_only_the_image_name_gives_one(label: int | str | None) -> None:
    assert Labels(WNIDS, REFERENCE).wnid(label, "n01443537_1.JPEG", "row 3") is None
    assert Labels(None, REFERENCE).wnid(label, "picture.jpg", "row 3") is None
    assert Labels(None, REFERENCE).wnid(label, "n01443537_1.JPEG", "row 3") == "n01443537"


def test_image_name_contradicting_its_label_is_refused() -> None:
    with pytest.raises(SourceError, match=r"label 0 would be n01440764, but the image is called n01443537_1\.JPEG"):
        Labels(WNIDS, REFERENCE).wnid(0, "n01443537_1.JPEG", "row 3")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("n03954731_53652_n03954731.JPEG", ("n03954731_53652", "n03954731")),
        ("n03954731_53652.JPEG", ("n03954731_53652", "n03954731")),
        ("n03954731_53652", ("n03954731_53652", "n03954731")),
        ("val/ILSVRC2012_val_00000293.JPEG", ("ILSVRC2012_val_00000293", None)),
        ("ILSVRC2012_val_00000293_n01978287.JPEG", ("ILSVRC2012_val_00000293", "n01978287")),
        ("image.jpg", None),
        ("n0395473_1.JPEG", None),
        ("", None),
        (None, None),
    ],
)
def test_official_names_are_recognised(name: str | None, expected: tuple[str, str | None] | None) -> None:
    assert official_id(name) == expected


def test_names_come_out_of_schema_and_card() -> None:
    info = {"info": {"features": {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}}}
    assert names_in_schema({b"huggingface": json.dumps(info).encode()}, "label") == ["a", "b"]
    feature = {"name": "label", "dtype": {"class_label": {"names": {"10": "k", "0": "a", "9": "j"}}}}
    card = {"dataset_info": {"features": [{"name": "image", "dtype": "image"}, feature]}}
    assert names_in_card(card) == ["a", "j", "k"]
    assert names_in_card({"dataset_info": [card["dataset_info"]]}) == ["a", "j", "k"]


_ANY = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))


def _level(key: str, inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """A mapping with this key, or something else in its place."""
    return st.fixed_dictionaries({key: inner}) | _ANY | st.dictionaries(st.text(max_size=3), _ANY, max_size=2)


_NAMES = _level("names", _ANY | st.dictionaries(st.sampled_from(["0", "1", "x", ""]), _ANY))
_SCHEMA = _level("info", _level("features", _level("label", _NAMES)))
_FEATURES = _level("features", st.lists(_level("dtype", _level("class_label", _NAMES)), max_size=2) | _ANY)
_CARD = _level("dataset_info", _FEATURES | st.lists(_FEATURES, max_size=2))


@given(_SCHEMA, _CARD, st.binary(max_size=40))
def test_any_metadata_gives_names_or_none(schema: object, card: object, raw: bytes) -> None:
    for data in (json.dumps(schema).encode(), raw):
        names = names_in_schema({b"huggingface": data}, "label")
        assert names is None or all(isinstance(name, str) for name in names)
    if isinstance(card, dict):
        names = names_in_card(card)
        assert names is None or all(isinstance(name, str) for name in names)
