"""The label check: lists and head_orders in another order, swapped classes, and head_orders that are no evidence."""

from __future__ import annotations

import numpy as np
import pytest

from imagenet_nk.evaluation import label_check

WNIDS = [f"n{k:08d}" for k in range(10)]
SORTED = dict(enumerate(WNIDS))
SHIFTED = {k + 1: wnid for k, wnid in enumerate(WNIDS)}
REVERSED = {k: WNIDS[9 - k] for k in range(10)}


def check_of(written, given, accuracy=0.9, ncm=0.8, orders=None):
    """The check of a list written in one order and read in another, under a head that is right to `accuracy`."""
    rng = np.random.default_rng(0)
    labels = np.repeat(sorted(written), 20)
    right = rng.random(len(labels)) < accuracy
    predicted = [written[k] if ok else WNIDS[rng.integers(10)] for k, ok in zip(labels.tolist(), right, strict=True)]
    return label_check.check(
        labels, predicted, given, orders or {"sorted": SORTED, "reversed": REVERSED, "shifted": SHIFTED}, ncm
    )


@pytest.mark.parametrize(
    ("written", "given", "wrong", "order"),
    [
        (SORTED, SORTED, False, None),
        (REVERSED, SORTED, True, "reversed"),
        (SHIFTED, SORTED, True, "shifted"),
        (SORTED, REVERSED, True, "sorted"),
    ],
)
def test_list_in_another_order_is_recognised(written, given, wrong, order):
    check = check_of(written, given)
    assert (check["labels_wrong"], check["matching_label_order"]) == (wrong, order)


def test_unknown_order_is_wrong_only_if_the_centers_separate_the_classes():
    assert not check_of(REVERSED, SORTED, ncm=0.12)["labels_wrong"]
    unknown = check_of(REVERSED, SORTED, orders={"sorted": SORTED})
    assert unknown["labels_wrong"]
    assert unknown["matching_label_order"] is None


def test_untrained_head_is_no_evidence_of_wrong_labels():
    rng = np.random.default_rng(0)
    labels = np.repeat(range(10), 20)
    for predicted in (
        ["n00000003"] * 200,  # one class for all images
        [WNIDS[k] for k in rng.integers(0, 10, 200)],
        [WNIDS[k] if rng.random() < 0.25 else WNIDS[rng.integers(3)] for k in labels],  # a short training
    ):
        check = label_check.check(labels, predicted, SORTED, {"reversed": REVERSED}, 0.8)
        assert not check["labels_wrong"]
        assert check["message"].startswith("cannot tell: the head is right on only")


def voted(names, copies, accuracy, rng, known=1.0):
    """Labels and the predictions of a head: right to `accuracy`, else random. The head knows a fraction `known` of the
    classes; for each other class, one random name stands in for the right one."""
    meaning = [k if rng.random() < known else int(rng.integers(len(names))) for k in range(len(names))]
    labels = np.repeat(np.arange(len(names)), copies)
    predicted = [names[meaning[k]] if rng.random() < accuracy else names[rng.integers(len(names))] for k in labels]
    return labels, predicted


FIFTY = [f"n{k:08d}" for k in range(50)]


@pytest.mark.parametrize(("copies", "accuracy"), [(4, 1.0), (10, 0.8), (10, 0.7), (50, 0.65)])
@pytest.mark.parametrize("cycles", [[[4, 7]], [[3, 40], [11, 12]], [[3, 9, 5], [20, 21]]])
def test_swapped_classes_are_named(cycles, copies, accuracy):
    labels, predicted = voted(FIFTY, copies, accuracy, np.random.default_rng(0))
    given = dict(enumerate(FIFTY))
    for cycle in cycles:
        given |= {k: FIFTY[other] for k, other in zip(cycle, [*cycle[1:], cycle[0]], strict=True)}
    check = label_check.check(labels, predicted, given, {"sorted": dict(enumerate(FIFTY))}, accuracy)
    assert not check["labels_wrong"]
    assert sorted(map(sorted, check["swapped_classes"])) == sorted(
        [FIFTY[k] for k in sorted(cycle)] for cycle in cycles
    )
    assert check["message"].startswith(f"the labels of {sum(map(len, cycles))} classes look swapped")
    assert all(" -> ".join([*cycle, cycle[0]]) in check["message"] for cycle in check["swapped_classes"])
    for cycle in check["swapped_classes"]:  # what a class's label says -> what its images are
        true_of = {given[k]: FIFTY[k] for k in range(50)}
        assert [true_of[wnid] for wnid in cycle] == [*cycle[1:], cycle[0]]


@pytest.mark.parametrize(
    ("copies", "accuracy", "known"), [(10, 0.1, 1), (10, 0.4, 1), (1, 0.7, 1), (2, 0.7, 1), (10, 1, 0), (10, 0.9, 0.4)]
)
def test_weak_head_names_no_class(copies, accuracy, known):
    given = dict(enumerate(FIFTY))
    for seed in range(40):
        labels, predicted = voted(FIFTY, copies, accuracy, np.random.default_rng(seed), known)
        assert label_check.check(labels, predicted, given, {}, 0.9)["swapped_classes"] == []


def test_confused_classes_are_not_swapped():
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(50), 10)
    for twins in ({0: 1}, {0: 1, 1: 0}, {0: 1, 1: 2, 2: 0}, {0: 1, 2: 1, 1: 3}):
        for _ in range(20):
            predicted = [FIFTY[twins[k] if k in twins and rng.random() < 0.5 else k] for k in labels]
            assert label_check.check(labels, predicted, dict(enumerate(FIFTY)), {}, 0.9)["swapped_classes"] == []


def test_head_in_another_order_differs_from_labels_in_another_order():
    clsloc = label_check.imagenet_label_orders()["clsloc from 0"]
    ordered = label_check.imagenet_label_orders()["sorted from 0"]
    labels = np.repeat(np.arange(0, 1000, 7), 3)
    place = {wnid: index for index, wnid in clsloc.items()}
    predicted = [ordered[place[ordered[label]]] for label in labels.tolist()]  # what each output seems to mean
    head_orders = label_check.other_head_orders(1000)
    check = label_check.check(labels, predicted, ordered, label_check.imagenet_label_orders(), 0.8, head_orders)
    assert (check["labels_wrong"], check["matching_label_order"], check["matching_head_order"]) == (
        False,
        None,
        "clsloc",
    )
    predicted = [clsloc[label] for label in labels.tolist()]
    check = label_check.check(labels, predicted, ordered, label_check.imagenet_label_orders(), 0.8, head_orders)
    assert (check["labels_wrong"], check["matching_label_order"]) == (True, "clsloc from 0")


def test_known_orders_are_those_of_the_1000_classes():
    orders = label_check.imagenet_label_orders()
    assert orders["sorted from 0"][0] == "n01440764"
    assert orders["clsloc from 1"][1] == "n02119789"
    assert orders["clsloc from 0"][0] == "n02119789"
    assert len(orders["sorted from 1"]) == 1000
